"""Stationary points where the numbers of a point are coordinates: Newton's method, and how a state relaxes near them.

The velocity is linearised exactly, J = ∂v/∂x: a sparse matrix where the motion has one, else a derivative along
directions. Up to some thousand numbers a matrix is factorised once for several corrections; beyond, J is only
multiplied with, and systems are solved by GMRES. What the ansatz projects out (`AbstractMotion.restored`) is no part of
the state: J does not see it, and corrections stay clear of it.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
import scipy.sparse.linalg
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from husimix._compilation import compiled
from husimix.ansatz import AbstractMotion, Point
from husimix.results.diagnostics import N_EIGENVALUES, ZERO_MODE

__all__ = ["Linearised", "Root", "flat", "newton", "rates_of", "stationary", "unflat"]

# Its annotations are too narrow for what it takes.
_LINALG: Any = scipy.sparse.linalg

# Numbers up to which J is factorised, and up to which all eigenvalues are computed.
_DENSE, _ALL_EIGENVALUES = 1000, 400
# Newton's steps are implicit ones of so long a pseudo-time, in units of 1/rate: where something is conserved J alone
# has no inverse, and the step then leaves it as it is.
_LONG = 1e9
# What part of the correction before each may be at most.
_CONTRACTION = 0.25
_MOST_CORRECTIONS, _ROUNDING = 30, 1e3
# Of the unpreconditioned solves: relative residual, vectors kept, restarts.
_KRYLOV_TOLERANCE, _KRYLOV_VECTORS, _KRYLOV_RESTARTS = 1e-4, 150, 4
# Of the Arnoldi iteration: vectors kept, relative accuracy, restarts.
_ARNOLDI_VECTORS, _ARNOLDI_TOLERANCE, _ARNOLDI_RESTARTS = 60, 1e-5, 60


def flat(point: Point) -> np.ndarray:
    """(P,) the numbers of a point, on the host."""
    return np.concatenate([np.ravel(np.asarray(x)) for x in jax.tree.leaves(point)])


def unflat(numbers: np.ndarray, like: Point) -> Point:
    """The point with these numbers and the shape of another."""
    return _unflat(jax.device_put(np.asarray(numbers, dtype=float)), like)


def rates_of(motion: AbstractMotion, point: Point) -> np.ndarray:
    """(P,) the velocity of a point."""
    return np.asarray(_rates(motion, point))


class Root(NamedTuple):
    """A stationary point.

    Attributes:
        point: where.
        eigenvalues: (k,) complex, see `Linearised.rightmost`.
        rate: the rate of the system, in 1/time.
    """

    point: Point
    eigenvalues: np.ndarray
    rate: float

    @property
    def is_stable(self) -> bool:
        """Whether no disturbance grows, those of conserved quantities apart."""
        return bool(np.all(np.real(self.eigenvalues) < ZERO_MODE * self.rate))

    @property
    def n_zero_modes(self) -> int:
        """How many eigenvalues are zero: so many quantities are conserved, each value of which has its steady state."""
        return int(np.sum(np.abs(np.real(self.eigenvalues)) < ZERO_MODE * self.rate))


class Linearised:
    """J = ∂v/∂x at a point, to solve with and to find the rightmost eigenvalues of.

    Args:
        motion: the equations; its points are coordinates.
        point: where.
        rate: the rate of the system, in 1/time, for scale.
    """

    def __init__(self, motion: AbstractMotion, point: Point, rate: float):
        self._motion, self._point, self._rate = motion, point, rate
        self.n_numbers = sum(x.size for x in jax.tree.leaves(point))
        self._sparse = motion.jacobian(point)

    @property
    def is_factorised(self) -> bool:
        """Whether J is a matrix whose factors serve many corrections."""
        return self._sparse is not None and self.n_numbers <= _DENSE

    def solver(self) -> Callable[[np.ndarray], np.ndarray]:
        """The function that solves -J δ = f for δ, by an implicit step of very long pseudo-time."""
        shift = self._rate / _LONG
        if self.is_factorised:
            matrix = shift * np.eye(self.n_numbers) - self._decaying(self._rate)
            factors = scipy.linalg.lu_factor(matrix, check_finite=False)
            return lambda f: scipy.linalg.lu_solve(factors, f, check_finite=False)
        inside = self._operator(self._rate)
        operator: Any = _LINALG.LinearOperator(
            inside.shape, matvec=lambda x: shift * np.ravel(x) - inside.matvec(x), dtype=float
        )
        solve = partial(_LINALG.gmres, rtol=_KRYLOV_TOLERANCE, restart=_KRYLOV_VECTORS)
        return lambda f: solve(operator, f, maxiter=_KRYLOV_RESTARTS)[0]

    def _decaying(self, decay: float) -> np.ndarray:
        """J as a full matrix, with a decay of whatever the ansatz projects out."""
        assert self._sparse is not None
        matrix, projection = (x.toarray() for x in self._sparse)
        return matrix - decay * (np.eye(self.n_numbers) - projection)

    def _operator(self, decay: float) -> Any:
        """J as a linear operator, with a decay of whatever the ansatz projects out."""

        def applied(change: np.ndarray) -> np.ndarray:
            moved, inside = self._derivatives(change)
            return moved - decay * (np.ravel(change) - inside)

        return _LINALG.LinearOperator((self.n_numbers,) * 2, matvec=applied, dtype=float)

    def _derivatives(self, change: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """J times a change, and what the ansatz leaves of the change itself."""
        if self._sparse is not None:
            matrix, projection = self._sparse
            return matrix @ np.ravel(change), projection @ np.ravel(change)
        along = _along(self._motion, self._point, jax.device_put(np.ravel(change).astype(float)))
        moved, inside = jax.device_get(along)
        return moved, inside

    def rightmost(self, count: int = N_EIGENVALUES) -> np.ndarray:
        """(k,) complex, up to `count` eigenvalues of the largest real parts, the largest first.

        Those of changes that the ansatz projects out are left out. Cost: of a dense eigenvalue problem, or of some
        hundred products with J; nothing is returned if these do not converge.
        """
        if self._sparse is not None and self.n_numbers <= _ALL_EIGENVALUES:
            matrix, projection = self._sparse
            far = 1e3 * max(self._rate, float(abs(matrix).sum(axis=1).max()))
            n_inside = round(float(projection.trace()))
            return _ordered(np.linalg.eigvals(self._decaying(far)))[: min(count, n_inside)]
        return _ordered(self._arnoldi(min(count, self.n_numbers - 2)))

    def _arnoldi(self, count: int) -> np.ndarray:
        """The rightmost eigenvalues from products with J."""
        start = np.random.default_rng(0).normal(size=self.n_numbers)
        moved, inside = self._derivatives(start)
        # Rounding would find the eigenvalues 0 of what is projected out: they are moved to the left edge.
        far = 2.0 * float(np.linalg.norm(moved) / np.linalg.norm(inside))
        vectors = min(_ARNOLDI_VECTORS, self.n_numbers)
        eigs = partial(_LINALG.eigs, which="LR", return_eigenvectors=False, tol=_ARNOLDI_TOLERANCE)
        try:
            return eigs(self._operator(far), k=count, v0=inside, ncv=vectors, maxiter=_ARNOLDI_RESTARTS)
        except _LINALG.ArpackNoConvergence as error:
            return error.eigenvalues


def stationary(motion: AbstractMotion, point: Point, rate: float, tolerance: float = 1e-10) -> Root | None:
    """The stationary point near a point, with its eigenvalues; None if Newton's method does not lead to one at once.

    Args:
        motion: the equations; its points are coordinates.
        point: where to begin.
        rate: the rate of the system, in 1/time.
        tolerance: of the last correction, in the units of the numbers.
    """
    found = newton(motion, point, rate, tolerance)
    if found is None:
        return None
    return Root(found, Linearised(motion, found, rate).rightmost(), rate)


def newton(motion: AbstractMotion, point: Point, rate: float, tolerance: float) -> Point | None:
    """Newton's method without any damping.

    Corrections must shrink by a factor of four each time, as they do near a solution (theorem of Newton and
    Mysovskikh), so that all of them together lead hardly farther than the first; where they do not, None is returned,
    and the caller comes nearer by evolution. A matrix J is kept as long as they do.
    """
    numbers, before = flat(point), np.inf
    linearised, is_fresh = Linearised(motion, point, rate), True
    solve = linearised.solver()
    for _ in range(_MOST_CORRECTIONS):
        correction = solve(rates_of(motion, point))
        length = float(np.abs(correction).max())
        shrinks = length <= _CONTRACTION * before  # not so where it is not finite
        if not shrinks and is_fresh:
            # At the level of rounding, corrections no longer shrink.
            return point if before <= _ROUNDING * tolerance else None
        if shrinks:
            numbers, before = numbers + correction, length
            point, is_fresh = unflat(numbers, point), False
        if length <= tolerance:
            return point
        if not shrinks or not linearised.is_factorised:
            linearised, is_fresh = Linearised(motion, point, rate), True
            solve = linearised.solver()
    return None


def _ordered(values: np.ndarray) -> np.ndarray:
    """Eigenvalues by falling real part; of a pair the one above the real axis first."""
    values = np.asarray(values, dtype=complex)
    return values[np.lexsort((-np.imag(values), -np.round(np.real(values), 9)))]


@compiled
def _rates(motion: AbstractMotion, point: Point) -> Float[Array, " number"]:
    return ravel_pytree(motion.velocity(jnp.zeros(()), point)[0])[0]


@compiled
def _unflat(numbers: Float[Array, " number"], like: Point) -> Point:
    return ravel_pytree(like)[1](numbers)


@compiled
def _along(motion: AbstractMotion, point: Point, change: Float[Array, " number"]) -> tuple[Array, Array]:
    """What a change of a point does to its velocity, and what the ansatz leaves of the change itself."""
    numbers, rebuilt = ravel_pytree(point)

    def velocity(x: Array) -> Array:
        return ravel_pytree(motion.velocity(jnp.zeros(()), rebuilt(x))[0])[0]

    def restored(x: Array) -> Array:
        return ravel_pytree(motion.restored(rebuilt(x)))[0]

    _, inside = jax.jvp(restored, (numbers,), (change,))
    return jax.jvp(velocity, (numbers,), (inside,))[1], inside
