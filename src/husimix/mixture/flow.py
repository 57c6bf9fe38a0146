"""Overlaps of moved components, ⟨𝓛v, 𝓛v'⟩: what the projection error is made of (docs/theory.md, eq. 34).

Letters of costs are those of `husimix.mixture.kernels`.
"""

import functools
import operator
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from husimix.mixture.kernels import (
    Scene,
    at_contacts,
    computed_once,
    image_overlaps,
    pairs_last,
    with_couplings,
)
from husimix.mixture.overlapping_terms import ContactSiteSets
from husimix.mixture.sizes import table_numbers
from husimix.mixture.tiles import Pairs, all_pairs, over_tiles, pairs_up_to_diagonal

__all__ = ["flow_overlaps", "squared_flow"]

# Up to how many terms a sum is written out for the compiler.
_WRITTEN_OUT = 9


def flow_overlaps(
    bra: Float[Array, "bra site operator"],
    ket: Float[Array, "ket site operator"],
    scene: Scene,
    log_scale: Float[Array, ""],
) -> Float[Array, "bra ket"]:
    """Mean over images of ⟨𝓛v_k, g·𝓛v'_l⟩ · exp(-log_scale).

    Cost: Q times E D (m + 2)², the products twice, and a few operations for each entry of the tables of site sets.
    """
    return _of_pairs(all_pairs(len(bra), len(ket)), bra, ket, scene, log_scale).reshape(len(bra), -1)


def squared_flow(
    weights: Float[Array, " component"],
    vectors: Float[Array, "component site operator"],
    scene: Scene,
    log_scale: Float[Array, ""],
) -> Float[Array, ""]:
    """‖𝓛R‖² · exp(-log_scale) of one mixture, from the pairs k <= l. Cost: half of `flow_overlaps`."""
    pairs = pairs_up_to_diagonal(len(weights))
    values = _of_pairs(pairs, vectors, vectors, scene, log_scale)
    times = jnp.where(pairs.bra == pairs.ket, 1.0, 2.0)
    return jnp.sum(values * times * weights[pairs.bra] * weights[pairs.ket])


def _of_pairs(
    pairs: Pairs,
    bra: Float[Array, "bra site operator"],
    ket: Float[Array, "ket site operator"],
    scene: Scene,
    log_scale: Float[Array, ""],
) -> Float[Array, " pair"]:
    def tile(bras: Array, kets: Array) -> Array:
        return _flow_overlap(pairs_last(bra, bras), pairs_last(ket, kets), scene, log_scale)

    return over_tiles(tile, pairs, _numbers(scene, bra.shape[-1]), scene.memory_limit)


def _flow_overlap(
    bra: Float[Array, "operator site pair"],
    ket: Float[Array, "operator site pair"],
    scene: Scene,
    log_scale: Float[Array, ""],
) -> Float[Array, " pair"]:
    """P (Σ_s α_s Σ_t β_t + Σ_U h h' ΠC), summed over images."""
    contacts, generator = scene.contacts, scene.generator
    table = at_contacts(bra, ket, scene)
    g = scene.g[:, None, None, None]
    letters, own = generator.matrices, generator.one_site
    to_the_left = jnp.swapaxes(letters, 1, 2), jnp.swapaxes(own, 1, 2)
    # g A v for maps that act on the bra, Aᵀ g v for those that act on the ket, and both in turn.
    on_bra = g * _mapped(letters, own, bra)
    on_ket = _mapped(*to_the_left, g[..., 0] * bra)
    on_both = jnp.stack([_mapped(*to_the_left, on_bra[:, a]) for a in range(len(letters) + 1)], axis=1)
    alpha, beta = (contacts.contracted(x, table.ket[:, None]) / table.s[None] for x in (on_bra, on_ket))
    joint = contacts.contracted(on_both, table.ket[:, None, None]) / table.s[None, None]
    connected = joint - alpha[:, None] * beta[None]
    p, rates = image_overlaps(table.s, scene, log_scale, alpha[-1], beta[-1])
    alpha, beta, connected = (computed_once(x.reshape(-1, x.shape[-1])) for x in (alpha, beta, connected))
    left = with_couplings(rates[:, 0], alpha, generator.couplings)
    right = with_couplings(rates[:, 1], beta, generator.couplings)
    total = left * right
    for sets in scene.site_sets:
        values = _taken(_environments(sets, alpha, beta, connected), sets.environments)
        total = total.at[sets.images].add(sets.counts[:, None] * values, indices_are_sorted=True)
    return jnp.sum(p * total, axis=0)


def _mapped(
    letters: Float[Array, "letter operator operator"],
    own: Float[Array, "site operator operator"],
    vectors: Float[Array, "operator site pair"],
) -> Float[Array, "operator word site pair"]:
    """Every letter applied to the vectors of every site, a site's own map last."""
    common = jnp.einsum("mab,bjq->amjq", letters, vectors)
    return jnp.concatenate([common, jnp.einsum("jab,bjq->ajq", own, vectors)[:, None]], axis=1)


def _environments(
    table: ContactSiteSets,
    alpha: Float[Array, "factor pair"],
    beta: Float[Array, "factor pair"],
    connected: Float[Array, "entry pair"],
) -> Float[Array, "environment pair"]:
    """Σ over pairs of words h h' ΠC of each environment."""
    n_words = table.words.shape[1]
    sides = [_fields(table, x) for x in (alpha, beta)] if table.fields else []

    def pair_of_words(factors: Array, amounts: Array, *words: Array) -> Array:
        term = _products(connected, factors, amounts)
        for side, chosen in zip(sides, words, strict=False):
            term = term * _taken(side, chosen)
        return term

    pairs = [(a, b) for a in range(n_words) for b in range(n_words)]
    first, second = np.array(pairs).T
    columns = table.factors.reshape(len(table.words), -1, table.factors.shape[-1])
    amounts = table.amounts.reshape(len(table.words), -1)
    terms = columns.swapaxes(0, 1), amounts.T, table.words.T[first], table.words.T[second]
    return computed_once(_summed(pair_of_words, terms))


def _fields(table: ContactSiteSets, factors: Float[Array, "factor pair"]) -> Float[Array, "word pair"]:
    """The sums h of what the terms that contain a word do on other sites."""
    fields = table.constants[:, None]
    for field in table.fields:
        terms = field.factors.swapaxes(0, 1), field.weights.T
        fields = fields + _summed(lambda *chosen: _products(factors, *chosen), terms)
    return computed_once(fields)


def _summed(term: Callable[..., Array], tables: tuple[Array, ...]) -> Array:
    """Σ_n term(tables[0][n], tables[1][n], ...), written out if there are few: one fused loop, twice as fast."""
    count = len(tables[0])
    if count <= _WRITTEN_OUT:
        return functools.reduce(operator.add, (term(*chosen) for chosen in zip(*map(jnp.unstack, tables), strict=True)))
    first = term(*(t[0] for t in tables))
    return jax.lax.scan(lambda total, chosen: (total + term(*chosen), None), first, tuple(t[1:] for t in tables))[0]


def _products(
    table: Float[Array, "entry pair"], factors: Int[Array, "*rows n"], amounts: Float[Array, "*rows"]
) -> Float[Array, "*rows pair"]:
    """amounts · Π_n table[factors[n]]."""
    product = amounts[..., None]
    for chosen in jnp.unstack(factors, axis=-1):
        product = product * _taken(table, chosen)
    return product


def _taken(table: Float[Array, "entry pair"], chosen: Int[Array, "*rows"]) -> Float[Array, "*rows pair"]:
    """table[chosen] without the checks of bounds, which take a third of the time."""
    return table.at[chosen].get(mode="promise_in_bounds", wrap_negative_indices=False)


def _numbers(scene: Scene, size: int) -> int:
    """How many floats one pair of components costs, for D = size."""
    sizes = scene.contacts.table_sizes(scene.generator)
    maps = (sizes.letters + 1) * (sizes.letters + 3)
    rows = sum(s.amounts.size + 2 * s.words.size + 2 * len(s.constants) + len(s.images) for s in scene.site_sets)
    fields = sum(f.weights.size for s in scene.site_sets for f in s.fields)
    moved = sizes.contacts * 2 * maps + sizes.free_sites * size * maps
    return table_numbers(sizes, size) + moved + rows + fields + 2 * sizes.products
