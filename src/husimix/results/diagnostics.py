"""The one schema of diagnostics: what each entry of every result means, and the watch on physicality.

An ansatz adds entries of its own, documented in `AbstractAnsatz.diagnostics`. A signed mixture or a truncated set of
moments need not be positive: its errors show where a reduced density matrix has a negative eigenvalue.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from husimix._errors import HusimixWarning
from husimix.physics.basis import SiteBasis

__all__ = [
    "DIAGNOSTICS",
    "N_EIGENVALUES",
    "STEADY_NUMBERS",
    "Physicality",
    "smallest_probabilities",
    "warn_of_violations",
]

DIAGNOSTICS: Mapping[str, str] = {
    "steps": "accepted time steps so far",
    "rejected": "rejected time steps so far",
    "step_size": "the last accepted time step",
    "step_error": "sum of the error estimates of all time steps, in expectation values of one and two sites",
    "projection_error": "certificate ‖𝓛R - Ṙ‖/‖R‖ in the metric, in 1/time, mean since the save time before",
    "projection_error_absolute": "‖𝓛R - Ṙ‖, likewise",
    "projection_error_site": "what of projection_error_absolute belongs to each site: squares add up to its square",
    "projection_share": "‖𝓛R - Ṙ‖/‖𝓛R‖, the part of the flow that the ansatz does not hold, likewise",
    "accumulated_error": "integral of projection_error since the beginning, earlier runs and compressions included",
    "accumulated_error_absolute": "integral of projection_error_absolute, likewise",
    "smallest_probability_site": "smallest eigenvalue of the density matrix of a site; below 0 no state has it",
    "smallest_probability_pair": "smallest eigenvalue of the density matrix of two neighbours, likewise",
    "estimated_error": "largest difference from the rung before in any one-site, neighbour or other expectation value",
}
"""The diagnostics that every ansatz has, by name."""

STEADY_NUMBERS: Mapping[str, str] = {
    "residual": "‖𝓛R‖/‖R‖",
    "speed": "‖Ṙ‖/‖R‖",
    "drift": "largest rate of change of an expectation value",
    "gap": "slowest relaxation rate",
    "disagreement": "largest difference between starts",
}
"""The numbers of every steady state, by name."""

N_EIGENVALUES = 8
"""How many eigenvalues of the linearised equations a steady state keeps."""

ZERO_MODE = 1e-7
"""Real parts of eigenvalues below this, in units of the mean dissipation rate, count as zero."""

# How far below zero an eigenvalue may lie, and how far above one the purity, before a run warns.
_EIGENVALUE_TOLERANCE = 0.05
_PURITY_TOLERANCE = 0.1


class Physicality(NamedTuple):
    """Smallest eigenvalues of reduced density matrices at T times, 0 or more for a state.

    Attributes:
        site: (T,) of one site.
        at_site: (T,) int, where.
        pair: (T,) of two neighbours; 0 without any.
        at_pair: (T,) int, which pair.
    """

    site: np.ndarray
    at_site: np.ndarray
    pair: np.ndarray
    at_pair: np.ndarray


def smallest_probabilities(basis: SiteBasis, sites: np.ndarray, pairs: np.ndarray) -> Physicality:
    """The smallest eigenvalues of one- and two-site density matrices.

    Args:
        basis: of a site.
        sites: (T, N, D) float, ⟨B_a⟩ of each site.
        pairs: (T, M, D, D) float, ⟨B_a B_b⟩ of each pair.
    """
    matrices, d, n_times = basis.matrices, basis.dimension, len(sites)
    # Equal sites need be looked at only once; with symmetries there are few different ones. A sum with weights that
    # no two rows of values have in common tells them apart faster than the rows do.
    keys = np.round(sites, 9) @ np.sqrt(2.0 + np.arange(sites.shape[-1]))
    _, first, kind = np.unique(keys, return_index=True, return_inverse=True)
    chosen = sites.reshape(-1, sites.shape[-1])[first]
    lowest = np.linalg.eigvalsh(np.einsum("na,aij->nij", chosen, matrices) / d)[:, 0]
    by_site = lowest[kind.reshape(-1)].reshape(n_times, -1)
    nothing = np.zeros(n_times)
    of_sites = by_site.min(axis=1, initial=np.inf), by_site.argmin(axis=1) if by_site.size else nothing.astype(int)
    if not pairs.shape[1]:
        return Physicality(*of_sites, nothing, nothing.astype(int))
    joint = np.einsum("tnab,aij,bkl->tnikjl", pairs, matrices, matrices, optimize=True) / d**2
    by_pair = np.linalg.eigvalsh(joint.reshape(*pairs.shape[:2], d * d, d * d))[..., 0]
    return Physicality(*of_sites, by_pair.min(axis=1), by_pair.argmin(axis=1))


def warn_of_violations(
    times: Sequence[float], found: Physicality, pairs: np.ndarray, purity: np.ndarray, remedy: str, stacklevel: int
) -> None:
    """One warning for each kind of violation, naming the worst time and place.

    Args:
        times: (T,).
        found: at these times.
        pairs: (M, 2) int, the sites of the pairs.
        purity: (T,) of the whole state; empty where it is not known.
        remedy: what to do about it.
        stacklevel: of the warning.
    """
    if not len(times):
        return
    told = []
    n = int(np.argmin(found.site))
    if found.site[n] < -_EIGENVALUE_TOLERANCE:
        told.append((n, f"site {found.at_site[n]} has a probability of {found.site[n]:.2g}"))
    n = int(np.argmin(found.pair))
    if found.pair[n] < -_EIGENVALUE_TOLERANCE:
        first, second = pairs[found.at_pair[n]]
        told.append((n, f"sites {first} and {second} together have a probability of {found.pair[n]:.2g}"))
    n = int(np.argmax(purity)) if len(purity) else 0
    if len(purity) and purity[n] > 1 + _PURITY_TOLERANCE:
        told.append((n, f"the purity is {purity[n]:.2g}, above 1"))
    for n, what in told:
        warnings.warn(f"Unphysical state at t = {times[n]:.6g}: {what}. {remedy}", HusimixWarning, stacklevel)
