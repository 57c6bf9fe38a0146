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

__all__ = ["Frame", "force", "gram_and_force", "gram_matrix", "log_norm", "overlaps", "parameter_count", "transfers"]

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

    def tile(k: Array, l: Array) -> Array:
        v, ket_vectors = _leading(bra, k), _leading(ket, l)
        met = _meet(v, ket_vectors, scene)
        return jnp.sum(_image_overlaps(met.s, jnp.zeros_like(met.s), scene)[0], axis=0)

    pairs = _all_pairs(len(bra), len(ket))
    return _over_tiles(tile, pairs, _table_numbers(contacts, bra.shape[-1]), memory_limit).reshape(len(bra), -1)


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

    def tile(k: Array, l: Array) -> Array:
        return _transfer(_leading(bra, k), _leading(ket, l), scene, generator)

    numbers = _table_numbers(contacts, bra.shape[-1]) + _transfer_numbers(contacts, generator)
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

    def tile(k: Array, l: Array) -> tuple[Array, Array]:
        return _transfer_and_gradient(bra, ket, k, l, scene, generator)

    pairs = _all_pairs(len(bra.weights), len(ket.weights))
    return _assemble_force(bra, ket, pairs, _over_tiles(tile, pairs, _force_numbers(bra, scene, generator), memory_limit))


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

    def tile(k: Array, l: Array) -> Array:
        return _gram_blocks(bra, ket, k, l, scene)

    pairs = _all_pairs(len(bra.weights), len(ket.weights))
    blocks = _over_tiles(tile, pairs, _gram_numbers(bra, contacts), memory_limit)
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

    def upper_tile(k: Array, l: Array) -> tuple[Array, tuple[Array, Array]]:
        return _gram_blocks(frame, frame, k, l, scene), _transfer_and_gradient(frame, frame, k, l, scene, generator)

    def lower_tile(k: Array, l: Array) -> tuple[Array, Array]:
        return _transfer_and_gradient(frame, frame, k, l, scene, generator)

    n_components = len(frame.weights)
    upper, lower = (_Pairs(*(i.astype(np.int32) for i in f(n_components))) for f in (np.triu_indices, _below))
    numbers = _force_numbers(frame, scene, generator)
    blocks, parts = _over_tiles(upper_tile, upper, numbers + _gram_numbers(frame, contacts), memory_limit)
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
    s = pair.site_overlaps(scene.contacts.at_bra(bra * scene.g[:, None, None]), images)
    return _Meeting(images, s)


def _image_overlaps(
    s: Float[Array, "contact pair"], rates: Float[Array, "contact pair"], scene: _Scene
) -> tuple[Float[Array, "image pair"], Float[Array, "image pair"]]:
    """share · P of every image, and the sum of `rates` over its contacts."""
    contacts = scene.contacts
    table = jnp.stack([jnp.log(jnp.abs(s)), jax.lax.stop_gradient((s < 0).astype(s.dtype)), rates], axis=1)
    sums = jnp.einsum("giz,gizcq->gcq", contacts.row_counts, table[contacts.rows])
    p = pair.overlap(sums[:, 0], sums[:, 1], scene.log_scale)
    return p * contacts.share[:, None], sums[:, 2]


def _transfer(
    bra: Float[Array, "operator site pair"], ket: Float[Array, "operator site pair"], scene: _Scene, generator: Generator
) -> Float[Array, " pair"]:
    """T = P Σ_t w_t Π_{i∈t} α_{t,i}, summed over images (docs/theory.md, eq. 10)."""
    contacts = scene.contacts
    met = _meet(bra, ket, scene)
    dressed = bra * scene.g[:, None, None]
    moved = jnp.einsum("jab,ajq->bjq", generator.one_site, dressed)
    p, rate = _image_overlaps(met.s, pair.contracted(contacts.at_bra(moved), met.ket) / met.s, scene)
    if generator.couplings:
        moved = jnp.einsum("mab,ajq->bmjq", generator.matrices, dressed)
        alpha = pair.contracted(contacts.at_bra(moved), met.ket[:, None]) / met.s
        alpha = alpha.reshape(-1, alpha.shape[-1])
        for coupling in generator.couplings:
            # An explicit product over the few sites: the derivative of jnp.prod would divide by factors.
            product = jnp.asarray(coupling.weights)[:, None]
            for factors in coupling.factors.T:
                product = product * alpha[factors]
            rate = rate.at[coupling.images].add(product)
    return jnp.sum(p * rate, axis=0)


def _transfer_and_gradient(
    bra: Frame, ket: Frame, k: Array, l: Array, scene: _Scene, generator: Generator
) -> tuple[Float[Array, " pair"], Float[Array, "pair site operator"]]:
    """Transfer and its gradient in the bra vectors, for each pair."""
    vectors, images = _leading(bra.vectors, k), _leading(ket.vectors, l)
    values, pull_back = jax.vjp(lambda v: _transfer(v, images, scene, generator), vectors)
    (gradient,) = pull_back(jnp.ones_like(values))
    return values, jnp.transpose(gradient, (2, 1, 0))


def _gram_blocks(bra: Frame, ket: Frame, k: Array, l: Array, scene: _Scene) -> Float[Array, "pair row column"]:
    """Σ over images of the (q, q) blocks, derivatives in weight and sites, before the weights c_k c_l."""
    contacts, g = scene.contacts, scene.g[:, None, None]
    v = _leading(bra.vectors, k)
    met = _meet(v, _leading(ket.vectors, l), scene)
    along_bra = [_leading(t, k) for t in jnp.moveaxis(bra.tangents, 3, 0)]
    along_ket = [contacts.at_ket(_leading(t, l)) for t in jnp.moveaxis(ket.tangents, 3, 0)]
    dressed = contacts.at_bra(v * g)
    w = jnp.stack([pair.contracted(contacts.at_bra(t * g), met.ket) for t in along_bra]) / met.s
    u = jnp.stack([pair.contracted(dressed, t) for t in along_ket]) / met.s
    amount, _ = _image_overlaps(met.s, jnp.zeros_like(met.s), scene)
    rows = jnp.einsum("giz,pgizq->qgip", contacts.row_counts, w[:, contacts.rows])
    columns = jnp.einsum("giz,pgizq->qgip", contacts.column_counts, u[:, contacts.columns])
    n_pairs, order = len(k), len(contacts.share)
    ones = jnp.ones((n_pairs, order, 1))
    left = jnp.concatenate([ones, rows.reshape(n_pairs, order, -1)], axis=2) * amount.T[:, :, None]
    right = jnp.concatenate([ones, columns.reshape(n_pairs, order, -1)], axis=2)
    block = jnp.einsum("qgx,qgy->qxy", left, right)
    # How often two sites meet, weighted by the overlap.
    weighted = (contacts.row_counts[..., None] * amount[:, None, None, :]).reshape(-1, n_pairs)
    meeting = jnp.zeros_like(met.s).at[contacts.rows.reshape(-1)].add(weighted)
    site = jnp.stack(
        [
            jnp.stack([pair.contracted(contacts.at_bra(a * g), b) / met.s - x * y for b, y in zip(along_ket, u)])
            for a, x in zip(along_bra, w)
        ]
    )
    site = site * meeting
    p, n_free = len(along_bra), contacts.n_free
    table = jnp.zeros((n_free, n_free, p, p, n_pairs))
    table = table.at[contacts.bra_sites, contacts.ket_sites].add(jnp.moveaxis(site, 2, 0))
    return block.at[:, 1:, 1:].add(table.transpose(4, 0, 2, 1, 3).reshape(n_pairs, n_free * p, n_free * p))


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


def _table_numbers(contacts: Contacts, size: int) -> int:
    return contacts.n_contacts * (size + 5) + 3 * contacts.rows.size


def _transfer_numbers(contacts: Contacts, generator: Generator) -> int:
    products = sum(c.factors.size for c in generator.couplings)
    return contacts.n_contacts * 2 * (len(generator.matrices) + 2) + products


def _force_numbers(frame: Frame, scene: _Scene, generator: Generator) -> int:
    contacts = scene.contacts
    return 3 * (_table_numbers(contacts, frame.vectors.shape[-1]) + _transfer_numbers(contacts, generator))


def _gram_numbers(bra: Frame, contacts: Contacts) -> int:
    p, size = bra.tangents.shape[-1], bra.vectors.shape[-1]
    tables = contacts.n_contacts * (p * size + 2 * p + p * p)
    images = p * (contacts.rows.size + contacts.columns.size) + 2 * len(contacts.share) * bra.n_parameters
    return _table_numbers(contacts, size) + tables + images + 3 * bra.n_parameters**2


def parameter_count(n_components: int, n_free: int, n_parameters: int) -> int:
    """P = K (1 + F p), the rows of the Gram matrix."""
    return n_components * (1 + n_free * n_parameters)
