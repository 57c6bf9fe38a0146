"""Direction: how the Gram matrix is inverted. How far to step is decided elsewhere.

S is already the square of the tangent map, so its small eigenvalues carry the square of its errors. A solver
must therefore damp, must never square S again, and reports what it did (docs/theory.md, eqs. 14 to 16). S comes as a
matrix, or as the factors it is made of.
"""

import abc
from typing import ClassVar, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import jax.scipy.linalg
from jaxtyping import Array, Float

from husimix._errors import check_number
from husimix.phasespace.factored import FactoredGram
from husimix.solve.conjugate_gradients import conjugate_gradients

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
        iterations: of conjugate gradients; 0 where S was factorised.
    """

    damping: Scalar
    largest: Scalar
    smallest: Scalar
    iterations: Scalar


class AbstractMetricSolver(eqx.Module):
    """Solves S x = F for a symmetric positive semidefinite S that may be singular.

    Attributes:
        takes_factors: whether S may be given by its factors.
    """

    takes_factors: ClassVar[bool] = False

    @abc.abstractmethod
    def solve(self, gram: Matrix | FactoredGram, columns: Vectors) -> tuple[Vectors, MetricReport]:
        """x for each column F, (P, n), and a report."""


class Tikhonov(AbstractMetricSolver):
    """(S + λ)⁻¹, λ = damping · trace(S)/P: the default, robust.

    By Cholesky where S is a matrix, by conjugate gradients where it is given by its factors.

    Args:
        damping: relative to the mean eigenvalue of S; positive. Smaller follows the equations more closely at
            the price of more steps.

    Raises:
        ValueError: if `damping` is not positive and finite.
    """

    takes_factors: ClassVar[bool] = True

    damping: float = 1e-6

    def __check_init__(self) -> None:
        check_number("damping", self.damping, above=0, fix="Typical values are 1e-8 to 1e-4.")

    def solve(self, gram: Matrix | FactoredGram, columns: Vectors) -> tuple[Vectors, MetricReport]:
        if isinstance(gram, FactoredGram):
            mean = gram.trace() / len(gram)
            found = conjugate_gradients(gram, self.damping * mean, columns)
            return found.columns, self._report(found.largest / mean, found.smallest / mean, found.iterations)
        mean = jnp.trace(gram) / len(gram)
        damped = gram + self.damping * mean * jnp.eye(len(gram))
        factor = jax.scipy.linalg.cho_factor(damped, lower=True)
        # The squared diagonal of the Cholesky factor lies within the spectrum.
        pivots = jnp.square(jnp.diagonal(factor[0])) / mean
        return jax.scipy.linalg.cho_solve(factor, columns), self._report(jnp.max(pivots), jnp.min(pivots))

    def _report(self, largest: Scalar, smallest: Scalar, iterations: Scalar | int = 0) -> MetricReport:
        return MetricReport(jnp.asarray(self.damping, dtype=float), largest, smallest, jnp.asarray(iterations, float))


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

    def solve(self, gram: Matrix | FactoredGram, columns: Vectors) -> tuple[Vectors, MetricReport]:
        if isinstance(gram, FactoredGram):
            raise TypeError("The spectrum of the Gram matrix cannot be had from its factors.")
        mean = jnp.trace(gram) / len(gram)
        values, modes = jnp.linalg.eigh(gram)
        ratio = jnp.maximum(values, 0.0) / (self.cutoff * mean)
        inverse = ratio**5 / (ratio**6 + 1.0) / (self.cutoff * mean)
        cutoff = jnp.asarray(self.cutoff, dtype=float)
        report = MetricReport(cutoff, values[-1] / mean, values[0] / mean, jnp.zeros(()))
        return modes @ (inverse[:, None] * (modes.T @ columns)), report
