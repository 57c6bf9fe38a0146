"""All elements of the group that a few symmetry operations generate."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from husimix._errors import argument_error
from husimix.physics.symmetry.transformation import Transformation

__all__ = ["closure"]

_MAX_ORDER = 100_000
_MAX_MAPS = 1000
_TOLERANCE = 1e-12


def closure(operations: Sequence[Transformation]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The smallest group that contains the given operations.

    Args:
        operations: the generators, at least one, all on N sites.

    Returns:
        permutations (G, N) and labels (G, N) of its elements, the identity first; the local maps (L, D, D) that
        the labels name; and generators (M,), the elements that generate the rest: `operations` without those that
        the ones before them generate. The arrays are those of `SymmetryGroup`.

    Raises:
        ValueError: if local dimensions differ or the group has more than 100000 elements or 1000 local maps.
    """
    table = _LocalMaps()
    group = _Elements.of(Transformation(n_sites=operations[0].n_sites), table)
    known, steps, generators = set(group.keys()), [], []
    for operation in operations:
        step = _Elements.of(operation, table)
        if step.keys()[0] not in known:
            # The first coset that is added to the group starts with the generator itself.
            generators.append(group.order)
            steps.append(step)
            group = _enlarged(group, steps, known, table)
    return group.permutations, group.labels, table.array(), np.array(generators, dtype=int)


class _LocalMaps:
    """The distinct local maps that were met so far: label 0 is the identity, label l >= 1 the l-th other map."""

    def __init__(self):
        self._maps: np.ndarray | None = None
        self._products: dict[tuple[int, int], int] = {}

    def array(self) -> np.ndarray:
        """(L, D, D), the maps beside the identity."""
        return np.zeros((0, 1, 1)) if self._maps is None else self._maps[1:]

    def labels(self, operation: Transformation) -> np.ndarray:
        """(N,) the labels of the maps of an operation."""
        if operation.rotations is None:
            return np.zeros(operation.n_sites, dtype=np.int32)
        if self._maps is None:
            self._maps = np.eye(operation.rotations.shape[-1])[None]
        operation.check_fits("generators", operation.n_sites, self._maps.shape[-1])
        distinct = {matrix.tobytes(): matrix for matrix in operation.rotations}
        known = {key: self._label(matrix) for key, matrix in distinct.items()}
        return np.array([known[matrix.tobytes()] for matrix in operation.rotations], dtype=np.int32)

    def multiplied(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Labels of the products O_left O_right, elementwise for (..., N) arrays of labels."""
        if self._maps is None:
            return left
        count = len(self._maps)
        codes, position = np.unique(left * count + right, return_inverse=True)
        labels = [self._product(int(code) // count, int(code) % count) for code in codes]
        return np.array(labels, dtype=np.int32)[position].reshape(left.shape)

    def _product(self, left: int, right: int) -> int:
        if left == 0 or right == 0:
            return left + right
        if (left, right) not in self._products:
            assert self._maps is not None
            self._products[left, right] = self._label(self._maps[left] @ self._maps[right])
        return self._products[left, right]

    def _label(self, matrix: np.ndarray) -> int:
        assert self._maps is not None
        same = np.abs(self._maps - matrix).max(axis=(1, 2)) < _TOLERANCE
        if same.any():
            return int(np.argmax(same))
        if len(self._maps) > _MAX_MAPS:
            fix = "Rotate by angles of which a multiple is a full turn."
            raise argument_error("generators", f"generate at most {_MAX_MAPS} local maps", "more", fix)
        self._maps = np.concatenate([self._maps, matrix[None]])
        return len(self._maps) - 1


@dataclass(frozen=True)
class _Elements:
    """A list of group elements; the arrays are those of `SymmetryGroup`."""

    permutations: np.ndarray
    sources: np.ndarray
    labels: np.ndarray

    @classmethod
    def of(cls, operation: Transformation, table: _LocalMaps) -> "_Elements":
        return cls(operation.permutation[None], operation.sources[None], table.labels(operation)[None])

    @property
    def order(self) -> int:
        return len(self.permutations)

    def after(self, other: "_Elements", table: _LocalMaps) -> "_Elements":
        """The products of all elements with the one element of `other`, which acts first."""
        arriving = other.labels[0, self.sources]
        return _Elements(
            self.permutations[:, other.permutations[0]],
            other.sources[0, self.sources],
            table.multiplied(self.labels, arriving),
        )

    def keys(self) -> list[bytes]:
        """A value for each element that is equal exactly for equal elements (but for collisions of 128 bits)."""
        rows = np.concatenate([self.permutations, self.labels], axis=1)
        return [hashlib.blake2b(row, digest_size=16).digest() for row in rows]


def _enlarged(group: _Elements, steps: list[_Elements], known: set[bytes], table: _LocalMaps) -> _Elements:
    """The group that a known group and one more generator, the last of `steps`, make; `known` grows along.

    Dimino's algorithm: the larger group is a union of cosets H r, complete once every r s with a generator s lies
    in a coset that is known. A new coset comes whole, so that little more than its elements is ever computed.
    """
    cosets, representatives = [group], []

    def add(element: _Elements) -> None:
        coset = group.after(element, table)
        if (len(cosets) + 1) * group.order > _MAX_ORDER:
            fix = "Leave generators out, or check that each one is a symmetry that you mean."
            raise argument_error("generators", f"generate at most {_MAX_ORDER} elements", "more", fix)
        known.update(coset.keys())
        cosets.append(coset)
        representatives.append(element)

    add(steps[-1])
    for representative in representatives:
        for step in steps:
            product = representative.after(step, table)
            if product.keys()[0] not in known:
                add(product)
    arrays = zip(*((c.permutations, c.sources, c.labels) for c in cosets), strict=True)
    return _Elements(*(np.concatenate(parts) for parts in arrays))
