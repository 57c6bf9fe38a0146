"""The kernels of a mixture: `husimix.mixture.pair`, mapped over pairs of components, images and contacts.

Kets are averaged over the images of a symmetry group; bras are not, because the generator commutes with the group
(docs/theory.md, eq. 15). The Gram matrix has a file of its own, `husimix.mixture.gram`.

In the costs, Q is the number of pairs, E of contacts, G of images, F of free sites, n of sites, q of parameters
of a component, 1 + F p. Without symmetry G = 1 and E = n; with the translations of a lattice E = G n = n².
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from husimix.mixture.contacts import ContactCoupling, Contacts, Generator
from husimix.mixture.overlapping_terms import ContactSiteSets
from husimix.mixture.sizes import table_numbers, transfer_numbers
from husimix.mixture.tiles import Pairs, all_pairs, over_tiles

__all__ = [
    "ContactTable",
    "Frame",
    "Scene",
    "at_contacts",
    "away_from_zero",
    "component_scales",
    "computed_once",
    "force",
    "from_logarithms",
    "image_overlaps",
    "overlaps",
    "pairs_last",
    "transfers",
    "with_couplings",
]

# Site overlaps are divided out again below. In the Hilbert-Schmidt metric two antipodal spins have s = 0; moving
# s by at most this much keeps the quotients finite and the products right to the same accuracy.
_SMALLEST_SITE_OVERLAP = 1e-8


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
    def parameters_of_component(self) -> int:
        """q = 1 + F p: its weight, then its free sites."""
        _, n_free, _, p = self.tangents.shape
        return 1 + n_free * p

    @property
    def trace_slope(self) -> Float[Array, " parameter"]:
        """e, the derivative of the trace Σ c_k: 1 along weights, 0 along sites."""
        return jnp.zeros((len(self.weights), self.parameters_of_component)).at[:, 0].set(1.0).reshape(-1)


class Scene(eqx.Module):
    """What all pairs of components of a run have in common.

    Attributes:
        contacts: how the free sites of two components meet under the symmetry group.
        generator: 𝓛 in terms of the contacts.
        site_sets: where terms of 𝓛 overlap, for the certificate.
        g: (D,) metric weights of a site.
        memory_limit: bytes that one tile of pairs may take.
    """

    contacts: Contacts
    generator: Generator
    site_sets: tuple[ContactSiteSets, ...]
    g: Float[Array, " operator"]
    memory_limit: int = eqx.field(static=True)

    def log_scale(self, vectors: Float[Array, "component site operator"]) -> Float[Array, ""]:
        """max_k log⟨v_k, v_k⟩: the unit that makes every overlap of these components at most 1 in modulus."""
        norms = jnp.einsum("kia,a,kia->ki", vectors, self.g, vectors)
        return jnp.max(jnp.log(norms) @ self.contacts.sizes)


class ContactTable(NamedTuple):
    """A tile of pairs at their contacts.

    Attributes:
        ket: (D, E, Q), mapped.
        s: (E, Q), the site overlaps.
    """

    ket: Float[Array, "operator contact pair"]
    s: Float[Array, "contact pair"]


def overlaps(
    bra: Float[Array, "bra site operator"],
    ket: Float[Array, "ket site operator"],
    scene: Scene,
    log_scale: Float[Array, ""],
) -> Float[Array, "bra ket"]:
    """P_kl = mean over images of ⟨v_k, g·v'_l⟩ · exp(-log_scale). Cost: Q (E D + G n)."""

    def tile(bras: Array, kets: Array) -> Array:
        table = at_contacts(pairs_last(bra, bras), pairs_last(ket, kets), scene)
        return jnp.sum(image_overlaps(table.s, scene, log_scale)[0], axis=0)

    numbers = table_numbers(scene.contacts.table_sizes(None), bra.shape[-1])
    return over_tiles(tile, all_pairs(len(bra), len(ket)), numbers, scene.memory_limit).reshape(len(bra), -1)


def transfers(
    bra: Float[Array, "bra site operator"],
    ket: Float[Array, "ket site operator"],
    scene: Scene,
    log_scale: Float[Array, ""],
) -> Float[Array, "bra ket"]:
    """T_kl = mean over images of ⟨v_k, 𝓛 g·v'_l⟩ · exp(-log_scale). Cost: Q (E D (m + 2) + G n + products)."""

    def tile(bras: Array, kets: Array) -> Array:
        return _transfer(pairs_last(bra, bras), pairs_last(ket, kets), scene, log_scale)

    numbers = transfer_numbers(scene.contacts.table_sizes(scene.generator), bra.shape[-1])
    return over_tiles(tile, all_pairs(len(bra), len(ket)), numbers, scene.memory_limit).reshape(len(bra), -1)


def force(bra: Frame, ket: Frame, scene: Scene, log_scale: Float[Array, ""]) -> Float[Array, " parameter"]:
    """F_α = ⟨∂_α R, 𝓛R'⟩ · exp(-log_scale), component by component: weight first, then free sites × parameters.

    The derivative in the bra vectors is taken in reverse mode, exact, at about three times the cost of
    `transfers`.
    """

    def tile(bras: Array, kets: Array) -> tuple[Array, Array]:
        return _transfer_and_gradient(bra, ket, bras, kets, scene, log_scale)

    pairs = all_pairs(len(bra.weights), len(ket.weights))
    numbers = 3 * transfer_numbers(scene.contacts.table_sizes(scene.generator), bra.vectors.shape[-1])
    return _assemble_force(bra, ket, pairs, over_tiles(tile, pairs, numbers, scene.memory_limit))


def pairs_last(vectors: Float[Array, "component site operator"], chosen: Array) -> Float[Array, "operator site pair"]:
    """The vectors of the chosen components, pairs last: what is done for all pairs is then contiguous."""
    return jnp.transpose(vectors[chosen], (2, 1, 0))


def at_contacts(
    bra: Float[Array, "operator site pair"], ket: Float[Array, "operator site pair"], scene: Scene
) -> ContactTable:
    """A tile of pairs at their contacts. Cost: Q E (D + 1)."""
    images = scene.contacts.at_ket(ket)
    s = away_from_zero(scene.contacts.contracted(bra * scene.g[:, None, None], images))
    return ContactTable(images, computed_once(s))


def away_from_zero(s: Float[Array, "*contacts"]) -> Float[Array, "*contacts"]:
    """Site overlaps s = v · g · v' (docs/theory.md, eq. 11), kept away from exact zero."""
    floor = jnp.where(s < 0, -_SMALLEST_SITE_OVERLAP, _SMALLEST_SITE_OVERLAP)
    return jnp.where(jnp.abs(s) < _SMALLEST_SITE_OVERLAP, floor, s)


def from_logarithms(
    log_sum: Float[Array, "*pairs"], n_negative: Float[Array, "*pairs"], log_scale: Float[Array, ""]
) -> Float[Array, "*pairs"]:
    """P = Π s · exp(-log_scale), from Σ log|s| and the number of negative factors: thousands of sites neither overflow
    nor underflow."""
    return (1.0 - 2.0 * jnp.mod(n_negative, 2.0)) * jnp.exp(log_sum - log_scale)


def computed_once(table: Array) -> Array:
    """A table computed once: the compiler would otherwise compute it again wherever it is gathered from."""
    return jax.lax.optimization_barrier(table)


def image_overlaps(
    s: Float[Array, "contact pair"], scene: Scene, log_scale: Float[Array, ""], *rates: Float[Array, "contact pair"]
) -> tuple[Float[Array, "image pair"], Float[Array, "image rate pair"]]:
    """share · P of every image, and the sums of each of `rates` over its contacts. Cost: (2 + rates) Q G n."""
    contacts = scene.contacts
    table = jnp.stack([jnp.log(jnp.abs(s)), jax.lax.stop_gradient((s < 0).astype(s.dtype)), *rates], axis=1)
    sums = contacts.images.sums(table)
    p = from_logarithms(sums[:, 0], sums[:, 1], log_scale)
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
    log_scale: Float[Array, ""],
) -> Float[Array, " pair"]:
    """T = P Σ_t w_t Π_{i∈t} α_{t,i}, summed over images (docs/theory.md, eq. 12)."""
    contacts, generator = scene.contacts, scene.generator
    table = at_contacts(bra, ket, scene)
    dressed = bra * scene.g[:, None, None]
    moved = jnp.einsum("jab,ajq->bjq", generator.one_site, dressed)
    p, rates = image_overlaps(table.s, scene, log_scale, contacts.contracted(moved, table.ket) / table.s)
    rate = rates[:, 0]
    if generator.couplings:
        moved = jnp.einsum("mab,ajq->bmjq", generator.matrices, dressed)
        alpha = contacts.contracted(moved, table.ket[:, None]) / table.s[None]
        rate = with_couplings(rate, computed_once(alpha.reshape(-1, alpha.shape[-1])), generator.couplings)
    return jnp.sum(p * rate, axis=0)


def _transfer_and_gradient(
    bra: Frame, ket: Frame, bras: Array, kets: Array, scene: Scene, log_scale: Float[Array, ""]
) -> tuple[Float[Array, " pair"], Float[Array, "pair site operator"]]:
    """Transfer and its gradient in the bra vectors, for each pair."""
    vectors, images = pairs_last(bra.vectors, bras), pairs_last(ket.vectors, kets)
    values, pull_back = jax.vjp(lambda v: _transfer(v, images, scene, log_scale), vectors)
    (gradient,) = pull_back(jnp.ones_like(values))
    return values, jnp.transpose(gradient, (2, 1, 0))


def component_scales(frame: Frame) -> Float[Array, "component parameter"]:
    """(K, q): 1 for a weight and c_k for the parameters of component k's sites."""
    sites = jnp.broadcast_to(frame.weights[:, None], (len(frame.weights), frame.parameters_of_component - 1))
    return jnp.concatenate([jnp.ones((len(frame.weights), 1)), sites], axis=1)


def _assemble_force(bra: Frame, ket: Frame, pairs: Pairs, parts: tuple[Array, Array]) -> Float[Array, " parameter"]:
    """F from the results of `_transfer_and_gradient` for all pairs."""

    def summed(part: Array) -> Array:
        weighted = part * ket.weights[pairs.ket].reshape(-1, *(1,) * (part.ndim - 1))
        return jnp.zeros((len(bra.weights), *part.shape[1:])).at[pairs.bra].add(weighted)

    values, gradients = (summed(part) for part in parts)
    along = jnp.einsum("kia,kiap->kip", gradients, bra.tangents).reshape(len(bra.weights), -1)
    return (jnp.concatenate([values[:, None], along], axis=1) * component_scales(bra)).reshape(-1)
