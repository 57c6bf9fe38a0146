"""The nearest mixture of fewer components, by overlaps in closed form (docs/theory.md, eq. 22).

Minimises ‖R - T‖ over mixtures R of K components with the trace of T. The start is T without the components that the
others replace best; weights and vectors are then moved together by Levenberg-Marquardt steps, with the Gram matrix as
the curvature.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.scipy.linalg
import numpy as np
from jaxtyping import Array, Float, Int

from husimix._compilation import compiled
from husimix.mixture import kernels
from husimix.mixture.constrained import with_trace_kept
from husimix.mixture.contacts import Contacts, Generator
from husimix.mixture.equations import Equations, Point
from husimix.mixture.gram import gram_matrix

__all__ = ["Compression", "compressed"]

_MOST_STEPS = 200
# A step that shortens the distance² by less than this part of itself has stagnated; so many of them end the fit.
_STAGNATION, _PATIENCE = 1e-3, 6
# Damping of the curvature, relative to its mean eigenvalue.
_FIRST_DAMPING, _SMALLEST_DAMPING, _LARGEST_DAMPING = 1e-4, 1e-9, 1e2
_GROWTH, _SHRINKAGE = 5.0, 0.3
# Of overlaps, relative to their mean eigenvalue, where components are deleted.
_DELETION_DAMPING = 1e-10


class Compression(NamedTuple):
    """A mixture of fewer components.

    Attributes:
        point: its weights and coordinates.
        distance: ‖R - T‖ / ‖T‖ in the metric.
        absolute: ‖R - T‖.
        steps: Levenberg-Marquardt steps that were tried.
    """

    point: Point
    distance: float
    absolute: float
    steps: int


def compressed(equations: Equations, target: Point, n_components: int) -> Compression:
    """A near mixture of K components to another of more, on the same manifold and layout; the trace is kept.

    A local minimum: which one depends on what the deletions leave to start from.

    Args:
        equations: tell manifold, metric, contacts and memory; 𝓛 is not used.
        target: T, of K' components.
        n_components: K < K'.

    Returns:
        The fit. Cost: K'⁴ operations for the deletions, then up to 200 Gram matrices and solutions for K components and
        forces between K and K'.
    """
    fit = _fit(equations, target, _thinned(equations, target, n_components))
    distance, norm, scale, steps = (
        x.item() for x in jax.device_get((fit.distance, *_norm(equations, target), fit.steps))
    )
    distance = np.sqrt(max(distance, 0.0))
    return Compression(fit.point, float(distance / np.sqrt(norm)), float(distance * np.exp(0.5 * scale)), int(steps))


def _thinned(equations: Equations, target: Point, n_components: int) -> Point:
    """The target without all but K of its components, with the weights that then fit best.

    The loss of component k costs c_k² / (P⁻¹)_kk, if the others' weights make up for it.
    """
    p, weights = np.asarray(_overlaps(equations, target)[0]), np.asarray(target.weights)
    goal, trace = p @ weights, weights.sum()
    damped = p + _DELETION_DAMPING * np.trace(p) / len(p) * np.eye(len(p))
    chosen = np.arange(len(p))
    while True:
        inverse = np.linalg.inv(damped[np.ix_(chosen, chosen)])
        best, unit = inverse @ goal[chosen], inverse.sum(axis=1)
        best = best + (trace - best.sum()) / unit.sum() * unit
        if len(chosen) == n_components:
            return Point(*jax.device_put((best, np.asarray(target.coordinates)[chosen])))
        chosen = np.delete(chosen, np.argmin(best**2 / np.diag(inverse)))


class _Fit(NamedTuple):
    """The state of the fit; distance² in units of exp(log scale of the target)."""

    point: Point
    distance: Float[Array, ""]
    damping: Float[Array, ""]
    stagnant: Int[Array, ""]
    steps: Int[Array, ""]


@compiled
def _fit(equations: Equations, target: Point, start: Point) -> _Fit:
    ket = equations.frame(target)
    scale = equations.scene.log_scale(ket.vectors)
    identity = _identity(equations.scene.contacts, ket.vectors.shape[-1])
    scene = eqx.tree_at(lambda s: s.generator, equations.scene, identity)
    squared_target = target.weights @ _overlaps(equations, target)[0] @ target.weights

    def slopes(point: Point) -> tuple[kernels.Frame, Array, Array]:
        """The frame, ⟨∂R, T - R⟩, and ‖T - R‖²."""
        bra = equations.frame(point)
        onto_target, onto_itself = kernels.force(bra, ket, scene, scale), kernels.force(bra, bra, scene, scale)
        along_weights = (onto_itself - 2 * onto_target).reshape(len(point.weights), -1)[:, 0]
        return bra, onto_target - onto_itself, squared_target + point.weights @ along_weights

    def step(fit: _Fit) -> _Fit:
        bra, slope, _ = slopes(fit.point)
        gram = gram_matrix(bra, bra, scene, scale)
        damped = gram + fit.damping * jnp.trace(gram) / len(gram) * jnp.eye(len(gram))
        factor = jax.scipy.linalg.cho_factor(damped, lower=True)
        columns = jax.scipy.linalg.cho_solve(factor, jnp.stack([slope, bra.trace_slope], axis=1))
        change = with_trace_kept(columns, bra.trace_slope)
        tried = equations.moved(fit.point, change.solution)
        distance = slopes(tried)[2]
        better = distance < fit.distance
        gains = distance < (1 - _STAGNATION) * fit.distance
        return _Fit(
            point=jax.tree.map(lambda new, old: jnp.where(better, new, old), tried, fit.point),
            distance=jnp.where(better, distance, fit.distance),
            damping=jnp.clip(fit.damping * jnp.where(better, _SHRINKAGE, _GROWTH), _SMALLEST_DAMPING, _LARGEST_DAMPING),
            stagnant=jnp.where(gains, 0, fit.stagnant + 1),
            steps=fit.steps + 1,
        )

    def unfinished(fit: _Fit) -> Array:
        return (fit.steps < _MOST_STEPS) & (fit.stagnant < _PATIENCE)

    none = jnp.zeros((), dtype=int)
    return jax.lax.while_loop(unfinished, step, _Fit(start, slopes(start)[2], jnp.asarray(_FIRST_DAMPING), none, none))


def _identity(contacts: Contacts, size: int) -> Generator:
    """The identity as a sum of one-site maps, so that forces are overlaps with tangents."""
    one_site = jnp.tile(jnp.eye(size) / jnp.sum(contacts.sizes), (contacts.n_free, 1, 1))
    return Generator(one_site, jnp.zeros((0, size, size)), ())


@eqx.filter_jit
def _overlaps(equations: Equations, point: Point) -> tuple[Float[Array, "component component"], Float[Array, ""]]:
    """The overlaps of the components of a point, and the logarithm of their unit."""
    vectors = equations.manifold.vectors(point.coordinates)
    scale = equations.scene.log_scale(vectors)
    return kernels.overlaps(vectors, vectors, equations.scene, scale), scale


@eqx.filter_jit
def _norm(equations: Equations, point: Point) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """‖R‖² and the logarithm of its unit."""
    p, scale = _overlaps(equations, point)
    return point.weights @ p @ point.weights, scale
