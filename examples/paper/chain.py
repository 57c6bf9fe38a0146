"""Claim: in one dimension the method follows the exact dynamics and steady states of the dissipative Ising model.

Periodic chains of 5 to 8 sites, V = 2γ, all spins down, against QuTiP on the full Hilbert space. Three drives stand
for three regimes: at g = 0.5γ the spins stay near the ground, at 1.5γ drive, coupling and decay compete and
correlations are largest, at 4γ the drive saturates the spins and the transient oscillates. Site averages of ⟨σx⟩,
⟨σy⟩, ⟨σz⟩ and the neighbour correlation ⟨σzσz⟩ are compared at 51 times up to 5/γ, then in the steady state, which is
also followed over g = 0 to 4γ for six sites.

    python examples/paper/chain.py
"""

import numpy as np
from common import (
    COLOURS,
    LABELS,
    MARKERS,
    NAMES,
    SERIES,
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

V, COMPONENTS = 2.0, 16
TIMES = np.linspace(0, 5, 51)
PAPER = "1D transients and steady states in excellent agreement with exact diagonalisation"


def chain(n_sites: int, g: float) -> tuple[hx.Lindbladian, dict[str, hx.Operator]]:
    """The model of a periodic chain, and what is measured on it."""
    lattice = hx.Lattice.chain(n_sites, periodic=True)
    return hx.models.dissipative_ising(lattice, V=V, g=g), site_averages(lattice)


def transient(n_sites: int, g: float, components: int):
    """A variational run and its exact twin."""
    model, observables = chain(n_sites, g)
    state = hx.product_state(n_sites, "down")
    ansatz = hx.Mixture(components=components)
    found = quietly(hx.mesolve, model, state, TIMES, ansatz=ansatz, observables=observables)
    return found, hx.exact.mesolve(model, state, TIMES, observables=observables)


def stationary(n_sites: int, g: float, components: int, **settings) -> float:
    """The error of the steady state."""
    model, observables = chain(n_sites, g)
    ansatz = hx.Mixture(components=components)
    found = quietly(hx.steadystate, model, ansatz=ansatz, observables=observables, **settings)
    return worst(found.expect, hx.exact.steadystate(model, observables=observables).expect)


def scan(n_sites: int, drives: np.ndarray, components: int, **settings):
    """Steady states over the drive, variational and exact, each a mapping of (S,) arrays."""
    observables = chain(n_sites, 0)[1]
    settings |= {"ansatz": hx.Mixture(components=components), "observables": observables}
    found = quietly(hx.scan, lambda g: chain(n_sites, g)[0], drives, **settings)
    exact = [hx.exact.steadystate(chain(n_sites, g)[0], observables=observables).expect for g in drives]
    return found.expect, {name: np.real([e[name][0] for e in exact]) for name in NAMES}


def draw(record: Record, drives, runs, line, scanned, errors) -> None:
    """Transients of the longest chain above; below the scan of the drive and the errors of all chains."""
    figure, panels = plt.subplots(2, 3, figsize=(9, 5.6))
    for panel, g, (found, exact) in zip(panels[0], drives, runs, strict=False):
        for name in NAMES:
            panel.plot(TIMES, np.real(exact.expect[name]), color=COLOURS[name], label=f"{LABELS[name]} exact")
            panel.plot(TIMES[::3], found.expect[name][::3], "o", color=COLOURS[name], mfc="white", ms=4)
        panel.set(title=f"{found.bloch.shape[1]} sites, g = {g:g}γ", xlabel="time $t$ (1/γ)", ylim=(-1.05, 1.05))
    panels[0, 0].set(ylabel="site average")
    legend_above(figure, panels[0, 0], f"husimix, K = {found.final_state.n_components}")
    below, exact = scanned
    for name in NAMES:
        panels[1, 0].plot(line, exact[name], color=COLOURS[name])
        panels[1, 0].plot(line, below[name], "o", color=COLOURS[name], mfc="white", ms=4)
    panels[1, 0].set(title="steady states, 6 sites" if len(line) > 3 else "steady states")
    panels[1, 0].set(xlabel="drive $g$ (γ)", ylabel="site average")
    for panel, kind in zip(panels[1, 1:], ("transient", "steady state"), strict=True):
        for g, marker, colour in zip(drives, MARKERS, SERIES, strict=False):
            sizes = sorted(n for n, drive in errors if drive == g)
            panel.semilogy(sizes, [errors[n, g][kind] for n in sizes], marker, color=colour, label=f"g = {g:g}γ")
        panel.axhline(1e-2, color="0.4", ls="--", lw=1)
        panel.set(title=f"largest error, {kind}", xlabel="number of sites $N$", ylim=(1e-5, 1e-1), xticks=sizes)
    panels[1, 1].legend()
    record.save(figure)


def main() -> None:
    """Compare, draw and put on record."""
    record = begin(__file__, __doc__)
    sizes, drives, count, line, settings = (5, 6, 7, 8), (0.5, 1.5, 4.0), COMPONENTS, np.linspace(0, 4, 17), {}
    if record.quick:
        sizes, drives, count, line, settings = (3,), (1.5,), 2, np.array([1.0, 1.5]), {"starts": 1, "max_drift": 0.05}
    runs, errors = [], {}
    for n in sizes:
        for g in drives:
            found, exact = transient(n, g, count)
            steady = stationary(n, g, count, **settings)
            errors[n, g] = {"transient": worst(found.expect, exact.expect), "steady state": steady}
            print(f"N = {n}, g = {g:g}: {errors[n, g]}", flush=True)
            if n == sizes[-1]:
                runs.append((found, exact))
    scanned = scan(min(6, sizes[-1]), line, count, **settings)
    draw(record, drives, runs, line, scanned, errors)
    for kind in ("transient", "steady state"):
        for g in drives:
            error = max(errors[n, g][kind] for n in sizes)
            claim = f"1D, {kind}, N = {sizes[0]} to {sizes[-1]}, V = {V:g}γ, g = {g:g}γ"
            record.claim(claim, PAPER, f"largest error {error:.1e} at K = {count}", judge(error), error=error)
    error = worst(*scanned)
    claim = f"1D, steady states over g = {line[0]:g} to {line[-1]:g}γ, V = {V:g}γ, N = {min(6, sizes[-1])}"
    record.claim(claim, PAPER, f"largest error {error:.1e} at K = {count}", judge(error), error=error)
    record.write(errors=[{"sites": n, "g": g} | kinds for (n, g), kinds in errors.items()])


if __name__ == "__main__":
    main()
