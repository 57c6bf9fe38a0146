"""The kernels of a mixture: pair physics mapped over pairs of components, images and contacts.

Kets are averaged over the images of a symmetry group; bras are not, because the generator commutes with the group
(docs/theory.md, eq. 13). The Gram matrix has a file of its own, `husimix.phasespace.gram`.

In the costs, Q is the number of pairs, E of contacts, G of images, F of free sites, n of sites, q of parameters
of a component, 1 + F p. Without symmetry G = 1 and E = n; with the translations of a lattice E = G n = n².
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from husimix.phasespace import pair
from husimix.phasespace.contacts import ContactCoupling, Contacts, Generator
from husimix.phasespace.sizes import table_numbers, transfer_numbers
from husimix.phasespace.tiles import Pairs, all_pairs, over_tiles

__all__ = [
    "DEFAULT_MEMORY_LIMIT",
    "Frame",
    "Scene",
    "component_scales",
    "force",
    "image_overlaps",
    "kept",
    "leading",
    "log_norm",
    "meet",
    "overlaps",
    "transfers",
    "with_couplings",
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

    @property
    def trace_slope(self) -> Float[Array, " parameter"]:
        """e, the derivative of the trace Σ c_k: 1 along weights, 0 along sites."""
        return jnp.zeros((len(self.weights), self.n_parameters)).at[:, 0].set(1.0).reshape(-1)


class Scene(NamedTuple):
    """What all pairs of one kernel have in common."""

    contacts: Contacts
    g: Float[Array, " operator"]
    log_scale: Float[Array, ""]


class Meeting(NamedTuple):
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
    scene = Scene(contacts, g, log_scale)

    def tile(bras: Array, kets: Array) -> Array:
        v, ket_vectors = leading(bra, bras), leading(ket, kets)
        met = meet(v, ket_vectors, scene)
        return jnp.sum(image_overlaps(met.s, scene)[0], axis=0)

    pairs = all_pairs(len(bra), len(ket))
    return over_tiles(tile, pairs, table_numbers(contacts.table_sizes(None), bra.shape[-1]), memory_limit).reshape(
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
    scene = Scene(contacts, g, log_scale)

    def tile(bras: Array, kets: Array) -> Array:
        return _transfer(leading(bra, bras), leading(ket, kets), scene, generator)

    numbers = transfer_numbers(contacts.table_sizes(generator), bra.shape[-1])
    return over_tiles(tile, all_pairs(len(bra), len(ket)), numbers, memory_limit).reshape(len(bra), -1)


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
    scene = Scene(contacts, g, log_scale)

    def tile(bras: Array, kets: Array) -> tuple[Array, Array]:
        return _transfer_and_gradient(bra, ket, bras, kets, scene, generator)

    pairs = all_pairs(len(bra.weights), len(ket.weights))
    numbers = 3 * transfer_numbers(contacts.table_sizes(generator), bra.vectors.shape[-1])
    return _assemble_force(bra, ket, pairs, over_tiles(tile, pairs, numbers, memory_limit))


def leading(vectors: Float[Array, "component site operator"], chosen: Array) -> Float[Array, "operator site pair"]:
    """The vectors of the chosen components, pairs last: what is done for all pairs is then contiguous."""
    return jnp.transpose(vectors[chosen], (2, 1, 0))


def meet(bra: Float[Array, "operator site pair"], ket: Float[Array, "operator site pair"], scene: Scene) -> Meeting:
    """A tile of pairs at their contacts. Cost: Q E (D + 1)."""
    images = scene.contacts.at_ket(ket)
    s = pair.away_from_zero(scene.contacts.contracted(bra * scene.g[:, None, None], images))
    return Meeting(images, kept(s))


def kept(table: Array) -> Array:
    """A table computed once: the compiler would otherwise compute it again wherever it is gathered from."""
    return jax.lax.optimization_barrier(table)


def image_overlaps(
    s: Float[Array, "contact pair"], scene: Scene, *rates: Float[Array, "contact pair"]
) -> tuple[Float[Array, "image pair"], Float[Array, "image rate pair"]]:
    """share · P of every image, and the sums of each of `rates` over its contacts. Cost: (2 + rates) Q G n."""
    contacts = scene.contacts
    table = jnp.stack([jnp.log(jnp.abs(s)), jax.lax.stop_gradient((s < 0).astype(s.dtype)), *rates], axis=1)
    sums = contacts.images.sums(table)
    p = pair.overlap(sums[:, 0], sums[:, 1], scene.log_scale)
    return p * contacts.share[:, None], sums[:, 2:]


def with_couplings(
    rate: Float[Array, "image pair"], alpha: Float[Array, "factor pair"], couplings: tuple[ContactCoupling, ...]
) -> Float[Array, "image pair"]:
    """`rate` and the products of two and more sites, Σ_t w_t Π_{i∈t} α_{t,i}; α numbered letter · E + contact."""
    for coupling in couplings:
        # An explicit product over the few sites: the derivative of jnp.prod would divide by factors.
        product = coupling.weights[:, None]
        for factors in coupling.factors.T:
            product = product * alpha[factors]
        rate = rate.at[coupling.images].add(product)
    return rate


def _transfer(
    bra: Float[Array, "operator site pair"],
    ket: Float[Array, "operator site pair"],
    scene: Scene,
    generator: Generator,
) -> Float[Array, " pair"]:
    """T = P Σ_t w_t Π_{i∈t} α_{t,i}, summed over images (docs/theory.md, eq. 10)."""
    contacts = scene.contacts
    met = meet(bra, ket, scene)
    dressed = bra * scene.g[:, None, None]
    moved = jnp.einsum("jab,ajq->bjq", generator.one_site, dressed)
    p, rates = image_overlaps(met.s, scene, contacts.contracted(moved, met.ket) / met.s)
    rate = rates[:, 0]
    if generator.couplings:
        moved = jnp.einsum("mab,ajq->bmjq", generator.matrices, dressed)
        alpha = contacts.contracted(moved, met.ket[:, None]) / met.s[None]
        rate = with_couplings(rate, kept(alpha.reshape(-1, alpha.shape[-1])), generator.couplings)
    return jnp.sum(p * rate, axis=0)


def _transfer_and_gradient(
    bra: Frame, ket: Frame, bras: Array, kets: Array, scene: Scene, generator: Generator
) -> tuple[Float[Array, " pair"], Float[Array, "pair site operator"]]:
    """Transfer and its gradient in the bra vectors, for each pair."""
    vectors, images = leading(bra.vectors, bras), leading(ket.vectors, kets)
    values, pull_back = jax.vjp(lambda v: _transfer(v, images, scene, generator), vectors)
    (gradient,) = pull_back(jnp.ones_like(values))
    return values, jnp.transpose(gradient, (2, 1, 0))


def component_scales(frame: Frame) -> Float[Array, "component parameter"]:
    """(K, q): 1 for a weight and c_k for the parameters of component k's sites."""
    sites = jnp.broadcast_to(frame.weights[:, None], (len(frame.weights), frame.n_parameters - 1))
    return jnp.concatenate([jnp.ones((len(frame.weights), 1)), sites], axis=1)


def _assemble_force(bra: Frame, ket: Frame, pairs: Pairs, parts: tuple[Array, Array]) -> Float[Array, " parameter"]:
    """F from the results of `_transfer_and_gradient` for all pairs."""

    def summed(part: Array) -> Array:
        weighted = part * ket.weights[pairs.ket].reshape(-1, *(1,) * (part.ndim - 1))
        return jnp.zeros((len(bra.weights), *part.shape[1:])).at[pairs.bra].add(weighted)

    values, gradients = (summed(part) for part in parts)
    along = jnp.einsum("kia,kiap->kip", gradients, bra.tangents).reshape(len(bra.weights), -1)
    return (jnp.concatenate([values[:, None], along], axis=1) * component_scales(bra)).reshape(-1)
