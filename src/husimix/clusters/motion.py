"""The motion of clusters, as the machine sees it."""

from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from husimix.ansatz import AbstractMotion, Adapted, Certificate, LocalValues
from husimix.clusters.equations import Equations
from husimix.clusters.jacobian import jacobian
from husimix.clusters.measurements import Measurement
from husimix.clusters.moments import Lookup, MomentLayout, Point
from husimix.clusters.stabilisers import Symmetrisation
from husimix.clusters.state import ClusterState
from husimix.state import History

__all__ = ["ClusterMotion"]

# How far beyond what a density matrix allows a number may be before a run ends.
_SLACK = 1.2


class ClusterMotion(AbstractMotion):
    """The equations of motion of clusters, and what is measured of them.

    Attributes:
        equations: of background and moments.
        symmetrisation: what points that break the symmetry of the layout are projected by.
        pair_sites: (M, 2) int, the watched pairs.
        pair_moments: where their moments are found; None if no pairs are kept.
        measurements: the observables by name.
        norms: (D - 1,) the operator norms of a site's operators.
        layout: of the numbers, for states.
        pairs: (M, 2) int.
    """

    equations: Equations
    symmetrisation: Symmetrisation
    pair_sites: Array
    pair_moments: Lookup | None
    measurements: dict[str, Measurement]
    norms: Float[Array, " letter"]
    layout: MomentLayout = eqx.field(static=True)
    pairs: np.ndarray
    has_coordinates: ClassVar[bool] = True

    def velocity(self, time: Float[Array, ""], point: Point) -> tuple[Point, dict[str, Array]]:
        """See `Equations.velocity`; what breaks the symmetry has no part in it. There is nothing to report."""
        return self.equations.velocity(self.restored(point)), {}

    @property
    def n_certified(self) -> int:
        """N."""
        return self.layout.orbits.n_sites

    def certificate(self, time: Float[Array, ""], point: Point, rates: Point, report: Any) -> Certificate:
        """See `Equations.certificate`."""
        return self.equations.certificate(point, rates)

    def restored(self, point: Point) -> Point:
        """The nearest point with the symmetry of the layout: a linear projection."""
        return self.symmetrisation(point, self.equations.orbit_maps)

    def jacobian(self, point: Point) -> tuple[Any, Any] | None:
        """See `husimix.clusters.jacobian`."""
        return jacobian(self.equations, self.symmetrisation, point)

    def local_values(self, point: Point) -> LocalValues:
        """The background, and R = M + b b of the watched pairs."""
        equations, one = self.equations, jnp.ones
        background = equations.sites.values(point.background, equations.orbit_maps)
        sites = jnp.concatenate([one((len(background), 1)), background], axis=1)
        first, second = sites[self.pair_sites[:, 0]], sites[self.pair_sites[:, 1]]
        pairs = first[:, :, None] * second[:, None, :]
        if self.pair_moments is not None:
            letters = background.shape[1]
            found = self.pair_moments.values(point.moments, equations.orbit_maps)
            pairs = pairs.at[:, 1:, 1:].add(found.reshape(-1, letters, letters))
        return LocalValues(sites, pairs)

    def observables(self, point: Point) -> dict[str, Complex[Array, ""]]:
        """See `Measurement.value` for the cost."""
        equations = self.equations
        return {
            name: measurement.value(point, equations.sites, equations.orbit_maps)
            for name, measurement in self.measurements.items()
        }

    def is_running_away(self, point: Point) -> Array:
        """Whether a number exceeds what any density matrix allows, Π_i (‖B_a‖ + |b_a|), by a fifth."""
        largest = jnp.max(self.norms)
        beyond = [jnp.max(jnp.abs(point.background) / self.norms[None]) > _SLACK]
        for n, values in point.moments.items():
            beyond.append(jnp.max(jnp.abs(values)) > (2 * _SLACK * largest) ** n)
        return jnp.any(jnp.stack(beyond))

    def numbers(self, point: Point) -> dict[str, Array]:
        """The largest moment of the supports of most sites: how full the clusters are."""
        edge = point.moments[max(point.moments)] if point.moments else jnp.zeros((1, 1))
        return {"largest_edge_moment": jnp.max(jnp.abs(edge))}

    def named(self, report: Any) -> dict[str, float]:
        """Nothing: velocities have no report."""
        return {}

    def adapted(self, time: float, point: Point, certificate: Certificate) -> Adapted | None:
        """None: the numbers stay what they are."""
        return None

    def state(self, point: Point, history: History) -> ClusterState:
        """The state on all sites of the lattice."""
        moments = {n: np.asarray(values) for n, values in point.moments.items()}
        return ClusterState(
            background=np.asarray(point.background), moments=moments, layout=self.layout, history=history
        )
