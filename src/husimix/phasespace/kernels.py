"""The kernels of a mixture: pair physics mapped over components, group elements and chunks.

This is the only file that knows how pairs are looped over. Kets are averaged over the symmetry group; bras are
not, because the generator commutes with the group (docs/theory.md, eq. 13). A chunk is as many kets and group
elements as the memory limit allows, all bras at once.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from husimix.phasespace import pair
from husimix.physics.products import SumOfProducts
from husimix.physics.symmetry import SymmetryGroup

__all__ = ["Frame", "force", "gram_and_force", "gram_matrix", "log_norm", "overlaps", "transfers"]

DEFAULT_MEMORY_LIMIT = 1 << 30


class Frame(eqx.Module):
    """A mixture as the kernels see it.

    Attributes:
        weights: (K,) float, c_k.
        vectors: (K, N, D) float, the site vectors.
        tangents: (K, N, D, p) float, their derivatives along the parameters.
    """

    weights: Float[Array, " component"]
    vectors: Float[Array, "component site operator"]
    tangents: Float[Array, "component site operator parameter"]

    @property
    def n_parameters(self) -> int:
        """1 + N p, the number of parameters of one component: its weight, then its sites."""
        _, n_sites, _, p = self.tangents.shape
        return 1 + n_sites * p


class _Images(eqx.Module):
    """One ket component under a chunk of group elements, in the order of the bra's sites."""

    share: Float[Array, " element"]
    sources: Int[Array, "element site"]
    destinations: Int[Array, "element site"]
    vectors: Float[Array, "element site operator"]
    tangents: Float[Array, "element site operator parameter"]


def log_norm(vectors: Float[Array, "component site operator"], g: Float[Array, " operator"]) -> Float[Array, ""]:
    """max_k log⟨v_k, v_k⟩: the scale that makes every overlap of these components at most 1 in modulus."""
    return jnp.max(jnp.sum(jnp.log(jnp.einsum("kia,a,kia->ki", vectors, g, vectors)), axis=1))


def overlaps(
    bra: Float[Array, "bra site operator"],
    ket: Float[Array, "ket site operator"],
    g: Float[Array, " operator"],
    group: SymmetryGroup,
    log_scale: Float[Array, ""],
    memory_limit: int = DEFAULT_MEMORY_LIMIT,
) -> Float[Array, "bra ket"]:
    """P_kl = mean over the group of ⟨v_k, g·v'_l⟩ · exp(-log_scale). Cost: 2 K² N |G| D."""

    def chunk(images: _Images) -> Float[Array, " bra"]:
        def with_bra(v: Array) -> Array:
            s = jax.vmap(pair.site_overlaps, (None, 0, None))(v, images.vectors, g)
            return jnp.dot(images.share, jax.vmap(pair.overlap, (0, None))(s, log_scale))

        return jax.vmap(with_bra)(bra)

    no_tangents = jnp.zeros((*ket.shape, 0))
    return _sum_over_images(chunk, ket, no_tangents, group, len(bra) * ket[0].size * 3, memory_limit).T


def transfers(
    bra: Float[Array, "bra site operator"],
    ket: Float[Array, "ket site operator"],
    g: Float[Array, " operator"],
    group: SymmetryGroup,
    generator: SumOfProducts,
    log_scale: Float[Array, ""],
    memory_limit: int = DEFAULT_MEMORY_LIMIT,
) -> Float[Array, "bra ket"]:
    """T_kl = mean over the group of ⟨v_k, 𝓛 g·v'_l⟩ · exp(-log_scale). Cost: see `pair.transfer`, times K² |G|."""

    def chunk(images: _Images) -> Float[Array, " bra"]:
        return jax.vmap(_transfer_of_images, (0, None, None, None, None))(bra, images, g, generator, log_scale)

    no_tangents = jnp.zeros((*ket.shape, 0))
    numbers = _transfer_numbers(len(bra), generator)
    return _sum_over_images(chunk, ket, no_tangents, group, numbers, memory_limit).T


def force(
    bra: Frame,
    ket: Frame,
    g: Float[Array, " operator"],
    group: SymmetryGroup,
    generator: SumOfProducts,
    log_scale: Float[Array, ""],
    memory_limit: int = DEFAULT_MEMORY_LIMIT,
) -> Float[Array, " parameter"]:
    """F_α = ⟨∂_α R, 𝓛R'⟩ · exp(-log_scale), component by component: weight first, then sites × parameters.

    The derivative in the bra vectors is taken in reverse mode, exact, at about three times the cost of
    `transfers`.
    """

    def chunk(images: _Images) -> tuple[Array, Array]:
        return _forces_of_images(bra, images, g, generator, log_scale)

    numbers = 3 * _transfer_numbers(len(bra.weights), generator)
    parts = _sum_over_images(chunk, ket.vectors, ket.tangents[..., :0], group, numbers, memory_limit)
    return _assemble_force(bra, ket, parts)


def gram_matrix(
    bra: Frame,
    ket: Frame,
    g: Float[Array, " operator"],
    group: SymmetryGroup,
    log_scale: Float[Array, ""],
    memory_limit: int = DEFAULT_MEMORY_LIMIT,
) -> Float[Array, "bra_parameter ket_parameter"]:
    """S_αβ = ⟨∂_α R, ∂_β R'⟩ · exp(-log_scale), in the order of parameters of `force`.

    Cost: 2 K² |G| (1 + N p)² operations as matrix products over group elements; 8 (K (1 + N p))² bytes for the
    result and as much again for its assembly.
    """

    def chunk(images: _Images) -> Array:
        return jax.vmap(_gram_block, (0, 0, None, None, None))(bra.vectors, bra.tangents, images, g, log_scale)

    numbers = _gram_numbers(bra)
    blocks = _sum_over_images(chunk, ket.vectors, ket.tangents, group, numbers, memory_limit)
    return _assemble_gram(bra, ket, blocks)


def gram_and_force(
    frame: Frame,
    g: Float[Array, " operator"],
    group: SymmetryGroup,
    generator: SumOfProducts,
    log_scale: Float[Array, ""],
    memory_limit: int = DEFAULT_MEMORY_LIMIT,
) -> tuple[Float[Array, "parameter parameter"], Float[Array, " parameter"]]:
    """S and F of one mixture in a single pass over the pairs, which share images and site overlaps."""

    def chunk(images: _Images) -> tuple[Array, tuple[Array, Array]]:
        blocks = jax.vmap(_gram_block, (0, 0, None, None, None))(frame.vectors, frame.tangents, images, g, log_scale)
        return blocks, _forces_of_images(frame, images, g, generator, log_scale)

    numbers = _gram_numbers(frame) + 3 * _transfer_numbers(len(frame.weights), generator)
    blocks, parts = _sum_over_images(chunk, frame.vectors, frame.tangents, group, numbers, memory_limit)
    return _assemble_gram(frame, frame, blocks), _assemble_force(frame, frame, parts)


def _sum_over_images(
    chunk: Callable[[_Images], Any],
    vectors: Float[Array, "ket site operator"],
    tangents: Float[Array, "ket site operator parameter"],
    group: SymmetryGroup,
    numbers: int,
    memory_limit: int,
) -> Any:
    """Σ over group elements of chunk(images of a ket), for every ket, stacked along a leading ket axis.

    `numbers` is how many floats one ket image costs with all bras. The group is cut into equal chunks, padded
    with elements of no share; kets are batched only if the whole group fits.
    """
    n_kets, order = len(vectors), group.order
    fit = max(1, memory_limit // (8 * numbers))
    n_chunks = -(-order // fit)
    length = -(-order // n_chunks)
    padding = n_chunks * length - order

    def split(array: Any) -> Array:
        filled = jnp.concatenate([array, jnp.repeat(array[:1], padding, axis=0)]) if padding else jnp.asarray(array)
        return filled.reshape(n_chunks, length, *filled.shape[1:])

    share = jnp.concatenate([jnp.full(order, 1.0 / order), jnp.zeros(padding)]).reshape(n_chunks, length)
    elements = (share, split(group.sources), split(group.permutations))

    def one_ket(ket: tuple[Array, Array]) -> Any:
        def one_chunk(element: tuple[Array, Array, Array]) -> Any:
            part, sources, destinations = element
            return chunk(_Images(part, sources, destinations, ket[0][sources], ket[1][sources]))

        def accumulate(total: Any, element: tuple[Array, Array, Array]) -> tuple[Any, None]:
            return jax.tree.map(jnp.add, total, one_chunk(element)), None

        first, rest = jax.tree.map(lambda x: x[0], elements), jax.tree.map(lambda x: x[1:], elements)
        return jax.lax.scan(accumulate, one_chunk(first), rest)[0] if n_chunks > 1 else one_chunk(first)

    batch = max(1, min(n_kets, fit // length))
    return jax.lax.map(one_ket, (vectors, tangents), batch_size=batch)


def _transfer_of_images(
    v: Array, images: _Images, g: Array, generator: SumOfProducts, log_scale: Array
) -> Float[Array, ""]:
    t = jax.vmap(pair.transfer, (None, 0, None, None, None))(v, images.vectors, g, generator, log_scale)
    return jnp.dot(images.share, t)


def _forces_of_images(
    bra: Frame, images: _Images, g: Array, generator: SumOfProducts, log_scale: Array
) -> tuple[Float[Array, " bra"], Float[Array, "bra site operator"]]:
    """Transfer and its gradient in the bra vectors, for each bra."""
    value_and_gradient = jax.value_and_grad(_transfer_of_images)
    mapped = jax.vmap(value_and_gradient, (0, None, None, None, None))
    return mapped(bra.vectors, images, g, generator, log_scale)


def _gram_block(
    v: Array, tangents: Array, images: _Images, g: Array, log_scale: Array
) -> Float[Array, "bra_parameter ket_parameter"]:
    """Σ over images of one (1 + N p)² block, derivatives in weight and sites, before the weights c_k c_l."""
    f = jax.vmap(pair.gram_factors, (None, None, 0, 0, None, None))(
        v, tangents, images.vectors, images.tangents, g, log_scale
    )
    n_elements, n_sites, p = f.bra.shape
    amount = images.share * f.overlap
    # A ket derivative at image site i belongs to the ket's own site sources[i]; sending it back is a gather.
    ket = jnp.take_along_axis(f.ket, images.destinations[:, :, None], axis=1)
    ones = jnp.ones((n_elements, 1))
    rows = jnp.concatenate([ones, f.bra.reshape(n_elements, -1)], axis=1)
    columns = jnp.concatenate([ones, ket.reshape(n_elements, -1)], axis=1)
    block = (rows * amount[:, None]).T @ columns
    site = jnp.zeros((n_sites, n_sites, p, p))
    site = site.at[jnp.arange(n_sites), images.sources].add(f.site * amount[:, None, None, None])
    return block.at[1:, 1:].add(site.transpose(0, 2, 1, 3).reshape(n_sites * p, n_sites * p))


def _scales(frame: Frame) -> Float[Array, "component parameter"]:
    """(K, 1 + N p): 1 for a weight and c_k for the parameters of component k's sites."""
    sites = jnp.broadcast_to(frame.weights[:, None], (len(frame.weights), frame.n_parameters - 1))
    return jnp.concatenate([jnp.ones((len(frame.weights), 1)), sites], axis=1)


def _assemble_gram(bra: Frame, ket: Frame, blocks: Float[Array, "ket bra bra_parameter ket_parameter"]) -> Array:
    left, right = _scales(bra), _scales(ket)
    full = blocks.transpose(1, 2, 0, 3) * left[:, :, None, None] * right[None, None]
    return full.reshape(left.size, right.size)


def _assemble_force(bra: Frame, ket: Frame, parts: tuple[Array, Array]) -> Float[Array, " parameter"]:
    values, gradients = (jnp.einsum("l,lk...->k...", ket.weights, part) for part in parts)
    along = jnp.einsum("kia,kiap->kip", gradients, bra.tangents).reshape(len(bra.weights), -1)
    return (jnp.concatenate([values[:, None], along], axis=1) * _scales(bra)).reshape(-1)


def _transfer_numbers(n_bras: int, generator: SumOfProducts) -> int:
    n_sites, size, _ = generator.one_site.shape
    products = sum(c.sites.size for c in generator.couplings)
    return n_sites * size * (len(generator.matrices) + 2) + n_bras * (
        n_sites * (len(generator.matrices) + 3) + products
    )


def _gram_numbers(bra: Frame) -> int:
    n_bras, n_sites, size, p = bra.tangents.shape
    return n_sites * size * (p + 1) + n_bras * n_sites * (2 * p * p + 4 * p + 2)


def parameter_count(n_components: int, n_sites: int, n_parameters: int) -> int:
    """P = K (1 + N p), the rows of the Gram matrix."""
    return n_components * (1 + n_sites * n_parameters)
