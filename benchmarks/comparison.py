"""husimix beside other methods, on problems that it wins and problems that it loses: error against wall time.

Exact integration by QuTiP and dynamiqs, matrix product operators by quimb (comparison_mpo.py), mean field and
second-order cumulants (comparison_cumulants.py). A package that is not installed is left out and the table says so;
`pip install "husimix[bench]"` brings them all. Writes benchmarks/results/comparison.md and comparison.png, in about ten
minutes on two idle cores; `python benchmarks/comparison.py NAME ...` runs some problems and leaves the other rows out.
"""

import sys
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import comparison_mpo as mpo
import matplotlib.pyplot as plt
import numpy as np
from common import bond_mean, knob_of, means
from comparison_cumulants import CumulantExpansion
from machine import machine_line
from peers import (
    TIGHT,
    TIMES,
    Row,
    available,
    integrator_rows,
    measure,
    missing,
    qutip_runner,
    run_husimix,
    tolerance,
)
from runs import converged

import husimix as hx
from husimix.ansatz import AbstractAnsatz
from husimix.physics.lindbladian import sparse_operator
from husimix.state import AbstractState

RESULTS = Path(__file__).parent / "results"
METHODS = {
    "QuTiP": ("#0072B2", "s"),
    "dynamiqs": ("#009E73", "^"),
    "mean field": ("#000000", "X"),
    "cumulants": ("#56B4E9", "P"),
    "MPO": ("#CC79A7", "D"),
    "mixture": ("#D55E00", "o"),
    "clusters": ("#E69F00", "v"),
}
DRIVE, DRIVEN_END = 0.2, 0.5
FOLDED_SECONDS = 120.0
"""After which the matrix product operator on 8×8 is given up."""


@dataclass(frozen=True)
class Problem:
    """A model, where it starts, and what is compared; the shape that the runners of peers.py take.

    Attributes:
        name: as in the table.
        model, state: the Lindbladian and the initial product state.
        times: (T,) save times.
        observables: averages over sites and bonds, by name.
    """

    name: str
    model: hx.Lindbladian
    state: AbstractState
    times: np.ndarray
    observables: dict[str, hx.Operator]

    def matrices(self):
        return [sparse_operator(o, self.model.n_sites) for o in self.observables.values()]

    @property
    def bloch(self) -> np.ndarray:
        return np.asarray(self.state.bloch())


def ising(name: str, lattice: hx.Lattice, V: float, g: float) -> Problem:
    """The dissipative Ising model, all spins down, to T = 5/γ."""
    model = hx.models.dissipative_ising(lattice, V=V, g=g)
    return Problem(name, model, hx.product_state(lattice.n_sites, "down"), TIMES, means(lattice))


def heisenberg(name: str, length: int, gamma: float, end: float) -> Problem:
    """The Heisenberg chain driven at its ends, from the Néel state; the site average of ⟨σz⟩ is taken with its sign."""
    lattice = hx.Lattice.chain(length)
    bonds, signs = lattice.bonds(), (-1.0) ** np.arange(length)
    measured = {"staggered z": hx.operator_sum([s * hx.sigmaz(i) for i, s in enumerate(signs)]) / length}
    measured |= {letters: bond_mean(lattice, letters) for letters in ("xx", "zz")}
    current = [hx.pauli("xy", i, j) - hx.pauli("yx", i, j) for i, j in bonds]
    measured["current"] = hx.operator_sum(current) / len(bonds)
    model = hx.models.boundary_driven_heisenberg(lattice, J=1.0, delta=1.0, gamma=gamma)
    spins = np.stack([np.zeros(length), np.zeros(length), signs], axis=1)
    return Problem(name, model, hx.product_state(length, spins), np.linspace(0, end, 11), measured)


def deviation(values: np.ndarray, references: Iterable[np.ndarray]) -> float:
    """Largest error of any observable at any time; of the worse one where references differ."""
    return float(max(np.abs(values - known).max() for known in references))


def exact_rows(problem: Problem) -> Generator[Row, None, list[np.ndarray]]:
    """The row of the exact reference, and what integrators with looser tolerances make of it; returns the reference."""
    solve = qutip_runner(problem, problem.times)
    (reference, *_), seconds, first = measure(lambda _: solve(*TIGHT), compiles=False)
    yield Row(problem.name, "QuTiP", f"Adams, {tolerance(*TIGHT)}", None, seconds, first, "the reference")
    yield from integrator_rows(problem.name, problem, available("dynamiqs"), reference)
    return [reference]


def husimix_rows(problem: Problem, references, counts: Iterable[int], sizes: Iterable[int]) -> Iterator[Row]:
    """One row a K, then one an m; the median error of the seeds that there is time for.

    A run over a thousandth of the times compiles, so that long runs need not be made twice.
    """
    mixtures: list[AbstractAnsatz] = [hx.Mixture(components=count) for count in counts]
    for ansatz in (*mixtures, *(hx.Clusters(size=size) for size in sizes)):
        began = time.perf_counter()
        run_husimix(problem, 1e-3 * problem.times, ansatz)
        compiling = time.perf_counter() - began
        values, seconds, first = measure(
            lambda seed, chosen=ansatz: run_husimix(problem, problem.times, chosen, seed), compiles=False
        )
        error = float(np.median([deviation(v, references) for v in values]))
        method = "mixture" if isinstance(ansatz, hx.Mixture) else "clusters"
        yield Row(problem.name, method, knob_of(ansatz), error, seconds, compiling + first)


def expansion_rows(problem: Problem, references, orders: Iterable[int] = (1, 2)) -> Iterator[Row]:
    """Mean field and cumulants; the first run also derives the equations. Translations are used where there are any."""
    shifts = hx.SymmetryGroup.translations(problem.model.lattice).permutations
    for order in orders:
        began = time.perf_counter()
        expansion = CumulantExpansion(problem.model, order, shifts)
        deriving = time.perf_counter() - began

        def run(_, expansion=expansion):
            return expansion.solve(problem.bloch, problem.times, list(problem.observables.values()))

        ((values, end), *_), seconds, first = measure(run, compiles=False)
        error, remark = deviation(values, references), ""
        if np.isfinite(end):
            error, remark = None, f"diverges at t = {end:.2g}"
        settings = f"{len(expansion.products)} equations"
        yield Row(
            problem.name, ("mean field", "cumulants")[order - 1], settings, error, seconds, deriving + first, remark
        )


def mpo_runner(
    problem: Problem, bond: int, folded: np.ndarray | None = None, **options
) -> Callable[[int], mpo.Evolution]:
    """A run of `mpo.evolve`, or of `mpo.evolve_folded` where the line goes through the sites in the order `folded`."""
    chain, solve = mpo.Chain(problem.model, folded), mpo.evolve if folded is None else mpo.evolve_folded
    observables = list(problem.observables.values())
    return lambda _: solve(chain, problem.bloch, problem.times, observables, bond, **options)


def mpo_settings(problem: Problem, bond: int, steps: int = 1, order: int = 2, **_) -> str:
    step = (problem.times[1] - problem.times[0]) / steps
    return f"χ = {bond}, order {order}, step {step:g}"


def mpo_rows(problem: Problem, references, bonds: Iterable[int], folded=None, **options) -> Iterator[Row]:
    """One row a bond dimension. What did not reach the end has the error up to where it came."""
    if available("quimb") is None:
        yield missing(problem.name, "MPO")
        return
    for bond in bonds:
        (run, *_), seconds, first = measure(mpo_runner(problem, bond, folded, **options), compiles=False)
        done, settings = np.isfinite(run.values[0]), mpo_settings(problem, bond, **options)
        error = deviation(run.values[:, done], [known[:, done] for known in references])
        if run.reached < problem.times[-1]:
            settings += f", given up at t = {run.reached:.2g}"
        yield Row(problem.name, "MPO", settings, error, seconds, first)


def mpo_reference(problem: Problem, bond: int, **options) -> Generator[Row, None, list[np.ndarray]]:
    """The row of an MPO that others are measured by; returns its values, none where quimb is not installed."""
    if available("quimb") is None:
        return []
    began = time.perf_counter()
    run = mpo_runner(problem, bond, **options)(0)
    seconds = time.perf_counter() - began
    yield Row(problem.name, "MPO", mpo_settings(problem, bond, **options), None, seconds, seconds, "the reference")
    return [run.values]


def folded_order(length: int) -> np.ndarray:
    """The sites of an L×L torus in a line that goes back and forth, with rows and columns folded.

    Folding (0, L-1, 1, L-2, ...) keeps neighbours across the periodic boundary within two rows or two columns.
    """
    ends = [n // 2 if n % 2 == 0 else length - 1 - n // 2 for n in range(length)]
    rows = [[row * length + column for column in ends] for row in ends]
    return np.concatenate([row[::-1] if n % 2 else row for n, row in enumerate(rows)])


def small_chain() -> Iterator[Row]:
    problem = ising("open chain of 8, V = g = 5", hx.Lattice.chain(8), 5.0, 5.0)
    known = yield from exact_rows(problem)
    yield from expansion_rows(problem, known)
    yield from mpo_rows(problem, known, (8, 16, 32), steps=2)
    yield from husimix_rows(problem, known, (16, 32), (3, 4, 5))


def long_chain() -> Iterator[Row]:
    problem = ising("open chain of 32, V = g = 5", hx.Lattice.chain(32), 5.0, 5.0)
    known = yield from mpo_reference(problem, 48, steps=4)
    yield from compared(problem, known, (8, 16, 32), (4, 8), (3, 4, 5))


def driven_chain() -> Iterator[Row]:
    problem = heisenberg("driven Heisenberg chain of 20", 20, DRIVE, DRIVEN_END)
    known = yield from mpo_reference(problem, 96, steps=4)
    yield from compared(problem, known, (16, 32, 64), (8, 16), (4, 5))


def compared(
    problem: Problem, known, bonds: Iterable[int], counts: Iterable[int], sizes: Iterable[int]
) -> Iterator[Row]:
    """What is measured by an MPO; nothing without one."""
    if not known:
        yield missing(problem.name, "MPO")
        return
    yield from expansion_rows(problem, known)
    yield from mpo_rows(problem, known, bonds, steps=2)
    yield from husimix_rows(problem, known, counts, sizes)


def small_torus() -> Iterator[Row]:
    problem = ising("3×3 torus, V = 2, g = 1", hx.Lattice.square(3, periodic=True), 2.0, 1.0)
    known = yield from exact_rows(problem)
    yield from expansion_rows(problem, known)
    yield from mpo_rows(problem, known, (8, 16, 32), folded_order(3), steps=2)
    yield from husimix_rows(problem, known, (4, 8), (3, 4))


def large_torus() -> Iterator[Row]:
    problem = ising("8×8 torus, V = 2, g = 1", hx.Lattice.square(8, periodic=True), 2.0, 1.0)
    known = [curves.T for curves in converged()]
    yield from expansion_rows(problem, known)
    yield from mpo_rows(problem, known, (8,), folded_order(8), patience=FOLDED_SECONDS)
    yield from husimix_rows(problem, known, (4, 8), (3, 4))


PROBLEMS: dict[str, Callable[[], Iterator[Row]]] = {
    "small_chain": small_chain,
    "long_chain": long_chain,
    "driven_chain": driven_chain,
    "small_torus": small_torus,
    "large_torus": large_torus,
}


def on_two_spins() -> float:
    """How far second-order cumulants are from exact integration where they are exact."""
    problem = ising("two spins", hx.Lattice.chain(2), 5.0, 5.0)
    measured = list(problem.observables.values())
    values, _ = CumulantExpansion(problem.model, 2).solve(problem.bloch, problem.times, measured)
    return deviation(values, [qutip_runner(problem, problem.times)(*TIGHT)])


def line_of(row: Row) -> str:
    error = row.remark if row.error is None else f"{row.error:.1e}"
    seconds, first = ("" if s is None else f"{s:.2f}" for s in (row.seconds, row.first))
    return f"| {row.problem} | {row.solver} | {row.settings} | {error} | {seconds} | {first} |"


def panel(axis, problem: str, rows: list[Row]):
    for method, (colour, marker) in METHODS.items():
        series = [r for r in rows if r.solver == method and r.error is not None]
        axis.loglog([r.seconds for r in series], [r.error for r in series], color=colour, marker=marker, ms=7)
        offset = 7, -12 if method == "MPO" else 5
        for row in series if method in ("MPO", "mixture", "clusters") else ():
            label = row.settings.split(",")[0].replace(" ", "") + (" (given up)" if "given up" in row.settings else "")
            axis.annotate(label, (row.seconds, row.error), xytext=offset, textcoords="offset points", fontsize=9)
        for row in rows:
            if (row.solver, row.remark) == (method, "the reference"):
                axis.axvline(row.seconds, color=colour, linestyle="--", linewidth=1.2)
    lost = [f"{r.solver}: {r.remark}" for r in rows if r.remark.startswith("diverges")]
    axis.set_title("\n".join([problem, *lost]), fontsize=11)
    axis.set(xlabel="wall time after compilation (s)", ylabel="worst error of averages")
    axis.margins(0.15)
    axis.grid(alpha=0.3)


def draw(rows: list[Row], target: Path):
    """One panel a problem: error against seconds after compilation; the dashed line is the time of the reference."""
    figure, axes = plt.subplots(2, 3, figsize=(12, 7.5), layout="constrained")
    problems = list(dict.fromkeys(r.problem for r in rows))
    for axis, problem in zip(axes.flat, problems, strict=False):
        panel(axis, problem, [r for r in rows if r.problem == problem])
    for axis in axes.flat[len(problems) :]:
        axis.set_axis_off()
    handles = [plt.Line2D([], [], color=c, marker=m, ms=7, label=method) for method, (c, m) in METHODS.items()]
    handles.append(plt.Line2D([], [], color="0.3", linestyle="--", label="time of the reference"))
    axes.flat[-1].legend(handles=handles, loc="center", fontsize=12, frameon=False)
    figure.savefig(target, dpi=110)
    plt.close(figure)


def heading() -> str:
    names = [name for name in ("QuTiP", "dynamiqs", "quimb") if available(name.lower())]
    peers = ", ".join(f"{name} {version(name.lower())}" for name in names)
    curves = converged()
    spread = np.abs(curves[0] - curves[1]).max()
    return f"""# husimix beside other methods

Worst error: the largest, of any observable at any save time. Ising (γ = 1, all spins down at first, to T = 5/γ):
site-averaged ⟨σx⟩, ⟨σy⟩, ⟨σz⟩ and bond-averaged ⟨σzσz⟩. Heisenberg (J = 1, driven at its ends with γ = {DRIVE:g} and
μ = 1, Néel state at first, to T = {DRIVEN_END:g}/J): ⟨σz⟩ averaged with alternating sign, bond-averaged ⟨σxσx⟩, ⟨σzσz⟩
and ⟨σxσy - σyσx⟩. Seconds: wall time after compilation, medians where a run is short enough to repeat. First run: with
compilation, or with the derivation of the equations; empty where an earlier row had compiled the same.

- QuTiP (matrix form) and dynamiqs (sparse diagonals): the whole density matrix.
- Mean field and cumulants: expansions of order 1 and 2, equations derived by the script; on two spins, where order 2 is
  exact, it is at {on_two_spins():.0e} from exact integration. Translations are used, no other symmetry.
- MPO: the density matrix as a matrix product state of local dimension 4, TEBD of quimb; χ is the largest bond
  dimension, order that of the Trotter decomposition. On a torus the line goes back and forth over folded rows and
  columns, and sites are swapped next to each other and back. Where it is given up, the error is the one up to there.
- Mixture and clusters: the two ansätze of husimix, K components or all correlations in clusters of m sites, else
  defaults. Median error of up to three seeds.

References: QuTiP at rtol {TIGHT[0]:.0e}; an MPO of larger χ and half the time step for the chains of 32 and 20; for 8×8
the curves of converged.csv, two mixtures that agree within {spread:.1e}.

{machine_line()[:-1]}, {peers}.

| problem | method | settings | worst error | seconds | first run |
|---|---|---|---|---|---|
"""


def main():
    warnings.simplefilter("ignore", hx.HusimixWarning)
    if available("quimb"):  # compiles its kernels
        mpo_runner(ising("", hx.Lattice.chain(4), 5.0, 5.0), 4)(0)
    chosen, rows, began, top = sys.argv[1:] or list(PROBLEMS), [], time.perf_counter(), heading()
    for name in chosen:
        for row in PROBLEMS[name]():
            rows.append(row)
            print(f"{time.perf_counter() - began:6.0f} s  {line_of(row)}", flush=True)
        # After each problem, so that an interrupted run leaves what it has.
        (RESULTS / "comparison.md").write_text(top + "\n".join(map(line_of, rows)) + "\n")
        draw(rows, RESULTS / "comparison.png")
    print(f"Wrote {RESULTS / 'comparison.md'} and comparison.png")


if __name__ == "__main__":
    main()
