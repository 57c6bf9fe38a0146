"""One symmetry operation: a permutation of the sites together with a unitary on each site.

On the tensor R the unitary U of a site is the real orthogonal matrix O_ab = Tr(B_a U B_b U†)/d, the local map.
"""

import functools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from husimix._errors import argument_error, check_integer
from husimix.physics.basis import site_basis, spin_matrices

__all__ = ["Transformation", "pi_rotation"]

_TOLERANCE = 1e-12
_AXES = "xyz"
_NONE = ("", "1")


class Transformation:
    """One symmetry operation: a site permutation and a local rotation on each site.

    It moves what is on site i to site permutation[i] and then rotates it there. `g @ h` is g after h.

    Args:
        permutation: (N,) int, site i moves to permutation[i]; None leaves all sites in place.
        rotation: a letter x, y or z rotates every site by π about that spin axis, exp(-iπ S_x) for "x"; N letters
            rotate each site by its own, with "1" or "" for none, such as "x1x1". An array is the local map itself,
            O_ab = Tr(B_a U B_b U†)/d, of shape (D, D) for all sites or (N, D, D). None rotates nothing.
        n_sites: N, needed if neither `permutation` nor `rotation` tells.
        dimension: d, the dimension of a site that the letters refer to; 2 for spin ½, 3 for spin 1.

    Attributes:
        permutation: (N,) int32.
        rotations: (N, D, D) float, the local map that is applied to what arrives at each site, or None if there
            is none.

    Raises:
        ValueError: for no permutation, an unknown letter, numbers of sites that differ, or a matrix that is not
            the local map of a unitary.
    """

    permutation: np.ndarray
    rotations: np.ndarray | None
    # numpy arrays must refuse `@` with an operation instead of broadcasting over it.
    __array_ufunc__ = None

    def __init__(
        self,
        permutation: ArrayLike | None = None,
        rotation: str | Sequence[str] | np.ndarray | None = None,
        n_sites: int | None = None,
        dimension: int = 2,
    ):
        size = None if n_sites is None else check_integer("n_sites", n_sites, 1)
        row = None if permutation is None else _checked_permutation(permutation, size)
        size = size if row is None else len(row)
        maps = rotation if isinstance(rotation, np.ndarray | None) else _lettered(rotation, size, dimension)
        if maps is not None:
            maps = _checked_maps(maps, size)
            size = len(maps)
        if size is None:
            raise _unknown_size()
        self.permutation = np.arange(size, dtype=np.int32) if row is None else row
        self.rotations = None if maps is None or not _moves(maps).any() else maps

    @property
    def n_sites(self) -> int:
        """N, the number of sites."""
        return len(self.permutation)

    @property
    def sources(self) -> np.ndarray:
        """(N,) int32, the inverse permutation: site j receives what was at sources[j]."""
        return np.argsort(self.permutation).astype(np.int32)

    def inverse(self) -> "Transformation":
        """The operation that undoes this one."""
        maps = None if self.rotations is None else self.rotations[self.permutation].transpose(0, 2, 1)
        return Transformation(self.sources, maps)

    def is_same_as(self, other: "Transformation") -> bool:
        """Whether two operations are equal, local maps up to rounding."""
        if not np.array_equal(self.permutation, other.permutation):
            return False
        if self.rotations is None or other.rotations is None:
            return self.rotations is other.rotations
        return bool(np.abs(self.rotations - other.rotations).max() < _TOLERANCE)

    def check_fits(self, name: str, n_sites: int, size: int) -> None:
        """Refuse to act on more sites than this operation has, or on sites with another D.

        Args:
            name: of this operation, for the message.
            n_sites: the number of sites to act on, at least.
            size: D, the number of basis operators of a site.

        Raises:
            ValueError: if the operation does not fit.
        """
        if self.n_sites < n_sites:
            raise argument_error(name, f"act on {n_sites} sites", self.n_sites)
        if self.rotations is not None and self.rotations.shape[-1] != size:
            dimension, got = math.isqrt(size), math.isqrt(self.rotations.shape[-1])
            raise argument_error(name, f"rotate sites of dimension {dimension}", got, f"Pass dimension={dimension}.")

    def images(self, sites: np.ndarray, members: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """What products of one-site operators become, U (⊗ B_a) U†, as sums of products.

        Args:
            sites: (M, q) int, the sites of each product.
            members: (M, q) int, the index a of the operator on each of them.

        Returns:
            rows (K,), sites (K, q), members (K, q), factors (K,): product rows[k] contributes factors[k] times the
            product of `members[k]` on `sites[k]`, which increase along each row.
        """
        rows, factors = np.arange(len(sites)), np.ones(len(sites))
        sites, members = self.permutation[sites], np.array(members)
        if self.rotations is not None:
            for n in range(sites.shape[1]):
                entry, member = np.nonzero(self.rotations[sites[:, n], :, members[:, n]])
                factors = factors[entry] * self.rotations[sites[entry, n], member, members[entry, n]]
                rows, sites, members = rows[entry], sites[entry], members[entry]
                members[:, n] = member
        order = np.argsort(sites, axis=1)
        return rows, np.take_along_axis(sites, order, 1), np.take_along_axis(members, order, 1), factors

    def __matmul__(self, other: "Transformation") -> "Transformation":
        if not isinstance(other, Transformation):
            return NotImplemented
        if self.n_sites != other.n_sites:
            raise argument_error("other", f"permute {self.n_sites} sites", other.n_sites)
        maps = self.rotations
        if other.rotations is not None:
            self.check_fits("self", other.n_sites, other.rotations.shape[-1])
            arriving = other.rotations[self.sources]
            maps = arriving if maps is None else maps @ arriving
        return Transformation(self.permutation[other.permutation], maps)

    def __repr__(self) -> str:
        moved = int(np.count_nonzero(self.permutation != np.arange(self.n_sites)))
        turned = 0 if self.rotations is None else int(_moves(self.rotations).sum())
        return f"Transformation({self.n_sites} sites, {moved} moved, {turned} rotated)"


@functools.cache
def pi_rotation(axis: str, dimension: int) -> np.ndarray:
    """The local map of the rotation exp(-iπ S_axis) of a spin.

    Args:
        axis: "x", "y" or "z".
        dimension: d = 2S + 1.

    Returns:
        (D, D) float: diagonal, with entries ±1, since each real spherical tensor is even or odd under each of
        the three rotations.

    Raises:
        ValueError: if `dimension` is no integer of at least 2.
    """
    basis = site_basis(dimension)
    angles, vectors = np.linalg.eigh(spin_matrices(dimension)[_AXES.index(axis)])
    unitary = (vectors * np.exp(-1j * np.pi * angles)) @ vectors.conj().T
    turned = unitary @ basis.matrices @ unitary.conj().T
    signs = np.rint(np.einsum("aij,aji->a", basis.matrices, turned).real / dimension)
    matrix = np.diag(signs)
    matrix.setflags(write=False)
    return matrix


def _checked_permutation(permutation: ArrayLike, size: int | None) -> np.ndarray:
    try:
        row = np.asarray(permutation)
    except ValueError:
        row = np.empty(0)
    if row.ndim != 1 or row.size == 0 or row.dtype.kind not in "iu":
        raise argument_error("permutation", "be a row of integers", permutation)
    n = len(row) if size is None else size
    if not np.array_equal(np.sort(row), np.arange(n)):
        raise argument_error("permutation", f"be a permutation of 0 ... {n - 1}", permutation)
    return row.astype(np.int32)


def _unknown_size() -> ValueError:
    return argument_error("n_sites", "be given when there is neither a permutation nor a letter per site", None)


def _lettered(rotation: str | Sequence[str], size: int | None, dimension: int) -> np.ndarray:
    """The local maps (D, D) or (N, D, D) that letters stand for."""
    known = (*_NONE, *_AXES)
    one_for_all = isinstance(rotation, str) and len(rotation) <= 1
    letters = [rotation] if one_for_all else list(rotation) if isinstance(rotation, Sequence) else [rotation]
    for letter in letters:
        if not isinstance(letter, str) or letter not in known:
            raise argument_error("rotation", "hold the letters x y z, or 1 for none", repr(rotation))
    if not one_for_all and len(letters) != (size or max(len(letters), 1)):
        raise argument_error("rotation", "be one letter, or one for each site", f"{len(letters)} letters")
    identity = np.eye(site_basis(dimension).size)
    table = np.array([identity, identity, *(pi_rotation(axis, dimension) for axis in _AXES)])
    maps = table[[known.index(letter) for letter in letters]]
    return maps[0] if one_for_all else maps


def _checked_maps(maps: np.ndarray, size: int | None) -> np.ndarray:
    """(N, D, D) float local maps, each verified to come from a unitary."""
    if maps.ndim == 2:
        if size is None:
            raise _unknown_size()
        maps = np.broadcast_to(maps, (size, *maps.shape))
    if maps.ndim != 3 or size not in (None, len(maps)) or maps.dtype.kind not in "iuf":
        sites = "N" if size is None else size
        raise argument_error("rotation", f"be real and of shape (D, D) or ({sites}, D, D)", f"shape {maps.shape}")
    maps = np.where(np.abs(maps) < 1e-15, 0.0, maps.astype(np.float64))
    for matrix in {m.tobytes(): m for m in maps}.values():
        if not _is_unitary(matrix):
            fix = "Its entries are Tr(B_a U B_b U†)/d with a unitary U."
            raise argument_error("rotation", "be the local map of a unitary", matrix.tolist(), fix)
    return maps


def _is_unitary(matrix: np.ndarray) -> bool:
    """Whether a (D, D) matrix is the local map of a unitary: whether it respects products and adjoints."""
    dimension = math.isqrt(max(len(matrix), 4))
    if matrix.shape != (dimension**2,) * 2 or not np.isfinite(matrix).all():
        return False
    product = site_basis(dimension).product
    moved_after = np.einsum("abc,dc->abd", product, matrix)
    moved_before = np.einsum("xyd,xa,yb->abd", product, matrix, matrix, optimize=True)
    keeps_identity = np.abs(matrix[:, 0] - np.eye(len(matrix))[0]).max() < _TOLERANCE
    return bool(keeps_identity and np.abs(moved_after - moved_before).max() < _TOLERANCE * len(matrix))


def _moves(maps: np.ndarray) -> np.ndarray:
    """(N,) bool, whether each of (N, D, D) local maps differs from the identity."""
    return np.abs(maps - np.eye(maps.shape[-1])).max(axis=(1, 2)) > _TOLERANCE
