"""Claim: in two dimensions the method follows transients, and steady states over g/γ, on 3×3 and 4×4 lattices.

Periodic lattices, V = 2γ, all spins down, g = γ and, where steady states change most rapidly, g = 2.5γ. 3×3 is compared
with QuTiP: transients with `hx.exact.mesolve`, steady states over g = 0 to 4γ with the exact values that the benchmarks
keep (benchmarks/results/steady_exact.csv, made by benchmarks/steady.py --exact). 4×4 has no exact twin: the transient
at g = γ is compared with quantum trajectories (examples/paper/data, made by trajectories.py), that at 2.5γ and the
steady states with runs of other K.

    python examples/paper/square.py
"""

from pathlib import Path

import numpy as np
from common import (
    COLOURS,
    LABELS,
    NAMES,
    STORED,
    Record,
    begin,
    judge,
    legend_above,
    plt,
    quietly,
    site_averages,
    worst,
)

import husimix as hx

V, DRIVES = 2.0, (1.0, 2.5)
TRAJECTORIES = Path(__file__).parent / "data" / "trajectories_4x4.csv"
EXACT_PAPER = "2D transients and steady states in excellent agreement with exact results"
LADDERS = {1.0: (4, 8, 16), 2.5: (8, 16, 32)}
LADDER_PAPER = "accuracy is controlled by the number of components"


def torus(length: int, g: float) -> tuple[hx.Lindbladian, dict[str, hx.Operator]]:
    """The model of a periodic square, and what is measured on it."""
    lattice = hx.Lattice.square(length, periodic=True)
    return hx.models.dissipative_ising(lattice, V=V, g=g), site_averages(lattice)


def evolve(length: int, g: float, times: np.ndarray, components: int) -> dict[str, np.ndarray]:
    """A variational run from all spins down: (T,) arrays by name."""
    model, observables = torus(length, g)
    state = hx.product_state(model.n_sites, "down")
    ansatz = hx.Mixture(components=components)
    return quietly(hx.mesolve, model, state, times, ansatz=ansatz, observables=observables).expect


def scan(length: int, drives: np.ndarray, components: int) -> dict[str, np.ndarray]:
    """Steady states over the drive: (S,) arrays by name."""
    settings = {"ansatz": hx.Mixture(components=components), "observables": torus(length, 0)[1]}
    return quietly(hx.scan, lambda g: torus(length, g)[0], drives, **settings).expect


def small(record: Record, times: np.ndarray, components: int, panels) -> None:
    """Transients of 3×3 against QuTiP."""
    length = 2 if record.quick else 3
    for panel, g in zip(panels, DRIVES[:1] if record.quick else DRIVES, strict=False):
        model, observables = torus(length, g)
        state = hx.product_state(model.n_sites, "down")
        exact = hx.exact.mesolve(model, state, times, observables=observables).expect
        found = evolve(length, g, times, components)
        for name in NAMES:
            panel.plot(times, np.real(exact[name]), color=COLOURS[name], label=f"{LABELS[name]}, reference")
            panel.plot(times[::3], found[name][::3], "o", color=COLOURS[name], mfc="white", ms=4)
        panel.set(title=f"{length}×{length}, g = {g:g}γ, lines: QuTiP", xlabel="time $t$ (1/γ)", ylim=(-1.05, 1.05))
        error = worst(found, exact)
        claim = f"2D, transient, {length}×{length}, V = {V:g}γ, g = {g:g}γ"
        record.claim(claim, EXACT_PAPER, f"largest error {error:.1e} at K = {components}", judge(error), error=error)


def medium(record: Record, times: np.ndarray, ladders: dict[float, tuple[int, ...]], panels) -> None:
    """Transients of 4×4 against trajectories, where there are any, and against fewer components."""
    for panel, (g, counts) in zip(panels, ladders.items(), strict=False):
        ladder = [evolve(4, g, times, k) for k in counts]
        best = ladder[-1]
        for name in NAMES:
            panel.plot(times[::3], best[name][::3], "o", color=COLOURS[name], mfc="white", ms=4)
        told = "bands: trajectories" if g == DRIVES[0] else f"K = {counts[-1]}, dashed: {counts[-2]}"
        panel.set(title=f"4×4, g = {g:g}γ, {told}", xlabel="time $t$ (1/γ)", ylim=(-1.05, 1.05))
        if g == DRIVES[0]:
            against_trajectories(record, times, best, counts[-1], panel)
        else:
            for name in NAMES:
                panel.plot(times, ladder[-2][name], color=COLOURS[name], lw=1, ls="--")
        if len(counts) > 1:
            steps = [worst(one, best) for one in ladder[:-1]]
            told = ", ".join(f"K = {k}: {step:.1e}" for k, step in zip(counts[:-1], steps, strict=True))
            claim = f"2D, transient, 4×4, V = {V:g}γ, g = {g:g}γ, over K"
            words = f"largest difference from K = {counts[-1]}: {told}"
            record.claim(claim, LADDER_PAPER, words, judge(steps[-1]), difference=steps[-1])


def against_trajectories(record: Record, times: np.ndarray, found, count: int, panel) -> None:
    """Draw the trajectories; what deviates by more than three standard errors is the method's error."""
    stored = np.loadtxt(TRAJECTORIES, delimiter=",")[: len(times)]
    means, errors = stored[:, 1:5], stored[:, 5:]
    for column, name in enumerate(NAMES):
        low, high = (means[:, column] + sign * 2 * errors[:, column] for sign in (-1, 1))
        panel.fill_between(times, low, high, color=COLOURS[name], alpha=0.3, lw=0)
        panel.plot(times, means[:, column], color=COLOURS[name], lw=1)
    gaps = np.abs(np.column_stack([found[name] for name in NAMES]) - means)
    beyond = float(np.maximum(gaps - 3 * errors, 0).max())
    words = f"largest deviation {gaps.max():.1e} at K = {count}, standard errors up to {errors.max():.1e}; "
    words += f"largest deviation beyond three standard errors {beyond:.1e}"
    figures = {"deviation": float(gaps.max()), "beyond": beyond, "standard_error": float(errors.max())}
    claim = f"2D, transient, 4×4, V = {V:g}γ, g = {DRIVES[0]:g}γ, against quantum trajectories"
    record.claim(claim, EXACT_PAPER, words, judge(beyond), **figures)


def steady_small(record: Record, drives: np.ndarray, count: int, panel) -> None:
    """Steady states of 3×3 over the drive on the exact ones."""
    exact = np.loadtxt(STORED / "steady_exact.csv", delimiter=",", skiprows=1)
    exact = exact[[np.flatnonzero(np.isclose(exact[:, 0], g))[0] for g in drives]]
    found = scan(3, drives, count)
    for column, name in enumerate("xyz"):
        panel.plot(drives, exact[:, column + 1], color=COLOURS[name])
        panel.plot(drives, found[name], "o", color=COLOURS[name], mfc="white", ms=4)
    panel.set(title="3×3, steady states, lines: exact", xlabel="drive $g$ (γ)", ylim=(-1.05, 1.05))
    gaps = np.abs(np.column_stack([found[name] for name in "xyz"]) - exact[:, 1:]).max(axis=1)
    told = f"largest error {gaps.max():.1e}, at g = {drives[gaps.argmax()]:g}γ, K = {count}"
    claim = f"2D, steady states, 3×3, V = {V:g}γ, g = {drives[0]:g} to {drives[-1]:g}γ"
    record.claim(claim, EXACT_PAPER, told, judge(gaps.max()), error=float(gaps.max()))


def steady_medium(record: Record, drives: np.ndarray, counts: tuple[int, int], panel) -> None:
    """Steady states of 4×4 over the drive, with their change from fewer components."""
    few, many = (scan(4, drives, k) for k in counts)
    for name in NAMES:
        style = {"color": COLOURS[name], "mfc": "white", "ms": 4, "capsize": 2, "elinewidth": 1}
        panel.errorbar(drives, many[name], np.abs(many[name] - few[name]), fmt="o", **style)
    panel.set(title=f"4×4, K = {counts[1]}, bars: change from {counts[0]}", xlabel="drive $g$ (γ)", ylim=(-1.05, 1.05))
    gaps = np.max([np.abs(many[name] - few[name]) for name in NAMES], axis=0)
    told = f"K = {counts[0]} and {counts[1]} differ by up to {gaps.max():.1e}, at g = {drives[gaps.argmax()]:g}γ"
    claim = f"2D, steady states, 4×4, V = {V:g}γ, g = {drives[0]:g} to {drives[-1]:g}γ, over K"
    record.claim(claim, LADDER_PAPER, told, judge(gaps.max()), difference=float(gaps.max()))


def main() -> None:
    """Compare, draw and put on record."""
    record = begin(__file__, __doc__)
    figure, panels = plt.subplots(2, 3, figsize=(9.6, 6))
    if record.quick:
        small(record, np.linspace(0, 0.4, 5), 2, panels[0])
        medium(record, np.linspace(0, 0.4, 5), {1.0: (2,)}, panels[1])
    else:
        small(record, np.linspace(0, 5, 51), 16, panels[0])
        medium(record, np.linspace(0, 5, 51), LADDERS, panels[1])
        steady_small(record, np.linspace(0, 4, 17), 16, panels[0, 2])
        steady_medium(record, np.linspace(0, 4, 17), (16, 32), panels[1, 2])
    legend_above(figure, panels[0, 0], f"husimix, K = {2 if record.quick else 16}")
    for row in panels:
        row[0].set(ylabel="site average")
    record.save(figure)
    record.write()


if __name__ == "__main__":
    main()
