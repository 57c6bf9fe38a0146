"""The graph that clusters grow on: which sites are neighbours."""

import itertools
from collections.abc import Sequence
from typing import Any

import networkx as nx
import numpy as np
import scipy.sparse
import scipy.sparse.csgraph

from husimix._errors import argument_error, check_integer, check_number
from husimix.clusters.rows import distinct_rows, numbered_rows
from husimix.physics.local_maps import LocalMaps
from husimix.physics.symmetry.transformation import Transformation

__all__ = ["checked_graph", "graph_pairs", "largest_component", "pairs_of_maps"]

_MUST = "be a networkx graph, pairs of sites, or a number"


def checked_graph(neighbours: Any) -> Any:
    """`neighbours` as None, a number or a tuple of pairs. Raises ValueError for anything else."""
    if neighbours is None:
        return None
    if isinstance(neighbours, int | float | np.number):
        return check_number("neighbours", float(neighbours), minimum=0)
    if isinstance(neighbours, nx.Graph):
        neighbours = list(nx.Graph(neighbours).edges)
    if isinstance(neighbours, str) or not isinstance(neighbours, Sequence | np.ndarray):
        raise argument_error("neighbours", _MUST, repr(neighbours))
    pairs = []
    for pair in neighbours:
        if np.shape(pair) != (2,):
            raise argument_error("neighbours", _MUST, repr(pair))
        first, second = (check_integer("neighbours", site, 0) for site in pair)
        if first == second:
            raise argument_error("neighbours", "join different sites", (first, second))
        pairs.append((first, second))
    return tuple(pairs)


def graph_pairs(
    neighbours: float | tuple[tuple[int, int], ...] | None,
    maps: Sequence[LocalMaps],
    n_sites: int,
    generators: Sequence[Transformation],
) -> np.ndarray:
    """(M, 2) int: the pairs of neighbours, with all images under a symmetry group.

    Args:
        neighbours: as `checked_graph` gives it.
        maps: of the model.
        n_sites: N.
        generators: of the group; the graph of the maps has its symmetries anyway, one given by hand need not.

    Raises:
        ValueError: for sites that are not there.
    """
    if neighbours is None:
        return pairs_of_maps(maps)
    if isinstance(neighbours, float):
        pairs = pairs_of_maps(maps, neighbours)
    else:
        pairs = np.array(neighbours, dtype=np.int64).reshape(-1, 2)
        if pairs.max(initial=-1) >= n_sites:
            raise argument_error("neighbours", f"join sites 0 to {n_sites - 1}", pairs[pairs.max(axis=1) >= n_sites][0])
    count = -1
    while len(pairs) > count:
        count = len(pairs)
        images = [pairs, *(g.permutation[pairs].astype(np.int64) for g in generators)]
        pairs = distinct_rows(np.sort(np.concatenate(images), axis=1))
    return pairs


def pairs_of_maps(maps: Sequence[LocalMaps], cutoff: float | None = None) -> np.ndarray:
    """(M, 2) int: the pairs of sites that a map acts on; with a cutoff those whose strengths add up to more."""
    pairs, strengths = [np.zeros((0, 2), dtype=np.int64)], [np.zeros(0)]
    for some in maps:
        for first, second in itertools.combinations(range(some.sites.shape[1]), 2):
            pairs.append(some.sites[:, [first, second]])
            strengths.append(some.strengths)
    rows, index = numbered_rows(np.concatenate(pairs))
    total = np.bincount(index, np.concatenate(strengths), minlength=len(rows))
    return rows if cutoff is None else rows[total > cutoff]


def largest_component(pairs: np.ndarray, n_sites: int) -> int:
    """How many sites the largest part of a graph has that no bond joins to others."""
    links = scipy.sparse.coo_array((np.ones(len(pairs)), tuple(pairs.T)), shape=(n_sites,) * 2)
    parts = scipy.sparse.csgraph.connected_components(links, directed=False)[1]
    return int(np.bincount(parts).max())
