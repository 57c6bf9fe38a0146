"""Which sets of sites a symmetry group carries into each other, without writing the group out.

Translations are kept apart: they are arithmetic on the cells of the lattice. Only the operations between them, point
group and local rotations, are written out as permutations, so that what follows does not grow with the lattice.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from husimix.clusters.rows import distinct_rows, numbered_rows
from husimix.physics.lattice import Lattice
from husimix.physics.symmetry.group import SymmetryGroup
from husimix.physics.symmetry.transformation import Transformation

__all__ = ["Canonical", "Orbits"]


class Canonical(NamedTuple):
    """Sets of n sites brought to the representative of their orbit.

    A set s and its representative c = g(s) have the same moments, but for the order of axes and local maps:
    M_s[…, site j of s, …] = labels[:, j]-th map applied to axis axes[:, j] of M_c.

    Attributes:
        sites: (R, n) int, the representatives, sites increasing.
        axes: (R, n) int, the axis of the representative that each site of the given set has become.
        labels: (R, n) int, which of `Orbits.maps` undoes the local map on the way.
    """

    sites: np.ndarray
    axes: np.ndarray
    labels: np.ndarray


class _Operation(NamedTuple):
    """An operation modulo translations: site i moves to permutation[i], where local map labels[…] is then applied."""

    permutation: np.ndarray
    labels: np.ndarray


class Orbits:
    """The orbits of sets of sites under a symmetry group.

    Args:
        generators: of the group; each is a symmetry of model and state.
        lattice: for its translations; None if there is none.
        n_sites: N.
        size: D, the number of operators of a site.

    Attributes:
        n_sites, generators, lattice: as given.
        maps: (L, D - 1, D - 1) float, the inverses of the local maps that occur, the identity first.
    """

    def __init__(self, generators: Sequence[Transformation], lattice: Lattice | None, n_sites: int, size: int):
        self.n_sites = n_sites
        self.generators = tuple(generators)
        self.lattice = lattice
        cells = _Cells.of(lattice, n_sites)
        moved = [cells.shift_of(g) for g in generators]
        shifts = [shift for shift in moved if shift is not None]
        others = [g for g, shift in zip(generators, moved, strict=True) if shift is None]
        reached = cells.reached(shifts)
        if not all(cells.is_shift_after(g, shift, reached) for g in others for shift in shifts):
            shifts, others, reached = [], list(generators), cells.reached([])
        self._cells = cells.anchored(reached)
        self._operations, maps = _modulo_translations(others, self._cells, n_sites, size)
        self.maps = np.swapaxes(maps[:, 1:, 1:], 1, 2)

    @property
    def order(self) -> int:
        """The number of elements of the group."""
        return len(self._operations) * self._cells.n_shifts

    @property
    def is_trivial(self) -> bool:
        """Whether the group has one element only."""
        return self.order == 1

    def holds(self, operation: Transformation) -> bool:
        """Whether an operation is an element of the group."""
        cells, n = self._cells, self.n_sites
        shift = cells.anchor_shifts[[operation.permutation[0] // cells.kinds]]
        back = operation.permutation if cells.n_shifts == 1 else cells.moved_back(operation.permutation[None], shift)[0]
        turned = operation.rotations
        maps = np.broadcast_to(np.eye(self.maps.shape[1]), (n, *self.maps.shape[1:]))
        if turned is not None:
            # Local maps belong to the sites where things land, and move with them.
            maps = np.empty_like(maps)
            maps[back] = turned[operation.permutation][:, 1:, 1:]
        for own in self._operations:
            if np.array_equal(own.permutation, back):
                undone = self.maps[own.labels]
                if np.abs(np.swapaxes(undone, 1, 2) - maps).max() < 1e-9:
                    return True
        return False

    def canonical(self, rows: np.ndarray) -> Canonical:
        """Sets of sites brought to the representatives of their orbits.

        The representative is the least of all images, as rows of increasing sites, that contain an anchored cell. Cost:
        n times the number of operations modulo translations, for each set that is not another one translated.

        Args:
            rows: (R, n) int, different sites in any order along each row.
        """
        if self._cells.n_shifts == 1:
            return self._least_images(rows)
        shift = self._cells.anchor_shifts[rows[:, 0] // self._cells.kinds]
        distinct, number = numbered_rows(self._cells.moved_back(rows, shift))
        return Canonical(*(x[number] for x in self._least_images(distinct)))

    def _least_images(self, rows: np.ndarray) -> Canonical:
        best, axes, labels = None, None, None
        for image, marks, _ in self._images(rows):
            order = np.argsort(image, axis=1, kind="stable")
            ordered = np.take_along_axis(image, order, axis=1)
            position = np.argsort(order, axis=1, kind="stable")
            if best is None or axes is None or labels is None:
                best, axes, labels = ordered, position, marks
                continue
            less = _is_less(ordered, best)[:, None]
            best, axes = np.where(less, ordered, best), np.where(less, position, axes)
            labels = np.where(less, marks, labels)
        assert best is not None and axes is not None and labels is not None  # the identity is an operation
        return Canonical(best, axes, labels)

    def multiplicities(self, canonical_rows: np.ndarray) -> np.ndarray:
        """(R,) float: how many sets the orbits of representatives have."""
        fixed = np.zeros(len(canonical_rows))
        seen: dict[int, list[np.ndarray]] = {}
        for image, _, (operation, shift) in self._images(canonical_rows):
            same = (np.sort(image, axis=1) == canonical_rows).all(axis=1)
            # Two sites of a set may be anchored by the same translation: it counts once.
            earlier = [number == shift for number in seen.setdefault(operation, [])]
            fixed += same & ~np.any(earlier, axis=0) if earlier else same
            seen[operation].append(np.where(same, shift, -1))
        return self.order / fixed

    def stabilisers(self, canonical_rows: np.ndarray) -> tuple[np.ndarray, Canonical]:
        """The operations that map representatives onto themselves, those of equal effect once.

        Args:
            canonical_rows: (R, n) int.

        Returns:
            (E,) int, which row each operation belongs to, and what it does to that row. The identity is among them.
        """
        n = canonical_rows.shape[1]
        parts = []
        for image, marks, _ in self._images(canonical_rows):
            order = np.argsort(image, axis=1, kind="stable")
            same = np.flatnonzero((np.take_along_axis(image, order, axis=1) == canonical_rows).all(axis=1))
            position = np.argsort(order, axis=1, kind="stable")
            parts.append(np.column_stack([same, position[same], marks[same]]))
        found = distinct_rows(np.concatenate(parts))
        owners, axes, labels = found[:, 0], found[:, 1 : 1 + n], found[:, 1 + n :]
        return owners, Canonical(canonical_rows[owners], axes, labels)

    def _images(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, tuple[int, np.ndarray]]]:
        """All images that contain an anchored cell, with the labels at their sites, and how they were made."""
        for number, operation in enumerate(self._operations):
            image = operation.permutation[rows]
            marks = operation.labels[image]
            if self._cells.n_shifts == 1:
                yield image, marks, (number, np.zeros(len(rows), dtype=int))
                continue
            for position in range(rows.shape[1]):
                shift = self._cells.anchor_shifts[image[:, position] // self._cells.kinds]
                yield self._cells.moved_back(image, shift), marks, (number, shift)


class _Cells(NamedTuple):
    """The cells of a lattice, and translations as arithmetic on them.

    Attributes:
        lengths: (dim,) int, cells along each direction.
        kinds: sites of a cell.
        anchor_shifts: (C,) int, the cell by which each cell is translated from its anchored one.
        n_shifts: the number of translations.
    """

    lengths: np.ndarray
    kinds: int
    anchor_shifts: np.ndarray
    n_shifts: int

    @classmethod
    def of(cls, lattice: Lattice | None, n_sites: int) -> "_Cells":
        """Without translations; a graph is one row of cells."""
        if lattice is None or not len(lattice.basis):
            return cls(np.array([n_sites]), 1, np.zeros(n_sites, dtype=int), 1)
        lengths = np.array(lattice.shape)
        return cls(lengths, len(lattice.basis), np.zeros(int(lengths.prod()), dtype=int), 1)

    def shift_of(self, operation: Transformation) -> int | None:
        """The cell to which a pure translation moves cell 0; None for any other operation."""
        if operation.rotations is not None:
            return None
        cell, kind = divmod(int(operation.permutation[0]), self.kinds)
        if kind or not cell:
            return None
        return cell if np.array_equal(operation.permutation, self._translation(cell)) else None

    def is_shift_after(self, operation: Transformation, shift: int, reached: np.ndarray) -> bool:
        """Whether g T g⁻¹ of a translation T is among those that move cell 0 to the cells reached, (C,) bool."""
        p = operation.permutation
        turned = p[self._translation(shift)[operation.sources]]
        cell, kind = divmod(int(turned[0]), self.kinds)
        return (
            not kind
            and bool(reached[cell])
            and np.array_equal(turned, self._translation(cell))
            and (operation.rotations is None or _commutes(operation, self._translation(shift)))
        )

    def anchored(self, reached: np.ndarray) -> "_Cells":
        """With the translations that move cell 0 to the cells reached, (C,) bool."""
        vectors = self._coordinates(np.flatnonzero(reached))
        if len(vectors) == 1:
            return self
        anchor = np.full(len(self.anchor_shifts), -1)
        for cell in range(len(anchor)):
            if anchor[cell] < 0:
                places = self._numbers(self._coordinates(np.array([cell])) + vectors)
                anchor[places] = self._numbers(vectors)
            if (anchor >= 0).all():
                break
        return self._replace(anchor_shifts=anchor, n_shifts=len(vectors))

    def moved_back(self, sites: np.ndarray, shift: np.ndarray) -> np.ndarray:
        """(R, n) sites translated back by one cell each row, (R,)."""
        cell, kind = np.divmod(sites, self.kinds)
        moved = self._coordinates(cell) - self._coordinates(shift)[:, None]
        return self._numbers(moved) * self.kinds + kind

    def _translation(self, cell: int) -> np.ndarray:
        n_sites = int(self.lengths.prod()) * self.kinds
        back = np.array([self._numbers(-self._coordinates(np.array([cell])))[0]])
        return self.moved_back(np.arange(n_sites)[None], back)[0]

    def reached(self, shifts: Sequence[int]) -> np.ndarray:
        """(C,) bool, the cells to which products of translations move cell 0."""
        if not shifts:
            return np.arange(int(self.lengths.prod())) == 0
        steps, reached = self._coordinates(np.array(shifts)), np.zeros(int(self.lengths.prod()), dtype=bool)
        frontier = np.array([0])
        while len(frontier):
            reached[frontier] = True
            found = self._numbers(self._coordinates(frontier)[:, None] + steps[None]).ravel()
            frontier = np.unique(found[~reached[found]])
        return reached

    def _coordinates(self, cells: np.ndarray) -> np.ndarray:
        return np.stack(np.unravel_index(cells, tuple(self.lengths)), axis=-1)

    def _numbers(self, coordinates: np.ndarray) -> np.ndarray:
        wrapped = coordinates % self.lengths
        return np.asarray(np.ravel_multi_index(tuple(np.moveaxis(wrapped, -1, 0)), tuple(self.lengths)))


def _commutes(operation: Transformation, translation: np.ndarray) -> bool:
    """Whether the local maps of an operation are those of its images under a translation of where it acts."""
    assert operation.rotations is not None
    turned = operation.permutation[translation[operation.sources]]
    return bool(np.abs(operation.rotations[turned] - operation.rotations).max() < 1e-12)


def _modulo_translations(
    generators: Sequence[Transformation], cells: _Cells, n_sites: int, size: int
) -> tuple[list[_Operation], np.ndarray]:
    """One operation of each coset of the translations, and the (L, D, D) local maps that their labels name."""
    if not generators:
        identity = _Operation(np.arange(n_sites), np.zeros(n_sites, dtype=int))
        return [identity], np.eye(size)[None]
    if cells.n_shifts == 1:
        group = SymmetryGroup.generated(generators)
        maps = np.concatenate([np.eye(size)[None], group.maps]) if len(group.maps) else np.eye(size)[None]
        rows = zip(group.permutations.astype(np.int64), group.labels.astype(np.int64), strict=True)
        return [_Operation(*row) for row in rows], maps
    table = [np.eye(size)]

    def normalised(operation: Transformation) -> Transformation:
        shift = cells.anchor_shifts[[operation.permutation[0] // cells.kinds]]
        back = cells.moved_back(np.arange(n_sites)[None], shift)[0]
        return Transformation(back) @ operation

    def labels_of(operation: Transformation) -> np.ndarray:
        if operation.rotations is None:
            return np.zeros(n_sites, dtype=int)
        distinct, index = np.unique(np.round(operation.rotations, 12), axis=0, return_inverse=True)
        numbers = [_number_in(table, matrix) for matrix in distinct]
        return np.array(numbers)[index.reshape(-1)]

    identity = Transformation(np.arange(n_sites))
    found = {_key(identity.permutation, labels_of(identity)): identity}
    frontier = [identity]
    while frontier:
        reached = [normalised(g @ element) for element in frontier for g in generators]
        frontier = []
        for operation in reached:
            key = _key(operation.permutation, labels_of(operation))
            if key not in found:
                found[key] = operation
                frontier.append(operation)
    operations = [_Operation(o.permutation.astype(np.int64), labels_of(o)) for o in found.values()]
    return operations, np.array(table)


def _number_in(table: list[np.ndarray], matrix: np.ndarray) -> int:
    """The number of a matrix in a table, which grows where it is new."""
    for number, known in enumerate(table):
        if np.abs(known - matrix).max() < 1e-9:
            return number
    table.append(matrix)
    return len(table) - 1


def _key(permutation: np.ndarray, labels: np.ndarray) -> bytes:
    return permutation.astype(np.int32).tobytes() + labels.astype(np.int32).tobytes()


def _is_less(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(R,) bool: whether rows come before others, lexicographically."""
    less, decided = np.zeros(len(first), dtype=bool), np.zeros(len(first), dtype=bool)
    for a, b in zip(first.T, second.T, strict=True):
        less |= ~decided & (a < b)
        decided |= a != b
    return less
