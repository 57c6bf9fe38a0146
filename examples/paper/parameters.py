"""Claims: fewer parameters than neural networks need; accuracy that the number of components controls.

A periodic chain of 6 sites, V = 2γ, g = γ, from all spins down. How many parameters does it take to hold the state at
t = 1, 2 and 5/γ so well that no average (⟨σx⟩, ⟨σy⟩, ⟨σz⟩, ⟨σzσz⟩) is off by more than some error? Mixtures and
clusters are moved by their equations of motion and judged against QuTiP at these times. Neural density matrices (see
networks.py) are fitted to the exact state of each time by itself, the best of three starts: the smallest error that
they could have, since a simulation with them adds its own. All ansätze run without symmetry and with translations.

    python examples/paper/parameters.py
"""

import time
from typing import Any

import numpy as np
from common import EXCELLENT, NAMES, SERIES, Record, begin, log_ticks, plt, site_averages
from networks import IS_INSTALLED, SPREADS, Network, identity, translations
from problems import Reference, Transient, paper_ansatz, solve

import husimix as hx

N_SITES, DRIVE = 6, 1.0
TIMES = np.array([0.0, 1.0, 2.0, 5.0])
SYMMETRIES = {"no symmetry": None, "translations": "translations"}
COMPONENTS, SIZES = (1, 2, 4, 8, 16, 32), (1, 2, 3, 4, 5)
DENSITIES = {"no symmetry": (1 / 3, 1, 2), "translations": (1, 2, 4)}
ITERATIONS = 600
TARGETS = (1e-2, 3e-3, 1e-3)
KINDS = {"mixture": "o", "clusters": "s", "network": "D"}

Row = dict[str, Any]


def exact_states(problem: Transient) -> list[np.ndarray]:
    """The density matrices at all times after the first, by QuTiP."""
    import qutip

    hamiltonian, jumps = problem.model(problem.g).to_qutip()
    start = qutip.Qobj(problem.state.to_dense(), dims=hamiltonian.dims)
    options = {"progress_bar": "", "atol": 1e-10, "rtol": 1e-8, "store_states": True, "nsteps": 1_000_000}
    solved = qutip.mesolve(hamiltonian, start, problem.axis, jumps, options=options)
    return [state.full() for state in solved.states[1:]]


def measured(problem: Transient, state: np.ndarray) -> dict[str, np.ndarray]:
    """The four averages in a density matrix, (1,) each."""
    values = {}
    for name, operator in site_averages(problem.lattice).items():
        # A model without dissipators hands its Hamiltonian to QuTiP: the shortest way for an operator.
        matrix = hx.Lindbladian(operator, [], lattice=problem.lattice).to_qutip()[0].full()
        values[name] = np.array([np.real(np.sum(matrix.T * state))])
    return values


def moved(problem: Transient, reference: Reference, kind: str, ansatz, symmetry: str) -> Row:
    """A mixture or clusters, moved by their equations of motion."""
    found = solve(problem, ansatz, reference, SYMMETRIES[symmetry])
    told = {"kind": kind, "symmetry": symmetry, "knob": found.knob, "parameters": found.parameters}
    return told | {"error": found.error, "stopped": found.stopped, "seconds": found.seconds}


def fitted(problem: Transient, states: list[np.ndarray], density: float, symmetry: str, iterations: int) -> Row:
    """A network, fitted to the state of each time; its error is the largest of all times, of the best starts."""
    shape = (problem.lattice.n_sites,)
    network = Network(density, translations(shape) if SYMMETRIES[symmetry] else identity(*shape))
    began, errors, distances = time.perf_counter(), [], []
    for state in states:
        exact = measured(problem, state)
        fits = [network.fit(state, seed, iterations) for seed in range(len(SPREADS))]
        gaps = [max(float(abs(measured(problem, fit.state)[n] - exact[n])[0]) for n in NAMES) for fit in fits]
        errors.append(min(gaps))
        distances.append(fits[int(np.argmin(gaps))].distance)
    told = {"kind": "network", "symmetry": symmetry, "knob": f"α = β = {density:.2g}", "error": max(errors)}
    told |= {"parameters": network.n_parameters, "errors": errors, "distances": distances}
    told |= {"stopped": None, "seconds": time.perf_counter() - began}
    print(f"network, {symmetry}, P = {told['parameters']}: errors {errors}, {told['seconds']:.0f} s", flush=True)
    return told


def named(problem: Transient) -> str:
    """The problem in words."""
    return f"ring of {problem.lattice.n_sites}, V = 2γ, {problem.label}"


def runs_of(rows: list[Row], kind: str, symmetry: str) -> list[Row]:
    """Those of a kind and a symmetry that came to their end."""
    own = [r for r in rows if (r["kind"], r["symmetry"]) == (kind, symmetry)]
    return [r for r in own if r["stopped"] is None]


def needed(rows: list[Row], kind: str, symmetry: str, target: float) -> Row | None:
    """The smallest of its kind that meets an error."""
    met = [r for r in runs_of(rows, kind, symmetry) if r["error"] <= target]
    return min(met, key=lambda r: r["parameters"], default=None)


def compare(record: Record, problem: Transient, rows: list[Row]) -> None:
    """Put on record what each kind needs for each error, and whether mixtures need the least."""
    table = {(s, t): {kind: needed(rows, kind, s, t) for kind in KINDS} for s in SYMMETRIES for t in TARGETS}

    def told(kind: str) -> str:
        parts = []
        for symmetry in SYMMETRIES:
            sizes = [table[symmetry, target][kind] for target in TARGETS]
            numbers = ", ".join("not reached" if r is None else f"{r['parameters']} ({r['knob']})" for r in sizes)
            parts.append(f"{symmetry}: {numbers}")
        return "; ".join(parts)

    targets = ", ".join(f"{target:g}" for target in TARGETS)
    claim = f"fewer parameters than neural networks, {named(problem)}, for errors of {targets}"
    if not IS_INSTALLED:
        record.claim(claim, "none", told("mixture"), told("clusters"), "not measured: NetKet is not installed")
        return
    words = f"neural density matrices, fitted to the exact states: {told('network')}"
    record.claim(claim, words, told("mixture"), told("clusters"), verdict_on(rows, table))


def verdict_on(rows: list[Row], table: dict[tuple[str, float], dict[str, Row | None]]) -> str:
    """Whether mixtures need fewer parameters than networks, for each symmetry and error that either of them meets.

    Where no network meets an error, larger ones might: it shows something if mixtures need fewer than the largest has.
    """
    fewer, more, undecided = [], [], []
    for (symmetry, target), row in table.items():
        mixture, network = (None if row[kind] is None else row[kind]["parameters"] for kind in ("mixture", "network"))
        largest = max(r["parameters"] for r in runs_of(rows, "network", symmetry))
        words = f"{symmetry}, {target:g}: {mixture or 'none'} against {network or f'more than {largest}'}"
        if network is not None:
            (more if mixture is None or mixture >= network else fewer).append(words)
        elif mixture is not None:
            (fewer if mixture <= largest else undecided).append(words)
    parts = {"reproduced": fewer, "not reproduced": more, "undecided": undecided}
    told = "; ".join(f"{name}: {'; '.join(words)}" for name, words in parts.items() if words)
    return told if more or undecided else "reproduced"


def control(record: Record, problem: Transient, rows: list[Row]) -> None:
    """Put on record whether the error falls tenfold with the number of components, and how it does with clusters."""
    words, judged = {}, []
    for kind in ("mixture", "clusters"):
        parts = []
        for symmetry in SYMMETRIES:
            own = runs_of(rows, kind, symmetry)
            told = ", ".join(f"{r['knob']}: {r['error']:.1e}" for r in own)
            parts.append(f"{symmetry}: {told}")
            if kind == "mixture" and own[-1]["error"] > min(EXCELLENT, own[0]["error"] / 10):
                judged.append(parts[-1])
        words[kind] = "; ".join(parts)
    verdict = f"not reproduced: {'; '.join(judged)}" if judged else "reproduced"
    claim = f"accuracy controlled by the number of components, {named(problem)}"
    record.claim(claim, "exact (QuTiP)", words["mixture"], words["clusters"], verdict)


def draw(record: Record, rows: list[Row]) -> None:
    """Error against the number of parameters, without symmetry and with."""
    figure, panels = plt.subplots(1, 2, figsize=(8.6, 3.8), sharey=True)
    names = {"mixture": "the paper's ansatz", "clusters": "clusters", "network": "neural density matrix, fitted"}
    for panel, symmetry in zip(panels, SYMMETRIES, strict=True):
        for (kind, marker), colour in zip(KINDS.items(), SERIES, strict=False):
            own = runs_of(rows, kind, symmetry)
            sizes, errors = [r["parameters"] for r in own], [r["error"] for r in own]
            panel.plot(sizes, errors, f"-{marker}", color=colour, label=names[kind])
        panel.axhline(EXCELLENT, color="0.4", ls="--", lw=1)
        panel.set(yscale="log", xlabel="parameters $P$", title=f"g = {DRIVE:g}γ, {symmetry}")
        log_ticks(panel, (3, 10, 30, 100, 300, 1000))
    panels[0].set(ylabel="largest error at three times")
    panels[0].legend()
    record.save(figure)


def main() -> None:
    """Measure, draw and put on record."""
    record = begin(__file__, __doc__)
    components, sizes, densities, iterations = COMPONENTS, SIZES, DENSITIES, ITERATIONS
    n_sites, times = N_SITES, TIMES
    if record.quick:
        components, sizes, densities, iterations = (2, 4), (1, 2), dict.fromkeys(SYMMETRIES, (1,)), 20
        n_sites, times = 3, TIMES[:2]
    problem = Transient(hx.Lattice.chain(n_sites, periodic=True), DRIVE, times)
    reference, states = Reference("QuTiP", problem.exact()), exact_states(problem)
    rows = []
    for symmetry in SYMMETRIES:
        rows += [moved(problem, reference, "mixture", paper_ansatz(k), symmetry) for k in components]
        rows += [moved(problem, reference, "clusters", hx.Clusters(size=m), symmetry) for m in sizes]
        if IS_INSTALLED:
            rows += [fitted(problem, states, d, symmetry, iterations) for d in densities[symmetry]]
    draw(record, rows)
    compare(record, problem, rows)
    control(record, problem, rows)
    record.write(rows=rows)


if __name__ == "__main__":
    main()
