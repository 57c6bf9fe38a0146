"""The motion of a mixture, as the machine sees it."""

import dataclasses
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from husimix.ansatz import AbstractMotion, Adapted, Certificate, LocalValues
from husimix.mixture.compression import compressed
from husimix.mixture.equations import Equations, Point, VelocityReport
from husimix.mixture.growth import Growth, Size
from husimix.mixture.kernels import overlaps
from husimix.mixture.observables import Components, Measurement, PairAverage, SiteAverage
from husimix.mixture.start import with_components
from husimix.mixture.state import MixtureState
from husimix.physics.symmetry.group import SymmetryGroup
from husimix.state import History

__all__ = ["MixtureMotion"]

# The largest distance at which a compression is accepted.
_SLACK = 0.01
# No trace drifts so far but by an error of the equations.
_TRACE_TOLERANCE = 0.5


class MixtureMotion(AbstractMotion):
    """The equations of motion of a mixture, and what is measured of it.

    Attributes:
        equations: S θ̇ = F.
        lattice_sites: (N,) int, the free site whose vector each site of the lattice carries.
        site_average, pair_average: of one-site values, and of the watched pairs, over the whole group.
        measurements: the observables by name.
        group: what components are averaged over, for states.
        measured_group: the same for observables; the identity alone if all of them are symmetric.
        growth: between which numbers of components the run may change; None for a constant number.
        pairs: (M, 2) int.
    """

    equations: Equations
    lattice_sites: Int[Array, " site"]
    site_average: SiteAverage
    pair_average: PairAverage
    measurements: dict[str, Measurement]
    group: SymmetryGroup
    measured_group: SymmetryGroup
    growth: Growth | None
    pairs: np.ndarray
    has_coordinates: ClassVar[bool] = False

    def velocity(self, time: Float[Array, ""], point: Point) -> tuple[Point, VelocityReport]:
        """See `Equations.velocity`."""
        return self.equations.velocity(point)

    @property
    def n_certified(self) -> int:
        """0: components belong to the whole lattice."""
        return 0

    def certificate(self, time: Float[Array, ""], point: Point, rates: Point, report: VelocityReport) -> Certificate:
        """See `Equations.certificate`."""
        return self.equations.certificate(point, report)

    def restored(self, point: Point) -> Point:
        """The components put back on their manifold."""
        return Point(point.weights, self.equations.manifold.restored(point.coordinates))

    def local_values(self, point: Point) -> LocalValues:
        """Averages over the symmetry group. Cost: N K D, and M G K D² for pairs."""
        vectors = self._vectors(point)
        return LocalValues(self.site_average(point.weights, vectors), self.pair_average(point.weights, vectors))

    def observables(self, point: Point) -> dict[str, Complex[Array, ""]]:
        """See `Measurement.value` for the cost."""
        components = Components(point.weights, self._vectors(point), self.measured_group)
        return {name: measurement.value(components) for name, measurement in self.measurements.items()}

    def is_running_away(self, point: Point) -> Array:
        """Whether the trace, which the equations keep, has drifted: weights are beyond all rounding then."""
        return jnp.abs(jnp.sum(point.weights) - 1.0) > _TRACE_TOLERANCE

    def numbers(self, point: Point) -> dict[str, Array]:
        """Components, trace and purity. Cost: that of `overlaps`."""
        vectors = self.equations.manifold.vectors(point.coordinates)
        plain = eqx.tree_at(lambda s: s.g, self.equations.scene, jnp.ones(vectors.shape[-1]))
        scale = jnp.sum(plain.contacts.sizes) * jnp.log(float(self.equations.manifold.basis.dimension))
        p = overlaps(vectors, vectors, plain, scale)
        return {
            "components": jnp.asarray(len(point.weights)),
            "trace": jnp.sum(point.weights),
            "purity": point.weights @ p @ point.weights,
        }

    def named(self, report: VelocityReport) -> dict[str, float]:
        """What the metric solver did, and what damping left out."""
        return {
            "damping": float(report.metric.damping),
            "largest_eigenvalue": float(report.metric.largest),
            "smallest_eigenvalue": float(report.metric.smallest),
            "residual": float(report.residual),
        }

    def implicit_step(self, point: Point, length: Float[Array, ""], unit: Float[Array, ""]) -> Point:
        """See `Equations.implicit_step`."""
        return self.equations.implicit_step(point, length, unit)

    def adapted(self, time: float, point: Point, certificate: Certificate) -> Adapted | None:
        """The motion with the other number of components, where the certificate asks for it.

        A compression that would be too far off is not made; the next is tried when the projection error has halved.
        """
        growth, n_components = self.growth, len(point.weights)
        if growth is None:
            return None
        error = float(certificate.relative)
        if growth.wants_more(n_components, error):
            seed = int(growth.seed) + int(1e6 * (time % 1e6))
            manifold, most = self.equations.manifold, growth.most
            coordinates = np.asarray(point.coordinates)
            more = with_components(point.weights, coordinates, manifold, most.n_components, float(growth.spread), seed)
            return Adapted(self._sized(most, growth.later(time + float(growth.stay))), more, 0.0, 0.0)
        if not growth.wants_fewer(n_components, error, time):
            return None
        fit = compressed(self.equations, point, growth.least.n_components)
        if fit.distance > _SLACK:
            return Adapted(dataclasses.replace(self, growth=growth.later()), point, 0.0, 0.0)
        return Adapted(self._sized(growth.least, growth), fit.point, fit.distance, fit.absolute)

    def state(self, point: Point, history: History) -> MixtureState:
        """The mixture on all sites of the lattice."""
        # In NumPy: gathered by JAX outside compiled code, a few small programs would be compiled for it.
        coordinates = np.asarray(point.coordinates)[:, np.asarray(self.lattice_sites)]
        weights, coordinates = jax.device_put((np.asarray(point.weights), coordinates))
        return MixtureState(
            weights=weights,
            coordinates=coordinates,
            manifold=self.equations.manifold,
            group=self.group,
            history=history,
        )

    def _vectors(self, point: Point) -> Float[Array, "component site operator"]:
        return self.equations.manifold.vectors(point.coordinates)[:, self.lattice_sites]

    def _sized(self, size: Size, growth: Growth) -> "MixtureMotion":
        """The motion for another number of components."""
        scene = dataclasses.replace(self.equations.scene, memory_limit=size.memory_limit)
        equations = dataclasses.replace(self.equations, scene=scene, solver=size.solver)
        return dataclasses.replace(self, equations=equations, growth=growth)
