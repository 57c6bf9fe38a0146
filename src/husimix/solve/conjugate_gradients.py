"""(S + λ) x = F without S: conjugate gradients on the factors of the Gram matrix.

S is nearly singular, and plain conjugate gradients take a thousand iterations. Two things make it hard: on each site
the vectors of different components are nearly parallel, and all sites of a pair of components move together. The
first is undone by inverting the diagonal blocks of S, one for all parameters of a site; the second is left to a small
space, spanned by the K rows of each component, in which S + λ is inverted exactly. What remains takes some tens of
iterations, whatever the number of sites (benchmarks/results/kernels.md).
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.scipy.linalg
from jaxtyping import Array, Bool, Float, Int

from husimix.phasespace.factored import FactoredGram

__all__ = ["Solution", "conjugate_gradients"]

# Relative error of the solution in the norm that S + λ itself defines: that of the velocity of the state.
_ACCURACY = 1e-8
_MOST_ITERATIONS = 1000

Vectors = Float[Array, "parameter column"]
Scalar = Float[Array, ""]


class Solution(NamedTuple):
    """What the iteration found.

    Attributes:
        columns: (P, n), the solutions.
        iterations: how many it took.
        largest, smallest: of the quotients p·(S + λ)p / p·p that were met; they lie within the spectrum.
    """

    columns: Vectors
    iterations: Int[Array, ""]
    largest: Scalar
    smallest: Scalar


class _State(NamedTuple):
    """The usual vectors of conjugate gradients, for all columns at once.

    Attributes:
        x: solution.
        residual: F - (S + λ) x.
        direction: the next search direction.
        energy: (1, n), residual · preconditioned residual, about the squared error of x in the norm of S + λ.
        iterations: so far.
        largest, smallest: see `Solution`.
    """

    x: Vectors
    residual: Vectors
    direction: Vectors
    energy: Float[Array, "1 column"]
    iterations: Int[Array, ""]
    largest: Scalar
    smallest: Scalar


def conjugate_gradients(gram: FactoredGram, damping: Scalar | float, columns: Vectors) -> Solution:
    """Solve (S + λ) x = F.

    Cost: 2 K⁴ G q + 4 F K³ p³ + 2 P K³ operations to prepare, and for each iteration and column two products with S
    or what costs as much.

    Args:
        gram: S.
        damping: λ, positive.
        columns: (P, n), F.

    Returns:
        The solution, with a relative error of 1e-8 in the norm of S + λ.
    """
    inverse = _ApproximateInverse(gram, damping)
    start = inverse.within_space(columns)
    residual = columns - _damped_product(gram, damping, start)
    direction = inverse(residual)
    state = _State(
        start,
        residual,
        direction,
        _dots(residual, direction),
        jnp.zeros((), dtype=int),
        inverse.largest,
        inverse.smallest,
    )

    def open_columns(s: _State) -> Bool[Array, "1 column"]:
        return s.energy > _ACCURACY**2 * _dots(s.x, columns)

    def unfinished(s: _State) -> Bool[Array, ""]:
        return jnp.any(open_columns(s)) & (s.iterations < _MOST_ITERATIONS)

    def iterate(s: _State) -> _State:
        moved = _damped_product(gram, damping, s.direction)
        curvature = _dots(s.direction, moved)
        going = open_columns(s)
        # Columns that are done stay as they are; their own quotients might be 0 / 0.
        length = jnp.where(going, s.energy / jnp.where(going, curvature, 1.0), 0.0)
        x, residual = s.x + length * s.direction, s.residual - length * moved
        preconditioned = inverse(residual)
        energy = jnp.where(going, _dots(residual, preconditioned), s.energy)
        ratio = jnp.where(going, energy / jnp.where(going, s.energy, 1.0), 0.0)
        quotients = curvature / _dots(s.direction, s.direction)
        return _State(
            x,
            residual,
            preconditioned + ratio * s.direction,
            energy,
            s.iterations + 1,
            jnp.maximum(s.largest, jnp.max(jnp.where(going, quotients, 0.0))),
            jnp.minimum(s.smallest, jnp.min(jnp.where(going, quotients, jnp.inf))),
        )

    last = jax.lax.while_loop(unfinished, iterate, state)
    return Solution(last.x, last.iterations, last.largest, last.smallest)


class _ApproximateInverse(eqx.Module):
    """A preconditioner: blocks of sites inverted, then corrected exactly within a small space.

    With D the diagonal blocks and Z a basis of the space, E = Zᵀ (S + λ) Z:
    r ↦ D⁻¹ r + Z E⁻¹ (Zᵀ r - Zᵀ (S + λ) D⁻¹ r).

    Args:
        gram: S.
        damping: λ.
    """

    gram: FactoredGram
    of_weights: Float[Array, "component component"]
    of_sites: Float[Array, "site row column"]
    basis: Float[Array, "component parameter direction"]
    moved: Float[Array, "space parameter"]
    of_space: Float[Array, "space space"]
    largest: Scalar
    smallest: Scalar

    def __init__(self, gram: FactoredGram, damping: Scalar | float):
        weights, sites = gram.diagonal_blocks()
        self.gram = gram
        self.of_weights = _inverse(weights, damping)
        self.of_sites = _inverse(sites, damping)
        self.basis, _ = jnp.linalg.qr(gram.mean_rows())
        n_components, q, n_directions = self.basis.shape
        spread = jnp.eye(n_components)[:, None, :, None] * self.basis[:, :, None, :]
        columns = spread.reshape(n_components * q, n_components * n_directions)
        moved = _damped_product(gram, damping, columns)
        within = self._onto_space(moved)
        self.moved = moved.T
        self.of_space = _inverse(within, 0.0)
        self.largest, self.smallest = jnp.max(jnp.diagonal(within)), jnp.min(jnp.diagonal(within))

    def __call__(self, residual: Vectors) -> Vectors:
        split = residual.reshape(*self.basis.shape[:2], -1)
        weights = (self.of_weights @ split[:, 0])[:, None]
        by_blocks = self.gram.by_component(weights, self.of_sites @ self.gram.by_site(split)).reshape(residual.shape)
        return by_blocks + self._from_space(self._onto_space(residual) - self.moved @ by_blocks)

    def within_space(self, columns: Vectors) -> Vectors:
        """Z E⁻¹ Zᵀ F, the best solution within the space."""
        return self._from_space(self._onto_space(columns))

    def _onto_space(self, columns: Vectors) -> Float[Array, "space column"]:
        split = columns.reshape(*self.basis.shape[:2], -1)
        return jnp.einsum("kxm,kxn->kmn", self.basis, split).reshape(-1, split.shape[2])

    def _from_space(self, parts: Float[Array, "space column"]) -> Vectors:
        split = (self.of_space @ parts).reshape(len(self.basis), -1, parts.shape[1])
        return jnp.einsum("kxm,kmn->kxn", self.basis, split).reshape(-1, parts.shape[1])


def _damped_product(gram: FactoredGram, damping: Scalar | float, columns: Vectors) -> Vectors:
    return gram @ columns + damping * columns


def _inverse(blocks: Float[Array, "*block row column"], damping: Scalar | float) -> Float[Array, "*block row column"]:
    identity = jnp.broadcast_to(jnp.eye(blocks.shape[-1]), blocks.shape)
    return jax.scipy.linalg.cho_solve((jnp.linalg.cholesky(blocks + damping * identity), True), identity)


def _dots(a: Vectors, b: Vectors) -> Float[Array, "1 column"]:
    return jnp.sum(a * b, axis=0, keepdims=True)
