"""The Gram matrix of mixtures.

The block of a pair of components is a sum over images of outer products, plus what each contact adds to its two sites
(docs/theory.md, eq. 13). Letters of costs are those of `husimix.mixture.kernels`.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from husimix.mixture.contacts import Contacts
from husimix.mixture.kernels import (
    Frame,
    Scene,
    at_contacts,
    component_scales,
    computed_once,
    force,
    image_overlaps,
    pairs_last,
)
from husimix.mixture.sizes import pair_numbers
from husimix.mixture.tiles import Pairs, all_pairs, over_tiles, pairs_up_to_diagonal

__all__ = ["gram_and_force", "gram_matrix"]


def gram_matrix(
    bra: Frame, ket: Frame, scene: Scene, log_scale: Float[Array, ""]
) -> Float[Array, "bra_parameter ket_parameter"]:
    """S_αβ = ⟨∂_α R, ∂_β R'⟩ · exp(-log_scale), in the order of parameters of `force`.

    Cost: 2 Q G q² operations as matrix products over images; 8 Q q² bytes for the result and as much again for
    its assembly.
    """

    def tile(bras: Array, kets: Array) -> Array:
        return _gram_blocks(bra, ket, bras, kets, scene, log_scale)

    pairs = all_pairs(len(bra.weights), len(ket.weights))
    numbers = pair_numbers(scene.contacts.table_sizes(None), *bra.tangents.shape[2:])
    blocks = over_tiles(tile, pairs, numbers, scene.memory_limit)
    left, right = component_scales(bra), component_scales(ket)
    blocks = blocks * left[pairs.bra, :, None] * right[pairs.ket, None, :]
    full = blocks.reshape(len(left), len(right), *blocks.shape[1:])
    return full.transpose(0, 2, 1, 3).reshape(left.size, right.size)


def gram_and_force(
    frame: Frame, scene: Scene, log_scale: Float[Array, ""]
) -> tuple[Float[Array, "parameter parameter"], Float[Array, " parameter"]]:
    """S and F of one mixture; S is computed for pairs k <= l only.

    Each makes its own table of site overlaps. Sharing it would mean to trace and compile the force once for k <= l and
    once for k > l, which took half as long again and ran no faster.
    """

    def tile(bras: Array, kets: Array) -> Array:
        return _gram_blocks(frame, frame, bras, kets, scene, log_scale)

    pairs = pairs_up_to_diagonal(len(frame.weights))
    numbers = pair_numbers(scene.contacts.table_sizes(None), *frame.tangents.shape[2:])
    blocks = over_tiles(tile, pairs, numbers, scene.memory_limit)
    return _assemble_gram(frame, pairs, blocks), force(frame, frame, scene, log_scale)


class _GramFactors(NamedTuple):
    """What the Gram blocks of a tile of pairs are made of, before the weights c_k c_l.

    Attributes:
        left: (Q, G, q), share · P · (1, w summed over the contacts of each free site) of every image.
        right: (Q, G, q), (1, u summed likewise).
        w, u: (p, E, Q), eq. 13 of docs/theory.md at every contact.
        s: (E, Q), the site overlaps.
        amount: (E, Q), share · P summed over the images of which a contact is part.
        along_bra, along_ket: p tables (D, F, Q) and (D, E, Q) of tangents, g in the first.
    """

    left: Float[Array, "pair image parameter"]
    right: Float[Array, "pair image parameter"]
    w: Float[Array, "parameter contact pair"]
    u: Float[Array, "parameter contact pair"]
    s: Float[Array, "contact pair"]
    amount: Float[Array, "contact pair"]
    along_bra: list[Float[Array, "operator site pair"]]
    along_ket: list[Float[Array, "operator contact pair"]]


def _gram_factors(
    bra: Frame, ket: Frame, bras: Array, kets: Array, scene: Scene, log_scale: Float[Array, ""]
) -> _GramFactors:
    contacts, g = scene.contacts, scene.g[:, None, None]
    v = pairs_last(bra.vectors, bras)
    table = at_contacts(v, pairs_last(ket.vectors, kets), scene)
    along_bra = [pairs_last(t, bras) * g for t in jnp.moveaxis(bra.tangents, 3, 0)]
    along_ket = [contacts.at_ket(pairs_last(t, kets)) for t in jnp.moveaxis(ket.tangents, 3, 0)]
    w = computed_once(jnp.stack([contacts.contracted(t, table.ket) for t in along_bra]) / table.s[None])
    u = computed_once(jnp.stack([contacts.contracted(v * g, t) for t in along_ket]) / table.s[None])
    amount, _ = image_overlaps(table.s, scene, log_scale)
    n_pairs, order = len(bras), len(contacts.share)
    ones = jnp.ones((n_pairs, order, 1))
    rows, columns = (x.reshape(n_pairs, order, -1) for x in (contacts.images.rows(w), contacts.images.columns(u)))
    left = jnp.concatenate([ones, rows], axis=2) * amount.T[:, :, None]
    right = jnp.concatenate([ones, columns], axis=2)
    return _GramFactors(left, right, w, u, table.s, contacts.images.totals(amount), along_bra, along_ket)


def _contact_blocks(factors: _GramFactors, contacts: Contacts) -> Float[Array, "parameter other contact pair"]:
    """P (∂_α v · g · ∂_β v' / s - w_α u_β) at every contact, summed over the images of which it is part."""
    site = [[contacts.contracted(a, b) for b in factors.along_ket] for a in factors.along_bra]
    quotients = jnp.stack([jnp.stack(row) for row in site]) / factors.s[None, None]
    return (quotients - factors.w[:, None] * factors.u[None]) * factors.amount[None, None]


def _gram_blocks(
    bra: Frame, ket: Frame, bras: Array, kets: Array, scene: Scene, log_scale: Float[Array, ""]
) -> Float[Array, "pair row column"]:
    """Σ over images of the (q, q) blocks, derivatives in weight and sites, before the weights c_k c_l."""
    contacts = scene.contacts
    factors = _gram_factors(bra, ket, bras, kets, scene, log_scale)
    block = jnp.einsum("qgx,qgy->qxy", factors.left, factors.right)
    if contacts.complete:
        tangents = bra.tangents[bras] * scene.g[None, None, :, None], ket.tangents[kets]
        sites = computed_once(_site_blocks(*tangents, factors, contacts))
        return block + jnp.pad(sites, ((0, 0), (1, 0), (1, 0)))
    p = jnp.arange(bra.tangents.shape[3], dtype=jnp.int32)
    at_row = 1 + contacts.bra_sites[:, None, None] * len(p) + p[None, :, None]
    at_column = 1 + contacts.ket_sites[:, None, None] * len(p) + p[None, None, :]
    return block.at[:, at_row, at_column].add(jnp.transpose(_contact_blocks(factors, contacts), (3, 2, 0, 1)))


def _site_blocks(
    dressed: Float[Array, "pair site operator parameter"],
    tangents: Float[Array, "pair site operator parameter"],
    factors: _GramFactors,
    contacts: Contacts,
) -> Float[Array, "pair row column"]:
    """The sum of `_contact_blocks` over contacts, from all of them in row-major order.

    Laid out by pair, row and column from the start: the small tables are transposed, not the blocks.
    """
    n_pairs, n_free, _, p = dressed.shape
    n_labels = len(contacts.maps) + 1

    def by_pair(table: Array) -> Array:
        split = table.reshape(-1, n_free, n_free, n_labels, n_pairs)
        return jnp.transpose(split, (3, 4, 1, 2, 0))

    maps = jnp.concatenate([jnp.eye(dressed.shape[2])[None], contacts.maps]) if n_labels > 1 else [None]
    w, u = by_pair(factors.w), by_pair(factors.u)
    inner, outer = by_pair(factors.amount / factors.s)[..., 0], by_pair(factors.amount)[..., 0]
    total = jnp.zeros((n_pairs, n_free, p, n_free, p))
    for label, image in enumerate(maps):
        kets = tangents if image is None else jnp.einsum("ab,qjbp->qjap", image, tangents)
        overlaps = jnp.einsum("qiax,qjay->qixjy", dressed, kets)
        pulled = jnp.transpose(w[label] * outer[label][..., None], (0, 1, 3, 2))
        total += overlaps * inner[label][:, :, None, :, None] - pulled[..., None] * u[label][:, :, None, :, :]
    return total.reshape(n_pairs, n_free * p, n_free * p)


def _assemble_gram(frame: Frame, upper: Pairs, blocks: Float[Array, "pair row column"]) -> Array:
    scales = component_scales(frame)
    n_components, q = scales.shape
    blocks = blocks * scales[upper.bra, :, None] * scales[upper.ket, None, :]
    full = jnp.zeros((n_components, q, n_components, q))
    full = full.at[upper.ket, :, upper.bra, :].set(blocks.transpose(0, 2, 1))
    full = full.at[upper.bra, :, upper.ket, :].set(blocks)
    return full.reshape(scales.size, scales.size)
