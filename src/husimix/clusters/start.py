"""How a state becomes the start of a run of clusters, and what of its correlations is not kept."""

from typing import NamedTuple

import jax
import numpy as np

from husimix._errors import refusal
from husimix.clusters.moments import MomentLayout, Point
from husimix.clusters.state import ClusterState
from husimix.state import AbstractState, Products

__all__ = ["Start", "start_of"]

# Overlaps of two products on one site that are multiplied together.
_OVERLAPS_AT_ONCE = 1 << 20


class Start(NamedTuple):
    """Where a run begins.

    Attributes:
        point: the state in terms of the run's layout.
        relative: ‖R - R'‖/‖R‖ between the state R and what is kept of it, in the metric centred on the background.
        absolute: ‖R - R'‖.
    """

    point: Point
    relative: float
    absolute: float


def start_of(state: AbstractState, layout: MomentLayout, g: np.ndarray) -> Start:
    """A state in terms of a layout: moments that it does not keep are 0, those that the layout does not are left out.

    Args:
        state: the state.
        layout: of the run.
        g: (D - 1,) metric weights of a site's letters.

    Raises:
        ValueError: for a state that is neither of clusters nor a sum of products.
    """
    local, rows = state.local_values()[:, 1:], layout.family.by_size
    if isinstance(state, ClusterState):
        moments = {n: state.central_moments(sets) for n, sets in rows.items()}
        whole = _square(state.moments, state.layout, g)
    else:
        products = state.as_products()
        if products is None:
            fix = "Start from hx.product_state(...), a mixture, or a state of clusters."
            raise refusal("state", "be a sum of products or a state of clusters", repr(state), fix)
        apart = products._replace(vectors=products.vectors[:, :, 1:] - local)
        moments = {n: _moments_of(apart, sets) for n, sets in rows.items()}
        whole = _square_of_products(apart, g)
    # Differences of two squares of order 1: what is left of rounding is no loss.
    dropped = whole - _square(moments, layout, g)
    dropped = dropped if dropped > 1e-12 * whole else 0.0
    point = Point(*jax.device_put((local[layout.sites], moments)))
    return Start(point, float(np.sqrt(dropped / whole)), float(np.sqrt(dropped)))


def _square(moments: dict[int, np.ndarray], layout: MomentLayout, g: np.ndarray) -> float:
    """1 + Σ g M² over all supports of all orbits."""
    total, weights = 1.0, np.ones(1)
    for n in range(1, max(moments, default=0) + 1):
        weights = np.kron(weights, g)
        if n in moments:
            count = layout.orbits.multiplicities(layout.family.by_size[n])
            total += float(count @ (np.square(moments[n]) @ weights))
    return total


def _square_of_products(apart: Products, g: np.ndarray) -> float:
    """Σ_mn w_m w_n Π_i (1 + Σ_a g_a u^m_{i,a} u^n_{i,a}) with u = v - b."""
    count = len(apart.weights)
    overlaps, step = np.ones((count, count)), max(1, _OVERLAPS_AT_ONCE // count**2)
    for start in range(0, apart.vectors.shape[1], step):
        some = np.swapaxes(apart.vectors[:, start : start + step], 0, 1)
        overlaps *= np.prod(1.0 + (some * g) @ np.swapaxes(some, 1, 2), axis=0)
    return float(apart.weights @ overlaps @ apart.weights)


def _moments_of(apart: Products, sets: np.ndarray) -> np.ndarray:
    """Σ_n w_n ⊗_i (v^n_i - b_i) of sets of sites, (S, (D - 1)^n)."""
    total = np.zeros((len(sets), apart.vectors.shape[2] ** sets.shape[1]))
    for weight, vectors in zip(apart.weights, apart.vectors, strict=True):
        value = np.full((len(sets), 1), weight)
        for column in sets.T:
            value = (value[:, :, None] * vectors[column][:, None, :]).reshape(len(sets), -1)
        total += value
    return total
