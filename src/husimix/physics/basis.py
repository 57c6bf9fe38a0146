"""The Hermitian operator basis of one site, of any local dimension d, with D = d² members.

Everything husimix computes is written in a basis B_0 = 1, B_1, ..., B_{D-1} of Hermitian operators with
Tr(B_a B_b) = d δ_ab (docs/theory.md, eq. 1). For spin ½ these are the Pauli matrices. For spin S they are
the real spherical tensors of rank l = 0 ... 2S, so that rotations mix members of equal rank only.
"""

import functools
from dataclasses import dataclass
from math import factorial

import numpy as np

from husimix._errors import check_integer

__all__ = ["SiteBasis", "coherent_vectors", "husimi_weights", "site_basis", "spin_matrices"]


@dataclass(frozen=True, eq=False)
class SiteBasis:
    """Hermitian basis of one site with its multiplication table.

    Instances come from `site_basis`, one for each local dimension, and are compared by identity.

    Attributes:
        dimension: d, the dimension of the site's Hilbert space.
        matrices: (D, d, d) complex, the operators B_a.
        ranks: (D,) int, the tensor rank l of each B_a.
        product: (D, D, D) complex, B_a B_b = Σ_c product[a, b, c] B_c.
        labels: D names; "1", "x", "y", "z" for spin ½.
    """

    dimension: int
    matrices: np.ndarray
    ranks: np.ndarray
    product: np.ndarray
    labels: tuple[str, ...]

    @property
    def size(self) -> int:
        """D = d², the number of basis operators."""
        return len(self.labels)

    @property
    def spin(self) -> float:
        """S = (d - 1)/2, the spin that lives on the site."""
        return (self.dimension - 1) / 2

    def left(self, a: int) -> np.ndarray:
        """ℓ(B_a), (D, D) complex: R of B_a ρ is ℓ(B_a) applied to R of ρ (docs/theory.md, eq. 4)."""
        return self.product[:, a, :]

    def sandwich(self, a: int, b: int) -> np.ndarray:
        """ℓ(B_a) r(B_b), (D, D) complex: the map ρ → B_a ρ B_b on R, with r = conj(ℓ)."""
        return self.left(a) @ self.left(b).conj()

    def components(self, matrix: np.ndarray) -> np.ndarray:
        """Tr(B_a M)/d, (D,) complex: the coefficients of a (d, d) matrix M in the basis."""
        return np.einsum("aij,ji->a", self.matrices, matrix) / self.dimension

    def __repr__(self) -> str:
        return f"SiteBasis(spin {self.spin:g}, D = {self.size})"


def spin_matrices(dimension: int) -> np.ndarray:
    """S_x, S_y, S_z of spin S = (d - 1)/2 as a (3, d, d) complex array; index 0 is the state m = +S."""
    spin = (dimension - 1) / 2
    m = spin - np.arange(dimension)
    raising = np.diag(np.sqrt(spin * (spin + 1) - m[1:] * (m[1:] + 1)), k=1)
    return np.array([(raising + raising.T) / 2, (raising - raising.T) / 2j, np.diag(m)])


def husimi_weights(basis: SiteBasis) -> np.ndarray:
    """g_l of ranks l = 0 … 2S such that Σ g R R' is the overlap of Husimi functions, ∫QQ' dΩ (docs/theory.md, eq. 3).

    g_l = (2S+1) ((2S)!)² / ((2S-l)! (2S+l+1)!): 1 and 1/3 for spin ½.
    """
    two_s = basis.dimension - 1
    scale = (two_s + 1) * factorial(two_s) ** 2
    return np.array([scale / (factorial(two_s - rank) * factorial(two_s + rank + 1)) for rank in range(two_s + 1)])


def coherent_vectors(basis: SiteBasis, directions: np.ndarray) -> np.ndarray:
    """⟨n|B_a|n⟩ of the spin-coherent states |n⟩ = exp(-iφ S_z) exp(-iθ S_y) |m = +S⟩.

    Args:
        basis: of the site.
        directions: (..., 3) float, unit vectors n.

    Returns:
        (..., D) float.
    """
    spins, size = spin_matrices(basis.dimension), basis.dimension
    # |n⟩ is the eigenvector of n·S with the largest eigenvalue, which is the last one.
    states = np.linalg.eigh(np.einsum("...x,xij->...ij", directions, spins))[1][..., size - 1]
    return np.einsum("...i,aij,...j->...a", states.conj(), basis.matrices, states).real


def site_basis(dimension: int = 2) -> SiteBasis:
    """The basis of real spherical tensors of a site of dimension d = 2S + 1 (docs/theory.md, eq. 1).

    Members are ordered by rank; within rank l come the pairs (cos mφ, sin mφ) for m = l ... 1, then m = 0,
    which makes rank 1 the operators x, y, z in this order.

    Args:
        dimension: d >= 2, the dimension of the site's Hilbert space.

    Returns:
        The `SiteBasis`; repeated calls return the same object.

    Raises:
        ValueError: if `dimension` is no integer of at least 2.
    """
    return _site_basis(check_integer("dimension", dimension, 2))


@functools.cache
def _site_basis(dimension: int) -> SiteBasis:
    sx, sy, _ = spin_matrices(dimension)
    lowering = sx - 1j * sy
    members, ranks, labels = [np.eye(dimension, dtype=complex)], [0], ["1"]
    for rank in range(1, dimension):
        tensor = np.linalg.matrix_power(sx + 1j * sy, rank)
        for m in range(rank, -1, -1):
            adjoint = tensor.conj().T
            parts = [tensor + adjoint, -1j * (tensor - adjoint)] if m else [tensor + adjoint]
            for name, part in zip(("c", "s") if m else ("c",), parts, strict=True):
                scale = np.sqrt(dimension / np.trace(part @ part).real)
                members.append(part * (scale if m or part[0, 0].real >= 0 else -scale))
                ranks.append(rank)
                labels.append("xyz"[len(labels) - 1] if rank == 1 else f"{name}{rank}{m}_")
            tensor = lowering @ tensor - tensor @ lowering
            tensor = tensor / np.abs(tensor).max() if m else tensor
    matrices = np.array(members)
    product = np.einsum("aij,bjk,cki->abc", matrices, matrices, matrices) / dimension
    product[np.abs(product) < 1e-14] = 0.0
    for array in (matrices, product):
        array.setflags(write=False)
    return SiteBasis(dimension, matrices, np.array(ranks), product, tuple(labels))
