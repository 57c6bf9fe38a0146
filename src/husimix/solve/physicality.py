"""The watch on physicality: is what a mixture says of one and two sites a density matrix?

A mixture with negative weights need not be positive. Its errors show where a reduced density matrix, of a site or of
two neighbours, has a negative eigenvalue, or where the purity exceeds 1.
"""

import warnings
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from husimix._errors import HusimixWarning
from husimix.phasespace.mixture import Mixture
from husimix.phasespace.observables import group_image
from husimix.physics.basis import SiteBasis
from husimix.physics.lindbladian import Lindbladian
from husimix.physics.symmetry.group import SymmetryGroup

__all__ = ["PairImages", "Physicality", "neighbours", "smallest_eigenvalues", "warn_of_violations"]

# How far below zero an eigenvalue and how far above one the purity may lie before a run warns.
_EIGENVALUE_TOLERANCE = 0.05
_PURITY_TOLERANCE = 0.1
_REMEDY = "Take more components or a smaller damping, and trust nothing before two seeds agree."


class PairImages(eqx.Module):
    """Two-site expectation values of pairs of sites, averaged over a group.

    Attributes:
        sources: (M, G, 2) int, the sites that the group brings to each pair.
        labels: (M, G, 2) int, the local maps applied on the way.
        maps: (L, D, D) float, those maps.
    """

    sources: Int[Array, "pair image side"]
    labels: Int[Array, "pair image side"]
    maps: Float[Array, "map operator operator"]

    @classmethod
    def of(cls, pairs: np.ndarray, group: SymmetryGroup) -> "PairImages":
        """Of (M, 2) pairs of sites."""
        images = (np.swapaxes(table[:, pairs], 0, 1) for table in (group.sources, group.labels))
        return cls(*jax.device_put((*images, group.maps)))

    def values(self, state: Mixture) -> Float[Array, "pair operator operator"]:
        """⟨B_a B_b⟩ of each pair. Cost: M G K D²."""

        def one_pair(images: tuple[Array, Array]) -> Array:
            vectors = group_image(state.vectors, self.maps, *images)
            return jnp.einsum("k,kga,kgb->ab", state.weights, vectors[:, :, 0], vectors[:, :, 1]) / len(images[0])

        return jax.lax.map(one_pair, (self.sources, self.labels))


class Physicality(NamedTuple):
    """Smallest eigenvalues of reduced density matrices, 0 or more for a state.

    Attributes:
        site: of one site, and where.
        pair: of two neighbours, and where; 0 without any.
    """

    site: float
    at_site: int
    pair: float
    at_pair: tuple[int, int]


def neighbours(model: Lindbladian, group: SymmetryGroup) -> np.ndarray:
    """(M, 2) int: the bonds of the lattice, or the pairs that a term of the model joins, one of each kind.

    Bonds that the group carries into each other are of one kind.
    """
    if model.lattice is not None:
        pairs = {tuple(bond) for bond in model.lattice.bonds().tolist()}
    else:
        operators = (model.hamiltonian, *(d.operator for d in model.dissipators))
        joined = (sorted(site for site, _ in product) for o in operators for product in o.terms)
        pairs = {tuple(sites) for sites in joined if len(sites) == 2}
    kinds = []
    for pair in sorted(pairs):
        if pair in pairs:
            kinds.append(pair)
            pairs -= {tuple(ends) for ends in np.sort(group.sources[:, pair], axis=1).tolist()}
    return np.array(kinds, dtype=int).reshape(-1, 2)


def smallest_eigenvalues(basis: SiteBasis, sites: np.ndarray, pairs: np.ndarray, ends: np.ndarray) -> Physicality:
    """The smallest eigenvalues of one- and two-site density matrices.

    Args:
        basis: of a site.
        sites: (N, D) float, ⟨B_a⟩ of each site.
        pairs: (M, D, D) float, ⟨B_a B_b⟩ of each pair.
        ends: (M, 2) int, the sites of each pair.
    """
    matrices, d = basis.matrices, basis.dimension
    # Equal sites need be looked at only once; with symmetries there are few different ones.
    _, chosen = np.unique(np.round(sites, 9), axis=0, return_index=True)
    site = np.linalg.eigvalsh(np.einsum("na,aij->nij", sites[chosen], matrices) / d)[:, 0]
    at = int(site.argmin())
    if not len(ends):
        return Physicality(float(site[at]), int(chosen[at]), 0.0, (0, 0))
    joint = np.einsum("nab,aij,bkl->nikjl", pairs, matrices, matrices, optimize=True) / d**2
    pair = np.linalg.eigvalsh(joint.reshape(len(pairs), d * d, d * d))[:, 0]
    n = int(pair.argmin())
    return Physicality(float(site[at]), int(chosen[at]), float(pair[n]), (int(ends[n, 0]), int(ends[n, 1])))


def warn_of_violations(times: list[float], found: list[Physicality], purity: list[float], stacklevel: int) -> None:
    """One warning for each kind of violation, naming the worst time and site; `purity` may be empty."""
    if not times:
        return
    told = []
    n = int(np.argmin([p.site for p in found]))
    if found[n].site < -_EIGENVALUE_TOLERANCE:
        told.append((n, f"site {found[n].at_site} has a probability of {found[n].site:.2g}"))
    n = int(np.argmin([p.pair for p in found]))
    if found[n].pair < -_EIGENVALUE_TOLERANCE:
        first, second = found[n].at_pair
        told.append((n, f"sites {first} and {second} together have a probability of {found[n].pair:.2g}"))
    n = int(np.argmax(purity)) if purity else 0
    if purity and purity[n] > 1 + _PURITY_TOLERANCE:
        told.append((n, f"the purity is {purity[n]:.2g}, above 1"))
    for n, what in told:
        warnings.warn(f"Unphysical state at t = {times[n]:.6g}: {what}. {_REMEDY}", HusimixWarning, stacklevel)
