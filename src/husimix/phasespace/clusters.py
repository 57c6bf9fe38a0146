"""Where two terms of 𝓛 act on the same sites: the tables behind ⟨𝓛v, 𝓛v'⟩.

Two terms s and t that share no site contribute α_s β_t to the overlap of two moved components. On a shared site i the
product α β is replaced by the joint factor J = αβ + C, and expanding the product of the J over the shared sites gives
one term for each set U of them (docs/theory.md, eq. 22). So ⟨𝓛v, 𝓛v'⟩ needs, for each *cluster* U, what all terms that
contain it amount to on the other sites, their *fields*, and the C on the sites of U. There are as many clusters as
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

from husimix.phasespace.contacts import numbered
from husimix.phasespace.layout import Layout
from husimix.physics.products import SumOfProducts

__all__ = ["Clusters", "Field", "PlacedClusters", "clusters_of", "contact_clusters"]


class Remainder(NamedTuple):
    """Products over the sites outside a cluster, all with the same number p of factors.

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


class Clusters(NamedTuple):
    """All sets of u sites that lie within a term of 𝓛.

    A *word* is a cluster with a one-site map, or letter, on each of its sites. Letters below m are
    `SumOfProducts.matrices`, letter m is a site's own map.

    Attributes:
        sites: (C, u) int.
        counts: (C,) float, how many clusters of the lattice each stands for.
        owners: (W,) int, ascending, the cluster of each word.
        letters: (W, u) int.
        remainders: what the terms that contain a word do elsewhere, by number of factors.
    """

    sites: np.ndarray
    counts: np.ndarray
    owners: np.ndarray
    letters: np.ndarray
    remainders: tuple[Remainder, ...]

    def repeated(self, maps: np.ndarray, counts: np.ndarray) -> "Clusters":
        """A copy for each row of `maps`.

        Args:
            maps: (S, n) int, what becomes of each site.
            counts: (S,) float, how often each copy counts.
        """
        times = len(maps)

        def numbered(index: np.ndarray, size: int) -> np.ndarray:
            return (np.arange(times)[:, None] * size + index).ravel()

        return Clusters(
            sites=maps[:, self.sites].reshape(-1, self.sites.shape[1]),
            counts=np.outer(counts, self.counts).ravel(),
            owners=numbered(self.owners, len(self.sites)),
            letters=np.tile(self.letters, (times, 1)),
            remainders=tuple(
                Remainder(
                    numbered(r.words, len(self.owners)),
                    maps[:, r.sites].reshape(times * len(r.sites), r.sites.shape[1]),
                    np.tile(r.letters, (times, 1)),
                    np.tile(r.weights, times),
                )
                for r in self.remainders
            ),
        )

    def touching(self, sites: np.ndarray) -> "Clusters":
        """The clusters that contain some of the given sites, each counted by the share of its sites among them."""
        share = np.isin(self.sites, sites).mean(axis=1)
        chosen = share > 0
        kept = chosen[self.owners]
        cluster_number, word_number = np.cumsum(chosen) - 1, np.cumsum(kept) - 1
        remainders = []
        for r in self.remainders:
            rows = kept[r.words]
            remainders.append(Remainder(word_number[r.words[rows]], r.sites[rows], r.letters[rows], r.weights[rows]))
        return Clusters(
            self.sites[chosen],
            (self.counts * share)[chosen],
            cluster_number[self.owners[kept]],
            self.letters[kept],
            tuple(remainders),
        )


class Field(eqx.Module):
    """Products of p >= 1 factors α that add to the fields of words, as many for each word; weights of 0 fill up.

    Attributes:
        factors: (W, Z, p) int, letter · E + contact.
        weights: (W, Z) float.
    """

    factors: Int[Array, "word product p"]
    weights: Float[Array, "word product"]


class PlacedClusters(eqx.Module):
    """The clusters of u sites of all images, for the device.

    Clusters with the same contacts and the same words in any images are one *environment*. It amounts to

        Σ_ab amounts[a, b] · h[words[a]] · h'[words[b]] · Π_n C[factors[a, b, n]]

    with the fields h of the bra and h' of the ket. Where no term is larger than the cluster, fields are numbers: they
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


def clusters_of(generator: SumOfProducts) -> tuple[Clusters, ...]:
    """The clusters of one site, of two sites, and so on. Cost: 2^q for each product of q sites, once."""
    largest = max((c.sites.shape[1] for c in generator.couplings), default=1)
    return tuple(_clusters(generator, size) for size in range(1, largest + 1))


def contact_clusters(clusters: tuple[Clusters, ...], n_letters: int, layout: Layout) -> tuple[PlacedClusters, ...]:
    """Clusters in terms of a layout's contacts.

    Args:
        clusters: on the layout's sites, of one size each.
        n_letters: m + 1.
        layout: the layout.

    Returns:
        The tables of each size; up to G Σ_U (words of U)² numbers, less where images share environments.
    """
    codes, numbers, _ = numbered(layout)
    return tuple(_placed(c, codes, len(numbers), n_letters, layout.is_plain) for c in clusters)


def _placed(clusters: Clusters, codes: np.ndarray, n_contacts: int, n_letters: int, is_plain: bool) -> PlacedClusters:
    order, (n_clusters, size) = len(codes), clusters.sites.shape
    words, letters, used = _side_by_side(
        clusters.owners, n_clusters, np.arange(len(clusters.owners)), clusters.letters, np.ones(len(clusters.owners))
    )
    constants, products = _sums(clusters, codes, n_contacts)
    contacts = codes[:, clusters.sites].reshape(-1, size)
    owners = np.tile(np.arange(n_clusters), order)
    kinds = (np.arange(order)[:, None, None] * len(clusters.owners) + words).reshape(len(owners), -1)
    images, counts = np.repeat(np.arange(order), n_clusters), np.tile(clusters.counts, order)
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
    return PlacedClusters(*_on_device(factors, amounts, kinds, constants, environments, images, counts), fields=fields)


def _on_device(*tables: np.ndarray) -> Any:
    """Tables in one call, integers as 32 bits."""
    return jax.device_put(tuple(t.astype(np.int32) if t.dtype.kind == "i" else t for t in tables))


def _sums(clusters: Clusters, codes: np.ndarray, n_contacts: int) -> tuple[np.ndarray, list["_Products"]]:
    """The numbers and the products that the fields of all words of all images are sums of."""
    order, n_words = len(codes), len(clusters.owners)
    constants, products = np.zeros(n_words), []
    for r in clusters.remainders:
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


def _clusters(generator: SumOfProducts, size: int) -> Clusters:
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
    return Clusters(sites, np.ones(len(sites)), words[:, 0], words[:, 1:], remainders)


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
