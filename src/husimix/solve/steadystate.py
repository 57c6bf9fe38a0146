"""The front door of steady states: evolve until little moves, then solve for the stationary point directly."""

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from husimix._errors import HusimixWarning, argument_error, check_integer, check_number
from husimix.phasespace.manifolds import AbstractManifold, Bloch
from husimix.phasespace.mixture import Mixture, product_state
from husimix.phasespace.observables import Measurement
from husimix.physics.lindbladian import Lindbladian, dissipation_rate
from husimix.physics.operators import Operator
from husimix.physics.symmetry import SymmetryGroup
from husimix.solve.journey import Glance, Journey, Status, StepRecord
from husimix.solve.newton import Pace, newton, pace
from husimix.solve.physicality import neighbours, warn_of_violations
from husimix.solve.progress import ProgressMeter
from husimix.solve.recording import Look, Recorder
from husimix.solve.settings import TDVP
from husimix.solve.setup import Setup, check_kind, check_observables, one_blas_thread, set_up
from husimix.solve.stepping import evolve
from husimix.solve.symmetries import Symmetry
from husimix.solve.tdvp import Point

__all__ = ["SteadyState", "steadystate"]

# Newton steps begin when the speed has fallen below this, in units of the dissipation rate.
_NEAR = 1e-3
# By what it must fall further if they did not succeed.
_NEARER = 10.0
# Speeds below this, in units of the dissipation rate and of rtol, are errors of the time steps.
_NOISE = 30.0
# Looks at the speed per unit of the inverse dissipation rate.
_LOOKS = 4
# What starts may differ by, in any one-site expectation value, before several steady states are suspected.
_DISAGREEMENT = 0.02


@dataclass(frozen=True, eq=False)
class SteadyState:
    """What `husimix.steadystate` returns.

    Attributes:
        state: the stationary mixture.
        bloch: (N, 3) ⟨σx⟩, ⟨σy⟩, ⟨σz⟩ of each site.
        expect: the observables by name.
        residual: ‖𝓛R‖/‖R‖ in the metric, in 1/time: what keeps the state from being stationary, since the ansatz cannot
            follow it. It tends to 0 with growing K.
        speed: ‖Ṙ‖/‖R‖, in 1/time: what is left of the motion itself.
        converged: whether the speed fell below the tolerance.
        gap: the slowest relaxation rate, from how the speed fell at the end of the evolution: an estimate of the
            Liouvillian gap of the symmetric sector; nan if it did not fall exponentially.
        disagreement: the largest difference of one-site expectation values and observables between starts.
        alternatives: the stationary states of the other starts.
        diagnostics: purity, smallest eigenvalues of reduced density matrices and what else `Result` knows of a time.
        model: the Lindbladian.
        settings: every setting that the search depends on.
        wall_time: seconds, compilation included.
    """

    state: Mixture
    bloch: np.ndarray
    expect: dict[str, float | complex]
    residual: float
    speed: float
    converged: bool
    gap: float
    disagreement: float
    alternatives: list[Mixture]
    diagnostics: dict[str, float]
    model: Lindbladian
    settings: dict[str, Any]
    wall_time: float = field(repr=False, default=0.0)

    def __repr__(self) -> str:
        ending = "converged" if self.converged else "not converged"
        return (
            f"SteadyState: {self.state.n_sites} sites, {self.state.n_components} components, {ending}, "
            f"residual {self.residual:.2g}, gap {self.gap:.3g}"
        )


class _Found(NamedTuple):
    """The end of one search."""

    setup: Setup
    recorder: Recorder
    point: Point
    look: Look
    pace: Pace
    gap: float

    @property
    def values(self) -> np.ndarray:
        """All expectation values in a row."""
        return np.concatenate([self.look.bloch.ravel(), [*self.look.expect.values()]])


def steadystate(
    model: Lindbladian,
    state: Mixture | None = None,
    *,
    components: int | None = None,
    manifold: str | AbstractManifold = "bloch",
    metric: str | float | Sequence[float] = "auto",
    symmetry: Symmetry = "auto",
    window: int | None = None,
    observables: Mapping[str, Operator] | None = None,
    method: TDVP | None = None,
    seed: int = 0,
    starts: int = 2,
    tolerance: float = 1e-4,
    max_time: float | None = None,
    progress: bool = True,
) -> SteadyState:
    """The stationary state of an open spin system.

    From each start the state is evolved until little moves, then Newton steps solve F(θ) = μ e for the stationary point
    (docs/theory.md, eq. 23). Different ends of different starts are reported as possible multistability.

    Args:
        model: the Lindbladian of N sites; must have dissipation.
        state: the first start; all spins down by default. The second is the maximally mixed state, further ones are
            the first with other seeds. On the coherent manifold the second is that, too.
        components: see `mesolve`.
        manifold: see `mesolve`.
        metric: see `mesolve`.
        symmetry: see `mesolve`; a steady state that breaks the symmetry is found only without it.
        window: see `mesolve`.
        observables: operators by name, measured in the steady state.
        method: numerical settings, `TDVP()` by default.
        seed: of the extra initial components.
        starts: how many starts to compare.
        tolerance: the speed ‖Ṙ‖/‖R‖ at which a state counts as stationary, in units of the mean dissipation rate.
        max_time: the longest evolution, in the unit of 1/rate; 60 over the mean dissipation rate by default.
        progress: show a progress meter.

    Returns:
        A `SteadyState`; of several starts the one with the smallest residual.

    Raises:
        ValueError: for arguments that do not fit, or a model without dissipation, before anything is computed.
    """
    began = time.perf_counter()
    check_kind("model", model, Lindbladian, "Try hx.models.dissipative_ising(lattice).")
    rate = dissipation_rate(model)
    if rate == 0:
        fix = "Without dissipation every function of the Hamiltonian is stationary; add hx.Dissipator(...)."
        raise argument_error("model", "have dissipation for a steady state", "a model without", fix)
    check_integer("starts", starts, 1)
    check_number("tolerance", tolerance, above=0)
    longest = 60.0 / rate if max_time is None else check_number("max_time", max_time, above=0)
    down = product_state(model.n_sites) if state is None and model.basis.dimension == 2 else state
    first: Mixture = check_kind("state", down, Mixture, 'Try hx.product_state(n_sites, "down").')
    chosen = {"components": components, "manifold": manifold, "metric": metric, "symmetry": symmetry}
    chosen |= {"window": window, "method": method}
    measured = check_observables(observables, first)
    found = []
    for number in range(starts):
        begin = _mixed(first) if number == 1 and manifold == "bloch" else first
        setup = set_up(model, begin, seed=seed + max(0, number - 1), **chosen)
        found.append(_search(setup, measured, rate, tolerance, longest, progress))
    return _result(found, rate, tolerance, {"starts": starts, "tolerance": tolerance}, time.perf_counter() - began)


def _mixed(state: Mixture) -> Mixture:
    """The maximally mixed state of as many sites."""
    coordinates = jnp.zeros((1, state.n_sites, state.basis.size - 1))
    return Mixture(jnp.ones(1), coordinates, Bloch(state.basis), SymmetryGroup.identity(state.n_sites))


def _search(
    setup: Setup,
    measured: Mapping[str, Operator],
    rate: float,
    tolerance: float,
    longest: float,
    progress: bool,
) -> _Found:
    motion, group = setup.motion, setup.arrangement.group
    measurements = {name: Measurement(o, group) for name, o in measured.items()}
    pairs = neighbours(setup.model, group)
    recorder = Recorder(setup.arrangement, motion.manifold, motion.contacts, measurements, False, pairs)
    seen: list[tuple[float, float]] = []
    near, noise = _NEAR * rate, _NOISE * setup.method.rtol * rate

    def look(t: float, point: Point, _: StepRecord) -> bool:
        seen.append((t, pace(motion, point).speed))
        return seen[-1][1] < near

    with one_blas_thread(), ProgressMeter("steadystate", 0.0, longest, progress) as meter:

        def show(glance: Glance) -> None:
            meter.update(min(glance.t, longest), glance.accepted)

        reached, point = 0.0, setup.start
        while True:
            times = np.linspace(reached, longest, max(2, round(_LOOKS * rate * (longest - reached)) + 1))
            most = setup.method.max_steps
            status, journey = evolve(motion, Journey.begin(reached, point), times, setup.control, most, look, show)
            reached, point = journey.t, journey.point
            if status is not Status.COMPLETED:
                text = f"The evolution stopped at t = {reached:.6g}. {status.value}"
                warnings.warn(text, HusimixWarning, stacklevel=4)
                break
            found = point if motion.factored else newton(motion, point, 1.0 / rate, tolerance * rate).point
            is_stationary = pace(motion, found).speed <= tolerance * rate
            if is_stationary or reached >= longest * (1 - 1e-9):
                point = found if is_stationary else point
                break
            near = seen[-1][1] / _NEARER
        return _Found(setup, recorder, point, recorder.look(point), pace(motion, point), _gap(seen, noise))


def _gap(seen: list[tuple[float, float]], noise: float) -> float:
    """The rate at which the speed fell over the last third of the evolution, as long as it stood out of the noise."""
    clear = [look for look in seen[1:] if look[1] > noise]
    if len(clear) < 4:
        return float("nan")
    t, v = np.array(clear[-max(4, len(clear) // 3) :]).T
    slope = -np.polyfit(t, np.log(v), 1)[0]
    return float(slope) if slope > 0 else float("nan")


def _result(
    found: list[_Found], rate: float, tolerance: float, settings: dict[str, Any], wall_time: float
) -> SteadyState:
    settled = [f for f in found if f.pace.speed <= tolerance * rate]
    best = min(settled or found, key=lambda f: f.pace.flow)
    disagreement = max(float(np.abs(f.values - best.values).max()) for f in found)
    if not settled:
        text = f"No start became stationary: ‖Ṙ‖/‖R‖ = {best.pace.speed:.2g}. Raise max_time, or the method's damping."
        warnings.warn(text, HusimixWarning, stacklevel=3)
    if disagreement > _DISAGREEMENT:
        text = (
            f"The {len(found)} starts end in states that differ by up to {disagreement:.2g}: there may be several "
            "steady states (`alternatives` holds the others), or too few components."
        )
        warnings.warn(text, HusimixWarning, stacklevel=3)
    look = best.look
    warn_of_violations([np.inf], [look.physicality], [look.purity], stacklevel=4)
    return SteadyState(
        state=best.recorder.mixture(best.point),
        bloch=look.bloch,
        expect=look.expect,
        residual=best.pace.flow,
        speed=best.pace.speed,
        converged=bool(settled),
        gap=best.gap,
        disagreement=disagreement,
        alternatives=[f.recorder.mixture(f.point) for f in found if f is not best],
        diagnostics=look.diagnostics(),
        model=best.setup.model,
        settings=best.setup.settings | settings,
        wall_time=wall_time,
    )
