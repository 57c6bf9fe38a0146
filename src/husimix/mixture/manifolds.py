"""Component manifolds: which one-site vectors v (with v_0 = 1) a mixture may be made of.

Coordinates are what is stored and integrated; parameters are the directions in which a point can move. They
differ for spin-coherent states, stored as unit vectors n in space (no coordinate singularity anywhere) and
moved along two orthonormal tangent directions.
"""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from husimix._errors import check_choice, refusal
from husimix.physics.basis import SiteBasis, spin_matrices

__all__ = ["MANIFOLDS", "AbstractManifold", "Bloch", "Coherent", "check_manifold", "named_manifold"]

Coordinates = Float[Array, "*batch coordinate"]
Vectors = Float[Array, "*batch operator"]


class AbstractManifold(eqx.Module):
    """Which vectors a component may have on a site, and how they move.

    Attributes:
        basis: the site's operator basis.
    """

    basis: eqx.AbstractVar[SiteBasis]

    @property
    @abc.abstractmethod
    def n_coordinates(self) -> int:
        """How many numbers store a point."""

    @property
    @abc.abstractmethod
    def n_parameters(self) -> int:
        """p, in how many directions a point can move."""

    @abc.abstractmethod
    def vectors(self, coordinates: Coordinates) -> Vectors:
        """The vectors v, (..., D), at the given coordinates."""

    @abc.abstractmethod
    def tangents(self, coordinates: Coordinates) -> Float[Array, "*batch operator parameter"]:
        """∂v_a/∂θ_α, (..., D, p), along parameter directions that are orthonormal on the manifold."""

    @abc.abstractmethod
    def displacement(self, coordinates: Coordinates, velocity: Float[Array, "*batch parameter"]) -> Coordinates:
        """The change of the coordinates, (..., A), that a velocity of the parameters, (..., p), means."""

    @abc.abstractmethod
    def restored(self, coordinates: Coordinates) -> Coordinates:
        """The coordinates put back on the manifold after rounding and steps of finite length."""

    @abc.abstractmethod
    def coordinates_of(self, vectors: np.ndarray) -> np.ndarray:
        """The coordinates of given vectors v, (..., D). Raises ValueError for vectors off the manifold."""

    @abc.abstractmethod
    def scattered(self, rng: np.random.Generator, coordinates: np.ndarray, spread: float) -> np.ndarray:
        """Random points near the given ones, at distances of the order of `spread` (in Bloch vector length)."""


class Bloch(AbstractManifold):
    """Any generalised Bloch vector v = (1, r): p = D - 1 parameters a site.

    One component is the Gutzwiller mean field; the mixture improves it systematically. |r| may exceed 1, since
    weights of either sign make every R a mixture.
    """

    basis: SiteBasis = eqx.field(static=True)

    @property
    def n_coordinates(self) -> int:
        return self.basis.size - 1

    @property
    def n_parameters(self) -> int:
        return self.basis.size - 1

    def vectors(self, coordinates: Coordinates) -> Vectors:
        return jnp.concatenate([jnp.ones_like(coordinates[..., :1]), coordinates], axis=-1)

    def tangents(self, coordinates: Coordinates) -> Float[Array, "*batch operator parameter"]:
        embedding = jnp.eye(self.basis.size)[:, 1:]
        return jnp.broadcast_to(embedding, (*coordinates.shape[:-1], *embedding.shape))

    def displacement(self, coordinates: Coordinates, velocity: Float[Array, "*batch parameter"]) -> Coordinates:
        return velocity

    def restored(self, coordinates: Coordinates) -> Coordinates:
        return coordinates

    def coordinates_of(self, vectors: np.ndarray) -> np.ndarray:
        return np.asarray(vectors)[..., 1:]

    def scattered(self, rng: np.random.Generator, coordinates: np.ndarray, spread: float) -> np.ndarray:
        moved = coordinates + spread * rng.standard_normal(coordinates.shape)
        # Pure states have |r|² = D/d - 1 = d - 1; start no component outside that ball.
        radius = np.sqrt(self.basis.dimension - 1.0)
        length = np.linalg.norm(moved, axis=-1, keepdims=True)
        return moved * np.minimum(1.0, radius / np.maximum(length, 1e-300))


class Coherent(AbstractManifold):
    """Spin-coherent states v(n) = ⟨n|B_a|n⟩, n a unit vector: 2 parameters a site, the ansatz of the paper.

    v(n) is evaluated from the projector |n⟩⟨n| = Π_{m<S} (n·S - m)/(S - m), a polynomial in n, so nothing is
    singular at the poles (docs/theory.md, eq. 10).
    """

    basis: SiteBasis = eqx.field(static=True)

    @property
    def n_coordinates(self) -> int:
        return 3

    @property
    def n_parameters(self) -> int:
        return 2

    def vectors(self, coordinates: Coordinates) -> Vectors:
        n = coordinates / jnp.linalg.norm(coordinates, axis=-1, keepdims=True)
        spin = self.basis.spin
        rotation = jnp.einsum("...x,xab->...ab", n, jnp.asarray(_symmetric_spin_maps(self.basis)))
        v = jnp.zeros((*n.shape[:-1], self.basis.size)).at[..., 0].set(self.basis.dimension)
        for m in np.arange(-spin, spin):
            v = (jnp.einsum("...ab,...b->...a", rotation, v) - m * v) / (spin - m)
        return v

    def tangents(self, coordinates: Coordinates) -> Float[Array, "*batch operator parameter"]:
        def along(direction: Coordinates) -> Vectors:
            return jax.jvp(self.vectors, (coordinates,), (direction,))[1]

        return jnp.stack([along(e) for e in _tangent_frame(coordinates)], axis=-1)

    def displacement(self, coordinates: Coordinates, velocity: Float[Array, "*batch parameter"]) -> Coordinates:
        first, second = _tangent_frame(coordinates)
        return first * velocity[..., :1] + second * velocity[..., 1:]

    def restored(self, coordinates: Coordinates) -> Coordinates:
        return coordinates / jnp.linalg.norm(coordinates, axis=-1, keepdims=True)

    def coordinates_of(self, vectors: np.ndarray) -> np.ndarray:
        spin = self.basis.spin
        n = np.asarray(vectors)[..., 1:4] * np.sqrt((spin + 1) / (3 * spin))
        off = np.abs(np.asarray(self.vectors(jnp.asarray(n))) - vectors).max()
        if not off < 1e-9:
            raise refusal(
                "manifold",
                "be able to hold the initial state",
                'manifold="coherent" and a site that is not in a spin-coherent state',
                'Use manifold="bloch", or start from Bloch vectors of length 1.',
            )
        return n

    def scattered(self, rng: np.random.Generator, coordinates: np.ndarray, spread: float) -> np.ndarray:
        moved = coordinates + spread * rng.standard_normal(coordinates.shape)
        return moved / np.linalg.norm(moved, axis=-1, keepdims=True)


MANIFOLDS: dict[str, type[AbstractManifold]] = {"bloch": Bloch, "coherent": Coherent}
"""The manifolds by name."""


def check_manifold(manifold: object) -> None:
    """Refuse what is neither a manifold nor the name of one. Raises ValueError."""
    if not isinstance(manifold, AbstractManifold):
        check_choice("manifold", manifold, MANIFOLDS)


def named_manifold(manifold: str | AbstractManifold, basis: SiteBasis) -> AbstractManifold:
    """The manifold of a name ("bloch" or "coherent") on a basis; a manifold object passes through."""
    if isinstance(manifold, AbstractManifold):
        return manifold
    return MANIFOLDS[check_choice("manifold", manifold, MANIFOLDS)](basis)


def _symmetric_spin_maps(basis: SiteBasis) -> np.ndarray:
    """ρ → ½(S_x ρ + ρ S_x) and likewise y, z, as (3, D, D) real maps on R."""
    coefficients = [basis.components(s) for s in spin_matrices(basis.dimension)]
    return np.einsum("xp,apb->xab", coefficients, basis.product).real


def _tangent_frame(coordinates: Coordinates) -> tuple[Coordinates, Coordinates]:
    """Two orthonormal vectors, orthogonal to n, anywhere on the sphere.

    Source: Duff et al., J. Comput. Graph. Tech. 6, 1 (2017). The frame jumps at n_z = 0; nothing depends on
    its choice, as the motion is covariant under rotations of the frame.
    """
    n = coordinates / jnp.linalg.norm(coordinates, axis=-1, keepdims=True)
    x, y, z = n[..., 0], n[..., 1], n[..., 2]
    sign = jnp.where(z >= 0, 1.0, -1.0)
    a = -1.0 / (sign + z)
    b = x * y * a
    first = jnp.stack([1.0 + sign * x * x * a, sign * b, -sign * x], axis=-1)
    second = jnp.stack([b, sign + y * y * a, -y], axis=-1)
    return first, second
