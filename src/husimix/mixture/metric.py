"""The metric on phase space: how much each tensor rank counts in the inner product of two states.

⟨R, R'⟩ = Σ_a g_{a1} ... g_{aN} R_a R'_a with g_0 = 1 (docs/theory.md, eq. 3).
"""

import numpy as np

from husimix._errors import argument_error, check_choice
from husimix.physics.basis import SiteBasis, husimi_weights

__all__ = ["METRICS", "check_metric", "site_metric", "size_factor"]

METRICS = ("auto", "husimi", "hilbert-schmidt")
"""The metrics that have a name."""

# Beyond this number of sites the Husimi metric is scaled down in proportion (docs/theory.md, "Large lattices").
_HUSIMI_SITES = 24


def site_metric(metric: str | float | np.ndarray, basis: SiteBasis, n_sites: int = 1) -> np.ndarray:
    """The metric weights g_a of one site.

    "husimi" is ∫QQ' dΩ of the Husimi functions, g_l = (2S+1) ((2S)!)² / ((2S-l)! (2S+l+1)!) on rank l:
    (1, 1/3, 1/3, 1/3) for spin ½. "hilbert-schmidt" is Tr ρρ' up to a constant, g = 1. "auto" is the Husimi metric up
    to 24 sites and 24/N times its weights of the ranks l >= 1 beyond, so that overlaps stay of the same order.

    Args:
        metric: a name, or one number for all ranks l >= 1, or one number for each rank l = 1 ... 2S.
        basis: the site's operator basis.
        n_sites: N, for "auto".

    Returns:
        (D,) float, g_0 = 1 first.

    Raises:
        ValueError: for an unknown name, a wrong number of weights, or weights that are not positive.
    """
    two_s = basis.dimension - 1
    if isinstance(metric, str):
        if check_choice("metric", metric, METRICS) == "hilbert-schmidt":
            return np.ones(basis.size)
        by_rank = husimi_weights(basis)
        if metric == "auto":
            by_rank[1:] *= size_factor(n_sites)
        return by_rank[basis.ranks]
    check_metric(metric)
    given = np.asarray(metric, dtype=float)
    weights = np.broadcast_to(given, (two_s,)) if given.size == 1 else given
    if weights.shape != (two_s,):
        raise argument_error("metric", f"hold {two_s} weights, one for each rank l >= 1", f"shape {given.shape}")
    return np.concatenate([[1.0], weights])[basis.ranks]


def check_metric(metric: object) -> None:
    """Refuse what is neither the name of a metric nor positive weights. Raises ValueError."""
    if isinstance(metric, str):
        check_choice("metric", metric, METRICS)
        return
    must = f"be one of {', '.join(METRICS)}, or weights by rank"
    try:
        given = np.asarray(metric)
    except ValueError:  # rows of different lengths
        raise argument_error("metric", must, repr(metric)) from None
    if given.dtype.kind not in "fiu" or given.ndim > 1 or given.size == 0:
        raise argument_error("metric", must, repr(metric))
    if not (np.isfinite(given).all() and (given > 0).all()):
        raise argument_error("metric", "have finite and positive weights", metric)


def size_factor(n_sites: int) -> float:
    """min(1, 24/N): how much less than on a small lattice the ranks l >= 1 of a site count in the metric "auto"."""
    return min(1.0, _HUSIMI_SITES / n_sites)
