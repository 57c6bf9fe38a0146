"""husimix beside its peers on the same problems, in one process on one machine: error against wall time.

Dynamics: QuTiP and dynamiqs, which integrate the whole density matrix. Steady state: these two, an Arnoldi iteration
on QuTiP's Liouvillian, and NetKet's neural density matrix. A peer that is not installed is left out and the table says
so; `pip install "husimix[bench]"` brings them all. Writes benchmarks/results/peers.md and peers.png, in about five
minutes on two idle cores; NETWORK_SECONDS and NETWORKS are what to shorten.
"""

import importlib
import os
import platform
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import jax
import matplotlib.pyplot as plt
import numpy as np
import qutip
import scipy.sparse.linalg
from common import knob_of, means

import husimix as hx
from husimix.ansatz import AbstractAnsatz
from husimix.physics.lindbladian import sparse_operator
from husimix.state import AbstractState

V, G = 2.0, 1.0
TIMES = np.linspace(0, 5, 51)
LONG_TIMES = np.linspace(0, 20, 51)
ANSATZE = (hx.Mixture(components=4), hx.Mixture(components=8), hx.Clusters(size=3), hx.Clusters(size=4))
QUTIP_TOLERANCES = ((1e-3, 1e-4), (1e-4, 1e-6))
DYNAMIQS_TOLERANCES = ((1e-3, 1e-4), (1e-4, 1e-6))
LONG_TOLERANCE = (1e-4, 1e-6)
TIGHT = (1e-7, 1e-9)
NETWORKS = ((1, 1),)
NETWORK_SAMPLES = 2000
NETWORK_BLOCK = 25
NETWORK_SECONDS = 5.0
REPEATS = 3
PATIENCE = 5.0
COLOURS = {"husimix": "#D55E00", "QuTiP": "#0072B2", "dynamiqs": "#009E73", "NetKet": "#CC79A7"}
MARKERS = {"husimix": "o", "QuTiP": "s", "dynamiqs": "^", "NetKet": "D"}


@dataclass(frozen=True)
class Case:
    """One lattice, with its matrices on the whole Hilbert space made before any clock starts."""

    lattice: hx.Lattice
    model: hx.Lindbladian = field(init=False)
    state: AbstractState = field(init=False)
    observables: dict[str, hx.Operator] = field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "model", hx.models.dissipative_ising(self.lattice, V=V, g=G))
        object.__setattr__(self, "state", hx.product_state(self.lattice.n_sites, "down"))
        object.__setattr__(self, "observables", means(self.lattice))

    def matrices(self):
        return [sparse_operator(o, self.lattice.n_sites) for o in self.observables.values()]

    def means(self, rho):
        """(4,) the observables of a density matrix."""
        return np.array([np.real((o @ rho).trace()) for o in self.matrices()])


@dataclass(frozen=True)
class Row:
    """One line of the table; times in seconds, `error` None without a reference."""

    problem: str
    solver: str
    settings: str
    error: float | None = None
    seconds: float | None = None
    first: float | None = None
    remark: str = ""


def available(name: str) -> ModuleType | None:
    """The module, or None if it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def clock(run: Callable):
    began = time.perf_counter()
    value = jax.block_until_ready(run())
    return time.perf_counter() - began, value


def measure(run: Callable[[int], np.ndarray], compiles: bool):
    """Values, median seconds without compilation, and seconds of the first run; `run` gets the number of its repeat.

    What takes longer than PATIENCE is not repeated.
    """
    first, value = clock(lambda: run(0))
    values, seconds = [value], [] if compiles else [first]
    while not seconds or (len(seconds) < REPEATS and sum(seconds) < PATIENCE):
        elapsed, value = clock(lambda: run(len(values)))
        values.append(value)
        seconds.append(elapsed)
    return values, float(np.median(seconds)), first


def worst(values, reference) -> float:
    """Largest error of the four observables at any time; median over repeats, which differ in their seed."""
    return float(np.median([np.abs(np.asarray(v) - reference).max() for v in values]))


def run_husimix(case: Case, times, ansatz: AbstractAnsatz, seed: int = 0):
    """(4, T) observables."""
    run = hx.mesolve(
        case.model, case.state, times, ansatz=ansatz, observables=case.observables, seed=seed, progress=False
    )
    if not run.completed:
        raise RuntimeError(f"husimix stopped early: {run.status.value}")
    return np.array([run.expect[name] for name in case.observables])


def qutip_runner(case: Case, times) -> Callable[[float, float], np.ndarray]:
    """A function of the tolerances that gives (4, T) observables; conversions to QuTiP are done here.

    The matrix form, a third faster than the default on nine spins.
    """
    hamiltonian, jumps = case.model.to_qutip()
    measured = [qutip.Qobj(o, dims=hamiltonian.dims) for o in case.matrices()]
    start = qutip.Qobj(case.state.to_dense(), dims=hamiltonian.dims)

    def run(rtol, atol):
        options = {"progress_bar": "", "rtol": rtol, "atol": atol, "nsteps": 1_000_000, "matrix_form": True}
        return np.array(qutip.mesolve(hamiltonian, start, times, jumps, e_ops=measured, options=options).expect)

    return run


def dynamiqs_runner(case: Case, times, dq: ModuleType) -> Callable[[float, float], np.ndarray]:
    """As `qutip_runner`. Sparse diagonals: several times faster than dense matrices on these models."""
    hamiltonian, jumps = case.model.to_qutip()

    def convert(matrix):
        return dq.asqarray(matrix, layout=dq.dia)

    h, channels = convert(hamiltonian.full()), [convert(jump.full()) for jump in jumps]
    measured = [convert(o.toarray()) for o in case.matrices()]
    start = dq.asqarray(np.asarray(case.state.to_dense()))

    def run(rtol, atol):
        method = dq.method.Tsit5(rtol=rtol, atol=atol)
        solved = dq.mesolve(
            h, channels, start, times, exp_ops=measured, method=method, save_states=False, progress_meter=False
        )
        return np.real(jax.block_until_ready(solved.expects))

    return run


def exact_steadystate(case: Case):
    """(4,) observables of the kernel of QuTiP's Liouvillian, by Arnoldi iteration from the mixed state.

    The spectrum is moved by one, since the iteration stops at an error relative to the eigenvalue, which is 0 otherwise
    and is then never reached.
    """
    hamiltonian, jumps = case.model.to_qutip()
    liouvillian, size = qutip.liouvillian(hamiltonian, jumps).data_as("csr_matrix"), hamiltonian.shape[0]
    shifted = scipy.sparse.linalg.LinearOperator(
        liouvillian.shape, matvec=lambda vector: liouvillian @ vector + vector, dtype=complex
    )
    mixed = np.eye(size).reshape(-1).astype(complex) / size
    values, vectors = scipy.sparse.linalg.eigs(shifted, k=1, which="LR", v0=mixed, ncv=30, tol=1e-8)
    if abs(values[0] - 1) > 1e-6:
        raise RuntimeError(f"The Arnoldi iteration found the eigenvalue {values[0] - 1:.1e}, not 0")
    rho = vectors[:, 0].reshape(size, size, order="F")
    return case.means(rho / np.trace(rho))


def netket_driver(case: Case, nk: ModuleType, alpha: int, beta: int):
    """The settings of NetKet's own example of this model, which also has its conventions.

    Tried on the ring: a rate of 0.05 is at an error of 0.02 after 100 iterations and stays there; α = β = 2 with a rate
    of 0.03, a shift of 0.001 and half the samples diverges.
    """
    space, spin = nk.hilbert.Spin(0.5, case.lattice.n_sites), nk.operator.spin
    sites, bonds = range(case.lattice.n_sites), case.lattice.bonds().tolist()
    hamiltonian = sum(V / 4 * spin.sigmaz(space, i) @ spin.sigmaz(space, j) for i, j in bonds)
    hamiltonian += sum(G / 2 * spin.sigmax(space, i) for i in sites)
    lindbladian = nk.operator.LocalLiouvillian(hamiltonian, [spin.sigmam(space, i) for i in sites])
    state = nk.vqs.MCMixedState(
        nk.sampler.MetropolisLocal(lindbladian.hilbert, n_chains=16),
        nk.models.NDM(alpha=alpha, beta=beta),
        n_samples=NETWORK_SAMPLES,
        n_samples_diag=512,
        seed=0,
    )
    state.init_parameters(jax.nn.initializers.normal(stddev=0.01))
    return nk.SteadyState(
        lindbladian,
        nk.optimizer.Sgd(0.01),
        variational_state=state,
        preconditioner=nk.optimizer.SR(diag_shift=0.01),
    )


def netket_rows(problem: str, case: Case, nk: ModuleType, exact, alpha: int, beta: int) -> Iterator[Row]:
    """One row each time the number of iterations has doubled, until NETWORK_SECONDS are spent.

    The first iteration compiles; a throwaway driver makes it. The error is that of the dense density matrix, which the
    clock leaves out, so that no sampling noise enters by the measurement.
    """
    compiling, _ = clock(lambda: netket_driver(case, nk, alpha, beta).run(1, out=None, show_progress=False))
    driver, spent, done, shown = netket_driver(case, nk, alpha, beta), 0.0, 0, NETWORK_BLOCK
    while spent < NETWORK_SECONDS:
        elapsed, _ = clock(lambda: driver.run(NETWORK_BLOCK, out=None, show_progress=False))
        spent, done = spent + elapsed, done + NETWORK_BLOCK
        if done == shown or spent >= NETWORK_SECONDS:
            shown *= 2
            rho = np.asarray(driver.state.to_matrix())
            settings = f"α = β = {alpha}, {done} iterations of {driver.state.n_samples} samples"
            error = np.abs(case.means(rho) - exact).max() if np.isfinite(rho).all() else np.nan
            yield Row(problem, "NetKet", settings, error, spent, compiling + spent)


def husimix_rows(problem: str, case: Case, times, reference, last_only: bool = False) -> Iterator[Row]:
    """One row an ansatz. `last_only` is for steady states, whose runs find all compiled by those of the dynamics."""
    for ansatz in ANSATZE:

        def run(seed, ansatz=ansatz):
            values = run_husimix(case, times, ansatz, seed)
            return values[:, -1] if last_only else values

        values, seconds, first = measure(run, compiles=not last_only)
        first = None if last_only else first
        yield Row(problem, "husimix", knob_of(ansatz), worst(values, reference), seconds, first)


def integrator_rows(problem: str, case: Case, dq: ModuleType | None, reference) -> Iterator[Row]:
    solve = qutip_runner(case, TIMES)
    for rtol, atol in QUTIP_TOLERANCES:
        values, seconds, first = measure(lambda _, tolerances=(rtol, atol): solve(*tolerances), compiles=False)
        yield Row(problem, "QuTiP", f"Adams, {tolerance(rtol, atol)}", worst(values, reference), seconds, first)
    if dq is None:
        yield missing(problem, "dynamiqs")
        return
    solve = dynamiqs_runner(case, TIMES, dq)
    for number, (rtol, atol) in enumerate(DYNAMIQS_TOLERANCES):
        # The tolerances are arguments of what was compiled: only the first of them waits for it.
        values, seconds, first = measure(lambda _, tolerances=(rtol, atol): solve(*tolerances), compiles=number == 0)
        settings = f"Tsit5, {tolerance(rtol, atol)}"
        yield Row(problem, "dynamiqs", settings, worst(values, reference), seconds, first if number == 0 else None)


def dynamics_rows(name: str, case: Case, dq: ModuleType | None) -> Iterator[Row]:
    problem = f"{name}, to T = 5/γ"
    solve = qutip_runner(case, TIMES)
    (reference, *_), seconds, first = measure(lambda _: solve(*TIGHT), compiles=False)
    yield Row(problem, "QuTiP", f"Adams, {tolerance(*TIGHT)}", None, seconds, first, "the reference")
    yield from integrator_rows(problem, case, dq, reference)
    yield from husimix_rows(problem, case, TIMES, reference)


def steady_rows(name: str, case: Case, dq: ModuleType | None, nk: ModuleType | None, networks) -> Iterator[Row]:
    problem = f"{name}, steady state"
    (exact, *_), seconds, first = measure(lambda _: exact_steadystate(case), compiles=False)
    yield Row(problem, "QuTiP", "Liouvillian, Arnoldi of SciPy", None, seconds, first, "the reference")
    rtol, atol = LONG_TOLERANCE
    if case.lattice.n_sites < 8:  # beyond, the reference is the quicker way
        solve = qutip_runner(case, LONG_TIMES)
        values, seconds, first = measure(lambda _: solve(rtol, atol)[:, -1], compiles=False)
        yield Row(problem, "QuTiP", f"Adams, {tolerance(rtol, atol)}", worst(values, exact), seconds, first)
    yield from husimix_rows(problem, case, LONG_TIMES, exact, last_only=True)
    if dq is None:
        yield missing(problem, "dynamiqs")
    else:
        solve = dynamiqs_runner(case, LONG_TIMES, dq)
        # As many times as before, of the same lattice: nothing is left to compile.
        values, seconds, _ = measure(lambda _: solve(rtol, atol)[:, -1], compiles=False)
        yield Row(problem, "dynamiqs", f"Tsit5, {tolerance(rtol, atol)}", worst(values, exact), seconds)
    if nk is None:
        yield missing(problem, "NetKet")
        return
    for alpha, beta in networks:
        yield from netket_rows(problem, case, nk, exact, alpha, beta)


def beyond_rows(name: str, case: Case) -> Iterator[Row]:
    """A lattice whose density matrix fits no ordinary machine: no reference, only the time."""
    problem, gibibytes = f"{name}, to T = 5/γ", 16 * 4.0**case.lattice.n_sites / 2**30
    for solver in ("QuTiP", "dynamiqs"):
        yield Row(problem, solver, "", remark=f"out of reach: ρ takes {gibibytes:.0f} GiB")
    for ansatz in ANSATZE:
        first, _ = clock(lambda chosen=ansatz: run_husimix(case, TIMES, chosen))
        seconds, _ = clock(lambda chosen=ansatz: run_husimix(case, TIMES, chosen))
        yield Row(problem, "husimix", knob_of(ansatz), None, seconds, first, "no reference")


def missing(problem: str, solver: str) -> Row:
    return Row(problem, solver, "", remark="not installed")


def tolerance(rtol: float, atol: float) -> str:
    return f"rtol {rtol:.0e}, atol {atol:.0e}"


def ratio(row: Row, rows: list[Row]) -> str:
    """Seconds of the quickest QuTiP row that is at least as accurate, within a tenth, over those of this row."""
    if row.error is None or not np.isfinite(row.error):
        return ""
    peers = [r for r in rows if (r.problem, r.solver) == (row.problem, "QuTiP") and r.seconds is not None]
    seconds = min(r.seconds for r in peers if r is row or (r.error or 0.0) <= 1.1 * row.error)
    return f"{seconds / row.seconds:.2g}"


def table(rows: list[Row]) -> list[str]:
    lines = [
        "| problem | solver | settings | worst error | seconds | first run | QuTiP's time over this |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        error = row.remark if row.error is None else f"{row.error:.1e}" if np.isfinite(row.error) else "diverged"
        seconds, first = ("" if s is None else f"{s:.2f}" for s in (row.seconds, row.first))
        cells = (row.problem, row.solver, row.settings, error, seconds, first, ratio(row, rows))
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def label_of(row: Row) -> str:
    """The curve that a row belongs to: its solver, with NetKet the network, with husimix the letter of the ansatz."""
    if row.solver == "NetKet":
        return f"NetKet, {row.settings.split(',')[0]}"
    return f"husimix, {row.settings[0]}" if row.solver == "husimix" else row.solver


def draw(rows: list[Row], target: Path):
    """One panel a problem: error against seconds after compilation; the dashed line is the time of the reference."""
    measured = [r for r in rows if r.error is not None and np.isfinite(r.error)]
    problems = list(dict.fromkeys(r.problem for r in measured))
    figure, axes = plt.subplots(2, -(-len(problems) // 2), figsize=(10, 7.5), squeeze=False, layout="constrained")
    for axis, problem in zip(axes.T.flat, problems, strict=False):
        here = [r for r in measured if r.problem == problem]
        for label in dict.fromkeys(label_of(r) for r in here):
            series = [r for r in here if label_of(r) == label]
            colour = COLOURS[series[0].solver]
            axis.loglog(
                [r.seconds for r in series],
                [r.error for r in series],
                color=colour,
                marker=MARKERS[series[0].solver],
                markerfacecolor="white" if label.endswith(("2", "m")) else colour,
                label=label,
            )
        for row in here:
            if row.solver == "husimix":
                axis.annotate(
                    row.settings, (row.seconds, row.error), xytext=(6, 5), textcoords="offset points", fontsize=9
                )
        reference = next(r.seconds for r in rows if r.problem == problem and r.remark == "the reference")
        axis.axvline(reference, color=COLOURS["QuTiP"], linestyle="--", linewidth=1, label="QuTiP, the reference")
        axis.set(title=problem, xlabel="wall time after compilation (s)", ylabel="worst error of ⟨σ⟩, ⟨σzσz⟩")
        axis.margins(0.12)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=9)
    for axis in axes.T.flat[len(problems) :]:
        axis.remove()
    figure.savefig(target, dpi=150)
    plt.close(figure)


def heading(peers: dict[str, str]) -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    numbers = {"Python": platform.python_version(), "JAX": jax.__version__, **peers}
    versions = ", ".join(f"{name} {number}" for name, number in numbers.items())
    return f"""# husimix beside its peers

Dissipative Ising model, V = {V:g}, g = {G:g}, γ = 1, all spins down at first. Worst error: the largest of the
site-averaged ⟨σx⟩, ⟨σy⟩, ⟨σz⟩ and the bond-averaged ⟨σzσz⟩, over {len(TIMES)} times to T = 5/γ or in the steady state.
Seconds: wall time after compilation, medians where a run is short enough to repeat. First run: with compilation;
empty where an earlier row had compiled the same. Last column: time of the quickest QuTiP row that is at least as
accurate (within a tenth), over the time of this row; above 1, this row is faster.

- husimix: mixtures of K components, clusters of m sites, else defaults, which use the symmetries of the lattice; no
  peer does. Median error of {REPEATS} seeds, fewer where a run takes seconds. Steady states by evolving to
  T = {LONG_TIMES[-1]:g}/γ.
- QuTiP (matrix form) and dynamiqs (sparse diagonals): steady states by evolving to T = {LONG_TIMES[-1]:g}/γ as well,
  QuTiP on the ring only, since its reference, the kernel of the Liouvillian, is quicker beyond.
- NetKet: NDM with the settings of NetKet's own example of this model (SR with a shift of 0.01, rate 0.01,
  {NETWORK_SAMPLES} samples by Metropolis), stopped after {NETWORK_SECONDS:g} s; the example makes 300 iterations,
  which bring α = β = 1 to 1.3e-02 on the ring. Left out on the torus, where it was at 0.7 after 27 s. One seed. Errors
  from the dense density matrix, so that they hold no sampling noise of the measurement.

All in double precision, on the CPU.

{date.today()}, {platform.machine()}, {platform.system()}, {cores} cores, {versions}.

"""


def main():
    warnings.filterwarnings("ignore", module="netket")
    dq, nk = available("dynamiqs"), available("netket")
    peers = {
        name: version(name.lower()) for name in ("husimix", "QuTiP", "dynamiqs", "NetKet") if available(name.lower())
    }
    ring = Case(hx.Lattice.chain(6, periodic=True))
    torus = Case(hx.Lattice.square(3, 3, periodic=True))
    parts = (
        dynamics_rows("ring of 6", ring, dq),
        dynamics_rows("3×3 torus", torus, dq),
        steady_rows("ring of 6", ring, dq, nk, NETWORKS),
        steady_rows("3×3 torus", torus, dq, nk, ()),
        beyond_rows("4×4 torus", Case(hx.Lattice.square(4, 4, periodic=True))),
    )
    results, rows, began = Path(__file__).parent / "results", [], time.perf_counter()
    for part in parts:
        for row in part:
            rows.append(row)
            print(f"{time.perf_counter() - began:6.0f} s  {table(rows)[-1]}", flush=True)
        # After each problem, so that an interrupted run leaves what it has.
        (results / "peers.md").write_text(heading(peers) + "\n".join(table(rows)) + "\n")
        draw(rows, results / "peers.png")
    print(f"Wrote {results / 'peers.md'} and peers.png")


if __name__ == "__main__":
    main()
