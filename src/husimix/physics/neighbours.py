"""Pairs of sites that are neighbours in a model, one of each kind."""

import numpy as np

from husimix.physics.lindbladian import Lindbladian
from husimix.physics.symmetry.group import SymmetryGroup

__all__ = ["neighbour_pairs", "one_of_each_kind"]


def neighbour_pairs(model: Lindbladian) -> np.ndarray:
    """(M, 2) int: the bonds of the lattice, or the pairs that a product of two sites joins, sorted."""
    if model.lattice is not None:
        return model.lattice.bonds()
    operators = (model.hamiltonian, *(d.operator for d in model.dissipators))
    joined = (sorted(site for site, _ in product) for o in operators for product in o.terms)
    return np.array(sorted({tuple(sites) for sites in joined if len(sites) == 2}), dtype=int).reshape(-1, 2)


def one_of_each_kind(pairs: np.ndarray, group: SymmetryGroup) -> np.ndarray:
    """(M', 2) int: of the pairs that a group carries into each other the first."""
    left, kinds = {tuple(pair) for pair in pairs.tolist()}, []
    for pair in sorted(left):
        if pair in left:
            kinds.append(pair)
            left -= {tuple(ends) for ends in np.sort(group.sources[:, pair], axis=1).tolist()}
    return np.array(kinds, dtype=int).reshape(-1, 2)
