"""A number of components that follows the certificate: many while it is high, few when it has fallen.

A strong quench needs many components for a short while and few after. A run goes over to the greater number when the
projection error rises, before the error is made, and is compressed to the lesser one when it has fallen
(docs/theory.md, eq. 22).
"""

import equinox as eqx
import numpy as np

from husimix.mixture.metric_solvers import AbstractMetricSolver

__all__ = ["Growth", "Size"]

# Projection errors in units of the rate at which the system forgets, and how long many components stay, in its inverse:
# just after growth the certificate is low because the transient is still to come.
_GROW_ABOVE, _SHRINK_BELOW, _STAY = 0.15, 0.2, 0.5


class Size(eqx.Module):
    """A number of components, and what depends on it.

    Attributes:
        n_components: K.
        solver: how S is inverted.
        memory_limit: bytes that one tile of pairs may take.
    """

    n_components: int = eqx.field(static=True)
    solver: AbstractMetricSolver
    memory_limit: int = eqx.field(static=True)


class Growth(eqx.Module):
    """Between which numbers of components a run may change, and when.

    Numbers are arrays, since compiled code would be made anew for every other Python number.

    Attributes:
        least, most: the two sizes.
        grow_above: the projection error, in 1/time, above which a run goes over to the greater number.
        shrink_below: below which it tries the lesser one; halved whenever the run grows or a compression fails.
        stay: how long it keeps the greater number at least.
        until: the time up to which it does.
        seed: of the components that are added.
        spread: how far they lie from those there are.
    """

    least: Size
    most: Size
    grow_above: np.ndarray
    shrink_below: np.ndarray
    stay: np.ndarray
    until: np.ndarray
    seed: np.ndarray
    spread: np.ndarray

    @classmethod
    def between(cls, least: Size, most: Size, rate: float, seed: int, spread: float) -> "Growth":
        """With the default thresholds for a rate at which the system forgets."""
        return cls(
            least=least,
            most=most,
            grow_above=np.asarray(_GROW_ABOVE * rate),
            shrink_below=np.asarray(_SHRINK_BELOW * rate),
            stay=np.asarray(_STAY / rate),
            until=np.asarray(-np.inf),
            seed=np.asarray(seed),
            spread=np.asarray(spread),
        )

    def wants_more(self, n_components: int, projection_error: float) -> bool:
        """Whether to go over to the greater number of components."""
        return n_components < self.most.n_components and projection_error > float(self.grow_above)

    def wants_fewer(self, n_components: int, projection_error: float, time: float) -> bool:
        """Whether to try the lesser number of components."""
        is_calm = projection_error < float(self.shrink_below) and time > float(self.until)
        return n_components > self.least.n_components and is_calm

    def later(self, until: float | None = None) -> "Growth":
        """With half the threshold for shrinking: where a run has to grow again it was compressed too soon."""
        kept = self.until if until is None else np.asarray(until)
        return eqx.tree_at(lambda g: (g.shrink_below, g.until), self, (0.5 * self.shrink_below, kept))
