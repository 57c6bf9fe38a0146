"""The front door of steady states: searches from several starts, compared."""

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from husimix._errors import HusimixWarning, argument_error, check_integer, check_number
from husimix.phasespace.manifolds import AbstractManifold, Bloch
from husimix.phasespace.mixture import Mixture, product_state
from husimix.physics.lindbladian import Lindbladian, dissipation_rate
from husimix.physics.operators import Operator
from husimix.physics.symmetry.group import SymmetryGroup
from husimix.solve import steady_dataset
from husimix.solve.files import AbstractSavable
from husimix.solve.journey import Status
from husimix.solve.physicality import warn_of_violations
from husimix.solve.search import Found, search
from husimix.solve.settings import TDVP
from husimix.solve.setup import check_kind, check_observables, set_up
from husimix.solve.symmetries import Symmetry

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["SteadyState", "steadystate"]

# What starts may differ by, in any one-site expectation value, before several steady states are suspected.
_DISAGREEMENT = 0.02


@dataclass(frozen=True, eq=False)
class SteadyState(AbstractSavable):
    """What `husimix.steadystate` returns.

    Attributes:
        state: the stationary mixture.
        bloch: (N, 3) ⟨σx⟩, ⟨σy⟩, ⟨σz⟩ of each site.
        expect: the observables by name.
        residual: ‖𝓛R‖/‖R‖ in the metric, in 1/time: what keeps the state from being stationary, since the ansatz cannot
            follow it. It tends to 0 with growing K.
        speed: ‖Ṙ‖/‖R‖, in 1/time: what is left of the motion itself, most of it in what no expectation value sees.
        drift: the largest rate of change of any expectation value of a site, of two neighbours, or of an observable,
            in 1/time; where the state keeps wandering, of its means over windows of 5/rate.
        gap: the slowest relaxation rate, from how the speed fell at the end of the evolution: an estimate of the
            Liouvillian gap of the symmetric sector; nan if it did not fall exponentially.
        disagreement: the largest difference of one-site expectation values and observables between starts.
        alternatives: the stationary states of the other starts.
        diagnostics: purity, smallest eigenvalues of reduced density matrices and what else `Result` knows of a time.
        status: how the search ended; its value is the remedy if it did not find what was asked for.
        model: the Lindbladian.
        settings: every setting that the search depends on.
        wall_time: seconds, compilation included.
    """

    state: Mixture
    bloch: np.ndarray
    expect: dict[str, float | complex]
    residual: float
    speed: float
    drift: float
    gap: float
    disagreement: float
    alternatives: list[Mixture]
    diagnostics: dict[str, float]
    status: Status
    model: Lindbladian
    settings: dict[str, Any]
    wall_time: float

    @property
    def converged(self) -> bool:
        """Whether the drift fell below the tolerance."""
        return self.status is Status.COMPLETED

    def to_xarray(self) -> "xr.Dataset":
        """The numbers as a labelled dataset with the model, settings and versions in its attributes, states apart.

        Returns:
            A dataset with dimensions site and axis; one variable for each observable, `expect_NAME`, and for each
            diagnostic, `diagnostic_NAME`.
        """
        return steady_dataset.steady_to_dataset(self)

    def to_groups(self) -> "dict[str, xr.Dataset]":
        """The groups of the file that `save` writes: the numbers, and one for every state."""
        return steady_dataset.steady_groups(self)

    def __repr__(self) -> str:
        ending = "converged" if self.converged else "not converged"
        return (
            f"SteadyState: {self.state.n_sites} sites, {self.state.n_components} components, {ending}, "
            f"residual {self.residual:.2g}, gap {self.gap:.3g}"
        )


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
    tolerance: float = 3e-4,
    max_time: float | None = None,
    progress: bool = True,
) -> SteadyState:
    """The stationary state of an open spin system.

    From each start the state is evolved until expectation values stand still. Where they come to rest slowly, Newton
    steps solve F(θ) = μ e for the stationary point (docs/theory.md, eq. 23); where there is none, because K components
    keep wandering, the search ends when means over windows of 5/rate stand still. Different ends of different starts
    are reported as possible multistability.

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
        tolerance: the drift at which a state counts as stationary, in units of the mean dissipation rate.
        max_time: the longest evolution, in the unit of 1/rate; 60 over the mean dissipation rate by default.
        progress: show a progress meter.

    Returns:
        A `SteadyState`; of several starts the one with the smallest residual. After an interruption it holds where
        the search was; further starts are left out.

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
    found: list[Found] = []
    for number in range(starts):
        begin = _mixed(first) if number == 1 and manifold == "bloch" else first
        setup = set_up(model, begin, seed=seed + max(0, number - 1), **chosen)
        found.append(search(setup, measured, tolerance * rate, rate, longest, progress))
        if found[-1].status is Status.INTERRUPTED:
            break
    settings: dict[str, Any] = {"starts": starts, "tolerance": tolerance, "max_time": longest}
    # What "auto" chose, since no diagnostic tells it.
    gram = "factors" if found[0].setup.motion.factored else "matrix"
    settings["method"] = found[0].setup.settings["method"] | {"gram": gram}
    return _result(found, settings, time.perf_counter() - began)


def _mixed(state: Mixture) -> Mixture:
    """The maximally mixed state of as many sites."""
    coordinates = jnp.zeros((1, state.n_sites, state.basis.size - 1))
    return Mixture(jnp.ones(1), coordinates, Bloch(state.basis), SymmetryGroup.identity(state.n_sites))


def _result(found: list[Found], settings: dict[str, Any], wall_time: float) -> SteadyState:
    settled = [f for f in found if f.status is Status.COMPLETED]
    best = min(settled or found, key=lambda f: f.pace.flow)
    # An interrupted search tells nothing of where it would have ended.
    ends = [f for f in found if f.status is not Status.INTERRUPTED] or found
    status = Status.INTERRUPTED if len(ends) < len(found) or ends[-1].status is Status.INTERRUPTED else best.status
    disagreement = max(float(np.abs(f.values - best.values).max()) for f in ends)
    if status is not Status.COMPLETED:
        text = f"{status.value} The drift is {best.drift:.2g}."
        warnings.warn(text, HusimixWarning, stacklevel=3)
    if disagreement > _DISAGREEMENT:
        text = (
            f"The {len(ends)} starts end in states that differ by up to {disagreement:.2g}: there may be several "
            "steady states (`alternatives` holds the others), or too few components."
        )
        warnings.warn(text, HusimixWarning, stacklevel=3)
    look = best.look
    purity = [] if len(best.setup.arrangement.background) else [look.purity]
    warn_of_violations([np.inf], [look.physicality], purity, stacklevel=4)
    return SteadyState(
        state=best.recorder.mixture(best.point),
        bloch=look.bloch,
        expect=look.expect,
        residual=best.pace.flow,
        speed=best.pace.speed,
        drift=best.drift,
        gap=best.gap,
        disagreement=disagreement,
        alternatives=[f.recorder.mixture(f.point) for f in found if f is not best],
        diagnostics=look.diagnostics() | {"components": len(best.point.weights)},
        status=status,
        model=best.setup.model,
        settings=best.setup.settings | settings,
        wall_time=wall_time,
    )
