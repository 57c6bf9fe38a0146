"""QuTiP and dynamiqs, which keep the whole density matrix: the exact peers of the comparisons."""

from collections.abc import Callable, Generator, Iterator
from types import ModuleType

import jax
import numpy as np
import qutip
import scipy.sparse.linalg
from common import Problem
from rows import Row, available, deviation, measure, missing

TIGHT, LOOSE = (1e-7, 1e-9), (1e-4, 1e-6)
"""Relative and absolute tolerance of references, and of rows."""

Solver = Callable[[float, float], np.ndarray]


def told(tolerances: tuple[float, float]) -> str:
    return "rtol {:.0e}, atol {:.0e}".format(*tolerances)


def qutip_runner(problem: Problem, times: np.ndarray) -> Solver:
    """A function of the tolerances that gives (O, T) observables; conversions to QuTiP are done here.

    The matrix form, a third faster than the default on nine spins.
    """
    hamiltonian, jumps = problem.model.to_qutip()
    measured = [qutip.Qobj(o, dims=hamiltonian.dims) for o in problem.matrices()]
    dense = np.asarray(problem.state.to_dense())
    start = qutip.Qobj(dense, dims=hamiltonian.dims)
    if not jumps:  # a state vector stays one
        start = qutip.Qobj(np.linalg.eigh(dense)[1][:, -1:], dims=[hamiltonian.dims[0], [1]])

    def run(rtol: float, atol: float) -> np.ndarray:
        options = {"progress_bar": "", "rtol": rtol, "atol": atol, "nsteps": 1_000_000}
        if jumps:
            options["matrix_form"] = True
        return np.array(qutip.mesolve(hamiltonian, start, times, jumps, e_ops=measured, options=options).expect)

    return run


def dynamiqs_runner(problem: Problem, times: np.ndarray, dq: ModuleType) -> Solver:
    """As `qutip_runner`. Sparse diagonals: several times faster than dense matrices on these models."""
    hamiltonian, jumps = problem.model.to_qutip()

    def convert(matrix):
        return dq.asqarray(matrix, layout=dq.dia)

    h, channels = convert(hamiltonian.full()), [convert(jump.full()) for jump in jumps]
    measured = [convert(o.toarray()) for o in problem.matrices()]
    start = dq.asqarray(np.asarray(problem.state.to_dense()))

    def run(rtol: float, atol: float) -> np.ndarray:
        method = dq.method.Tsit5(rtol=rtol, atol=atol)
        solved = dq.mesolve(
            h, channels, start, times, exp_ops=measured, method=method, save_states=False, progress_meter=False
        )
        return np.real(jax.block_until_ready(solved.expects))

    return run


def exact_rows(problem: Problem) -> Generator[Row, None, list[np.ndarray]]:
    """The row of the exact reference, and what integrators with looser tolerances make of it; returns the reference."""
    solve = qutip_runner(problem, problem.times)
    (reference, *_), seconds, first = measure(lambda _: solve(*TIGHT))
    yield Row(problem.name, "QuTiP", f"Adams, {told(TIGHT)}", None, seconds, first, "the reference")
    (values, *_), seconds, first = measure(lambda _: solve(*LOOSE))
    yield Row(problem.name, "QuTiP", f"Adams, {told(LOOSE)}", deviation(values, [reference]), seconds, first)
    if problem.model.dissipators:
        yield from dynamiqs_rows(problem, problem.times, reference)
    return [reference]


def dynamiqs_rows(problem: Problem, times: np.ndarray, reference: np.ndarray) -> Iterator[Row]:
    """The row of dynamiqs; as many times as the reference has, or the last of them where it has one."""
    dq = available("dynamiqs")
    if dq is None:
        yield missing(problem.name, "dynamiqs")
        return
    solve, kept = dynamiqs_runner(problem, times, dq), reference.shape[1]
    (values, *_), seconds, first = measure(lambda _: solve(*LOOSE)[:, -kept:], compiles=True)
    yield Row(problem.name, "dynamiqs", f"Tsit5, {told(LOOSE)}", deviation(values, [reference]), seconds, first)


def exact_steadystate(problem: Problem) -> np.ndarray:
    """(O, 1) observables of the kernel of QuTiP's Liouvillian, by Arnoldi iteration from the mixed state.

    The spectrum is moved by one, since the iteration stops at an error relative to the eigenvalue, which is 0 otherwise
    and is then never reached.
    """
    hamiltonian, jumps = problem.model.to_qutip()
    liouvillian, size = qutip.liouvillian(hamiltonian, jumps).data_as("csr_matrix"), hamiltonian.shape[0]
    shifted = scipy.sparse.linalg.LinearOperator(
        liouvillian.shape, matvec=lambda vector: liouvillian @ vector + vector, dtype=complex
    )
    mixed = np.eye(size).reshape(-1).astype(complex) / size
    values, vectors = scipy.sparse.linalg.eigs(shifted, k=1, which="LR", v0=mixed, ncv=30, tol=1e-8)
    if abs(values[0] - 1) > 1e-6:
        raise RuntimeError(f"The Arnoldi iteration found the eigenvalue {values[0] - 1:.1e}, not 0")
    rho = vectors[:, 0].reshape(size, size, order="F")
    return expectations(problem, rho / np.trace(rho))


def expectations(problem: Problem, rho: np.ndarray) -> np.ndarray:
    """(O, 1) the observables of a density matrix."""
    return np.array([[np.real((o @ rho).trace())] for o in problem.matrices()])
