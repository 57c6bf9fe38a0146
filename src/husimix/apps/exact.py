"""The exact twin: the same model solved by QuTiP on the full Hilbert space, for few sites.

QuTiP is the independent peer that husimix is compared with. Install it with `pip install "husimix[exact]"`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse

from husimix._errors import argument_error
from husimix.physics.lindbladian import Lindbladian, sparse_operator
from husimix.physics.operators import Operator
from husimix.solve.checks import check_kind, check_model, check_times
from husimix.state import AbstractState, check_operator

if TYPE_CHECKING:
    import qutip

__all__ = ["ExactResult", "check_evolvable", "check_solvable", "mesolve", "require_qutip", "steadystate"]

_MAX_DIMENSION = 1024
_MAX_STEADY_DIMENSION = 512


@dataclass(frozen=True, eq=False)
class ExactResult:
    """What the exact twin returns; the fields that `husimix.Result` has too mean the same.

    Attributes:
        times: (T,) times; (1,) infinity for a steady state.
        bloch: (T, N, 3) ⟨σx⟩, ⟨σy⟩, ⟨σz⟩ of each site; for spin S the rank-1 operators of the basis,
            √(3/(S(S+1))) S_x, S_y and S_z, so that ⟨S_z⟩ = -1 of a spin 1 is -1.2247.
        expect: the observables by name, (T,) each.
        final_state: the density matrix as a QuTiP object.
    """

    times: np.ndarray
    bloch: np.ndarray
    final_state: "qutip.Qobj"
    expect: dict[str, np.ndarray] = field(default_factory=dict)

    def __repr__(self) -> str:
        names = ", ".join(self.expect) or "none"
        return f"ExactResult: {len(self.times)} times, {self.bloch.shape[1]} sites, observables: {names}"


def mesolve(
    model: Lindbladian,
    state: AbstractState,
    tsave: Sequence[float] | np.ndarray,
    *,
    observables: Mapping[str, Operator] | None = None,
    progress: bool = False,
) -> ExactResult:
    """Evolve a density matrix exactly with `qutip.mesolve`.

    Args:
        model: the Lindbladian, at most 10 spins ½.
        state: the initial state.
        tsave: (T,) increasing times; the first is the initial time.
        observables: operators by name.
        progress: show QuTiP's progress bar.

    Returns:
        An `ExactResult`, converged to about 1e-6.

    Raises:
        ValueError: for too many sites, or times that are not increasing.
        ImportError: if QuTiP is not installed.
    """
    qutip = require_qutip()
    check_evolvable(check_model("model", model))
    check_kind("state", state, AbstractState, 'Try hx.product_state(n_sites, "down").')
    if state.n_sites != model.n_sites or state.basis is not model.basis:
        raise argument_error(
            "state", f"have the model's {model.n_sites} sites of dimension {model.basis.dimension}", state
        )
    times = check_times(tsave)
    measured = {name: check_operator(f"observables[{name!r}]", o, state) for name, o in (observables or {}).items()}
    hamiltonian, jumps = model.to_qutip()
    operators = [_qobj(o, model) for o in [*_one_site_operators(model), *measured.values()]]
    options = {"progress_bar": "text" if progress else "", "atol": 1e-8, "rtol": 1e-6, "nsteps": 1_000_000}
    if "matrix_form" in qutip.MESolver.solver_options:
        # Faster by a third on nine spins; known to QuTiP since 5.3.
        options["matrix_form"] = True
    start = qutip.Qobj(state.to_dense(), dims=hamiltonian.dims)
    solved = qutip.mesolve(
        hamiltonian, start, times, jumps, e_ops=operators, options=options | {"store_final_state": True}
    )
    return _result(model, times, np.array(solved.expect), list(measured), solved.final_state)


def steadystate(model: Lindbladian, *, observables: Mapping[str, Operator] | None = None) -> ExactResult:
    """The stationary density matrix: the kernel of QuTiP's Liouvillian, by sparse Arnoldi iteration.

    `qutip.steadystate` factorises the Liouvillian, which takes minutes at 6 spins and far more beyond; the
    eigenvalue of largest real part needs only products with it (8 spins: 10 s).

    Args:
        model: the Lindbladian, at most 9 spins ½.
        observables: operators by name.

    Returns:
        An `ExactResult` with one time, infinity.

    Raises:
        ValueError: for too many sites, or a model whose steady state is not unique, as without dissipation.
        ImportError: if QuTiP is not installed.
    """
    qutip = require_qutip()
    check_solvable(check_model("model", model))
    hamiltonian, jumps = model.to_qutip()
    if not jumps:
        raise argument_error("model", "have a dissipator of positive rate", "none", "No steady state is unique.")
    size = hamiltonian.shape[0]
    vector = _kernel(qutip.liouvillian(hamiltonian, jumps).data_as("csr_matrix"), size)
    matrix = vector.reshape(size, size, order="F")
    matrix = matrix / np.trace(matrix)
    rho = qutip.Qobj((matrix + matrix.conj().T) / 2, dims=hamiltonian.dims)
    names = list(observables or {})
    operators = [*_one_site_operators(model), *(observables or {}).values()]
    values = np.array([[qutip.expect(_qobj(o, model), rho)] for o in operators])
    return _result(model, np.array([np.inf]), values, names, rho)


def _kernel(liouvillian: Any, size: int) -> np.ndarray:
    """The eigenvector of eigenvalue 0; refuses a second one."""
    if size <= 8:
        values, vectors = np.linalg.eig(liouvillian.toarray())
        order = np.argsort(np.abs(values))
        _check_unique(bool(abs(values[order[1]]) > 1e-8))
        return vectors[:, order[0]]
    # Shifted by 1: the tolerance is relative to the eigenvalue, and relative to 0 nothing would ever be close.
    shifted = liouvillian + scipy.sparse.eye_array(liouvillian.shape[0], format="csr")
    # Two starts end in two states if there are two. Asking for two eigenvalues would be several times slower, since
    # the second is seldom as isolated as the first.
    random = np.random.default_rng(0).normal(size=(size, size))
    first, second = (_stationary(shifted, start, size) for start in (np.eye(size), random @ random.T))
    _check_unique(bool(np.abs(first - second).max() < 1e-6 * np.abs(first).max()))
    return first


def _stationary(shifted: Any, start: np.ndarray, size: int) -> np.ndarray:
    """The eigenvector of eigenvalue 1 that an Arnoldi iteration from some density matrix finds, of trace 1."""
    import scipy.sparse.linalg  # its import would cost every other run a tenth of a second

    v0 = start.reshape(-1).astype(complex) / np.trace(start)
    arnoldi: Any = scipy.sparse.linalg.eigs
    _, vectors = arnoldi(shifted, k=1, which="LR", v0=v0, ncv=40, tol=1e-10)
    vector = vectors[:, 0]
    return vector / np.trace(vector.reshape(size, size))


def _check_unique(is_unique: bool) -> None:
    if not is_unique:
        fix = "Something is conserved; evolve from a state instead."
        raise argument_error("model", "have a unique steady state", "more than one", fix)


def require_qutip() -> Any:
    """The module `qutip`. Raises ImportError, with the command that installs it, if it is missing."""
    try:
        import qutip
    except ImportError as error:
        raise ImportError('The exact twin needs QuTiP: pip install "husimix[exact]"') from error
    return qutip


def check_evolvable(model: Lindbladian) -> None:
    """Refuse a model that `mesolve` would need too much memory for. Raises ValueError."""
    _check_dimension(model, _MAX_DIMENSION, "Compare a smaller lattice.")


def check_solvable(model: Lindbladian) -> None:
    """Refuse a model that `steadystate` would need too much time for. Raises ValueError."""
    _check_dimension(model, _MAX_STEADY_DIMENSION, "Evolve for a long time with `exact.mesolve` instead.")


def _check_dimension(model: Lindbladian, limit: int, fix: str) -> None:
    dimension = model.basis.dimension**model.n_sites
    if dimension > limit:
        raise argument_error("model", f"have a Hilbert space of at most {limit} dimensions", dimension, fix)


def _one_site_operators(model: Lindbladian) -> list[Operator]:
    return [Operator({((i, a),): 1.0}, model.basis) for i in range(model.n_sites) for a in (1, 2, 3)]


def _qobj(operator: Operator, model: Lindbladian) -> "qutip.Qobj":
    dims = [[model.basis.dimension] * model.n_sites] * 2
    return require_qutip().Qobj(sparse_operator(operator, model.n_sites), dims=dims)


def _result(
    model: Lindbladian, times: np.ndarray, values: np.ndarray, names: list[str], rho: "qutip.Qobj"
) -> ExactResult:
    """Sort rows of expectation values, one-site operators first, into a result."""
    n = 3 * model.n_sites
    bloch = np.real(values[:n]).T.reshape(len(times), model.n_sites, 3)
    return ExactResult(times, bloch, rho, dict(zip(names, values[n:], strict=True)))
