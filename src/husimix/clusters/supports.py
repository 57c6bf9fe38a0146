"""Which supports are kept: every set of sites inside some connected cluster of at most m sites, one of each orbit."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import scipy.sparse
import scipy.sparse.csgraph

from husimix._errors import refusal
from husimix.clusters.orbits import Orbits
from husimix.clusters.rows import distinct_rows, rows_in

__all__ = ["Family", "Neighbours", "bytes_per_number", "family_of"]

# Bytes for each number kept, and for each neighbour of a site more: the moment itself, the stages of a step, and what
# tables of moves gather, which are as many as there are maps that meet a support.
_BYTES = 600
_GIB = 2**30
# Pairs of clusters whose distances are looked at together.
_PAIRS_AT_ONCE = 1_000_000


class Neighbours(NamedTuple):
    """A graph as rows of equal length.

    Attributes:
        table: (N, degree) int, the neighbours of each site; N fills up.
        degree: (N,) int.
    """

    table: np.ndarray
    degree: np.ndarray

    @classmethod
    def of_pairs(cls, pairs: np.ndarray, n_sites: int) -> "Neighbours":
        """The graph of (M, 2) pairs of sites."""
        both = distinct_rows(np.concatenate([pairs, pairs[:, ::-1]]).reshape(-1, 2))
        both = both.astype(np.int64)
        degree = np.bincount(both[:, 0], minlength=n_sites)
        table = np.full((n_sites, int(degree.max(initial=0))), n_sites)
        starts = np.cumsum(degree) - degree
        table[both[:, 0], np.arange(len(both)) - starts[both[:, 0]]] = both[:, 1]
        return cls(table, degree)

    @property
    def pairs(self) -> np.ndarray:
        """(M, 2) int, the bonds, each once."""
        rows, columns = np.nonzero(self.table < len(self.degree))
        ends = np.stack([rows, self.table[rows, columns]], axis=1)
        return ends[ends[:, 0] < ends[:, 1]]


class Family(NamedTuple):
    """The kept supports of each size, one of each orbit.

    Attributes:
        by_size: by number of sites n >= 2, (S_n, n) int rows in increasing order.
        neighbours: the graph that clusters grow on.
        has_far: whether supports in two places far apart are kept.
    """

    by_size: dict[int, np.ndarray]
    neighbours: Neighbours
    has_far: bool = False

    def find(self, rows: np.ndarray) -> np.ndarray:
        """(R,) int: the place of canonical rows of n sites among the supports of that size; -1 if not kept."""
        known = self.by_size.get(rows.shape[1])
        return np.full(len(rows), -1) if known is None else rows_in(known, rows)

    def parts(self, rows: np.ndarray) -> np.ndarray:
        """(R, n) int: for each site of a set the place in the row of the first one that bonds in the set join it to."""
        n = rows.shape[1]
        joined = (self.neighbours.table[rows][:, :, None, :] == rows[:, None, :, None]).any(axis=3)
        joined |= np.eye(n, dtype=bool)
        part = np.tile(np.arange(n), (len(rows), 1))
        for _ in range(n - 1):
            part = np.where(joined, part[:, None, :], n).min(axis=2)
        return part

    def in_two_places(self, rows: np.ndarray) -> np.ndarray:
        """(R, n) bool: of sets in two parts of two sites and more the part of the first site.

        All False for other sets, and where no supports are far apart.
        """
        n = rows.shape[1]
        if not self.has_far or n < 4:
            return np.zeros(rows.shape, dtype=bool)
        part = self.parts(rows)
        first = part == 0
        other = np.where(first, n, part).min(axis=1, keepdims=True)
        count = first.sum(axis=1)
        is_two = (first | (part == other)).all(axis=1) & (count >= 2) & (count <= n - 2)
        return first & is_two[:, None]

    def may_hold(self, n: int) -> bool:
        """Whether moments of n sites can differ from 0: of none, of kept supports, or of products of two."""
        return n == 0 or n in self.by_size or (self.has_far and n >= 4)

    def n_numbers(self, letters: int) -> int:
        """How many moments there are with so many letters a site."""
        return sum(len(rows) * letters**n for n, rows in self.by_size.items())


def bytes_per_number(neighbours: Neighbours) -> float:
    """Bytes that a run takes for each number that moves."""
    return _BYTES * (2.0 + float(neighbours.degree.mean()))


def family_of(
    neighbours: Neighbours,
    orbits: Orbits,
    size: int,
    extra: Iterable[Sequence[int]],
    pairs: float,
    letters: int,
    memory_limit: float,
) -> Family:
    """The family of all clusters of at most `size` sites, of pairs of clusters far apart, and supports added by hand.

    Clusters grow by one neighbour at a time, one of each orbit at each size, so that nothing grows with the lattice
    where there are translations.

    Args:
        neighbours: the graph.
        orbits: of the symmetry group.
        size: m.
        extra: further supports; their subsets are added as well.
        pairs: up to how many bonds apart two clusters of together `size` sites make a support; 0 for none.
        letters: D - 1.
        memory_limit: in GiB.

    Returns:
        The family.

    Raises:
        ValueError: for a family that does not fit, before it is enumerated.
    """

    def reduced(rows: np.ndarray) -> np.ndarray:
        return orbits.canonical(rows).sites

    clusters = _clusters(neighbours, size, reduced, letters, memory_limit)
    apart = []
    if pairs > 0 and size > 1:
        everywhere = _clusters(neighbours, size - 1, lambda rows: rows, letters, memory_limit)
        for n in range(1, size // 2 + 1):
            if len(everywhere) >= size - n:
                apart += _apart(clusters[n - 1], everywhere[size - n - 1], neighbours, pairs, letters, memory_limit)
    found: dict[int, list[np.ndarray]] = {}
    for rows in [*clusters, *apart, *(np.sort(np.array([support]), axis=1) for support in extra)]:
        for n in range(2, rows.shape[1] + 1):
            chosen = [rows[:, list(places)] for places in itertools.combinations(range(rows.shape[1]), n)]
            found.setdefault(n, []).append(orbits.canonical(np.concatenate(chosen)).sites)
    by_size = {n: distinct_rows(np.concatenate(rows)) for n, rows in sorted(found.items())}
    family = Family(by_size, neighbours, bool(apart))
    _check_memory(float(family.n_numbers(letters)), neighbours, size, memory_limit)
    return family


def _clusters(
    neighbours: Neighbours,
    size: int,
    reduced: Callable[[np.ndarray], np.ndarray],
    letters: int,
    memory_limit: float,
) -> list[np.ndarray]:
    """By n = 1, 2, … up to `size`, the connected clusters of n sites, each brought to what `reduced` makes of it."""
    clusters = [distinct_rows(reduced(np.arange(len(neighbours.degree))[:, None]))]
    for n in range(1, size):
        grown = _grown(clusters, n, size, neighbours, letters, memory_limit)
        if not len(grown):
            break
        clusters.append(distinct_rows(reduced(grown)))
    return clusters


def _apart(
    first: np.ndarray, second: np.ndarray, neighbours: Neighbours, pairs: float, letters: int, memory_limit: float
) -> Iterator[np.ndarray]:
    """All unions of one cluster of each table without common sites, up to so many bonds apart, some at a time.

    Cost: the product of the numbers of clusters, times that of their sites.
    """
    n_sites, size = len(neighbours.degree), first.shape[1] + second.shape[1]
    rows, columns = np.nonzero(neighbours.table < n_sites)
    links = scipy.sparse.coo_array((np.ones(len(rows)), (rows, neighbours.table[rows, columns])), shape=(n_sites,) * 2)
    step = max(1, _PAIRS_AT_ONCE // len(second))
    count = 0
    for start in range(0, len(first), step):
        some = first[start : start + step]
        sites, place = np.unique(some, return_inverse=True)
        far = scipy.sparse.csgraph.shortest_path(links, directed=False, unweighted=True, indices=sites)
        between = far[place.reshape(some.shape)][:, :, second].min(axis=(1, 3))
        one, other = np.nonzero((between > 0) & (between <= pairs) & np.isfinite(between))
        count += len(one)
        _check_memory(float(count) * letters**size, neighbours, size, memory_limit)
        yield np.sort(np.concatenate([some[one], second[other]], axis=1), axis=1)


def _grown(
    clusters: list[np.ndarray], n: int, size: int, neighbours: Neighbours, letters: int, memory_limit: float
) -> np.ndarray:
    """All sets of n + 1 sites that the clusters of n sites and one neighbour make, with repetitions."""
    rows = clusters[-1]
    # Each cluster counts at least its own moments; those of the next sizes are more by the growth so far.
    ratio = len(rows) / len(clusters[-2]) if n > 1 else max(1.0, float(neighbours.degree.mean()))
    count = len(rows) * letters**n * (max(1.0, 0.5 * ratio) * letters) ** (size - n) / max(1, size - n)
    # Never more than all sets of that many sites; on small lattices growth ends before clusters fill them.
    most = math.comb(len(neighbours.degree), size) * float(letters) ** size
    _check_memory(min(count, most), neighbours, size, memory_limit)
    degree = neighbours.table.shape[1]
    if 8 * len(rows) * n * degree * (n + 1) > memory_limit * _GIB:
        _check_memory(float(len(rows)) * letters ** min(size, n + 2), neighbours, size, 0.0)
    added = neighbours.table[rows].reshape(len(rows), -1)
    grown = np.concatenate([np.repeat(rows, added.shape[1], axis=0), added.reshape(-1, 1)], axis=1)
    new = (added < len(neighbours.degree)).ravel() & (grown[:, :-1] != grown[:, -1:]).all(axis=1)
    return distinct_rows(np.sort(grown[new], axis=1))


def _check_memory(n_numbers: float, neighbours: Neighbours, size: int, memory_limit: float) -> None:
    needed = bytes_per_number(neighbours) * n_numbers / _GIB
    if needed > memory_limit:
        fix = "Choose a smaller size, fewer pairs or extra supports, give `neighbours` a cutoff, or raise memory_limit."
        got = f"{size}: about {n_numbers:.1e} numbers, {needed:.1f} GiB of {memory_limit:g} GiB allowed"
        raise refusal("size", "give a set of supports that fits into memory", got, fix, int(n_numbers), needed)
