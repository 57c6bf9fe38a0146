"""The velocity of a mixture: Dirac-Frenkel's S θ̇ = F with the trace kept exactly.

The projection of 𝓛R on the tangent space, (S + damping) θ̇ = F - μ e, with the multiplier μ such that
e·θ̇ = Σ_k ċ_k = 0 (docs/theory.md, eqs. 12 and 17).
"""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from husimix.phasespace import kernels
from husimix.phasespace.clusters import PlacedClusters
from husimix.phasespace.contacts import Contacts, Generator
from husimix.phasespace.factored import FactoredGram
from husimix.phasespace.flow import squared_flow
from husimix.phasespace.gram import factored_gram, gram_and_force
from husimix.phasespace.manifolds import AbstractManifold
from husimix.solve.metric_solvers import AbstractMetricSolver, MetricReport

__all__ = ["Motion", "Point", "VelocityReport"]


class Point(NamedTuple):
    """What moves: weights (K,) and coordinates (K, F, A) of the free sites. Also used for their rates of change."""

    weights: Float[Array, " component"]
    coordinates: Float[Array, "component site coordinate"]


class VelocityReport(NamedTuple):
    """How well one velocity solves the equations.

    Attributes:
        metric: what the metric solver reports.
        residual: ‖S θ̇ - F + μ e‖ / ‖F‖, the part of the force that damping left out.
        captured: 2 F·θ̇ - θ̇·S θ̇ = ‖𝓛R‖² - ‖𝓛R - Ṙ‖², in units of exp(`Motion.log_scale`).
        norm: ‖R‖², likewise.
    """

    metric: MetricReport
    residual: Float[Array, ""]
    captured: Float[Array, ""]
    norm: Float[Array, ""]


class Motion(eqx.Module):
    """Everything that the velocity depends on beside the point itself.

    Attributes:
        generator: 𝓛 in terms of the contacts.
        contacts: how the free sites of two components meet under the symmetry group.
        g: (D,) metric weights of a site.
        manifold: where the components live.
        solver: how S is inverted.
        clusters: where terms of 𝓛 overlap, for the certificate.
        memory_limit: bytes that one chunk of pairs may take.
        factored: whether S is kept as its factors.
    """

    generator: Generator
    contacts: Contacts
    g: Float[Array, " operator"]
    manifold: AbstractManifold
    solver: AbstractMetricSolver
    clusters: tuple[PlacedClusters, ...]
    memory_limit: int = eqx.field(static=True)
    factored: bool = eqx.field(static=True, default=False)

    def frame(self, point: Point) -> kernels.Frame:
        """Vectors at a point, and tangents along parameters that measure a change on all sites of a free site.

        A free site that stands for m sites moves by θ̇/√m: so the damping of the metric solver counts every site of
        the lattice alike, however sites are joined.
        """
        vectors = self.manifold.vectors(point.coordinates)
        tangents = self.manifold.tangents(point.coordinates) / jnp.sqrt(self.contacts.sizes)[None, :, None, None]
        return kernels.Frame(point.weights, vectors, tangents)

    def velocity(self, point: Point) -> tuple[Point, VelocityReport]:
        """dθ/dt at a point, in coordinates, with a report.

        Cost: the pair kernels, plus P³/3 operations for the solution, P = K (1 + F p), or that of
        `conjugate_gradients` if S is kept as its factors.
        """
        frame = self.frame(point)
        gram, force = self.gram_and_force(frame)
        n_components = len(point.weights)
        trace = frame.trace_slope
        columns, metric = self.solver.solve(gram, jnp.stack([force, trace], axis=1))
        multiplier = jnp.dot(trace, columns[:, 0]) / jnp.dot(trace, columns[:, 1])
        motion = columns[:, 0] - multiplier * columns[:, 1]
        state = trace * jnp.repeat(point.weights, frame.n_parameters)
        moved = gram @ jnp.stack([motion, state], axis=1)
        missed = moved[:, 0] - force + multiplier * trace
        residual = jnp.linalg.norm(missed) / jnp.maximum(jnp.linalg.norm(force), 1e-300)
        captured = 2 * jnp.dot(force, motion) - jnp.dot(motion, moved[:, 0])
        report = VelocityReport(metric, residual, captured, jnp.dot(state, moved[:, 1]))
        rates = motion.reshape(n_components, -1)
        # What rounding leaves of Σ ċ_k is spread evenly, so that the trace does not drift over many steps.
        weights = rates[:, 0] - jnp.mean(rates[:, 0])
        parameters = rates[:, 1:].reshape(n_components, -1, self.manifold.n_parameters)
        parameters = parameters / jnp.sqrt(self.contacts.sizes)[None, :, None]
        return Point(weights, self.manifold.displacement(point.coordinates, parameters)), report

    def moved(self, point: Point, change: Float[Array, " parameter"]) -> Point:
        """A point moved by a finite change of all parameters, in the order and units of `frame`."""
        changes = change.reshape(len(point.weights), -1)
        parameters = changes[:, 1:].reshape(len(point.weights), -1, self.manifold.n_parameters)
        parameters = parameters / jnp.sqrt(self.contacts.sizes)[None, :, None]
        coordinates = point.coordinates + self.manifold.displacement(point.coordinates, parameters)
        return Point(point.weights + changes[:, 0], self.manifold.restored(coordinates))

    def log_scale(self, vectors: Float[Array, "component site operator"]) -> Float[Array, ""]:
        """The logarithm of the unit in which overlaps are computed: max_k log⟨v_k, v_k⟩."""
        return kernels.log_norm(vectors, self.g, self.contacts.sizes)

    def squared_flow(self, point: Point) -> Float[Array, ""]:
        """‖𝓛R‖² at a point, in units of exp(`log_scale`)."""
        vectors = self.manifold.vectors(point.coordinates)
        tables = self.contacts, self.generator, self.clusters
        return squared_flow(point.weights, vectors, self.g, *tables, self.log_scale(vectors), self.memory_limit)

    def gram_and_force(self, frame: kernels.Frame) -> tuple[Array | FactoredGram, Float[Array, " parameter"]]:
        """S, as a matrix or as its factors, and F at a frame, in units of exp(`log_scale`)."""
        scale = self.log_scale(frame.vectors)
        if not self.factored:
            return gram_and_force(frame, self.g, self.contacts, self.generator, scale, self.memory_limit)
        gram = factored_gram(frame, self.g, self.contacts, scale, self.memory_limit)
        force = kernels.force(frame, frame, self.g, self.contacts, self.generator, scale, self.memory_limit)
        return gram, force
