"""Where two terms of 𝓛 act on the same sites: the tables behind ⟨𝓛v, 𝓛v'⟩.

Two terms s and t that share no site contribute α_s β_t to the overlap of two moved components. On a shared site i the
product α β is replaced by the joint factor J = αβ + C, and expanding the product of the J over the shared sites gives
one term for each set U of them (docs/theory.md, eq. 34). So ⟨𝓛v, 𝓛v'⟩ needs, for each set U of sites, what all terms
that contain it amount to on the other sites, their *fields*, and the C on the sites of U. There are as many sets as
sites and bonds.

The tables are built once for a run, in NumPy.
"""

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float, Int

from husimix.mixture.contacts import numbered
from husimix.mixture.layout import Layout
from husimix.physics.products import SumOfProducts

__all__ = ["ContactSiteSets", "Field", "SiteSets", "contact_site_sets", "site_sets_of"]


class Remainder(NamedTuple):
    """Products over the sites outside a set, all with the same number p of factors.

    Attributes:
        words: (M,) int, the word that each product completes.
        sites: (M, p) int.
        letters: (M, p) int.
        weights: (M,) float.
    """

    words: np.ndarray
    sites: np.ndarray
    letters: np.ndarray
    weights: np.ndarray


class SiteSets(NamedTuple):
    """All sets of u sites that lie within a term of 𝓛.

    A *word* is a set with a one-site map, or letter, on each of its sites. Letters below m are
    `SumOfProducts.matrices`, letter m is a site's own map.

    Attributes:
        sites: (C, u) int.
        owners: (W,) int, ascending, the set of each word.
        letters: (W, u) int.
        remainders: what the terms that contain a word do elsewhere, by number of factors.
    """

    sites: np.ndarray
    owners: np.ndarray
    letters: np.ndarray
    remainders: tuple[Remainder, ...]


class Field(eqx.Module):
    """Products of p >= 1 factors α that add to the fields of words, as many for each word; weights of 0 fill up.

    Attributes:
        factors: (W, Z, p) int, letter · E + contact.
        weights: (W, Z) float.
    """

    factors: Int[Array, "word product p"]
    weights: Float[Array, "word product"]


class ContactSiteSets(eqx.Module):
    """The sets of u sites of all images, for the device.

    Sets with the same contacts and the same words in any images are one *environment*. It amounts to

        Σ_ab amounts[a, b] · h[words[a]] · h'[words[b]] · Π_n C[factors[a, b, n]]

    with the fields h of the bra and h' of the ket. Where no term is larger than the set, fields are numbers: they
    are part of `amounts`, and there are no `fields`. Amounts of 0 fill up.

    Attributes:
        factors: (V, B, B, u) int, (letter · (m + 1) + letter') · E + contact, for pairs of the B words.
        amounts: (V, B, B) float.
        words: (V, B) int.
        constants: (W,) float, the part of each word's field that is a number.
        environments: (R,) int, what makes up an image.
        images: (R,) int, ascending, which one.
        counts: (R,) float, how often.
        fields: the part of each word's field that is no number.
    """

    factors: Int[Array, "environment word word u"]
    amounts: Float[Array, "environment word word"]
    words: Int[Array, "environment word"]
    constants: Float[Array, " kind"]
    environments: Int[Array, " row"]
    images: Int[Array, " row"]
    counts: Float[Array, " row"]
    fields: tuple[Field, ...]


class _Products(NamedTuple):
    """As `Field`, one after the other: the words that M products belong to, their factors and weights."""

    words: np.ndarray
    factors: np.ndarray
    weights: np.ndarray


def site_sets_of(generator: SumOfProducts) -> tuple[SiteSets, ...]:
    """The sets of one site, of two sites, and so on. Cost: 2^q for each product of q sites, once."""
    largest = max((c.sites.shape[1] for c in generator.couplings), default=1)
    return tuple(_sets_of_size(generator, size) for size in range(1, largest + 1))


def contact_site_sets(sets: tuple[SiteSets, ...], n_letters: int, layout: Layout) -> tuple[ContactSiteSets, ...]:
    """Sets of sites in terms of a layout's contacts.

    Args:
        sets: on the layout's sites, of one size each.
        n_letters: m + 1.
        layout: the layout.

    Returns:
        The tables of each size; up to G Σ_U (words of U)² numbers, less where images share environments.
    """
    codes, numbers, _ = numbered(layout)
    return tuple(_placed(c, codes, len(numbers), n_letters, layout.is_plain) for c in sets)


def _placed(sets: SiteSets, codes: np.ndarray, n_contacts: int, n_letters: int, is_plain: bool) -> ContactSiteSets:
    order, (n_sets, size) = len(codes), sets.sites.shape
    words, letters, used = _side_by_side(
        sets.owners, n_sets, np.arange(len(sets.owners)), sets.letters, np.ones(len(sets.owners))
    )
    constants, products = _sums(sets, codes, n_contacts)
    contacts = codes[:, sets.sites].reshape(-1, size)
    owners = np.tile(np.arange(n_sets), order)
    kinds = (np.arange(order)[:, None, None] * len(sets.owners) + words).reshape(len(owners), -1)
    images, counts = np.repeat(np.arange(order), n_sets), np.ones(order * n_sets)
    environments = np.arange(len(owners))
    if not is_plain:
        number, kept = _distinct_words(constants, products)
        kinds, constants, products = number[kinds], constants[kept], [_of_words(f, kept) for f in products]
        marked = ((kinds + 1) * used[owners].astype(int), letters[owners].reshape(len(owners), -1))
        chosen, environments = _distinct_rows(np.column_stack([contacts, *marked]))
        contacts, owners, kinds = contacts[chosen], owners[chosen], kinds[chosen]
        rows, index = _distinct_rows(np.column_stack([images, environments]))
        images, environments, counts = images[rows], environments[rows], np.bincount(index, counts)
    pairs = letters[:, :, None] * n_letters + letters[:, None]
    factors = pairs[owners] * n_contacts + contacts[:, None, None]
    amounts = (used[:, :, None] * used[:, None])[owners]
    if not products:
        amounts = amounts * constants[kinds][:, :, None] * constants[kinds][:, None]
    fields = tuple(Field(*_on_device(*_side_by_side(f.words, len(constants), f.factors, f.weights))) for f in products)
    return ContactSiteSets(*_on_device(factors, amounts, kinds, constants, environments, images, counts), fields=fields)


def _on_device(*tables: np.ndarray) -> Any:
    """Tables in one call, integers as 32 bits."""
    return jax.device_put(tuple(t.astype(np.int32) if t.dtype.kind == "i" else t for t in tables))


def _sums(sets: SiteSets, codes: np.ndarray, n_contacts: int) -> tuple[np.ndarray, list["_Products"]]:
    """The numbers and the products that the fields of all words of all images are sums of."""
    order, n_words = len(codes), len(sets.owners)
    constants, products = np.zeros(n_words), []
    for r in sets.remainders:
        if r.sites.shape[1]:
            factors = (r.letters * n_contacts + codes[:, r.sites]).reshape(order * len(r.words), -1)
            words = (np.arange(order)[:, None] * n_words + r.words).ravel()
            products.append(_Products(words, factors, np.tile(r.weights, order)))
        else:
            np.add.at(constants, r.words, r.weights)
    return np.tile(constants, order), products


def _side_by_side(owners: np.ndarray, n_owners: int, *tables: np.ndarray) -> Iterator[np.ndarray]:
    """The rows of each owner next to each other, filled up with zeros to equal number."""
    order = np.argsort(owners, kind="stable")
    sorted_owners = owners[order]
    position = np.arange(len(owners)) - np.searchsorted(sorted_owners, sorted_owners)
    shape = n_owners, int(position.max(initial=-1)) + 1
    for table in tables:
        filled = np.zeros((*shape, *table.shape[1:]), dtype=table.dtype)
        filled[sorted_owners, position] = table[order]
        yield filled


def _distinct_words(constants: np.ndarray, fields: list[_Products]) -> tuple[np.ndarray, np.ndarray]:
    """Words whose fields are the same sum of products: the number of each word's kind, and one word of each kind.

    Sums are compared by two random projections: each product is given two random numbers.
    """
    rng = np.random.default_rng(0)
    marks = np.outer(constants, rng.normal(size=2))
    for field in fields:
        _, product = _distinct_rows(np.sort(field.factors, axis=1))
        for column, values in enumerate(rng.normal(size=(2, product.max(initial=-1) + 1))):
            marks[:, column] += np.bincount(field.words, field.weights * values[product], minlength=len(marks))
    # Sums that differ by rounding must agree; sums that round apart are only not merged.
    rounded = np.round(marks / max(np.abs(marks).max(initial=0), 1e-300), 10)
    _, kept, number = np.unique(rounded[:, 0] + 1j * rounded[:, 1], return_index=True, return_inverse=True)
    return number, kept


def _of_words(products: _Products, kept: np.ndarray) -> _Products:
    """The products of some words, which are numbered in the order in which they are given."""
    number = np.full(max(products.words.max(initial=0), kept.max(initial=0)) + 1, -1)
    number[kept] = np.arange(len(kept))
    rows = number[products.words] >= 0
    return _Products(number[products.words[rows]], products.factors[rows], products.weights[rows])


def _distinct_rows(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The index of one row of each kind, kinds in ascending order, and the kind of each row."""
    spans = table.max(axis=0, initial=0) + 1
    if np.log2(spans).sum() < 62:
        table = np.asarray(np.ravel_multi_index(tuple(table.T), tuple(spans))).reshape(-1, 1)
    _, index, inverse = np.unique(table, axis=0, return_index=True, return_inverse=True)
    return index, np.ravel(inverse)


def _sets_of_size(generator: SumOfProducts, size: int) -> SiteSets:
    parts = list(_parts(generator, size))
    sites, of_part = np.unique(np.concatenate([p[0] for p in parts]), axis=0, return_inverse=True)
    written = np.column_stack([of_part.reshape(-1), np.concatenate([p[1] for p in parts])])
    words, word_of = np.unique(written, axis=0, return_inverse=True)
    ends = np.cumsum([len(p[0]) for p in parts])[:-1]
    by_length: dict[int, list[Remainder]] = {}
    for (_, _, rest), word in zip(parts, np.split(word_of.reshape(-1), ends), strict=True):
        by_length.setdefault(rest.sites.shape[1], []).append(rest._replace(words=word))
    joined = (Remainder(*(np.concatenate(x) for x in zip(*rows, strict=True))) for rows in by_length.values())
    remainders = tuple(Remainder(*(x[np.argsort(r.words, kind="stable")] for x in r)) for r in joined)
    return SiteSets(sites, words[:, 0], words[:, 1:], remainders)


def _parts(generator: SumOfProducts, size: int) -> Iterator[tuple[np.ndarray, np.ndarray, Remainder]]:
    """Sites and letters of every part of every term that has `size` sites, with the rest of the term."""
    none = np.zeros(0, dtype=int)
    for coupling in generator.couplings:
        order = np.argsort(coupling.sites, axis=1)
        sites, letters = (np.take_along_axis(x, order, axis=1).astype(int) for x in (coupling.sites, coupling.letters))
        for inside in itertools.combinations(range(sites.shape[1]), size):
            chosen = np.isin(np.arange(sites.shape[1]), inside)
            rest = Remainder(none, sites[:, ~chosen], letters[:, ~chosen], coupling.weights)
            yield sites[:, chosen], letters[:, chosen], rest
    if size == 1:
        n_sites = len(generator.one_site)
        nothing = np.zeros((n_sites, 0), dtype=int)
        own = np.full((n_sites, 1), len(generator.matrices))
        yield np.arange(n_sites)[:, None], own, Remainder(none, nothing, nothing, np.ones(n_sites))
