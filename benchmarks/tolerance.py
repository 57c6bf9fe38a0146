"""What a tolerance is worth: default runs of thirty-four systems against exact integration.

For each system the rungs m = 2, 3, … of clusters, with their estimated and true errors, and what
`hx.mesolve(model, state, times, tol=...)` makes of tolerances of 1e-2 and 1e-3. Writes tolerance.md, in a quarter of an
hour on two cores.
"""

import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

import networkx as nx
import numpy as np
from machine import machine_line, options, write

import husimix as hx

TIMES = np.linspace(0, 5, 21)
TOLERANCES = (1e-2, 1e-3)
# Errors below this are those of time steps, which rungs of fixed size share.
NOISE = 1e-4
Spins = str | np.ndarray

chain, ising, xyz = hx.Lattice.chain, hx.models.dissipative_ising, hx.models.dissipative_xyz
LADDER, TORUS = hx.Lattice.rectangle(2, 4), hx.Lattice.square(3, 3, periodic=True)


@dataclass(frozen=True)
class System:
    """A model and where it starts."""

    name: str
    model: hx.Lindbladian
    spins: Spins = "down"


@dataclass
class Tally:
    """How often estimates held.

    Attributes:
        low: of all rungs, true over estimated errors where the estimate was too low.
        rungs: how many had an estimate.
        outcomes: for each tolerance, how each run ended.
    """

    low: list[tuple[float, float]] = field(default_factory=list)
    rungs: int = 0
    outcomes: dict[float, list[str]] = field(default_factory=lambda: {tol: [] for tol in TOLERANCES})


def decaying(h: hx.Operator, lattice: hx.Lattice, gamma: float) -> hx.Lindbladian:
    """A Hamiltonian with decay on every site, without any if the rate is 0."""
    sites = range(lattice.n_sites) if gamma else ()
    return hx.Lindbladian(h, [hx.Dissipator(hx.sigmam(i), gamma) for i in sites], lattice=lattice)


def fields(lattice: hx.Lattice, V: float, g: float, seed: int) -> hx.Lindbladian:
    """The Ising model in random fields, uniform in [-3, 3] γ/2."""
    found = np.random.default_rng(seed).uniform(-3, 3, lattice.n_sites)
    h = ising(lattice, V=V, g=g).hamiltonian
    return decaying(h + hx.operator_sum([0.5 * f * hx.sigmaz(i) for i, f in enumerate(found)]), lattice, 1.0)


def quench(lattice: hx.Lattice, V: float, g: float) -> hx.Lindbladian:
    """The Ising model without dissipation."""
    return decaying(ising(lattice, V=V, g=g).hamiltonian, lattice, 0.0)


def heisenberg(lattice: hx.Lattice, dephasing: float) -> hx.Lindbladian:
    """A disordered Heisenberg model, dephased everywhere and driven at two ends."""
    strengths = np.random.default_rng(1).uniform(0.35, 0.65, len(lattice.bonds()))
    bonds = zip(lattice.bonds().tolist(), strengths, strict=True)
    h = hx.operator_sum([J * hx.pauli(2 * a, *bond) for bond, J in bonds for a in "xyz"])
    channels = [hx.Dissipator(hx.sigmaz(i), dephasing) for i in range(lattice.n_sites)]
    ends = [hx.Dissipator(hx.sigmap(0), 1.0), hx.Dissipator(hx.sigmam(lattice.n_sites - 1), 1.0)]
    return hx.Lindbladian(h, [*channels, *ends], lattice=lattice)


def power_law(n: int, letters: str, J: float, exponent: float, drive: hx.Operator, gamma: float) -> hx.Lindbladian:
    """Couplings J/r^α between all pairs of a chain."""
    pairs = [(i, j) for i in range(n) for j in range(i)]
    h = hx.operator_sum([J / (i - j) ** exponent * hx.pauli(letters, j, i) for i, j in pairs])
    return decaying(h + drive, chain(n), gamma)


def systems() -> Iterator[System]:
    """Chains, ladders, tori, graphs; weak to strong; some without dissipation."""
    for V, g in ((1, 1), (2, 1), (2, 2.5), (5, 5)):
        yield System(f"chain of 8, V={V} g={g}", ising(chain(8), V=V, g=g))
    for V, g in ((2, 2.5), (5, 5)):
        yield System(f"ring of 8, V={V} g={g}", ising(chain(8, periodic=True), V=V, g=g))
    for V, g in ((2, 1), (2, 2.5), (5, 5)):
        yield System(f"ladder of 8, V={V} g={g}", ising(LADDER, V=V, g=g))
        yield System(f"torus 3×3, V={V} g={g}", ising(TORUS, V=V, g=g))
    graph = hx.Lattice.from_graph(nx.random_regular_graph(3, 8, seed=1))
    for V, g in ((2, 1), (5, 5)):
        yield System(f"random graph of 8, V={V} g={g}", ising(graph, V=V, g=g))
    for V, g in ((1, 1), (2, 2.5), (5, 5)):
        yield System(f"ladder of 8 in random fields, V={V} g={g}", fields(LADDER, V, g, seed=3))
    yield System("chain of 8 in random fields, V=5 g=5", fields(chain(8), 5.0, 5.0, seed=4))
    yield System("closed ring of 8, V=2 g=2", quench(chain(8, periodic=True), 2.0, 2.0))
    yield System("closed chain of 8, V=4 g=1", quench(chain(8), 4.0, 1.0))
    yield System("closed ladder of 8, V=1 g=2", quench(LADDER, 1.0, 2.0))
    yield System("chain of 8, XYZ", xyz(chain(8), 0.9, 1.2, 1.0), "+x")
    yield System("ladder of 8, XYZ", xyz(LADDER, 0.9, 1.2, 1.0), "+x")
    yield System("chain of 7, XYZ, tilted start", xyz(chain(7), 0.5, 1.0, 1.5), np.array([0.6, 0.0, 0.8]))
    yield System("ladder of 8, Heisenberg, dephasing 0.2", heisenberg(LADDER, 0.2), "+x")
    yield System("chain of 8, Heisenberg, dephasing 0.02", heisenberg(chain(8), 0.02), "+x")
    field_z = hx.operator_sum([0.5 * hx.sigmaz(i) for i in range(7)])
    drive = hx.operator_sum([2.0 * hx.sigmax(i) for i in range(7)])
    yield System("7 spins, xx/r^1.5", power_law(7, "xx", 1.0, 1.5, field_z, 1.0))
    yield System("7 spins, 2 xx/r, decay 0.5", power_law(7, "xx", 2.0, 1.0, field_z, 0.5))
    yield System("7 spins, 4 zz/r^6, decay 0.3", power_law(7, "zz", 4.0, 6.0, drive, 0.3))
    yield System("honeycomb of 8, V=2 g=2.5", ising(hx.Lattice.honeycomb(2, 2, periodic=True), V=2, g=2.5))
    yield System("kagome of 6, V=3 g=2", ising(hx.Lattice.kagome(2, 1, periodic=True), V=3, g=2))
    yield System("triangular torus 3×3, V=2 g=2", ising(hx.Lattice.triangular(3, 3, periodic=True), V=2, g=2))
    yield System("chain of 8, decay 0.1, V=2 g=2", ising(chain(8), V=2, g=2, gamma=0.1))
    yield System("chain of 8, V=2 g=10", ising(chain(8), V=2, g=10))


def error(run: hx.Result, exact: hx.Result) -> float:
    """The worst error of any ⟨σ⟩ at any time."""
    return float(np.abs(run.bloch - exact.bloch[: len(run.times)]).max())


def quietly(system: System, state: object, **arguments: object) -> hx.Result:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", hx.HusimixWarning)
        return hx.mesolve(system.model, state, TIMES, progress=False, **arguments)


def rows_of(system: System, tally: Tally) -> Iterator[str]:
    """One line for each tolerance; the rungs of clusters are counted on the way."""
    state = hx.product_state(system.model.n_sites, system.spins)
    exact = hx.exact.mesolve(system.model, state, TIMES)
    before = None
    for m in range(2, system.model.n_sites):
        run = quietly(system, state, ansatz=hx.Clusters(size=m), method=hx.Stepping(rtol=1e-5))
        if run.completed and before is not None:
            estimate, true = float(np.abs(run.bloch - before.bloch).max()), error(run, exact)
            tally.rungs += 1
            tally.low += [(estimate, true)] if true > max(estimate, NOISE) else []
        before = run if run.completed else before
    for tol in TOLERANCES:
        began = time.perf_counter()
        run = quietly(system, state, tol=tol)
        spent, true = time.perf_counter() - began, error(run, exact)
        told = float(np.max(run.diagnostics["estimated_error"]))
        outcome = "met" if run.status is hx.Status.COMPLETED else run.status.name.lower()
        if outcome == "met" and true > tol:
            outcome = "missed within a factor of 2" if true <= 2 * tol else "**missed**"
        tally.outcomes[tol].append(outcome)
        rungs = run.settings["rungs"]
        yield f"| {system.name} | {tol:g} | {outcome} | {told:.1e} | {true:.1e} | {rungs[-1]} | {spent:.1f} |"


def summary(tally: Tally) -> Iterator[str]:
    """How often tolerances and estimates held."""
    for tol, outcomes in tally.outcomes.items():
        counts = ", ".join(f"{outcomes.count(kind)} {kind}" for kind in sorted(set(outcomes)))
        yield f"Tolerance {tol:g}: {counts}, of {len(outcomes)}."
    worst = max((true / estimate for estimate, true in tally.low), default=0.0)
    beyond = [f"{true:.1e} for {estimate:.1e}" for estimate, true in tally.low]
    yield (
        f"Of {tally.rungs} rungs of clusters from m = 3 to N - 1, {len(tally.low)} had errors above {NOISE:g} "
        "that were estimated too low"
        + (f", at most by a factor of {worst:.1f} ({', '.join(beyond)})." if beyond else ".")
    )


def main() -> None:
    """Print the table while it grows, then write it."""
    tally, asked = Tally(), options(__doc__)
    lines = [
        "## What a tolerance is worth",
        "",
        "`hx.mesolve(model, state, times, tol=...)` to T = 5/γ. Told: `estimated_error`. Error: the worst of any ⟨σ⟩",
        "at any time, against exact integration. Seconds with compilation.",
        "",
        "| system | tol | outcome | told | error | last rung | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines))
    for number, system in enumerate(systems()):
        if not asked.quick or number == 0:
            for line in rows_of(system, tally):
                print(line, flush=True)
                lines.append(line)
    lines += ["", *summary(tally), "", machine_line(), ""]
    print("\n".join(lines[-5:]))
    write(asked, "tolerance.md", "\n".join(lines))


if __name__ == "__main__":
    main()
