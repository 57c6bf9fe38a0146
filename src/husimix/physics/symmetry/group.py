"""Symmetry groups of a model: site permutations, each with a local rotation on every site.

A permutation p moves site i to p[i]; the local map of an element is applied to what arrives. The average of a
state over the group is what one mixture component stands for when a group is in use (docs/theory.md, eq. 15).
"""

import math
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import numpy as np
from numpy.typing import ArrayLike

from husimix._errors import argument_error, check_integer
from husimix.physics.lattice import Lattice
from husimix.physics.symmetry.closure import closure
from husimix.physics.symmetry.transformation import Transformation

__all__ = ["SymmetryGroup"]


class SymmetryGroup(eqx.Module):
    """A finite group of symmetry operations: site permutations, each with a local rotation on every site.

    Element g turns R into gR: site j receives O applied to what was on site sources[g, j], where O is the map that
    labels[g, j] names.

    Attributes:
        permutations: (G, N) int; element g moves site i to permutations[g, i]. Element 0 is the identity.
        sources: (G, N) int; the inverse permutations, so that site j receives what was at sources[g, j].
        labels: (G, N) int; the map applied to what arrives at site j: 0 for none, l >= 1 for maps[l - 1].
        maps: (L, D, D) float; the local maps beside the identity, (0, 1, 1) for a group of pure permutations.
        generators: (M,) int; the elements whose products are all elements, enough to test for symmetry.
    """

    permutations: np.ndarray
    sources: np.ndarray
    labels: np.ndarray
    maps: np.ndarray
    generators: np.ndarray

    @classmethod
    def identity(cls, n_sites: int) -> "SymmetryGroup":
        """The group of one element: no symmetry is used."""
        identity = np.arange(check_integer("n_sites", n_sites, 1))[None]
        return cls.of_elements(identity, np.arange(0))

    @classmethod
    def translations(cls, lattice: Lattice) -> "SymmetryGroup":
        """All translations along the periodic directions of a lattice."""
        # The shifts come in row-major order, so that a step along one direction is one stride away.
        lengths = [n if closed else 1 for n, closed in zip(lattice.shape, lattice.periodic, strict=True)]
        strides = [math.prod(lengths[i + 1 :]) for i in range(len(lengths))]
        steps = [stride for stride, length in zip(strides, lengths, strict=True) if length > 1]
        return cls.of_elements(lattice.translations(), np.array(steps, dtype=int))

    @classmethod
    def generated(cls, generators: Sequence[Transformation | ArrayLike] | np.ndarray) -> "SymmetryGroup":
        """The smallest group that contains the given operations.

        Args:
            generators: `Transformation` objects, or rows p of site permutations with p[i] the site to which site i
                moves; one row alone is a generator, too. At least one.

        Returns:
            The group with all its elements. A generator that the ones before it generate is left out of
            `SymmetryGroup.generators`.

        Raises:
            ValueError: if a row is not a permutation of 0 ... N - 1, numbers of sites or local dimensions differ,
                or the group has more than 100000 elements or 1000 local maps.
        """
        permutations, labels, maps, numbers = closure(_operations(generators))
        return cls.of_elements(permutations, numbers, labels, maps)

    @classmethod
    def of_elements(
        cls,
        permutations: np.ndarray,
        generators: np.ndarray,
        labels: np.ndarray | None = None,
        maps: np.ndarray | None = None,
    ) -> "SymmetryGroup":
        """The group with the given elements, which are taken at their word.

        Args:
            permutations: (G, N) int, the identity first.
            generators: (M,) int, the elements whose products are all elements.
            labels: (G, N) int, the local map of each element and site; None for pure permutations.
            maps: (L, D, D) float, the local maps beside the identity; None for pure permutations.

        Returns:
            The group.
        """
        moved = np.asarray(permutations, dtype=np.int32)
        marked = np.zeros(moved.shape, np.int32) if labels is None else np.asarray(labels, dtype=np.int32)
        local = np.zeros((0, 1, 1)) if maps is None else np.asarray(maps, dtype=np.float64)
        sources = np.argsort(moved, axis=1).astype(np.int32)
        return cls(moved, sources, marked, local, np.asarray(generators, dtype=np.int32))

    @property
    def order(self) -> int:
        """G, the number of elements."""
        return len(self.permutations)

    @property
    def n_sites(self) -> int:
        """N, the number of sites."""
        return self.permutations.shape[1]

    def element(self, index: int) -> Transformation:
        """Element `index` as a `Transformation`."""
        if len(self.maps) == 0:
            return Transformation(self.permutations[index])
        maps = np.concatenate([np.eye(self.maps.shape[-1])[None], self.maps])
        return Transformation(self.permutations[index], maps[self.labels[index]])

    def contains(self, operation: Transformation) -> bool:
        """Whether an operation is an element, local maps up to rounding. Cost: G N."""
        if operation.n_sites != self.n_sites:
            return False
        rows = np.flatnonzero((np.asarray(self.permutations) == operation.permutation).all(axis=1))
        return any(self.element(row).is_same_as(operation) for row in rows.tolist())

    def __repr__(self) -> str:
        local = f", {len(self.maps)} local maps" if len(self.maps) else ""
        return f"SymmetryGroup(order {self.order}, {self.n_sites} sites{local})"


def _operations(generators: Any) -> list[Transformation]:
    """The generators as `Transformation`s of one number of sites."""
    rows = list(generators) if isinstance(generators, Sequence | np.ndarray) else [generators]
    if rows and not isinstance(rows[0], Transformation) and np.ndim(rows[0]) == 0:
        rows = [rows]
    if not rows:
        raise argument_error("generators", "hold at least one operation", "none")
    operations: list[Transformation] = []
    for row in rows:
        n_sites = operations[0].n_sites if operations else np.size(row)
        try:
            operation = row if isinstance(row, Transformation) else Transformation(row)
        except ValueError:
            raise argument_error("generators", f"be permutations of 0 ... {n_sites - 1}", row) from None
        if operations and operation.n_sites != n_sites:
            raise argument_error("generators", f"be permutations of 0 ... {n_sites - 1}", row)
        operations.append(operation)
    return operations
