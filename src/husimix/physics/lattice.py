"""Where the sites are and which of them are neighbours: `Lattice`.

A lattice is sites 0..N-1, their positions, and the pairs of sites at each distance. It knows nothing of
spins, states or models.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from husimix._errors import argument_error, check_choice, check_integer

if TYPE_CHECKING:
    import networkx

__all__ = ["Lattice"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class _Cell(NamedTuple):
    """A unit cell: the primitive vectors as rows, and the sites of one cell in fractions of those vectors."""

    primitive: Floats  # (dim, dim)
    fractions: Floats  # (basis, dim)


def _cell(primitive: ArrayLike, *fractions: Sequence[float]) -> _Cell:
    vectors = np.asarray(primitive, dtype=np.float64)
    return _Cell(vectors, np.array(fractions or [[0.0] * len(vectors)], dtype=np.float64))


_TRIANGLE = np.array([[1.0, 0.0], [0.5, math.sqrt(3) / 2]])

# Every entry is a subset of the linear, square, triangular or cubic lattice of unit spacing. Squared
# distances between sites are therefore whole numbers, and are compared exactly, without a tolerance.
_CELLS: dict[str, _Cell] = {
    "chain": _cell(np.eye(1)),
    "rectangle": _cell(np.eye(2)),
    "square": _cell(np.eye(2)),
    "triangular": _cell(_TRIANGLE),
    "honeycomb": _cell(math.sqrt(3) * _TRIANGLE, (0, 0), (1 / 3, 1 / 3)),
    "kagome": _cell(2 * _TRIANGLE, (0, 0), (1 / 2, 0), (0, 1 / 2)),
    "cubic": _cell(np.eye(3)),
}
_GRAPH = "graph"


@dataclass(frozen=True, eq=False, repr=False)
class Lattice:
    """Sites in space and the bonds between them; build one with a named constructor such as `Lattice.square`.

    The unit of length is the nearest-neighbour distance. Site index: row-major over unit cells (the last
    direction runs fastest), then over the sites of a cell, which run fastest of all: site
    `b + B * (y + ly * x)` is site b of the B sites of cell (x, y), at position
    `x * primitive[0] + y * primitive[1] + basis[b]`.

    Two lattices are equal only if they are the same object. All arrays are read-only.

    Attributes:
        name: the constructor's name, such as "square"; "graph" for `from_graph`.
        shape: number of unit cells along each direction; `(N,)` for a graph.
        periodic: for each direction, whether it closes on itself; `(False,)` for a graph.
        positions: `(N, dim)`, where the sites are, not wrapped around.
        primitive: `(dim, dim)`, primitive vectors as rows; `(0, dim)` for a graph.
        basis: `(B, dim)`, the sites of one unit cell; `(0, dim)` for a graph.
    """

    name: str
    shape: tuple[int, ...]
    periodic: tuple[bool, ...]
    positions: Floats
    primitive: Floats
    basis: Floats
    _edges: Integers | None = None

    def __post_init__(self) -> None:
        for name in ("positions", "primitive", "basis", "_edges"):
            array = getattr(self, name)
            if array is not None:
                array = np.array(array)
                array.setflags(write=False)
                object.__setattr__(self, name, array)

    @classmethod
    def chain(cls, n: int, periodic: bool | Sequence[bool] = False) -> Self:
        """A chain of `n` sites, open unless `periodic`. Raises ValueError if `n` < 1."""
        return cls._regular("chain", {"n": n}, periodic)

    @classmethod
    def rectangle(cls, lx: int, ly: int, periodic: bool | Sequence[bool] = False) -> Self:
        """A square lattice of `lx` x `ly` sites.

        The arguments are the same for every lattice below.

        Args:
            lx, ly, lz: number of unit cells along each primitive vector, at least 1.
            periodic: one bool for all directions, or one per direction.

        Raises:
            ValueError: if a length is not a positive integer or `periodic` does not fit.
        """
        return cls._regular("rectangle", {"lx": lx, "ly": ly}, periodic)

    @classmethod
    def square(cls, lx: int, ly: int | None = None, periodic: bool | Sequence[bool] = False) -> Self:
        """A square lattice of `lx` x `ly` sites, `ly` = `lx` unless given; arguments as in `rectangle`."""
        return cls._regular("square", {"lx": lx, "ly": lx if ly is None else ly}, periodic)

    @classmethod
    def triangular(cls, lx: int, ly: int, periodic: bool | Sequence[bool] = False) -> Self:
        """A triangular lattice of `lx` x `ly` sites, primitive vectors at 60 degrees; see `rectangle`."""
        return cls._regular("triangular", {"lx": lx, "ly": ly}, periodic)

    @classmethod
    def honeycomb(cls, lx: int, ly: int, periodic: bool | Sequence[bool] = False) -> Self:
        """A honeycomb lattice of `lx` x `ly` cells of 2 sites, N = 2 lx ly; arguments as in `rectangle`."""
        return cls._regular("honeycomb", {"lx": lx, "ly": ly}, periodic)

    @classmethod
    def kagome(cls, lx: int, ly: int, periodic: bool | Sequence[bool] = False) -> Self:
        """A kagome lattice of `lx` x `ly` cells of 3 sites, N = 3 lx ly; arguments as in `rectangle`."""
        return cls._regular("kagome", {"lx": lx, "ly": ly}, periodic)

    @classmethod
    def cubic(cls, lx: int, ly: int, lz: int, periodic: bool | Sequence[bool] = False) -> Self:
        """A simple cubic lattice of `lx` x `ly` x `lz` sites; arguments as in `rectangle`."""
        return cls._regular("cubic", {"lx": lx, "ly": ly, "lz": lz}, periodic)

    @classmethod
    def from_graph(cls, graph: "networkx.Graph") -> Self:
        """The lattice whose nearest neighbours are the edges of a networkx graph.

        Args:
            graph: undirected, without self loops or parallel edges, with at least one node. Its nodes become
              sites 0..N-1 in the graph's own order; labels and edge attributes are not kept. If every node has an
              attribute `pos` (dim numbers), these are the positions, in any unit; otherwise the sites are put on
              a circle, for drawing only: distances on a graph are counted in edges.

        Raises:
            ValueError: if `graph` is none of the above.
        """
        from husimix.physics import graphs

        graphs.check_graph(graph)
        positions = graphs.graph_positions(graph)
        site = {node: index for index, node in enumerate(graph)}
        edges = [sorted((site[a], site[b])) for a, b in graph.edges]
        nothing = np.empty((0, positions.shape[1]))
        return cls(_GRAPH, (len(site),), (False,), positions, nothing, nothing, _pairs(sorted(edges)))

    @classmethod
    def _regular(cls, name: str, lengths: dict[str, int], periodic: object) -> Self:
        shape = tuple(check_integer(key, value, minimum=1) for key, value in lengths.items())
        closed = _check_periodic(periodic, len(shape))
        primitive, fractions = _CELLS[name]
        basis = fractions @ primitive
        origins = np.indices(shape).reshape(len(shape), -1).T @ primitive
        positions = (origins[:, None] + basis).reshape(-1, len(shape))
        return cls(name, shape, closed, positions, primitive, basis)

    @property
    def n_sites(self) -> int:
        """The number of sites N."""
        return len(self.positions)

    def bonds(self, shell: int = 1) -> Integers:
        """Pairs of sites that are `shell`-th neighbours.

        The distances of the infinite lattice are d_1 < d_2 < ...; a pair belongs to shell s if its
        minimum-image distance is d_s. So every pair is in exactly one shell, none is doubled when a period is
        1 or 2, and a shell may be empty on a small lattice. On a graph d_s = s, counted in edges.

        Args:
            shell: 1 for nearest neighbours, 2 for next-nearest, ...

        Returns:
            An integer array `(M, 2)` with i < j in every row, rows unique and in lexicographic order.

        Raises:
            ValueError: if `shell` is not an integer of at least 1.
        """
        shell = check_integer("shell", shell, minimum=1, fix="Shell 1 is the nearest neighbours.")
        if self._edges is None:
            return self._regular_bonds(shell)
        if shell == 1:
            return self._edges.copy()
        return self._graph_bonds(shell)

    def translations(self) -> Integers:
        """The translations along the periodic directions, as permutations of the sites.

        Returns:
            An integer array `(G, N)`: translation g moves site i to site `p[i]`, with `p` row g. G is
            the product of the periodic lengths, the shifts are in row-major order, and row 0 is the identity: the
            only row of an open lattice or a graph.
        """
        if self._edges is not None:
            return np.arange(self.n_sites)[None]
        spans = [length if closed else 1 for length, closed in zip(self.shape, self.periodic, strict=True)]
        moved, _ = self._move(np.indices(spans).reshape(len(spans), -1).T)
        n_basis = len(self.basis)
        return (moved[:, :, None] * n_basis + np.arange(n_basis)).reshape(len(moved), -1)

    def unit_translations(self) -> Integers:
        """The translations by one cell along each periodic direction longer than 1, as rows p of site permutations.

        Returns:
            An integer array `(M, N)`; their products are all of `translations`.
        """
        if self._edges is not None:
            return np.empty((0, self.n_sites), dtype=np.int64)
        sites = np.arange(self.n_sites).reshape(*self.shape, -1)
        axes = [i for i, closed in enumerate(self.periodic) if closed and self.shape[i] > 1]
        return np.array([np.roll(sites, -1, axis).ravel() for axis in axes], dtype=np.int64).reshape(-1, self.n_sites)

    def to_graph(self, shell: int = 1) -> "networkx.Graph":
        """The bonds of one `shell`, as in `bonds`, as a networkx graph.

        Returns:
            A graph with nodes 0..N-1, each with its position as attribute `pos`, a list of floats.

        Raises:
            ValueError: if `shell` is not an integer of at least 1.
        """
        from husimix.physics import graphs

        return graphs.graph_of(self.bonds(shell).tolist(), self.positions.tolist())

    def to_dict(self) -> dict[str, Any]:
        """A JSON-serialisable description from which `from_dict` rebuilds the lattice exactly.

        Returns:
            `kind`, `shape` and `periodic`; for a graph `kind`, `edges` and `positions`.
        """
        if self._edges is None:
            return {"kind": self.name, "shape": list(self.shape), "periodic": list(self.periodic)}
        return {"kind": _GRAPH, "edges": self._edges.tolist(), "positions": self.positions.tolist()}

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> Self:
        """The lattice that `to_dict` described.

        Args:
            description: a mapping with exactly the keys that `to_dict` writes.

        Raises:
            ValueError: if a key is missing or unknown, or if a value does not describe a lattice.
        """
        if not isinstance(description, Mapping):
            raise argument_error("description", "be a mapping, as from `to_dict`", repr(description))
        kind = check_choice("kind", description.get("kind"), [*_CELLS, _GRAPH])
        expected = ("kind", "edges", "positions") if kind == _GRAPH else ("kind", "shape", "periodic")
        if set(description) != set(expected):
            must = f"have exactly the keys {', '.join(expected)}"
            raise argument_error("description", must, list(description))
        if kind == _GRAPH:
            from husimix.physics import graphs

            return cls.from_graph(graphs.described_graph(description["edges"], description["positions"]))
        shape, n_directions = description["shape"], len(_CELLS[kind].primitive)
        if isinstance(shape, str) or not isinstance(shape, Sequence) or len(shape) != n_directions:
            raise argument_error("shape", f"have {_count(n_directions, 'length')} for `{kind}`", repr(shape))
        lengths = {f"shape[{index}]": length for index, length in enumerate(shape)}
        return cls._regular(kind, lengths, description["periodic"])

    def __repr__(self) -> str:
        sites = _count(self.n_sites, "site")
        if self._edges is not None:
            return f"Lattice.from_graph({_count(len(self._edges), 'edge')}): {sites}"
        lengths = ", ".join(map(str, self.shape))
        periodic = self.periodic[0] if len(set(self.periodic)) == 1 else self.periodic
        return f"Lattice.{self.name}({lengths}, periodic={periodic}): {sites}"

    def _move(self, shifts: Integers) -> tuple[Integers, NDArray[np.bool_]]:
        """Where each shift (M, dim) moves each cell to, and whether it stays inside: both (M, cells)."""
        cells = np.indices(self.shape).reshape(len(self.shape), -1)
        moved = np.zeros((len(shifts), cells.shape[1]), dtype=np.int64)
        inside = np.ones(moved.shape, dtype=np.bool_)
        for axis, (length, closed) in enumerate(zip(self.shape, self.periodic, strict=True)):
            target = cells[axis] + shifts[:, axis, None]
            if not closed:
                inside &= (target >= 0) & (target < length)
            moved *= length
            moved += target % length
        return moved, inside

    def _regular_bonds(self, shell: int) -> Integers:
        # No two sites are further apart than this: no need to count shells beyond it.
        reach = float(np.linalg.norm(self.primitive, axis=1) @ self.shape)
        steps = _displacements(self.primitive, self.basis, shell, reach)
        if steps is None:
            return _pairs([])
        moved, inside = self._move(steps.shift)
        start = np.arange(moved.shape[1]) * len(self.basis) + steps.start[:, None]
        end = moved * len(self.basis) + steps.end[:, None]
        keep = inside & (start < end)
        squared = np.broadcast_to(steps.squared[:, None], keep.shape)[keep]
        # Several displacements may join the same two sites around a torus, skew or not. They are listed from
        # the shortest, and `unique` returns the first of each pair: its minimum image.
        pairs, first = np.unique(start[keep] * self.n_sites + end[keep], return_index=True)
        pairs = pairs[squared[first] == steps.squared[-1]]
        return np.stack(np.divmod(pairs, self.n_sites), axis=1)

    def _graph_bonds(self, shell: int) -> Integers:
        from husimix.physics import graphs

        return _pairs(graphs.pairs_at_distance(self.to_graph(), shell))


class _Displacements(NamedTuple):
    """The M ways to leave a site of the infinite lattice, from the shortest to the longest."""

    start: Integers  # (M,) basis index of the site that is left
    end: Integers  # (M,) basis index of the site that is reached
    shift: Integers  # (M, dim) number of cells crossed
    squared: Integers  # (M,) squared length


def _displacements(primitive: Floats, basis: Floats, shell: int, reach: float) -> _Displacements | None:
    """All displacements up to the `shell`-th distance; None if that distance is longer than `reach`."""
    # A vector of length r has |coordinate k| <= r |column k of primitive^-1|; basis offsets add less than 1.
    slack = np.linalg.norm(np.linalg.inv(primitive), axis=0)
    radius = 1
    while True:
        box = np.ceil(radius * slack).astype(np.int64) + 1
        shift = np.indices(2 * box + 1).reshape(len(box), -1).T - box
        vectors = (shift @ primitive)[:, None, None] + (basis[None, :] - basis[:, None])
        squared = np.rint(np.sum(vectors**2, axis=-1)).astype(np.int64)
        near = (squared > 0) & (squared <= radius**2)
        distances = np.unique(squared[near])
        if len(distances) >= shell:
            break
        if radius >= reach:
            return None
        radius *= 2
    near &= squared <= distances[shell - 1]
    cell, start, end = np.nonzero(near)
    order = np.argsort(squared[near], kind="stable")
    return _Displacements(start[order], end[order], shift[cell[order]], squared[near][order])


def _pairs(rows: Sequence[Sequence[int]]) -> Integers:
    return np.array(rows, dtype=np.int64).reshape(-1, 2)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _check_periodic(periodic: object, n_directions: int) -> tuple[bool, ...]:
    if isinstance(periodic, bool | np.bool_):
        return (bool(periodic),) * n_directions
    flags = tuple(periodic) if isinstance(periodic, Sequence) else ()
    if len(flags) == n_directions and all(isinstance(flag, bool | np.bool_) for flag in flags):
        return tuple(map(bool, flags))
    must = f"be a bool or a sequence of {_count(n_directions, 'bool')}, one per direction"
    raise argument_error("periodic", must, repr(periodic))
