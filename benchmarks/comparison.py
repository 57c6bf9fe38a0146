"""Both ansätze of husimix beside other methods, on problems that they win and problems that they lose.

Exact integration by QuTiP and dynamiqs, matrix product operators by quimb, mean field and second-order cumulants. A
package that is not installed is left out and the table says so; `pip install "husimix[bench]"` brings them all. Writes
comparison.md and comparison.png, error against wall time, in about eight minutes on two idle cores. Without exact
solution errors are against stored curves (converged.py).
"""

import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from common import Problem, ising, kind_of, knob_of, quench, run_husimix
from comparison_cumulants import CumulantExpansion
from comparison_mpo import FoldedTebd, Tebd
from converged import DRIVE, REFERENCES, converged, spread
from integrators import TIGHT, exact_rows, qutip_runner
from machine import machine_line, options, write
from rows import STYLES, TABLE_HEADER, Row, available, deviation, line_of, measure, missing

import husimix as hx
from husimix.ansatz import AbstractAnsatz

FOLDED_SECONDS = 45.0
"""After which the matrix product operator on 8×8 is given up."""
QUENCH_END = 3.0
Known = list[np.ndarray]


def expansion_rows(problem: Problem, known: Known) -> Iterator[Row]:
    """Mean field and cumulants; the first run also derives the equations. Translations are used where there are any."""
    shifts = hx.SymmetryGroup.translations(problem.model.lattice).permutations
    for order, method in enumerate(("mean field", "cumulants"), 1):
        began = time.perf_counter()
        expansion = CumulantExpansion(problem.model, order, shifts)
        deriving = time.perf_counter() - began

        def run(_, expansion=expansion):
            return expansion.solve(problem.bloch, problem.times, list(problem.observables.values()))

        ((values, end), *_), seconds, first = measure(run)
        lost = np.isfinite(end)
        error, remark = (None, f"diverges at t = {end:.2g}") if lost else (deviation(values, known), "")
        settings = f"{len(expansion.products)} equations"
        yield Row(problem.name, method, settings, error, seconds, deriving + first, remark)


def mpo_rows(problem: Problem, known: Known, networks: Iterable[Tebd | FoldedTebd]) -> Iterator[Row]:
    """One row a bond dimension. What did not reach the end has the error up to where it came."""
    if available("quimb") is None:
        yield missing(problem.name, "MPO")
        return
    for network in networks:
        (values, *_), seconds, first = measure(lambda _, chosen=network: chosen.solve(problem))
        done, settings = np.isfinite(values[0]), network.settings
        if not done.all():
            settings += f", given up at t = {problem.times[done][-1]:.2g}"
        error = deviation(values[:, done], [curves[:, done] for curves in known])
        yield Row(problem.name, "MPO", settings, error, seconds, first)


def husimix_rows(problem: Problem, known: Known, counts: Iterable[int], sizes: Iterable[int]) -> Iterator[Row]:
    """One row a K, then one an m; the median error of the seeds that there is time for.

    A run over a thousandth of the times compiles, so that long runs need not be made twice.
    """
    mixtures: list[AbstractAnsatz] = [hx.Mixture(components=count) for count in counts]
    for ansatz in (*mixtures, *(hx.Clusters(size=size) for size in sizes)):
        began = time.perf_counter()
        run_husimix(problem, ansatz, 1e-3 * problem.times)
        compiling = time.perf_counter() - began
        values, seconds, first = measure(lambda seed, chosen=ansatz: run_husimix(problem, chosen, seed=seed))
        error, settings = float(np.median([deviation(v, known) for v in values])), knob_of(ansatz)
        yield Row(problem.name, kind_of(ansatz), settings, error, seconds, compiling + first)


def small_torus() -> Iterator[Row]:
    problem = ising("3×3 torus, V = 2, g = 1", hx.Lattice.square(3, periodic=True), 2.0, 1.0)
    known = yield from exact_rows(problem)
    yield from expansion_rows(problem, known)
    yield from mpo_rows(problem, known, [FoldedTebd(32, 0.05, length=3)])
    yield from husimix_rows(problem, known, (4, 8), (3, 4))


def small_chain() -> Iterator[Row]:
    problem = ising("open chain of 8, V = g = 5", hx.Lattice.chain(8), 5.0, 5.0)
    known = yield from exact_rows(problem)
    yield from expansion_rows(problem, known)
    yield from mpo_rows(problem, known, (Tebd(8, 0.05), Tebd(16, 0.05), Tebd(32, 0.05)))
    yield from husimix_rows(problem, known, (16,), (3, 4, 5))


def closed_chain() -> Iterator[Row]:
    problem = quench("closed chain of 8, quench", 8, QUENCH_END)
    known = yield from exact_rows(problem)
    yield from expansion_rows(problem, known)
    yield from mpo_rows(problem, known, (Tebd(16, 0.05), Tebd(64, 0.05)))
    yield from husimix_rows(problem, known, (16,), (3, 4, 5))


def long_chain() -> Iterator[Row]:
    problem, known = stored("long_chain")
    yield from expansion_rows(problem, known)
    yield from mpo_rows(problem, known, (Tebd(16, 0.05), Tebd(32, 0.05)))
    yield from husimix_rows(problem, known, (8,), (3, 4, 5))


def driven_chain() -> Iterator[Row]:
    problem, known = stored("driven_chain")
    yield from expansion_rows(problem, known)
    yield from mpo_rows(problem, known, (Tebd(16, 0.025), Tebd(32, 0.025)))
    yield from husimix_rows(problem, known, (8,), (4, 5))


def large_torus() -> Iterator[Row]:
    problem, known = stored("large_torus")
    yield from expansion_rows(problem, known)
    yield from mpo_rows(problem, known, [FoldedTebd(8, 0.1, length=8, patience=FOLDED_SECONDS)])
    yield from husimix_rows(problem, known, (8,), (2, 3, 4))


def tiny_chain() -> Iterator[Row]:
    """Every method once, in seconds."""
    problem = ising("open chain of 3, V = g = 5", hx.Lattice.chain(3), 5.0, 5.0)
    known = yield from exact_rows(problem)
    yield from expansion_rows(problem, known)
    yield from mpo_rows(problem, known, [Tebd(4, 0.1)])
    yield from husimix_rows(problem, known, (2,), (2,))


def stored(name: str) -> tuple[Problem, Known]:
    return REFERENCES[name].build(), converged(name)


PROBLEMS: dict[str, Callable[[], Iterator[Row]]] = {
    "small_torus": small_torus,
    "small_chain": small_chain,
    "closed_chain": closed_chain,
    "long_chain": long_chain,
    "driven_chain": driven_chain,
    "large_torus": large_torus,
}


def on_two_spins() -> float:
    """How far second-order cumulants are from exact integration where they are exact."""
    problem = ising("two spins", hx.Lattice.chain(2), 5.0, 5.0)
    measured = list(problem.observables.values())
    values, _ = CumulantExpansion(problem.model, 2).solve(problem.bloch, problem.times, measured)
    return deviation(values, [qutip_runner(problem, problem.times)(*TIGHT)])


def panel(axis, problem: str, rows: list[Row]) -> None:
    for method, (colour, marker) in STYLES.items():
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


def draw(rows: list[Row], target: Path) -> None:
    """One panel a problem: error against seconds after compilation; the dashed line is the time of the reference."""
    problems = list(dict.fromkeys(r.problem for r in rows))
    figure, axes = plt.subplots(-(-len(problems) // 3), min(3, len(problems)), squeeze=False, layout="constrained")
    figure.set_size_inches(4 * axes.shape[1], 3.8 * axes.shape[0] + 0.6)
    for axis, problem in zip(axes.flat, problems, strict=False):
        panel(axis, problem, [r for r in rows if r.problem == problem])
    for axis in axes.flat[len(problems) :]:
        axis.set_axis_off()
    used = {r.solver for r in rows}
    handles = [
        plt.Line2D([], [], color=c, marker=m, ms=7, label=name) for name, (c, m) in STYLES.items() if name in used
    ]
    handles.append(plt.Line2D([], [], color="0.3", linestyle="--", label="time of the reference"))
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(target, dpi=110)
    plt.close(figure)


def heading() -> str:
    references = [
        f"- {each.build().name}: {each.settings}, which agree within {spread(name):.1e}."
        for name, each in REFERENCES.items()
    ]
    return f"""# husimix beside other methods

Worst error: the largest, of any observable at any save time. Ising (γ = 1, all spins down at first, to T = 5/γ):
site-averaged ⟨σx⟩, ⟨σy⟩, ⟨σz⟩ and bond-averaged ⟨σzσz⟩; the same for the closed chain (H = Σ σzσz + Σ σx, no
dissipation, to T = {QUENCH_END:g}). Heisenberg (J = 1, driven at its ends with γ = {DRIVE:g} and μ = 1, Néel state at
first, to T = 0.5/J): ⟨σz⟩ averaged with alternating sign, bond-averaged ⟨σxσx⟩, ⟨σzσz⟩ and ⟨σxσy - σyσx⟩. Seconds: wall
time after compilation, medians where a run is short enough to repeat. First run: with compilation, or with the
derivation of the equations.

- QuTiP (matrix form; a state vector on the closed chain) and dynamiqs (sparse diagonals): exact integration.
- Mean field and cumulants: expansions of order 1 and 2, equations derived by the script; on two spins, where order 2 is
  exact, it is at {on_two_spins():.0e} from exact integration. Translations are used, no other symmetry.
- MPO: the density matrix as a matrix product state of local dimension 4, TEBD of second order by quimb; χ is the
  largest bond dimension. On a torus the line goes back and forth over folded rows and columns, and sites are swapped
  next to each other and back. Where it is given up, the error is the one up to there.
- Mixture and clusters: the two ansätze of husimix, K components or all correlations in clusters of m sites, else
  defaults. Median error of up to three seeds, of which clusters need none.

References: QuTiP at rtol {TIGHT[0]:.0e} up to nine spins. Beyond, the worse error against two stored computations:

{chr(10).join(references)}

{machine_line("QuTiP", "dynamiqs", "quimb")}

{TABLE_HEADER}"""


def main() -> None:
    warnings.simplefilter("ignore", hx.HusimixWarning)
    asked = options(__doc__, PROBLEMS)
    if available("quimb"):  # compiles its kernels
        Tebd(4, 0.1).solve(ising("", hx.Lattice.chain(4), 5.0, 5.0))
    chosen = [tiny_chain] if asked.quick else [PROBLEMS[name] for name in asked.names or PROBLEMS]
    rows, began, top = [], time.perf_counter(), heading()
    for problem in chosen:
        for row in problem():
            rows.append(row)
            print(f"{time.perf_counter() - began:6.0f} s  {line_of(row)}", flush=True)
        # After each problem, so that an interrupted run leaves what it has.
        write(asked, "comparison.md", top + "\n".join(map(line_of, rows)))
        draw(rows, asked.output / "comparison.png")


if __name__ == "__main__":
    main()
