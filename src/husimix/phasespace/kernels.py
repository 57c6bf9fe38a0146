"""The kernels of a mixture: pair physics mapped over pairs of components, images and contacts.

This is the only file that knows how pairs are looped over. Kets are averaged over the images of a symmetry group;
bras are not, because the generator commutes with the group (docs/theory.md, eq. 13). Pairs are cut into tiles, as
many at once as the memory limit allows.

In the costs, Q is the number of pairs, E of contacts, G of images, F of free sites, n of sites, q of parameters
of a component, 1 + F p. Without symmetry G = 1 and E = n; with the translations of a lattice E = G n = n².
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from husimix.phasespace import pair
from husimix.phasespace.contacts import Contacts, Generator
from husimix.phasespace.sizes import pair_numbers, table_numbers, transfer_numbers

__all__ = [
    "Frame",
    "force",
    "gram_and_force",
    "gram_matrix",
    "log_norm",
    "overlaps",
    "transfers",
]

DEFAULT_MEMORY_LIMIT = 1 << 30


class Frame(eqx.Module):
    """A mixture as the kernels see it.

    Attributes:
        weights: (K,) float, c_k.
        vectors: (K, F, D) float, the vectors of the free sites.
        tangents: (K, F, D, p) float, their derivatives along the parameters.
    """

    weights: Float[Array, " component"]
    vectors: Float[Array, "component site operator"]
    tangents: Float[Array, "component site operator parameter"]

    @property
    def n_parameters(self) -> int:
        """q = 1 + F p, the number of parameters of one component: its weight, then its free sites."""
        _, n_free, _, p = self.tangents.shape
        return 1 + n_free * p


class _Scene(NamedTuple):
    """What all pairs of one kernel have in common."""

    contacts: Contacts
    g: Float[Array, " operator"]
    log_scale: Float[Array, ""]


class _Meeting(NamedTuple):
    """A tile of pairs at their contacts.

    Attributes:
        ket: (D, E, Q), mapped.
        s: (E, Q), the site overlaps.
    """

    ket: Float[Array, "operator contact pair"]
    s: Float[Array, "contact pair"]


def log_norm(
    vectors: Float[Array, "component site operator"], g: Float[Array, " operator"], sizes: Float[Array, " site"]
) -> Float[Array, ""]:
    """max_k log⟨v_k, v_k⟩: the scale that makes every overlap of these components at most 1 in modulus."""
    return jnp.max(jnp.log(jnp.einsum("kia,a,kia->ki", vectors, g, vectors)) @ sizes)


def overlaps(
    bra: Float[Array, "bra site operator"],
    ket: Float[Array, "ket site operator"],
    g: Float[Array, " operator"],
    contacts: Contacts,
    log_scale: Float[Array, ""],
    memory_limit: int = DEFAULT_MEMORY_LIMIT,
) -> Float[Array, "bra ket"]:
    """P_kl = mean over images of ⟨v_k, g·v'_l⟩ · exp(-log_scale). Cost: Q (E D + G n)."""
    scene = _Scene(contacts, g, log_scale)

    def tile(bras: Array, kets: Array) -> Array:
        v, ket_vectors = _leading(bra, bras), _leading(ket, kets)
        met = _meet(v, ket_vectors, scene)
        return jnp.sum(_image_overlaps(met.s, jnp.zeros_like(met.s), scene)[0], axis=0)

    pairs = _all_pairs(len(bra), len(ket))
    return _over_tiles(tile, pairs, table_numbers(contacts.table_sizes(None), bra.shape[-1]), memory_limit).reshape(
        len(bra), -1
    )


def transfers(
    bra: Float[Array, "bra site operator"],
    ket: Float[Array, "ket site operator"],
    g: Float[Array, " operator"],
    contacts: Contacts,
    generator: Generator,
    log_scale: Float[Array, ""],
    memory_limit: int = DEFAULT_MEMORY_LIMIT,
) -> Float[Array, "bra ket"]:
    """T_kl = mean over images of ⟨v_k, 𝓛 g·v'_l⟩ · exp(-log_scale). Cost: Q (E D (m + 2) + G n + products)."""
    scene = _Scene(contacts, g, log_scale)

    def tile(bras: Array, kets: Array) -> Array:
        return _transfer(_leading(bra, bras), _leading(ket, kets), scene, generator)

    numbers = transfer_numbers(contacts.table_sizes(generator), bra.shape[-1])
    return _over_tiles(tile, _all_pairs(len(bra), len(ket)), numbers, memory_limit).reshape(len(bra), -1)


def force(
    bra: Frame,
    ket: Frame,
    g: Float[Array, " operator"],
    contacts: Contacts,
    generator: Generator,
    log_scale: Float[Array, ""],
    memory_limit: int = DEFAULT_MEMORY_LIMIT,
) -> Float[Array, " parameter"]:
    """F_α = ⟨∂_α R, 𝓛R'⟩ · exp(-log_scale), component by component: weight first, then free sites × parameters.

    The derivative in the bra vectors is taken in reverse mode, exact, at about three times the cost of
    `transfers`.
    """
    scene = _Scene(contacts, g, log_scale)

    def tile(bras: Array, kets: Array) -> tuple[Array, Array]:
        return _transfer_and_gradient(bra, ket, bras, kets, scene, generator)

    pairs = _all_pairs(len(bra.weights), len(ket.weights))
    numbers = 3 * transfer_numbers(contacts.table_sizes(generator), bra.vectors.shape[-1])
    return _assemble_force(bra, ket, pairs, _over_tiles(tile, pairs, numbers, memory_limit))


def gram_matrix(
    bra: Frame,
    ket: Frame,
    g: Float[Array, " operator"],
    contacts: Contacts,
    log_scale: Float[Array, ""],
    memory_limit: int = DEFAULT_MEMORY_LIMIT,
) -> Float[Array, "bra_parameter ket_parameter"]:
    """S_αβ = ⟨∂_α R, ∂_β R'⟩ · exp(-log_scale), in the order of parameters of `force`.

    Cost: 2 Q G q² operations as matrix products over images; 8 Q q² bytes for the result and as much again for
    its assembly.
    """
    scene = _Scene(contacts, g, log_scale)

    def tile(bras: Array, kets: Array) -> Array:
        return _gram_blocks(bra, ket, bras, kets, scene)

    pairs = _all_pairs(len(bra.weights), len(ket.weights))
    blocks = _over_tiles(tile, pairs, pair_numbers(contacts.table_sizes(None), *bra.tangents.shape[2:]), memory_limit)
    left, right = _scales(bra), _scales(ket)
    blocks = blocks * left[pairs.bra, :, None] * right[pairs.ket, None, :]
    full = blocks.reshape(len(left), len(right), *blocks.shape[1:])
    return full.transpose(0, 2, 1, 3).reshape(left.size, right.size)


def gram_and_force(
    frame: Frame,
    g: Float[Array, " operator"],
    contacts: Contacts,
    generator: Generator,
    log_scale: Float[Array, ""],
    memory_limit: int = DEFAULT_MEMORY_LIMIT,
) -> tuple[Float[Array, "parameter parameter"], Float[Array, " parameter"]]:
    """S and F of one mixture; pairs share contacts and overlaps, and S is computed for k <= l only."""
    scene = _Scene(contacts, g, log_scale)

    def upper_tile(bras: Array, kets: Array) -> tuple[Array, tuple[Array, Array]]:
        return _gram_blocks(frame, frame, bras, kets, scene), _transfer_and_gradient(
            frame, frame, bras, kets, scene, generator
        )

    def lower_tile(bras: Array, kets: Array) -> tuple[Array, Array]:
        return _transfer_and_gradient(frame, frame, bras, kets, scene, generator)

    n_components = len(frame.weights)
    upper, lower = (_Pairs(*(i.astype(np.int32) for i in f(n_components))) for f in (np.triu_indices, _below))
    numbers = pair_numbers(contacts.table_sizes(generator), *frame.tangents.shape[2:])
    blocks, parts = _over_tiles(upper_tile, upper, numbers, memory_limit)
    if len(lower.bra):
        rest = _over_tiles(lower_tile, lower, numbers, memory_limit)
        parts = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), parts, rest)
    pairs = _Pairs(*(np.concatenate([a, b]) for a, b in zip(upper, lower, strict=True)))
    return _assemble_gram(frame, upper, blocks), _assemble_force(frame, frame, pairs, parts)


class _Pairs(NamedTuple):
    """Which components meet: bra[n] and ket[n]."""

    bra: Int[np.ndarray, " pair"]
    ket: Int[np.ndarray, " pair"]


def _all_pairs(n_bras: int, n_kets: int) -> _Pairs:
    return _Pairs(*(i.ravel().astype(np.int32) for i in np.indices((n_bras, n_kets))))


def _below(n: int) -> tuple[np.ndarray, np.ndarray]:
    return np.tril_indices(n, -1)


def _over_tiles(tile: Callable[[Array, Array], Any], pairs: _Pairs, numbers: int, memory_limit: int) -> Any:
    """tile(bra indices, ket indices) over all pairs, stacked along a leading axis of pairs.

    `numbers` is how many floats one pair costs. Tiles have equal length; the last is filled up with the first
    pair, whose surplus results are cut off.
    """
    n_pairs = len(pairs.bra)
    fit = max(1, min(n_pairs, memory_limit // (8 * numbers)))
    n_tiles = -(-n_pairs // fit)
    if n_tiles == 1:
        return tile(jnp.asarray(pairs.bra), jnp.asarray(pairs.ket))
    length = -(-n_pairs // n_tiles)
    filled = [np.concatenate([i, np.repeat(i[:1], n_tiles * length - n_pairs)]) for i in pairs]
    stacked = jax.lax.map(lambda chosen: tile(*chosen), tuple(jnp.asarray(i.reshape(n_tiles, length)) for i in filled))
    return jax.tree.map(lambda x: x.reshape(n_tiles * length, *x.shape[2:])[:n_pairs], stacked)


def _leading(vectors: Float[Array, "component site operator"], chosen: Array) -> Float[Array, "operator site pair"]:
    """The vectors of the chosen components, pairs last: what is done for all pairs is then contiguous."""
    return jnp.transpose(vectors[chosen], (2, 1, 0))


def _meet(bra: Float[Array, "operator site pair"], ket: Float[Array, "operator site pair"], scene: _Scene) -> _Meeting:
    images = scene.contacts.at_ket(ket)
    s = pair.away_from_zero(scene.contacts.contracted(bra * scene.g[:, None, None], images))
    return _Meeting(images, _kept(s))


def _kept(table: Array) -> Array:
    """A table computed once: the compiler would otherwise compute it again wherever it is gathered from."""
    return jax.lax.optimization_barrier(table)


def _image_overlaps(
    s: Float[Array, "contact pair"], rates: Float[Array, "contact pair"], scene: _Scene
) -> tuple[Float[Array, "image pair"], Float[Array, "image pair"]]:
    """share · P of every image, and the sum of `rates` over its contacts."""
    contacts = scene.contacts
    table = jnp.stack([jnp.log(jnp.abs(s)), jax.lax.stop_gradient((s < 0).astype(s.dtype)), rates], axis=1)
    sums = contacts.images.sums(table)
    p = pair.overlap(sums[:, 0], sums[:, 1], scene.log_scale)
    return p * contacts.share[:, None], sums[:, 2]


def _transfer(
    bra: Float[Array, "operator site pair"],
    ket: Float[Array, "operator site pair"],
    scene: _Scene,
    generator: Generator,
) -> Float[Array, " pair"]:
    """T = P Σ_t w_t Π_{i∈t} α_{t,i}, summed over images (docs/theory.md, eq. 10)."""
    contacts = scene.contacts
    met = _meet(bra, ket, scene)
    dressed = bra * scene.g[:, None, None]
    moved = jnp.einsum("jab,ajq->bjq", generator.one_site, dressed)
    p, rate = _image_overlaps(met.s, contacts.contracted(moved, met.ket) / met.s, scene)
    if generator.couplings:
        moved = jnp.einsum("mab,ajq->bmjq", generator.matrices, dressed)
        alpha = contacts.contracted(moved, met.ket[:, None]) / met.s[None]
        alpha = _kept(alpha.reshape(-1, alpha.shape[-1]))
        for coupling in generator.couplings:
            # An explicit product over the few sites: the derivative of jnp.prod would divide by factors.
            product = jnp.asarray(coupling.weights)[:, None]
            for factors in coupling.factors.T:
                product = product * alpha[factors]
            rate = rate.at[coupling.images].add(product)
    return jnp.sum(p * rate, axis=0)


def _transfer_and_gradient(
    bra: Frame, ket: Frame, bras: Array, kets: Array, scene: _Scene, generator: Generator
) -> tuple[Float[Array, " pair"], Float[Array, "pair site operator"]]:
    """Transfer and its gradient in the bra vectors, for each pair."""
    vectors, images = _leading(bra.vectors, bras), _leading(ket.vectors, kets)
    values, pull_back = jax.vjp(lambda v: _transfer(v, images, scene, generator), vectors)
    (gradient,) = pull_back(jnp.ones_like(values))
    return values, jnp.transpose(gradient, (2, 1, 0))


def _gram_blocks(bra: Frame, ket: Frame, bras: Array, kets: Array, scene: _Scene) -> Float[Array, "pair row column"]:
    """Σ over images of the (q, q) blocks, derivatives in weight and sites, before the weights c_k c_l."""
    contacts, g = scene.contacts, scene.g[:, None, None]
    v = _leading(bra.vectors, bras)
    met = _meet(v, _leading(ket.vectors, kets), scene)
    along_bra = [_leading(t, bras) for t in jnp.moveaxis(bra.tangents, 3, 0)]
    along_ket = [contacts.at_ket(_leading(t, kets)) for t in jnp.moveaxis(ket.tangents, 3, 0)]
    w = _kept(jnp.stack([contacts.contracted(t * g, met.ket) for t in along_bra]) / met.s[None])
    u = _kept(jnp.stack([contacts.contracted(v * g, t) for t in along_ket]) / met.s[None])
    amount, _ = _image_overlaps(met.s, jnp.zeros_like(met.s), scene)
    n_pairs, order = len(bras), len(contacts.share)
    ones = jnp.ones((n_pairs, order, 1))
    rows, columns = (x.reshape(n_pairs, order, -1) for x in (contacts.images.rows(w), contacts.images.columns(u)))
    left = jnp.concatenate([ones, rows], axis=2) * amount.T[:, :, None]
    right = jnp.concatenate([ones, columns], axis=2)
    block = jnp.einsum("qgx,qgy->qxy", left, right)
    meeting = contacts.images.totals(amount)
    if contacts.complete:
        tangents = bra.tangents[bras] * scene.g[None, None, :, None], ket.tangents[kets]
        sites = _kept(_site_blocks(*tangents, w, u, meeting, met.s, contacts))
        return block + jnp.pad(sites, ((0, 0), (1, 0), (1, 0)))
    site = jnp.stack([jnp.stack([contacts.contracted(a * g, b) for b in along_ket]) for a in along_bra])
    site = (site / met.s[None, None] - w[:, None] * u[None]) * meeting[None, None]
    p = jnp.arange(len(along_bra), dtype=jnp.int32)
    at_row = 1 + contacts.bra_sites[:, None, None] * len(p) + p[None, :, None]
    at_column = 1 + contacts.ket_sites[:, None, None] * len(p) + p[None, None, :]
    return block.at[:, at_row, at_column].add(jnp.transpose(site, (3, 2, 0, 1)))


def _site_blocks(
    dressed: Float[Array, "pair site operator parameter"],
    tangents: Float[Array, "pair site operator parameter"],
    w: Float[Array, "parameter contact pair"],
    u: Float[Array, "parameter contact pair"],
    meeting: Float[Array, "contact pair"],
    s: Float[Array, "contact pair"],
    contacts: Contacts,
) -> Float[Array, "pair row column"]:
    """Σ over contacts of P (∂_α v · g · ∂_β v' / s - w_α u_β), from all of them in row-major order.

    Laid out by pair, row and column from the start: the small tables are transposed, not the blocks.
    """
    n_pairs, n_free, _, p = dressed.shape
    n_labels = len(contacts.maps) + 1

    def by_pair(table: Array) -> Array:
        split = table.reshape(-1, n_free, n_free, n_labels, n_pairs)
        return jnp.transpose(split, (3, 4, 1, 2, 0))

    maps = jnp.concatenate([jnp.eye(dressed.shape[2])[None], contacts.maps]) if n_labels > 1 else [None]
    w, u, inner, outer = by_pair(w), by_pair(u), by_pair(meeting / s)[..., 0], by_pair(meeting)[..., 0]
    total = jnp.zeros((n_pairs, n_free, p, n_free, p))
    for label, image in enumerate(maps):
        kets = tangents if image is None else jnp.einsum("ab,qjbp->qjap", image, tangents)
        overlaps = jnp.einsum("qiax,qjay->qixjy", dressed, kets)
        pulled = jnp.transpose(w[label] * outer[label][..., None], (0, 1, 3, 2))
        total += overlaps * inner[label][:, :, None, :, None] - pulled[..., None] * u[label][:, :, None, :, :]
    return total.reshape(n_pairs, n_free * p, n_free * p)


def _scales(frame: Frame) -> Float[Array, "component parameter"]:
    """(K, q): 1 for a weight and c_k for the parameters of component k's sites."""
    sites = jnp.broadcast_to(frame.weights[:, None], (len(frame.weights), frame.n_parameters - 1))
    return jnp.concatenate([jnp.ones((len(frame.weights), 1)), sites], axis=1)


def _assemble_gram(frame: Frame, upper: _Pairs, blocks: Float[Array, "pair row column"]) -> Array:
    scales = _scales(frame)
    n_components, q = scales.shape
    blocks = blocks * scales[upper.bra, :, None] * scales[upper.ket, None, :]
    full = jnp.zeros((n_components, q, n_components, q))
    full = full.at[upper.ket, :, upper.bra, :].set(blocks.transpose(0, 2, 1))
    full = full.at[upper.bra, :, upper.ket, :].set(blocks)
    return full.reshape(scales.size, scales.size)


def _assemble_force(bra: Frame, ket: Frame, pairs: _Pairs, parts: tuple[Array, Array]) -> Float[Array, " parameter"]:
    def summed(part: Array) -> Array:
        weighted = part * ket.weights[pairs.ket].reshape(-1, *(1,) * (part.ndim - 1))
        return jnp.zeros((len(bra.weights), *part.shape[1:])).at[pairs.bra].add(weighted)

    values, gradients = (summed(part) for part in parts)
    along = jnp.einsum("kia,kiap->kip", gradients, bra.tangents).reshape(len(bra.weights), -1)
    return (jnp.concatenate([values[:, None], along], axis=1) * _scales(bra)).reshape(-1)
