"""Dense renderings of everything that the kernels know in closed form: the truth at few sites.

Nothing here uses the kernels, the closed-form overlaps or the sum of products of the library.
"""

import itertools
from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np

from husimix.mixture.state import MixtureState
from husimix.physics.basis import SiteBasis
from husimix.physics.lindbladian import Lindbladian
from husimix.physics.symmetry.group import SymmetryGroup


def mixture_state(weights, coordinates, manifold, group) -> MixtureState:
    """A mixture from its parts in order."""
    return MixtureState(weights=weights, coordinates=coordinates, manifold=manifold, group=group)


def product_tensor(vectors) -> jnp.ndarray:
    """⊗_i v_i as a flat tensor, site 0 slowest, from (N, D) vectors."""
    return reduce(lambda a, b: (a[:, None] * b[None, :]).reshape(-1), list(vectors))


def permuted_tensor(tensor, permutation, size: int):
    """The tensor with the index of site i moved to site permutation[i]."""
    n = len(permutation)
    axes = np.argsort(permutation)
    return tensor.reshape((size,) * n).transpose(*axes).reshape(-1)


def local_map(unitary, basis: SiteBasis) -> np.ndarray:
    """O_ab = Tr(B_a U B_b U†)/d of a unitary U of one site."""
    moved = np.array([unitary @ b @ unitary.conj().T for b in basis.matrices])
    return np.einsum("aij,bji->ab", basis.matrices, moved).real / basis.dimension


def operation_matrix(permutation, maps) -> np.ndarray:
    """The D^N × D^N matrix of a symmetry operation on R, from the (N, D, D) maps of the sites that are reached."""
    n, size = len(permutation), maps[0].shape[0]
    unit = np.eye(size**n).reshape(*(size,) * n, -1)
    return reduce(np.kron, list(maps)) @ unit.transpose(*np.argsort(permutation), n).reshape(size**n, -1)


def averaged_tensor(tensor, group: SymmetryGroup, size: int):
    """The tensor averaged over a symmetry group."""
    if not len(group.maps):
        images = [permuted_tensor(tensor, p, size) for p in np.asarray(group.permutations)]
        return sum(images) / len(images)
    maps = np.concatenate([np.eye(size)[None], group.maps])
    images = [
        operation_matrix(p, maps[marks]) @ tensor for p, marks in zip(group.permutations, group.labels, strict=True)
    ]
    return sum(images) / len(images)


def mixture_tensor(weights, coordinates, manifold, group: SymmetryGroup | None = None):
    """R of a mixture, with the group average written out."""
    vectors = manifold.vectors(coordinates)
    total = sum(c * product_tensor(v) for c, v in zip(weights, vectors, strict=True))
    if group is None:
        return total
    return averaged_tensor(total, group, vectors.shape[-1])


def metric_diagonal(g, n_sites: int):
    """The metric as the diagonal of a D^N × D^N matrix."""
    return product_tensor([g] * n_sites)


@jax.jit
def tangent_tensors(mixture: MixtureState):
    """∂R/∂θ_α as rows, differentiated automatically: per component its weight, then sites × parameters."""
    manifold = mixture.manifold
    weights, coordinates = mixture.weights, mixture.coordinates

    def rendered(dw, dtheta):
        moved = coordinates + manifold.displacement(coordinates, dtheta)
        return mixture_tensor(weights + dw, moved, manifold)

    zero = jnp.zeros_like(weights), jnp.zeros((*coordinates.shape[:2], manifold.n_parameters))
    by_weight, by_site = jax.jacobian(rendered, argnums=(0, 1))(*zero)
    by_site = by_site.reshape(by_site.shape[0], len(weights), -1)
    return jnp.concatenate([by_weight[:, :, None], by_site], axis=2).reshape(by_site.shape[0], -1).T


def tied_tensors(mixture: MixtureState, free_sites) -> np.ndarray:
    """∂R/∂θ_α when sites share vectors: the derivatives along all sites of a free site, summed."""
    p, alone = mixture.manifold.n_parameters, SymmetryGroup.identity(mixture.n_sites)
    blocks = []
    for c, coordinates in zip(mixture.weights, mixture.coordinates, strict=True):
        rows = np.asarray(tangent_tensors(mixture_state(c[None], coordinates[None], mixture.manifold, alone)))
        sites = rows[1:].reshape(mixture.n_sites, p, -1)
        summed = np.zeros((max(free_sites) + 1, *sites.shape[1:]))
        np.add.at(summed, np.asarray(free_sites), sites)
        blocks += [rows[:1], summed.reshape(-1, rows.shape[1])]
    return np.concatenate(blocks)


def basis_products(basis: SiteBasis, n_sites: int) -> np.ndarray:
    """All B_a1 ⊗ ... ⊗ B_aN as (D^N, d^N, d^N), site 0 slowest."""
    return np.array(
        [
            reduce(np.kron, [basis.matrices[a] for a in index])
            for index in itertools.product(range(basis.size), repeat=n_sites)
        ]
    )


def tensor_of(rho: np.ndarray, basis: SiteBasis, n_sites: int) -> np.ndarray:
    """R_a = Tr ρ B_a from a density matrix."""
    return np.einsum("aij,ji->a", basis_products(basis, n_sites), rho).real


def density_of(tensor: np.ndarray, basis: SiteBasis, n_sites: int) -> np.ndarray:
    """ρ = d^-N Σ_a R_a B_a from the tensor."""
    return np.einsum("a,aij->ij", np.asarray(tensor), basis_products(basis, n_sites)) / basis.dimension**n_sites


def dense_generator(model: Lindbladian) -> np.ndarray:
    """𝓛 on R as a D^N × D^N matrix, from the Hamiltonian and jump matrices themselves."""
    products = basis_products(model.basis, model.n_sites)
    h = model.hamiltonian_matrix()
    superoperator = model.to_dense()
    assert superoperator.shape[0] == h.size
    columns = []
    for b in products:
        rho = b / len(h)
        moved = (superoperator @ rho.reshape(-1, order="F")).reshape(h.shape, order="F")
        columns.append(np.einsum("aij,ji->a", products, moved).real)
    return np.array(columns).T
