"""Expectation values of a mixture: entries of the tensor R, exact and linear in the weights."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from husimix.physics.operators import Operator
from husimix.physics.symmetry.group import SymmetryGroup
from husimix.physics.symmetry.transformation import Transformation

__all__ = ["Components", "Measurement", "PairAverage", "SiteAverage", "group_image", "pair_correlations"]

# Floats that one step of a loop over products may hold at a time: 64 MiB.
_CHUNK = 1 << 23


class Components(eqx.Module):
    """A mixture as expectation values see it: R = Σ_k c_k · mean over the group of g·⊗_i v_i^k.

    Attributes:
        weights: (K,) float, c_k.
        vectors: (K, N, D) float, v_i^k.
        group: what each component is averaged over.
    """

    weights: Float[Array, " component"]
    vectors: Float[Array, "component site operator"]
    group: SymmetryGroup

    def as_they_stand(self) -> "Components":
        """The components without the average: equal to the state for what is symmetric."""
        return Components(self.weights, self.vectors, SymmetryGroup.identity(self.vectors.shape[1]))

    def images(self, sites: np.ndarray) -> tuple[Float[Array, " image"], Float[Array, "image site operator"]]:
        """The group average written out on some sites: (K|G|,) weights and (K|G|, n, D) vectors."""
        sources, labels = (jnp.asarray(table)[:, sites] for table in (self.group.sources, self.group.labels))
        vectors = group_image(self.vectors, self.group.maps, sources, labels)
        weights = jnp.repeat(self.weights / self.group.order, self.group.order)
        return weights, vectors.reshape(-1, *vectors.shape[2:])


def group_image(
    vectors: Float[Array, "*batch site operator"],
    maps: Float[Array, "map operator operator"] | Float[np.ndarray, "map operator operator"],
    sources: Int[Array, "*image"],
    labels: Int[Array, "*image"],
) -> Array:
    """What arrives at sites under elements of a group with these local maps, (*batch, *image, D)."""
    arrived = vectors[..., sources, :]
    if not len(maps):
        return arrived
    every = jnp.concatenate([jnp.eye(vectors.shape[-1])[None], jnp.asarray(maps)])
    return jnp.einsum("...ab,...b->...a", every[labels], arrived)


class Measurement(eqx.Module):
    """An operator made ready to be measured on many mixtures with the same symmetry group.

    Args:
        operator: O = Σ_s f_s ⊗ B_a.
        group: the symmetry group of the mixtures. If it leaves O in place, so does the average over it, which then
            need not be taken.
    """

    products: tuple[tuple[Int[Array, "product q"], Int[Array, "product q"], Complex[Array, " product"]], ...]
    is_symmetric: bool = eqx.field(static=True)

    def __init__(self, operator: Operator, group: SymmetryGroup):
        self.products = jax.device_put(tuple(operator.products()))
        self.is_symmetric = all(_is_unchanged(operator, group.element(g)) for g in group.generators)

    def value(self, components: Components) -> Complex[Array, ""]:
        """⟨O⟩ as a complex array.

        Cost: K q for each product of q sites if O is symmetric, |G| times as much if not.
        """
        if self.is_symmetric:
            components = components.as_they_stand()
        values = [_expect_products(components, *products) for products in self.products]
        return jnp.sum(jnp.array(values, dtype=complex))


class SiteAverage(eqx.Module):
    """The mean of one-site expectation values over a symmetry group, made ready once.

    Args:
        group: the group. Of pure permutations it is the mean over the sites that it carries into each other.
    """

    orbits: Int[np.ndarray, " site"] | None
    group: SymmetryGroup | None

    def __init__(self, group: SymmetryGroup):
        self.orbits = None if len(group.maps) else group.permutations.min(axis=0)
        self.group = group if len(group.maps) else None

    def __call__(self, weights: Array, vectors: Array) -> Float[Array, "site operator"]:
        """The average of Σ_k c_k v_i^k, (N, D)."""
        values = jnp.einsum("k,kia->ia", weights, vectors)
        if self.group is None:
            orbits = jnp.asarray(self.orbits)
            totals = jnp.zeros_like(values).at[orbits].add(values)
            return (totals / jnp.zeros(len(values)).at[orbits].add(1.0)[:, None])[orbits]
        group = self.group

        def add(total: Array, element: tuple[Array, Array]) -> tuple[Array, None]:
            return total + group_image(values, group.maps, *element), None

        elements = jnp.asarray(group.sources), jnp.asarray(group.labels)
        return jax.lax.scan(add, jnp.zeros_like(values), elements)[0] / group.order


class PairAverage(eqx.Module):
    """Two-site expectation values of pairs of sites, averaged over a group.

    Attributes:
        sources: (M, G, 2) int, the sites that the group brings to each pair.
        labels: (M, G, 2) int, the local maps applied on the way.
        maps: (L, D, D) float, those maps.
    """

    sources: Int[Array, "pair image side"]
    labels: Int[Array, "pair image side"]
    maps: Float[Array, "map operator operator"]

    @classmethod
    def of(cls, pairs: np.ndarray, group: SymmetryGroup) -> "PairAverage":
        """Of (M, 2) pairs of sites."""
        images = (np.swapaxes(table[:, pairs], 0, 1) for table in (group.sources, group.labels))
        return cls(*jax.device_put((*images, group.maps)))

    def __call__(self, weights: Array, vectors: Array) -> Float[Array, "pair operator operator"]:
        """⟨B_a B_b⟩ of each pair. Cost: M G K D²."""

        def one_pair(images: tuple[Array, Array]) -> Array:
            arrived = group_image(vectors, self.maps, *images)
            return jnp.einsum("k,kga,kgb->ab", weights, arrived[:, :, 0], arrived[:, :, 1]) / len(images[0])

        return jax.lax.map(one_pair, (self.sources, self.labels))


@eqx.filter_jit
def pair_correlations(components: Components, a: int, b: int) -> Float[Array, "site site"]:
    """⟨B_a,i B_b,j⟩ of all pairs of sites; the diagonal means nothing. Cost: 2 K |G| N² operations."""
    group = components.group

    def add(total: Array, element: tuple[Array, Array]) -> tuple[Array, None]:
        image = group_image(components.vectors, group.maps, *element)
        return total + jnp.einsum("k,ki,kj->ij", components.weights, image[..., a], image[..., b]), None

    elements = jnp.asarray(group.sources), jnp.asarray(group.labels)
    total = jnp.zeros((group.n_sites, group.n_sites))
    return jax.lax.scan(add, total, elements)[0] / group.order


def _is_unchanged(operator: Operator, transformation: Transformation) -> bool:
    moved = operator.transformed(transformation).terms
    scale = max((abs(f) for f in operator.terms.values()), default=0.0)
    products = operator.terms.keys() | moved.keys()
    return all(abs(moved.get(p, 0.0) - operator.terms.get(p, 0.0)) <= 1e-12 * scale for p in products)


@jax.jit
def _expect_products(
    components: Components,
    sites: Int[Array, "product q"],
    members: Int[Array, "product q"],
    coefficients: Complex[Array, " product"],
) -> Complex[Array, ""]:
    vectors, group = components.vectors, components.group
    sources, labels = jnp.asarray(group.sources), jnp.asarray(group.labels)

    def one_product(product: tuple[Array, Array]) -> Array:
        where, which = product
        images = group_image(vectors, group.maps, sources[:, where], labels[:, where])
        factors = jnp.take_along_axis(images, which[None, None, :, None], axis=-1)
        return jnp.dot(components.weights, jnp.mean(jnp.prod(factors[..., 0], axis=-1), axis=-1))

    size = len(components.weights) * len(sources) * vectors.shape[-1] * max(1, sites.shape[1])
    batch = max(1, min(len(sites), _CHUNK // size))
    values = jax.lax.map(one_product, (sites, members), batch_size=batch)
    return jnp.dot(coefficients, values.astype(complex))
