"""Claims: in two dimensions the method follows transients, and steady states over g/γ, on 3×3 and 4×4 lattices.

Periodic lattices, V = 2γ, transients from all spins down, at g = γ and, for 3×3, at 2.5γ, where the steady state
changes most rapidly. Steady states are what is left of transients at t = 20/γ. 3×3 is compared with QuTiP: steady
states with the exact values that the benchmarks keep (benchmarks/results/steady_exact.csv, made by
benchmarks/steady.py --exact). 4×4 has no exact twin: the reference are clusters of five sites, in doubt by what
clusters of four differ from them, and for the transient quantum trajectories (examples/paper/data, made by
trajectories.py) check independently.

    python examples/paper/square.py
"""

from pathlib import Path

import numpy as np
from common import NAMES, Record, begin, draw_averages, legend_above, plt
from matplotlib.axes import Axes
from problems import (
    CLUSTERS,
    MIXTURES,
    AbstractProblem,
    Reference,
    Scan,
    Solution,
    Transient,
    climb,
    in_words,
    larger_clusters,
    name_of,
    torus,
    verdict,
)

EXACT = Path(__file__).parents[2] / "benchmarks" / "results" / "steady_exact.csv"
TRAJECTORIES = Path(__file__).parent / "data" / "trajectories_4x4.csv"
LARGEST = 5
SCANNED = MIXTURES[1:3]
"""Of scans, eight runs each to t = 20/γ: more components take too long."""


def stored_steady_states(drives: np.ndarray) -> Reference:
    """The exact steady states of 3×3 at V = 2γ, of the one-site averages."""
    rows = np.loadtxt(EXACT, delimiter=",", skiprows=1)
    kept = rows[[np.flatnonzero(np.isclose(rows[:, 0], g))[0] for g in drives]]
    return Reference("exact", dict(zip("xyz", kept[:, 1:].T, strict=True)))


def draw(panel: Axes, problem: AbstractProblem, reference: Reference, found: Solution, beside: Solution) -> None:
    """One panel: the reference, the mixture and the clusters."""
    draw_averages(panel, problem.axis, reference.values, found.values, beside.values)
    is_scan = isinstance(problem, Scan)
    told = "steady states" if is_scan else problem.label
    panel.set(title=f"{name_of(problem.lattice)}, {told}", xlabel="drive $g$ (γ)" if is_scan else "time $t$ (1/γ)")


def small(record: Record, transients: list[Transient], scan: Scan, panels) -> None:
    """3×3: transients against QuTiP, steady states against the exact ones."""
    references = {problem.label: Reference("QuTiP", problem.exact()) for problem in transients}
    references[scan.label] = Reference("QuTiP", scan.exact()) if record.quick else stored_steady_states(scan.axis)
    ladders = {"transients": MIXTURES, "steady states": SCANNED}
    for claim, problems in (("transients", transients), ("steady states", [scan])):
        own = {problem.label: references[problem.label] for problem in problems}
        found = {problem.label: climb(problem, ladders[claim], own[problem.label]) for problem in problems}
        beside = {problem.label: climb(problem, CLUSTERS[1:], own[problem.label]) for problem in problems}
        for problem in problems:
            label = problem.label
            draw(next(panels), problem, own[label], found[label], beside[label])
        told = {"mixture": in_words(found), "clusters": in_words(beside), "verdict": verdict(found, own)}
        figures = {label: one.figures() for label, one in found.items()}
        record.claim(f"2D {claim}, {name_of(scan.lattice)}, V = 2γ", "exact (QuTiP)", **told, errors=figures)


def medium(record: Record, problem: AbstractProblem, claim: str, size: int, panel: Axes) -> None:
    """4×4 against clusters of `size` sites; the transient against trajectories, too."""
    reference, smaller = larger_clusters(problem, size)
    found = climb(problem, SCANNED if isinstance(problem, Scan) else MIXTURES[:3], reference)
    draw(panel, problem, reference, found, smaller)
    words, figures = f"{reference.words}, in doubt by {reference.doubt:.1e}", {"errors": found.figures()}
    if isinstance(problem, Transient):
        told, figures["trajectories"] = against_trajectories(problem, found)
        words += f"; {told}"
    record.claim(
        f"2D {claim}, {name_of(problem.lattice)}, V = 2γ",
        words,
        in_words({problem.label: found}),
        in_words({problem.label: smaller}),
        verdict({problem.label: found}, {problem.label: reference}),
        **figures,
    )


def against_trajectories(problem: Transient, found: Solution) -> tuple[str, dict[str, float]]:
    """How far a solution is from quantum trajectories, and how much of it three standard errors leave unexplained."""
    stored = np.loadtxt(TRAJECTORIES, delimiter=",")[: len(problem.axis)]
    means, errors = stored[:, 1:5], stored[:, 5:]
    gaps = np.abs(np.column_stack([found.values[name] for name in NAMES]) - means)
    beyond = float(np.maximum(gaps - 3 * errors, 0).max())
    words = f"quantum trajectories, from which the mixture deviates by up to {gaps.max():.1e}, "
    words += f"{beyond:.1e} beyond three standard errors (up to {errors.max():.1e})"
    return words, {"deviation": float(gaps.max()), "beyond": beyond, "standard_error": float(errors.max())}


def main() -> None:
    """Compare, draw and put on record."""
    record = begin(__file__, __doc__)
    figure, panels = plt.subplots(2, 3, figsize=(9.6, 6), sharey=True)
    order = iter([*panels[0], *panels[1]])
    if record.quick:
        times, drives = np.linspace(0, 0.4, 5), np.array([1.0])
        small(record, [Transient(torus(2), 1.0, times)], Scan(torus(2), drives), order)
        medium(record, Transient(torus(4), 1.0, times), "transient", 2, next(order))
    else:
        drives = np.linspace(0.5, 4, 8)
        small(record, [Transient(torus(3), g) for g in (1.0, 2.5)], Scan(torus(3), drives), order)
        medium(record, Transient(torus(4), 1.0), "transient", LARGEST, next(order))
        medium(record, Scan(torus(4), drives), "steady states", LARGEST, next(order))
    for panel in order:
        panel.remove()
    for row in panels:
        row[0].set(ylabel="site average")
    legend_above(figure, panels[0, 0], "reference")
    record.save(figure)
    record.write()


if __name__ == "__main__":
    main()
