"""Direction: how the Gram matrix is inverted. How far to step is decided elsewhere.

S is already the square of the tangent map, so its small eigenvalues carry the square of its errors. A solver
must therefore damp, must never square S again, and reports what it did (docs/theory.md, eqs. 16 to 18).
"""

import abc
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import jax.scipy.linalg
from jaxtyping import Array, Float

from husimix._errors import check_number

__all__ = ["AbstractMetricSolver", "MetricReport", "SpectralCutoff", "Tikhonov"]

Matrix = Float[Array, "parameter parameter"]
Vectors = Float[Array, "parameter column"]
Scalar = Float[Array, ""]


class MetricReport(NamedTuple):
    """What a solver did with the spectrum of S, in units of trace(S)/P.

    Attributes:
        damping: λ added to the spectrum, or the eigenvalue at which it is cut off.
        largest: the largest eigenvalue, or a lower bound of it where none is computed.
        smallest: the smallest eigenvalue of the damped matrix, or an upper bound of it.
    """

    damping: Scalar
    largest: Scalar
    smallest: Scalar


class AbstractMetricSolver(eqx.Module):
    """Solves S x = F for a symmetric positive semidefinite S that may be singular."""

    @abc.abstractmethod
    def solve(self, gram: Matrix, columns: Vectors) -> tuple[Vectors, MetricReport]:
        """x for each column F, (P, n), and a report."""

    @abc.abstractmethod
    def relative_damping(self) -> float | Scalar:
        """What is added to the spectrum, or where it is cut off, relative to its mean."""

    @abc.abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Name and settings, JSON-ready."""


class Tikhonov(AbstractMetricSolver):
    """(S + λ)⁻¹ by Cholesky, λ = damping · trace(S)/P: the default, robust.

    Args:
        damping: relative to the mean eigenvalue of S; positive. Smaller follows the equations more closely at
            the price of more steps.

    Raises:
        ValueError: if `damping` is not positive and finite.
    """

    damping: float = 1e-6

    def __check_init__(self) -> None:
        check_number("damping", self.damping, above=0, fix="Typical values are 1e-8 to 1e-4.")

    def solve(self, gram: Matrix, columns: Vectors) -> tuple[Vectors, MetricReport]:
        """See `AbstractMetricSolver`."""
        mean = jnp.trace(gram) / len(gram)
        damped = gram + self.damping * mean * jnp.eye(len(gram))
        factor = jax.scipy.linalg.cho_factor(damped, lower=True)
        # The squared diagonal of the Cholesky factor lies within the spectrum.
        pivots = jnp.square(jnp.diagonal(factor[0])) / mean
        damping = jnp.asarray(self.damping, dtype=float)
        return jax.scipy.linalg.cho_solve(factor, columns), MetricReport(damping, jnp.max(pivots), jnp.min(pivots))

    def relative_damping(self) -> float | Scalar:
        """See `AbstractMetricSolver`."""
        return self.damping

    def to_dict(self) -> dict[str, Any]:
        """See `AbstractMetricSolver`."""
        return {"name": "Tikhonov", "damping": float(self.damping)}


class SpectralCutoff(AbstractMetricSolver):
    """Inverse by eigenvalues σ with a smooth cut-off, σ⁻¹ / (1 + (λ/σ)⁶), λ = cutoff · trace(S)/P.

    Slightly more accurate than `Tikhonov` at about four times the cost, since well-resolved directions are not
    damped at all.

    Args:
        cutoff: relative to the mean eigenvalue of S; positive.

    Raises:
        ValueError: if `cutoff` is not positive and finite.
    """

    cutoff: float = 1e-6

    def __check_init__(self) -> None:
        check_number("cutoff", self.cutoff, above=0, fix="Typical values are 1e-8 to 1e-4.")

    def solve(self, gram: Matrix, columns: Vectors) -> tuple[Vectors, MetricReport]:
        """See `AbstractMetricSolver`."""
        mean = jnp.trace(gram) / len(gram)
        values, modes = jnp.linalg.eigh(gram)
        ratio = jnp.maximum(values, 0.0) / (self.cutoff * mean)
        inverse = ratio**5 / (ratio**6 + 1.0) / (self.cutoff * mean)
        report = MetricReport(jnp.asarray(self.cutoff, dtype=float), values[-1] / mean, values[0] / mean)
        return modes @ (inverse[:, None] * (modes.T @ columns)), report

    def relative_damping(self) -> float | Scalar:
        """See `AbstractMetricSolver`."""
        return self.cutoff

    def to_dict(self) -> dict[str, Any]:
        """See `AbstractMetricSolver`."""
        return {"name": "SpectralCutoff", "cutoff": float(self.cutoff)}
