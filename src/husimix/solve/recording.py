"""What a run keeps at each save time."""

from collections.abc import Mapping
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from husimix.phasespace import kernels
from husimix.phasespace.contacts import Contacts
from husimix.phasespace.manifolds import AbstractManifold
from husimix.phasespace.mixture import Mixture
from husimix.phasespace.observables import Measurement, SiteAverage
from husimix.physics.symmetry.group import SymmetryGroup
from husimix.solve.arrangement import Arrangement
from husimix.solve.journey import StepRecord
from husimix.solve.physicality import PairImages, Physicality, smallest_eigenvalues, warn_of_violations
from husimix.solve.tdvp import Point

__all__ = ["Look", "Recorder"]


class Look(NamedTuple):
    """What a result holds of one point.

    Attributes:
        bloch: (N, 3).
        expect: observables by name.
        trace, purity: of the state.
        pairs: (M, D, D), ⟨B_a B_b⟩ of neighbours.
        physicality: smallest eigenvalues of reduced density matrices.
    """

    bloch: np.ndarray
    expect: dict[str, float | complex]
    trace: float
    purity: float
    pairs: np.ndarray
    physicality: Physicality

    def diagnostics(self) -> dict[str, float]:
        """What of it is no expectation value, by name."""
        return {
            "trace": self.trace,
            "purity": self.purity,
            "smallest_probability_site": self.physicality.site,
            "smallest_probability_pair": self.physicality.pair,
        }


class Recorder:
    """Collects what a result holds at each save time.

    Args:
        arrangement: how components are laid out.
        manifold: where they live.
        contacts: of the arrangement's layout, for overlaps at the cost of the run's own.
        measurements: by name.
        save_states: keep every state.
        pairs: (M, 2) int, neighbours whose density matrices are watched.
    """

    def __init__(
        self,
        arrangement: Arrangement,
        manifold: AbstractManifold,
        contacts: Contacts,
        measurements: Mapping[str, Measurement],
        save_states: bool,
        pairs: np.ndarray,
    ):
        self._arrangement = arrangement
        self._pairs = pairs
        self._save_states = save_states
        group = arrangement.group
        if all(measurement.is_symmetric for measurement in measurements.values()):
            group = SymmetryGroup.identity(group.n_sites)
        view = _View(
            jax.device_put(arrangement.lattice_sites),
            manifold,
            contacts,
            SiteAverage(arrangement.group),
            dict(measurements),
            group,
            PairImages.of(pairs, arrangement.group),
        )
        # Tables go to the device once, not at every save time.
        self._view = jax.tree.map(lambda x: jax.device_put(x) if isinstance(x, np.ndarray) else x, view)
        self.times: list[float] = []
        self.bloch: list[np.ndarray] = []
        self.expect: dict[str, list[float | complex]] = {name: [] for name in measurements}
        self.states: list[Mixture] = []
        self.diagnostics: dict[str, list[float]] = {}
        self.physicality: list[Physicality] = []
        self.pairs: list[np.ndarray] = []

    def mixture(self, point: Point) -> Mixture:
        """The state at a point, on all sites of the lattice."""
        # In NumPy: gathered by JAX outside compiled code, a few small programs would be compiled for it.
        coordinates = np.asarray(point.coordinates)[:, self._arrangement.lattice_sites]
        return Mixture(point.weights, jax.device_put(coordinates), self._view.manifold, self._arrangement.group)

    def look(self, point: Point) -> Look:
        """What a result holds of a point, without keeping it."""
        seen: _Seen = jax.device_get(_look(self._view, point))
        sites, pairs = np.asarray(seen.expectations.sites), np.asarray(seen.expectations.pairs)
        return Look(
            bloch=sites[:, 1:4],
            expect={name: m.number(seen.expectations.values[name]) for name, m in self._view.measurements.items()},
            trace=float(seen.trace),
            purity=float(seen.purity),
            pairs=pairs,
            physicality=smallest_eigenvalues(self._view.manifold.basis, sites, pairs, self._pairs),
        )

    def drift(self, point: Point, rates: Point) -> float:
        """The largest rate of change, in 1/time, of any expectation value: of one site, two neighbours, observables.

        Args:
            point: where.
            rates: the velocity there.
        """
        return float(_drift(self._view, point, rates))

    def __call__(self, t: float, point: Point, step: StepRecord) -> None:
        """Measure and keep what belongs to a save time."""
        look = self.look(point)
        row = look.diagnostics() | {
            "components": len(point.weights),
            "steps": step.accepted,
            "rejected": step.rejected,
            "step_size": step.step_size,
            "damping": float(step.report.metric.damping),
            "largest_eigenvalue": float(step.report.metric.largest),
            "smallest_eigenvalue": float(step.report.metric.smallest),
            "iterations": float(step.report.metric.iterations),
            "residual": float(step.report.residual),
            "projection_error": float(step.certificate.relative),
            "projection_error_absolute": float(step.certificate.absolute),
            "projection_share": float(step.certificate.share),
            "accumulated_error": float(step.accrued.relative),
            "accumulated_error_absolute": float(step.accrued.absolute),
        }
        states = [self.mixture(point)] if self._save_states else []
        # Nothing is computed between here and the last line: an interruption must leave equal lengths.
        self.times.append(t)
        self.bloch.append(look.bloch)
        for name, value in look.expect.items():
            self.expect[name].append(value)
        for name, value in row.items():
            self.diagnostics.setdefault(name, []).append(value)
        self.states.extend(states)
        self.physicality.append(look.physicality)
        self.pairs.append(look.pairs)

    def warn(self, stacklevel: int) -> None:
        """Warn of what no density matrix can be; see `warn_of_violations`."""
        # The purity of a whole lattice is not among what windows give.
        purity = [] if len(self._arrangement.background) else self.diagnostics.get("purity", [])
        warn_of_violations(self.times, self.physicality, purity, stacklevel + 1)


class _View(eqx.Module):
    """What is looked at in every point, and what that takes.

    Attributes:
        lattice_sites: (N,) int, the free site whose vector each site of the lattice carries.
        manifold: where the components live.
        contacts: of the run's layout, for overlaps at the cost of the run's own.
        average: of one-site values.
        measurements: by name.
        group: what components are averaged over; the identity alone if all measurements are symmetric.
        pairs: of neighbours, averaged over the whole group.
    """

    lattice_sites: Int[Array, " site"]
    manifold: AbstractManifold
    contacts: Contacts
    average: SiteAverage
    measurements: dict[str, Measurement]
    group: SymmetryGroup
    pairs: PairImages

    def mixture(self, point: Point, group: SymmetryGroup) -> Mixture:
        """A point as a mixture on all sites of the lattice, averaged over a group."""
        return Mixture(point.weights, point.coordinates[:, self.lattice_sites], self.manifold, group)


class _Expectations(NamedTuple):
    """The expectation values that a result holds of a point."""

    sites: Float[Array, "site operator"]
    pairs: Float[Array, "pair operator operator"]
    values: dict[str, Complex[Array, ""]]


class _Seen(NamedTuple):
    """What a point looks like."""

    expectations: _Expectations
    trace: Float[Array, ""]
    purity: Float[Array, ""]


def _expectations(view: _View, point: Point) -> _Expectations:
    state = view.mixture(point, view.group)
    values = {name: measurement.value(state) for name, measurement in view.measurements.items()}
    return _Expectations(view.average(state.site_values()), view.pairs.values(state), values)


@eqx.filter_jit
def _look(view: _View, point: Point) -> _Seen:
    """All that a result holds of a point, in one call: many small ones would cost more than the steps between."""
    return _Seen(
        expectations=_expectations(view, point),
        trace=jnp.sum(point.weights),
        purity=_purity(point, view.manifold, view.contacts),
    )


@eqx.filter_jit
def _drift(view: _View, point: Point, rates: Point) -> Float[Array, ""]:
    _, slopes = jax.jvp(lambda p: _expectations(view, p), (point,), (rates,))
    # Models without couplings have no neighbours.
    return jnp.max(jnp.stack([jnp.max(jnp.abs(slope), initial=0.0) for slope in jax.tree.leaves(slopes)]))


def _purity(point: Point, manifold: AbstractManifold, contacts: Contacts) -> Float[Array, ""]:
    """Tr ρ², see `husimix.phasespace.densities.purity`."""
    vectors = manifold.vectors(point.coordinates)
    scale = jnp.sum(contacts.sizes) * jnp.log(float(manifold.basis.dimension))
    p = kernels.overlaps(vectors, vectors, jnp.ones(manifold.basis.size), contacts, scale)
    return point.weights @ p @ point.weights
