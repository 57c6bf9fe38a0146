"""Claims: 64 spins on an 8×8 lattice, transients and steady states over g/γ, in minutes on a laptop.

Periodic 8×8 lattice, V = 2γ. Nothing exact is known there: the reference are clusters of five sites, in doubt by what
clusters of four differ from them. Transients from all spins down, at g = γ and at 2.5γ, where the steady state changes
most rapidly; steady states over g = 0.5 to 4γ, which are what is left of transients at t = 20/γ. The paper names about
ten minutes on one GPU; seconds here are of a few CPU cores, with compilation, which these runs are the first of the
process to need.

    python examples/paper/large.py
"""

import numpy as np
from common import Record, begin, draw_averages, legend_above, plt
from problems import (
    AbstractProblem,
    Reference,
    Scan,
    Solution,
    Transient,
    climb,
    in_words,
    larger_clusters,
    name_of,
    paper_ansatz,
    torus,
    verdict,
)

PAPER_SECONDS = 600.0
LARGEST = 5


def compared(problem: AbstractProblem, counts: tuple[int, ...], size: int) -> tuple[Solution, Solution, Reference]:
    """The paper's ansatz with as many components as it takes, clusters of `size` - 1, and those of `size`."""
    reference, smaller = larger_clusters(problem, size)
    return climb(problem, [paper_ansatz(count) for count in counts], reference), smaller, reference


def claim_of(record: Record, claim: str, runs: dict[str, tuple[Solution, Solution, Reference]]) -> None:
    """Put on record how far the paper's ansatz is from the reference."""
    found, beside, references = ({label: run[n] for label, run in runs.items()} for n in range(3))
    doubts = ", ".join(f"{one.doubt:.1e} ({label})" for label, one in references.items())
    words = f"{next(iter(references.values())).words}, in doubt by {doubts}"
    told = {"mixture": in_words(found), "clusters": in_words(beside), "verdict": verdict(found, references)}
    record.claim(claim, words, **told, errors={label: one.figures() for label, one in found.items()})


def cost(record: Record, place: str, found: Solution, beside: Solution) -> None:
    """Put on record how long the transient at the first drive takes."""
    is_met = found.is_excellent and found.seconds <= PAPER_SECONDS
    judged = "reproduced" if is_met else f"not reproduced: error {found.short} in {found.seconds:.0f} s"
    seconds = {"mixture": found.seconds, "clusters": beside.seconds}
    words = {kind: f"{run.seconds:.1f} s ({run.knob})" for kind, run in (("mixture", found), ("clusters", beside))}
    claim = f"no sampling, so cheap: {place} transient in minutes"
    record.claim(claim, "about ten minutes on one GPU (the paper)", **words, verdict=judged, seconds=seconds)


def main() -> None:
    """Compare, draw and put on record."""
    record = begin(__file__, __doc__)
    lattice = torus(8)
    transients = [Transient(lattice, g) for g in (1.0, 2.5)]
    scan, counts, size = Scan(lattice, np.linspace(0.5, 4, 8)), (8, 16), LARGEST
    if record.quick:
        lattice = torus(4)
        transients = [Transient(lattice, 1.0, np.linspace(0, 0.4, 5))]
        scan, counts, size = Scan(lattice, np.array([0.5])), (2,), 2
    place = name_of(lattice)
    runs = {problem.label: compared(problem, counts, size) for problem in transients}
    claim_of(record, f"{place} transients, V = 2γ", runs)
    cost(record, place, *next(iter(runs.values()))[:2])
    runs[scan.label] = compared(scan, counts[:1], size)
    claim_of(record, f"{place} steady states, V = 2γ", {scan.label: runs[scan.label]})
    figure, panels = plt.subplots(1, len(runs), figsize=(9.6, 3.5), sharey=True)
    for panel, problem in zip(panels, (*transients, scan), strict=True):
        found, beside, reference = runs[problem.label]
        draw_averages(panel, problem.axis, reference.values, found.values, beside.values)
        told = "steady states" if problem is scan else problem.label
        panel.set(title=f"{place}, {told}", xlabel="drive $g$ (γ)" if problem is scan else "time $t$ (1/γ)")
    panels[0].set(ylabel="site average")
    legend_above(figure, panels[0], f"clusters, m = {size}")
    record.save(figure)
    record.write()


if __name__ == "__main__":
    main()
