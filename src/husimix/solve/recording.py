"""What a run keeps at each save time."""

from collections.abc import Mapping

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from husimix.phasespace import kernels
from husimix.phasespace.contacts import Contacts
from husimix.phasespace.manifolds import AbstractManifold
from husimix.phasespace.mixture import Mixture
from husimix.phasespace.observables import Measurement
from husimix.solve.arrangement import Arrangement
from husimix.solve.stepping import StepRecord
from husimix.solve.tdvp import Point

__all__ = ["Recorder"]


class Recorder:
    """Collects what a result holds at each save time.

    Args:
        arrangement: how components are laid out.
        manifold: where they live.
        contacts: of the arrangement's layout, for overlaps at the cost of the run's own.
        measurements: by name.
        save_states: keep every state.
    """

    def __init__(
        self,
        arrangement: Arrangement,
        manifold: AbstractManifold,
        contacts: Contacts,
        measurements: Mapping[str, Measurement],
        save_states: bool,
    ):
        self._arrangement = arrangement
        self._manifold = manifold
        self._contacts = contacts
        self._measurements = measurements
        self._save_states = save_states
        self.times: list[float] = []
        self.bloch: list[np.ndarray] = []
        self.expect: dict[str, list[float | complex]] = {name: [] for name in measurements}
        self.states: list[Mixture] = []
        self.diagnostics: dict[str, list[float]] = {}

    def mixture(self, point: Point) -> Mixture:
        """The state at a point, on all sites of the lattice."""
        coordinates = point.coordinates[:, self._arrangement.lattice_sites]
        return Mixture(point.weights, coordinates, self._manifold, self._arrangement.group)

    def __call__(self, t: float, point: Point, step: StepRecord) -> None:
        """Measure and keep what belongs to a save time."""
        state = self.mixture(point)
        row = {
            "trace": state.trace(),
            "purity": float(_purity(point, self._manifold, self._contacts)),
            "steps": step.accepted,
            "rejected": step.rejected,
            "step_size": step.step_size,
            "damping": float(step.report.metric.damping),
            "largest_eigenvalue": float(step.report.metric.largest),
            "smallest_eigenvalue": float(step.report.metric.smallest),
            "iterations": float(step.report.metric.iterations),
            "residual": float(step.report.residual),
        }
        values = {name: measure(state) for name, measure in self._measurements.items()}
        # Append only when all is measured: an interruption in between must leave equal lengths.
        bloch = state.bloch()
        self.times.append(t)
        self.bloch.append(bloch)
        for name, value in values.items():
            self.expect[name].append(value)
        for name, value in row.items():
            self.diagnostics.setdefault(name, []).append(value)
        if self._save_states:
            self.states.append(state)


@eqx.filter_jit
def _purity(point: Point, manifold: AbstractManifold, contacts: Contacts) -> Float[Array, ""]:
    """Tr ρ², see `husimix.phasespace.densities.purity`."""
    vectors = manifold.vectors(point.coordinates)
    scale = jnp.sum(contacts.sizes) * jnp.log(float(manifold.basis.dimension))
    p = kernels.overlaps(vectors, vectors, jnp.ones(manifold.basis.size), contacts, scale)
    return point.weights @ p @ point.weights
