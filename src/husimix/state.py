"""What can be asked of a state, whatever the ansatz that keeps it."""

import abc
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, NamedTuple, TypeVar

import equinox as eqx
import numpy as np

from husimix._errors import argument_error, check_choice, check_integer
from husimix.physics.basis import SiteBasis, coherent_vectors
from husimix.physics.operators import Operator
from husimix.physics.symmetry.transformation import Transformation

__all__ = [
    "AbstractState",
    "History",
    "Products",
    "check_operator",
    "check_sites",
    "register_state",
    "state_class",
]

# Rows of the largest density matrix that is handed out: 12 spins ½.
_DENSE_ROWS = 4096


class History(NamedTuple):
    """What the runs that led to a state have accrued.

    Attributes:
        time: that the state belongs to, in the user's unit.
        accumulated_error: the integral of the relative projection error, plus the distances of compressions.
        accumulated_error_absolute: the same without the division by ‖R‖.
        step_error: the sum of the error estimates of all time steps, in one- and two-site expectation values.
    """

    time: float = 0.0
    accumulated_error: float = 0.0
    accumulated_error_absolute: float = 0.0
    step_error: float = 0.0


class Products(NamedTuple):
    """A state as a signed sum of products, R = Σ_n weights[n] ⊗_i vectors[n, i].

    Attributes:
        weights: (n,) float.
        vectors: (n, N, D) float, vectors[..., 0] = 1.
    """

    weights: np.ndarray
    vectors: np.ndarray


class AbstractState(eqx.Module):
    """A density matrix as an ansatz keeps it: what can be asked of a state.

    Attributes:
        history: time and accrued errors.
        kind: the name of the class in files.
    """

    history: eqx.AbstractVar[History]
    kind: ClassVar[str]

    @property
    @abc.abstractmethod
    def n_sites(self) -> int:
        """N, the number of sites."""

    @property
    @abc.abstractmethod
    def basis(self) -> SiteBasis:
        """The operator basis of a site."""

    @abc.abstractmethod
    def local_values(self) -> np.ndarray:
        """(N, D) float, ⟨B_a⟩ of each site."""

    @abc.abstractmethod
    def tensor(self, sites: tuple[int, ...]) -> np.ndarray:
        """⟨B_a1 ⊗ … ⊗ B_an⟩ of a few different sites in the given order, (D, …, D) float."""

    @abc.abstractmethod
    def expect(self, operator: Operator) -> float | complex:
        """⟨O⟩ = Tr ρO: a float for Hermitian O, else complex. Raises ValueError if O acts outside the state."""

    @abc.abstractmethod
    def correlation(self, first: str, second: str, *, connected: bool = False) -> np.ndarray:
        """(N, N) matrix of ½⟨{B_first,i, B_second,j}⟩, less ⟨B_first,i⟩⟨B_second,j⟩ if `connected`."""

    @abc.abstractmethod
    def trace(self) -> float:
        """Tr ρ; 1 for a normalised state."""

    @abc.abstractmethod
    def purity(self) -> float:
        """Tr ρ² of the whole state. Raises ValueError where the ansatz gives it no meaning."""

    @abc.abstractmethod
    def renyi2(self, sites: Iterable[int] | int) -> float:
        """-ln Tr ρ_A² of the sites A, in nats; nan if Tr ρ_A² is not positive."""

    @abc.abstractmethod
    def symmetries(self) -> tuple[Transformation, ...]:
        """Generators of the group under which the state is invariant by construction."""

    @abc.abstractmethod
    def is_invariant(self, operation: Transformation) -> bool:
        """Whether the state can be seen to be left in place by an operation."""

    @abc.abstractmethod
    def as_products(self) -> Products | None:
        """The state as a signed sum of products, or None if it is not kept as one."""

    @abc.abstractmethod
    def with_history(self, history: History) -> "AbstractState":
        """The same state with another history."""

    @abc.abstractmethod
    def to_arrays(self) -> dict[str, np.ndarray]:
        """The arrays that a file needs to hold; `from_arrays` is the way back."""

    @abc.abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """What a file needs beside the arrays, JSON-ready."""

    @classmethod
    @abc.abstractmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], data: Mapping[str, Any]) -> "AbstractState":
        """The state that `to_arrays` and `to_dict` described. Raises ValueError for what describes none."""

    def bloch(self) -> np.ndarray:
        """(N, 3) float: the rank-1 expectation values ⟨B_1⟩, ⟨B_2⟩, ⟨B_3⟩ of each site; ⟨σ⟩ for spin ½."""
        return self.local_values()[:, 1:4]

    def reduced(self, sites: Iterable[int] | int) -> np.ndarray:
        """The reduced density matrix of a few sites, ρ_A = Tr_{not A} ρ.

        Args:
            sites: the sites of A, all different; the matrix's tensor factors come in this order.

        Returns:
            (d^n, d^n) complex Hermitian matrix, first site the slowest index as in QuTiP's `ptrace`.

        Raises:
            ValueError: for sites out of range or repeated, or a matrix of more than 4096 rows.
        """
        chosen = check_sites(self, sites)
        d, n = self.basis.dimension, len(chosen)
        if d**n > _DENSE_ROWS:
            fix = "Choose fewer sites, or use renyi2."
            raise argument_error("sites", f"give a matrix of at most {_DENSE_ROWS} rows", f"{d**n} rows", fix)
        # One site at a time from the front: its letter becomes a row and a column, last.
        matrices, rho = self.basis.matrices / d, self.tensor(chosen).astype(complex)
        for _ in chosen:
            rho = np.tensordot(rho, matrices, axes=(0, 0))
        rows, columns = range(0, 2 * n, 2), range(1, 2 * n, 2)
        return rho.transpose(*rows, *columns).reshape(d**n, d**n)

    def to_dense(self) -> np.ndarray:
        """ρ as a dense (d^N, d^N) complex matrix, site 0 the slowest index. Raises ValueError beyond 4096 rows."""
        return self.reduced(range(self.n_sites))

    def husimi(self, site: int, theta: Any, phi: Any) -> np.ndarray:
        """The Husimi function of one site, Q(θ, φ) = ⟨θφ|ρ_site|θφ⟩.

        Normalised as QuTiP's `spin_q_function`: (2S+1)/4π ∫Q dΩ = 1.

        Args:
            site: which site.
            theta: polar angles in radians, 0 at +z; broadcast against `phi`.
            phi: azimuthal angles in radians.

        Returns:
            Q at each pair of angles, in the shape of theta and phi broadcast together.

        Raises:
            ValueError: if the site is out of range or the angles do not broadcast.
        """
        chosen = check_sites(self, check_integer("site", site, 0))
        return _probe(self.basis, theta, phi) @ self.tensor(chosen) / self.basis.dimension

    def joint_husimi(self, sites: tuple[int, int], first: tuple[Any, Any], second: tuple[Any, Any]) -> np.ndarray:
        """The joint Husimi function of two sites, Q(θ, φ, θ', φ') = ⟨θφ, θ'φ'|ρ|θφ, θ'φ'⟩.

        Args:
            sites: the two sites.
            first: (theta, phi) of the first site, in radians; they broadcast against each other.
            second: (theta, phi) of the second site.

        Returns:
            Q of every pair of directions, the shape of `first` before that of `second`.

        Raises:
            ValueError: unless there are two different sites, or if angles do not broadcast.
        """
        chosen = check_sites(self, sites)
        if len(chosen) != 2:
            raise argument_error("sites", "be two sites", sites)
        for name, angles in (("first", first), ("second", second)):
            if not isinstance(angles, tuple) or len(angles) != 2:
                raise argument_error(name, "be a pair of angles (theta, phi)", repr(angles))
        there, here = _probe(self.basis, *second), _probe(self.basis, *first)
        return np.tensordot(here @ self.tensor(chosen), there, axes=(-1, -1)) / self.basis.dimension**2


_STATES: dict[str, type[AbstractState]] = {}

StateClass = TypeVar("StateClass", bound=type[AbstractState])


def register_state(cls: StateClass) -> StateClass:
    """Make a class of states known to files."""
    _STATES[cls.kind] = cls
    return cls


def state_class(kind: object) -> type[AbstractState]:
    """The class of states that files call `kind`. Raises ValueError for an unknown one."""
    return _STATES[check_choice("kind", kind, _STATES)]


def check_operator(name: str, operator: object, state: AbstractState) -> Operator:
    """`operator`, refused unless it is an operator on the sites of a state."""
    if not isinstance(operator, Operator):
        raise argument_error(name, "be an operator", repr(operator), "Build it from hx.sigmaz(i), hx.pauli(...).")
    if operator.basis is not state.basis:
        raise argument_error(name, f"act on sites of dimension {state.basis.dimension}", operator.basis.dimension)
    if operator.sites and operator.sites[-1] >= state.n_sites:
        raise argument_error(name, f"act on sites 0 to {state.n_sites - 1}", f"site {operator.sites[-1]}")
    return operator


def check_sites(state: AbstractState, sites: Iterable[int] | int) -> tuple[int, ...]:
    """`sites` as a tuple, refused unless they are different sites of a state."""
    given = list(sites) if isinstance(sites, Iterable) else [sites]
    chosen = tuple(check_integer("sites", i, 0) for i in given)
    if not chosen or len(set(chosen)) != len(chosen) or max(chosen) >= state.n_sites:
        raise argument_error("sites", f"be different sites from 0 to {state.n_sites - 1}", given)
    return chosen


def _probe(basis: SiteBasis, theta: Any, phi: Any) -> np.ndarray:
    """⟨θφ|B_a|θφ⟩, (…, D), in the shape of theta and phi broadcast together."""
    for name, angle in (("theta", theta), ("phi", phi)):
        if np.asarray(angle).dtype.kind not in "iuf":
            raise argument_error(name, "be real angles in radians", repr(angle))
    try:
        t, p = np.broadcast_arrays(np.asarray(theta, dtype=float), np.asarray(phi, dtype=float))
    except ValueError:
        shapes = f"shapes {np.shape(theta)} and {np.shape(phi)}"
        raise argument_error("theta", "broadcast against phi", shapes, "Try theta[:, None].") from None
    directions = np.stack([np.sin(t) * np.cos(p), np.sin(t) * np.sin(p), np.cos(t)], axis=-1)
    return coherent_vectors(basis, directions)
