"""Steady states beside QuTiP, dynamiqs and NetKet, and a 4×4 transient beside quantum trajectories.

A peer that is not installed is left out and the table says so; `pip install "husimix[bench]"` brings them all. Writes
peers.md and peers.png, in about four minutes on two idle cores. What is compiled once is not found again on disk:
run it with HUSIMIX_CACHE=off. The trajectories are stored, since they take minutes (examples/paper/trajectories.py).
"""

import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import jax
import matplotlib.pyplot as plt
import numpy as np
from common import Problem, ising, kind_of, knob_of, run_husimix
from integrators import dynamiqs_rows, exact_steadystate, expectations
from machine import machine_line, options, write
from rows import STYLES, TABLE_HEADER, Row, available, clock, deviation, line_of, measure, missing

import husimix as hx

V, G = 2.0, 1.0
LONG_TIMES = np.linspace(0, 20, 51)
TRAJECTORIES = Path(__file__).parents[1] / "examples" / "paper" / "data" / "trajectories_4x4.csv"
ANSATZE = (hx.Mixture(components=8), hx.Clusters(size=3), hx.Clusters(size=4))
NETWORK_SAMPLES = 2000
NETWORK_BLOCK = 25
NETWORK_SECONDS = 10.0


def netket_driver(problem: Problem, nk: ModuleType):
    """The settings of NetKet's own example of this model, α = β = 1, which also has its conventions.

    Tried on the ring: a rate of 0.05 is at an error of 0.02 after 100 iterations and stays there; α = β = 2 with a rate
    of 0.03, a shift of 0.001 and half the samples diverges.
    """
    n, spin = problem.model.n_sites, nk.operator.spin
    space = nk.hilbert.Spin(0.5, n)
    bonds = problem.model.lattice.bonds().tolist()
    hamiltonian = sum(V / 4 * spin.sigmaz(space, i) @ spin.sigmaz(space, j) for i, j in bonds)
    hamiltonian += sum(G / 2 * spin.sigmax(space, i) for i in range(n))
    lindbladian = nk.operator.LocalLiouvillian(hamiltonian, [spin.sigmam(space, i) for i in range(n)])
    state = nk.vqs.MCMixedState(
        nk.sampler.MetropolisLocal(lindbladian.hilbert, n_chains=16),
        nk.models.NDM(alpha=1, beta=1),
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


def netket_rows(problem: Problem, exact: np.ndarray, limit: float) -> Iterator[Row]:
    """One row each time the number of iterations has doubled, until `limit` seconds are spent.

    The first iteration compiles; a throwaway driver makes it. The error is that of the dense density matrix, which the
    clock leaves out, so that no sampling noise enters by the measurement.
    """
    nk = available("netket")
    if nk is None:
        yield missing(problem.name, "NetKet")
        return
    compiling, _ = clock(lambda: netket_driver(problem, nk).run(1, out=None, show_progress=False))
    driver, spent, done, shown = netket_driver(problem, nk), 0.0, 0, NETWORK_BLOCK
    while spent < limit:
        elapsed, _ = clock(lambda: driver.run(NETWORK_BLOCK, out=None, show_progress=False))
        spent, done = spent + elapsed, done + NETWORK_BLOCK
        if done == shown or spent >= limit:
            shown *= 2
            rho = np.asarray(driver.state.to_matrix())
            error = deviation(expectations(problem, rho), [exact]) if np.isfinite(rho).all() else np.nan
            settings = f"α = β = 1, {done} iterations of {driver.state.n_samples} samples"
            yield Row(problem.name, "NetKet", settings, error, spent, compiling + spent)


def steady_rows(problem: Problem, ansatze=ANSATZE, network_seconds: float = NETWORK_SECONDS) -> Iterator[Row]:
    """Steady states: of exact integrators, of both ansätze by `hx.steadystate` from one start, of NetKet."""
    (exact, *_), seconds, first = measure(lambda _: exact_steadystate(problem))
    yield Row(problem.name, "QuTiP", "Liouvillian, Arnoldi of SciPy", None, seconds, first, "the reference")
    yield from dynamiqs_rows(problem, LONG_TIMES, exact)
    for ansatz in ansatze:

        def run(seed, ansatz=ansatz):
            found = hx.steadystate(
                problem.model,
                ansatz=ansatz,
                observables=problem.observables,
                seed=seed,
                starts=1,
                progress=False,
            )
            return np.array([[found.expect[name]] for name in problem.observables])

        values, seconds, first = measure(run, compiles=True)
        error = float(np.median([deviation(v, [exact]) for v in values]))
        yield Row(problem.name, kind_of(ansatz), knob_of(ansatz), error, seconds, first)
    if network_seconds:
        yield from netket_rows(problem, exact, network_seconds)


def ring(length: int = 6) -> Iterator[Row]:
    yield from steady_rows(ising(f"ring of {length}, steady state", hx.Lattice.chain(length, periodic=True), V, G))


def torus() -> Iterator[Row]:
    """Without NetKet, which takes too long here."""
    problem = ising("3×3 torus, steady state", hx.Lattice.square(3, periodic=True), V, G)
    yield from steady_rows(problem, network_seconds=0.0)


def trajectories() -> Iterator[Row]:
    """A 4×4 transient, whose density matrix fits no ordinary machine, beside stored trajectories.

    The error of a method is its largest distance from the means of the trajectories; beside it the largest standard
    error, and the root mean square of distances in units of the standard errors, which is about 1 for what is exact.
    """
    problem = ising("4×4 torus, to T = 5/γ", hx.Lattice.square(4, periodic=True), V, G)
    header, columns = TRAJECTORIES.read_text().splitlines()[0], np.loadtxt(TRAJECTORIES, delimiter=",").T
    count, means, errors = header.split(": ", 1)[1].split(" trajectories")[0], columns[1:5], columns[5:]
    noisy = errors > 1e-3 * errors.max()
    yield Row(problem.name, "QuTiP", f"{count} trajectories of mcsolve, stored", float(errors.max()))
    for ansatz in (hx.Mixture(components=4), *ANSATZE, hx.Clusters(size=5)):
        (values, *_), seconds, first = measure(
            lambda seed, chosen=ansatz: run_husimix(problem, chosen, columns[0], seed), compiles=True
        )
        scatter = np.sqrt(np.mean(((values - means) / np.where(noisy, errors, 1.0))[noisy] ** 2))
        settings = f"{knob_of(ansatz)}, {scatter:.1f} standard errors"
        yield Row(problem.name, kind_of(ansatz), settings, deviation(values, [means]), seconds, first)


def tiny_ring() -> Iterator[Row]:
    """Every method once, in seconds."""
    problem = ising("ring of 3, steady state", hx.Lattice.chain(3, periodic=True), V, G)
    yield from steady_rows(problem, (hx.Mixture(components=2), hx.Clusters(size=2)), network_seconds=0.1)


PARTS: dict[str, Callable[[], Iterator[Row]]] = {"ring": ring, "torus": torus, "trajectories": trajectories}


def panel(axis, problem: str, rows: list[Row]) -> None:
    for solver, (colour, marker) in STYLES.items():
        series = [r for r in rows if r.solver == solver and r.error is not None and np.isfinite(r.error)]
        timed = [r for r in series if r.seconds is not None]
        if timed:
            x, y = [r.seconds for r in timed], [r.error for r in timed]
            axis.loglog(x, y, color=colour, marker=marker, label=solver)
        for row in timed if solver in ("mixture", "clusters") else ():
            label = row.settings.split(",")[0]
            axis.annotate(label, (row.seconds, row.error), xytext=(6, 5), textcoords="offset points", fontsize=9)
        for row in series:
            if row.seconds is None:
                axis.axhline(row.error, color=colour, linestyle=":", label="standard error of trajectories")
        for row in rows:
            if (row.solver, row.remark) == (solver, "the reference"):
                axis.axvline(row.seconds, color=colour, linestyle="--", label=f"{solver}, the reference")
    axis.set(title=problem, xlabel="wall time after compilation (s)", ylabel="worst error of ⟨σ⟩, ⟨σzσz⟩")
    axis.margins(0.12)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=9)


def draw(rows: list[Row], target: Path) -> None:
    """One panel a problem: error against seconds after compilation; the dashed line is the time of the reference."""
    problems = list(dict.fromkeys(r.problem for r in rows))
    width = 4.5 * len(problems)
    figure, axes = plt.subplots(1, len(problems), figsize=(width, 4.5), squeeze=False, layout="constrained")
    for axis, problem in zip(axes.flat, problems, strict=True):
        panel(axis, problem, [r for r in rows if r.problem == problem])
    figure.savefig(target, dpi=150)
    plt.close(figure)


def heading() -> str:
    return f"""# Steady states, and trajectories

Dissipative Ising model, V = {V:g}, g = {G:g}, γ = 1. Worst error: the largest of the site-averaged ⟨σx⟩, ⟨σy⟩, ⟨σz⟩ and
the bond-averaged ⟨σzσz⟩, in the steady state or, from all spins down, at any time to T = 5/γ. Seconds: wall time after
compilation, medians where a run is short enough to repeat. First run: with compilation.

- Mixture and clusters: the two ansätze of husimix, K components or clusters of m sites, else defaults, which use the
  symmetries of the lattice; no peer does. Steady states by `hx.steadystate` from one start.
- QuTiP: the kernel of the Liouvillian, by Arnoldi iteration. dynamiqs (sparse diagonals): evolution to
  T = {LONG_TIMES[-1]:g}/γ.
- NetKet: NDM with the settings of NetKet's own example of this model (SR with a shift of 0.01, rate 0.01,
  {NETWORK_SAMPLES} samples by Metropolis), stopped after {NETWORK_SECONDS:g} s; the example makes 300 iterations. One
  seed. Errors from the dense density matrix, so that they hold no sampling noise of the measurement. Left out on the
  torus, where it was at 0.7 after 27 s.
- 4×4: the density matrix would take 64 GiB. The reference are averages of stored quantum trajectories, whose row has
  the largest standard error in place of an error. Standard errors: root mean square distance from the averages in
  their units, over all observables and times; about 1 for what is exact.

All in double precision, on the CPU.

{machine_line("QuTiP", "dynamiqs", "NetKet")}

{TABLE_HEADER}"""


def main() -> None:
    warnings.filterwarnings("ignore", module="netket")
    warnings.simplefilter("ignore", hx.HusimixWarning)
    asked = options(__doc__, PARTS)
    chosen = [tiny_ring] if asked.quick else [PARTS[name] for name in asked.names or PARTS]
    rows, began = [], time.perf_counter()
    for part in chosen:
        for row in part():
            rows.append(row)
            print(f"{time.perf_counter() - began:6.0f} s  {line_of(row)}", flush=True)
        # After each part, so that an interrupted run leaves what it has.
        write(asked, "peers.md", heading() + "\n".join(map(line_of, rows)))
        draw(rows, asked.output / "peers.png")


if __name__ == "__main__":
    main()
