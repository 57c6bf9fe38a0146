"""The velocity of a mixture: Dirac-Frenkel's S θ̇ = F with the trace kept exactly, and its certificate.

The projection of 𝓛R on the tangent space, (S + damping) θ̇ = F - μ e, with the multiplier μ such that
e·θ̇ = Σ_k ċ_k = 0 (docs/theory.md, eqs. 14 and 19).
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from husimix.ansatz import Certificate
from husimix.mixture import kernels
from husimix.mixture.constrained import with_trace_kept
from husimix.mixture.flow import squared_flow
from husimix.mixture.gram import gram_and_force
from husimix.mixture.kernels import Frame, Scene
from husimix.mixture.manifolds import AbstractManifold
from husimix.mixture.metric_solvers import AbstractMetricSolver, MetricReport

__all__ = ["Equations", "Point", "VelocityReport"]

# Of the derivative of the force, by differences.
_DIFFERENCE = 1e-6


class Point(NamedTuple):
    """What moves: weights (K,) and coordinates (K, F, A) of the free sites. Also used for their rates of change."""

    weights: Float[Array, " component"]
    coordinates: Float[Array, "component site coordinate"]


class VelocityReport(NamedTuple):
    """How well one velocity solves the equations.

    Attributes:
        metric: what the metric solver reports.
        residual: ‖S θ̇ - F + μ e‖ / ‖F‖, the part of the force that damping left out.
        captured: 2 F·θ̇ - θ̇·S θ̇ = ‖𝓛R‖² - ‖𝓛R - Ṙ‖², in units of exp(`Scene.log_scale`).
        moved: θ̇·S θ̇ = ‖Ṙ‖², likewise.
        norm: ‖R‖², likewise.
    """

    metric: MetricReport
    residual: Float[Array, ""]
    captured: Float[Array, ""]
    moved: Float[Array, ""]
    norm: Float[Array, ""]


class Equations(eqx.Module):
    """S θ̇ = F on one layout, for any number of components.

    Attributes:
        scene: contacts, generator and metric.
        manifold: where the components live.
        solver: how S is inverted.
    """

    scene: Scene
    manifold: AbstractManifold
    solver: AbstractMetricSolver

    def frame(self, point: Point) -> Frame:
        """Vectors at a point, and tangents along parameters that measure a change on all sites of a free site.

        A free site that stands for m sites moves by θ̇/√m: so the damping of the metric solver counts every site of
        the lattice alike, however sites are joined.
        """
        vectors = self.manifold.vectors(point.coordinates)
        sizes = self.scene.contacts.sizes
        tangents = self.manifold.tangents(point.coordinates) / jnp.sqrt(sizes)[None, :, None, None]
        return Frame(point.weights, vectors, tangents)

    def velocity(self, point: Point) -> tuple[Point, VelocityReport]:
        """dθ/dt at a point, in coordinates, with a report.

        Cost: the pair kernels, plus P³/3 operations for the solution, P = K (1 + F p).
        """
        frame = self.frame(point)
        gram, force = gram_and_force(frame, self.scene, self.scene.log_scale(frame.vectors))
        slope = frame.trace_slope
        columns, metric = self.solver.solve(gram, jnp.stack([force, slope], axis=1))
        motion, multiplier = with_trace_kept(columns, slope)
        state = slope * jnp.repeat(point.weights, frame.parameters_of_component)
        moved, along = (gram @ jnp.stack([motion, state], axis=1)).T
        missed = moved - force + multiplier * slope
        squared = jnp.dot(motion, moved)
        report = VelocityReport(
            metric=metric,
            residual=jnp.linalg.norm(missed) / jnp.maximum(jnp.linalg.norm(force), 1e-300),
            captured=2 * jnp.dot(force, motion) - squared,
            moved=squared,
            norm=jnp.dot(state, along),
        )
        weights, parameters = self._split(motion, len(point.weights))
        # What rounding leaves of Σ ċ_k is spread evenly, so that the trace does not drift over many steps.
        return Point(weights - jnp.mean(weights), self.manifold.displacement(point.coordinates, parameters)), report

    def moved(self, point: Point, change: Float[Array, " parameter"]) -> Point:
        """A point moved by a finite change of all parameters, in the order and units of `frame`."""
        weights, parameters = self._split(change, len(point.weights))
        coordinates = point.coordinates + self.manifold.displacement(point.coordinates, parameters)
        return Point(point.weights + weights, self.manifold.restored(coordinates))

    def certificate(self, point: Point, report: VelocityReport) -> Certificate:
        """The projection error of a velocity, from what its report says it captured (docs/theory.md, eq. 33).

        ‖𝓛R - Ṙ‖² is the difference of two numbers of the size of ‖𝓛R‖², so that shares below some 1e-7 are rounding.
        Cost: one `squared_flow`.
        """
        vectors = self.manifold.vectors(point.coordinates)
        scale = self.scene.log_scale(vectors)
        flow = squared_flow(point.weights, vectors, self.scene, scale)
        tiny = jnp.finfo(float).tiny
        missed = jnp.sqrt(jnp.maximum(flow - report.captured, 0.0))
        norm = jnp.sqrt(jnp.maximum(report.norm, tiny))
        return Certificate(
            relative=missed / norm,
            absolute=missed * jnp.exp(0.5 * scale),
            share=missed / jnp.sqrt(jnp.maximum(flow, tiny)),
            speed=jnp.sqrt(jnp.maximum(report.moved, 0.0)) / norm,
            flow=jnp.sqrt(jnp.maximum(flow, 0.0)) / norm,
            sites=jnp.zeros(0),
        )

    def implicit_step(self, point: Point, length: Float[Array, ""], unit: Float[Array, ""]) -> Point:
        """(S + λ (1 + Δt/τ) - Δt ∂F/∂θ) δ = Δt (F - μ e), e·δ = 0 (docs/theory.md, eq. 35).

        Damped as the motion is: a short step is then one along the motion, also where S is nearly singular. Directions
        that change nothing have neither S nor a Jacobian: a long step must not go further along them than a short one.
        Cost: P forces and a factorisation of P rows.
        """
        frame = self.frame(point)
        scale = self.scene.log_scale(frame.vectors)
        gram, force = gram_and_force(frame, self.scene, scale)

        def force_after(change: Float[Array, " parameter"]) -> Float[Array, " parameter"]:
            there = self.frame(self.moved(point, change))
            return kernels.force(there, there, self.scene, scale)

        # Differences, since the kernels' derivatives are written for bras alone. One column at a time.
        jacobian = jax.lax.map(
            lambda direction: (force_after(_DIFFERENCE * direction) - force) / _DIFFERENCE, jnp.eye(len(force))
        ).T
        damping = self.solver.relative_damping() * (1 + length / unit)
        implicit = gram + damping * jnp.trace(gram) / len(force) * jnp.eye(len(force)) - length * jacobian
        sides = jnp.stack([length * force, frame.trace_slope], axis=1)
        change = with_trace_kept(jnp.linalg.solve(implicit, sides), frame.trace_slope)
        return self.moved(point, change.solution)

    def _split(self, change: Float[Array, " parameter"], n_components: int) -> tuple[Array, Array]:
        """The weights (K,) and the parameters of the free sites (K, F, p) in a change of all parameters."""
        rows = change.reshape(n_components, -1)
        parameters = rows[:, 1:].reshape(n_components, -1, self.manifold.n_parameters)
        return rows[:, 0], parameters / jnp.sqrt(self.scene.contacts.sizes)[None, :, None]
