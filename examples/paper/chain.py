"""Claims: in one dimension the method follows the exact transients, and the exact steady states.

Transients of a periodic chain of 8 sites from all spins down, against QuTiP on the full Hilbert space. Three drives
stand for three regimes: at g = 0.5γ the spins stay near the ground, at 1.5γ drive, coupling and decay compete and
correlations are largest, at 4γ the drive saturates the spins and the transient oscillates. Steady states of 6 sites
over g = 0.5 to 4γ, which are what is left at t = 20/γ, against the kernel of QuTiP's Liouvillian.

    python examples/paper/chain.py
"""

import numpy as np
from common import begin, draw_averages, legend_above, plt
from problems import CLUSTERS, MIXTURES, Reference, Scan, Transient, climb, in_words, verdict

import husimix as hx

DRIVES = (0.5, 1.5, 4.0)
LINE = np.linspace(0.5, 4, 8)


def main() -> None:
    """Compare, draw and put on record."""
    record = begin(__file__, __doc__)
    n_sites, n_stationary, mixtures, clusters = 8, 6, MIXTURES, CLUSTERS
    problems = [Transient(hx.Lattice.chain(n_sites, periodic=True), g) for g in DRIVES]
    scan = Scan(hx.Lattice.chain(n_stationary, periodic=True), LINE)
    if record.quick:
        n_sites, n_stationary, mixtures, clusters = 3, 3, MIXTURES[:1], CLUSTERS[:1]
        ring = hx.Lattice.chain(3, periodic=True)
        problems, scan = [Transient(ring, 1.5, np.linspace(0, 0.5, 6))], Scan(ring, np.array([1.0]))
    figure, panels = plt.subplots(1, len(problems) + 1, figsize=(3 * len(problems) + 3, 3.4), sharey=True)
    claims = (("1D transients", n_sites, problems), ("1D steady states", n_stationary, [scan]))
    free = iter(panels)
    for claim, count, own in claims:
        found, beside = {}, {}
        references = {problem.label: Reference("QuTiP", problem.exact()) for problem in own}
        for problem in own:
            label, panel = problem.label, next(free)
            found[label] = climb(problem, mixtures, references[label])
            beside[label] = climb(problem, clusters, references[label])
            draw_averages(panel, problem.axis, references[label].values, found[label].values, beside[label].values)
            panel.set(title=f"{count} sites, {label}" if len(own) > 1 else f"{count} sites, steady states")
            panel.set(xlabel="drive $g$ (γ)" if problem is scan else "time $t$ (1/γ)")
        figures = {label: one.figures() for label, one in found.items()}
        words = f"{claim}, N = {count}, V = 2γ"
        told = {"mixture": in_words(found), "clusters": in_words(beside), "verdict": verdict(found, references)}
        record.claim(words, "exact (QuTiP)", **told, errors=figures)
    panels[0].set(ylabel="site average")
    legend_above(figure, panels[0], "exact")
    record.save(figure)
    record.write()


if __name__ == "__main__":
    main()
