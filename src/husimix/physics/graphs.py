"""Lattices as networkx graphs. Imported when a graph is asked for: networkx takes a fifth of a second to load."""

from collections.abc import Sequence

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from husimix._errors import argument_error

__all__ = ["check_graph", "described_graph", "graph_of", "graph_positions", "pairs_at_distance"]

Floats = NDArray[np.float64]


def check_graph(graph: object) -> None:
    """Refuse what is no undirected simple networkx graph with at least one node."""
    must = "be an undirected networkx.Graph without self loops"
    if not isinstance(graph, nx.Graph):
        raise argument_error("graph", must, repr(graph), "Try `networkx.Graph(edges)`.")
    if graph.is_directed():
        raise argument_error("graph", must, "a directed graph", "Try `graph.to_undirected()`.")
    if graph.is_multigraph():
        raise argument_error("graph", must, "a multigraph", "Try `networkx.Graph(graph)`.")
    if len(graph) == 0:
        raise argument_error("graph", "have at least one node", "an empty graph")
    loops = list(nx.selfloop_edges(graph))
    if loops:
        fix = "Try `graph.remove_edges_from(list(networkx.selfloop_edges(graph)))`."
        raise argument_error("graph", must, f"the loop {loops[0]}", fix)


def graph_positions(graph: nx.Graph) -> Floats:
    """(N, dim) float, the attribute `pos` of the nodes, or places on a circle if some have none."""
    given = nx.get_node_attributes(graph, "pos")
    if len(given) < len(graph):
        given = nx.circular_layout(graph)
    must = "have equally many finite coordinates as `pos` of every node"
    try:
        positions = np.array([given[node] for node in graph], dtype=np.float64)
    except (TypeError, ValueError):
        raise argument_error("graph", must, list(given.values())) from None
    if positions.ndim != 2 or positions.shape[1] == 0 or not np.all(np.isfinite(positions)):
        raise argument_error("graph", must, list(given.values()))
    return positions


def described_graph(edges: object, positions: object) -> nx.Graph:
    """The graph of a description as `Lattice.to_dict` makes it."""
    if isinstance(positions, str) or not isinstance(positions, Sequence) or len(positions) == 0:
        raise argument_error("positions", "be a list of one position per site", repr(positions))
    if isinstance(edges, str) or not isinstance(edges, Sequence):
        raise argument_error("edges", "be a list of pairs of sites", repr(edges))
    known = range(len(positions))
    for edge in edges:
        is_pair = isinstance(edge, Sequence) and len(edge) == 2 and all(type(end) is int for end in edge)
        if not is_pair or edge[0] not in known or edge[1] not in known:
            raise argument_error("edges", f"join sites 0 to {len(positions) - 1} in pairs", repr(edge))
    return graph_of(edges, positions)


def graph_of(edges: Sequence[tuple[int, int]], positions: Sequence[Sequence[float]]) -> nx.Graph:
    """A graph with nodes 0..N-1, each with its position as attribute `pos`."""
    graph = nx.Graph()
    graph.add_nodes_from((site, {"pos": position}) for site, position in enumerate(positions))
    graph.add_edges_from(edges)
    return graph


def pairs_at_distance(graph: nx.Graph, distance: int) -> list[tuple[int, int]]:
    """The pairs of nodes that are that many edges apart, sorted."""
    found: list[tuple[int, int]] = []
    for start in graph:
        distances = nx.single_source_shortest_path_length(graph, start, cutoff=distance)
        found += [(start, end) for end, far in distances.items() if far == distance and start < end]
    return sorted(found)
