"""The mixture as the user chooses it, and what it prepares."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import jax
import numpy as np

from husimix._errors import argument_error, check_integer, check_number, refusal
from husimix.ansatz import AbstractAnsatz, Estimate, Prepared, Problem, register_ansatz
from husimix.mixture.arrangement import Arrangement, arrange
from husimix.mixture.contacts import contact_generator, contacts_of
from husimix.mixture.equations import Equations
from husimix.mixture.growth import Growth, Size
from husimix.mixture.kernels import Scene
from husimix.mixture.manifolds import AbstractManifold, Bloch, check_manifold
from husimix.mixture.metric import check_metric, site_metric, size_factor
from husimix.mixture.metric_solvers import AbstractMetricSolver, Tikhonov
from husimix.mixture.motion import MixtureMotion
from husimix.mixture.observables import Measurement, PairAverage, SiteAverage
from husimix.mixture.overlapping_terms import contact_site_sets, site_sets_of
from husimix.mixture.sizes import estimate_of
from husimix.mixture.start import with_components
from husimix.mixture.state import MixtureState
from husimix.physics.basis import SiteBasis
from husimix.physics.neighbours import neighbour_pairs, one_of_each_kind
from husimix.physics.symmetry.group import SymmetryGroup

__all__ = ["Mixture"]

_GIB = 2**30
_DEFAULT_COMPONENTS = 8
# Of the first rung of a ladder: so many components, which may grow to so many times as many.
_FIRST, _GROWTH = 4, 4
# Damping of the default solver; up to so many components it does not depend on their number.
_DAMPING, _FEW = 1e-6, 8
# Far beyond what any Gram matrix allows: (10^5)² numbers are 80 GB.
_MOST = 100_000
_KINDS = "be None, a number or a pair of numbers that increases"


@register_ansatz
@dataclasses.dataclass(frozen=True)
class Mixture(AbstractAnsatz):
    """A mixture of K product states whose weights may be negative, moved by S θ̇ = F (docs/theory.md, eq. 14).

    Args:
        components: K; None for 8, or what the initial state has if that is more, and for the whole ladder of pairs
            (4, 16), (8, 32), … where a tolerance is asked for. A pair lets K change: the greater number while the
            projection error is high, the lesser one when it has fallen.
        manifold: "bloch" (any Bloch vector, 3 parameters a site) or "coherent" (unit vectors, 2 a site).
        metric: "auto" is "husimi" up to 24 sites and weighs correlations less on larger lattices; "hilbert-schmidt";
            or weights g_l of the ranks l >= 1.
        metric_solver: how the Gram matrix is inverted: `Tikhonov(1e-6)` or `SpectralCutoff(1e-6)`. None is `Tikhonov`
            with a damping of 1e-6, times (24/N)² beyond 24 sites and (8/K)² beyond 8 components.
        spread: how far the extra initial components lie from the state, in Bloch vector length.
        max_components: the most components that a ladder takes.
        memory_limit: GiB that the Gram matrix and the pair kernels may take together.

    Raises:
        ValueError: for values out of range.
    """

    components: int | tuple[int, int] | None = None
    manifold: str | AbstractManifold = "bloch"
    metric: str | float | Sequence[float] = "auto"
    metric_solver: AbstractMetricSolver | None = None
    spread: float = 0.2
    max_components: int = 128
    memory_limit: float = 4.0

    name: ClassVar[str] = "mixture"
    diagnostics: ClassVar[Mapping[str, str]] = {
        "components": "K, the number of components",
        "trace": "Tr ρ",
        "purity": "Tr ρ²",
        "damping": "of the Gram matrix, in units of its mean eigenvalue",
        "largest_eigenvalue": "of the Gram matrix, in units of its mean eigenvalue; a bound from pivots with Tikhonov",
        "smallest_eigenvalue": "of the damped Gram matrix, likewise",
        "residual": "‖S θ̇ - F + μ e‖/‖F‖, the part of the force that damping left out",
    }
    remedies: ClassVar[Mapping[str, str]] = {
        "TOLERANCE_MISSED": "Raise max_components or memory_limit of the mixture, or loosen tol.",
        "STEP_COLLAPSE": "Raise the damping of the metric solver tenfold, or change the seed or the components.",
        "NON_FINITE": "Raise the damping of the metric solver, or use SpectralCutoff.",
        "MAX_STEPS": "More damping of the metric solver makes steps longer.",
        "NOT_STATIONARY": "Take more components where the residual is high.",
        "RUN_AWAY": "Raise the damping of the metric solver, or take more components.",
        "UNPHYSICAL": "Take more components or a smaller damping, and trust nothing before two seeds agree.",
    }

    def __post_init__(self) -> None:
        object.__setattr__(self, "components", _checked_components(self.components))
        if not isinstance(self.metric_solver, AbstractMetricSolver | None):
            fix = "Try hx.Tikhonov(1e-6)."
            raise argument_error("metric_solver", "be a metric solver", repr(self.metric_solver), fix)
        check_manifold(self.manifold)
        check_metric(self.metric)
        check_number("spread", self.spread, above=0)
        check_integer("max_components", self.max_components, 1)
        check_number("memory_limit", self.memory_limit, above=0)

    @property
    def label(self) -> str:
        """The number of components in words."""
        match self.components:
            case None:
                return "a mixture"
            case (least, most):
                return f"{least} to {most} components"
            case 1:
                return "1 component"
            case count:
                return f"{count} components"

    def prepare(self, problem: Problem) -> Prepared:
        """The motion and the start of a run; see `AbstractAnsatz.prepare`."""
        arrangement = arrange(problem, self.manifold)
        least, most = self._range(arrangement)
        sizes = [self._size(arrangement, count) for count in (least, most)]
        manifold, free = arrangement.state.manifold, arrangement.free_coordinates()
        start = with_components(arrangement.state.weights, free, manifold, least, self.spread, problem.seed)
        scene = self._scene(arrangement, sizes[0].memory_limit)
        growth = Growth.between(sizes[0], sizes[1], problem.rate, problem.seed, self.spread) if most > least else None
        group = arrangement.group
        measurements = {name: Measurement(operator, group) for name, operator in problem.observables.items()}
        is_symmetric = all(measurement.is_symmetric for measurement in measurements.values())
        pairs = one_of_each_kind(neighbour_pairs(problem.model), group)
        motion = MixtureMotion(
            equations=Equations(scene, manifold, sizes[0].solver),
            lattice_sites=jax.device_put(arrangement.layout.free_sites),
            site_average=SiteAverage(group),
            pair_average=PairAverage.of(pairs, group),
            measurements=measurements,
            group=group,
            measured_group=SymmetryGroup.identity(group.n_sites) if is_symmetric else group,
            growth=growth,
            pairs=pairs,
        )
        settings = self.to_dict() | {
            "components": least if growth is None else [least, most],
            "metric_solver": self._solver(group.n_sites, least).to_dict(),
        }
        return Prepared(_on_device(motion), start, arrangement.symmetry, settings)

    def first_rung(self, problem: Problem) -> "Mixture":
        """This mixture, or with `components=None` the first pair."""
        if self.components is not None:
            return self
        arrangement = arrange(problem, self.manifold)
        least = max(_FIRST, arrangement.state.n_components)
        first = dataclasses.replace(self, components=(least, _GROWTH * least))
        bounded = first._bounded(arrangement)
        if bounded is None:
            fix = "Raise max_components or memory_limit of the mixture, or choose a number of components."
            raise refusal("max_components", f"allow {least} components", self.max_components, fix)
        return bounded

    def next_rung(self, problem: Problem) -> "Mixture | None":
        """Twice as many components, if they are allowed and fit into memory."""
        arrangement = arrange(problem, self.manifold)
        if isinstance(self.components, tuple):
            least = 2 * self.components[0]
            doubled = dataclasses.replace(self, components=(least, _GROWTH * least))
        else:
            doubled = dataclasses.replace(self, components=2 * self._range(arrangement)[0])
        return doubled._bounded(arrangement)

    def estimate(self, problem: Problem) -> Estimate:
        """What a run will need, with the greatest number of components that it may take."""
        arrangement = arrange(problem, self.manifold)
        return self._estimate(arrangement, self._range(arrangement)[1])

    def product_state(self, values: np.ndarray, basis: SiteBasis) -> MixtureState:
        """One component with these one-site expectation values, on the Bloch manifold."""
        coordinates = np.asarray(values, dtype=float)[None, :, 1:]
        weights, coordinates = jax.device_put((np.ones(1), coordinates))
        return MixtureState(
            weights=weights, coordinates=coordinates, manifold=Bloch(basis), group=SymmetryGroup.identity(len(values))
        )

    def to_dict(self) -> dict[str, Any]:
        """The settings as they were chosen, JSON-ready."""
        components = list(self.components) if isinstance(self.components, tuple) else self.components
        manifold = self.manifold if isinstance(self.manifold, str) else type(self.manifold).__name__.lower()
        return {
            "name": self.name,
            "components": components,
            "manifold": manifold,
            "metric": self.metric if isinstance(self.metric, str) else np.asarray(self.metric).tolist(),
            "metric_solver": None if self.metric_solver is None else self.metric_solver.to_dict(),
            "spread": self.spread,
            "max_components": self.max_components,
            "memory_limit": self.memory_limit,
        }

    def _range(self, arrangement: Arrangement) -> tuple[int, int]:
        """The least and the greatest number of components of a run."""
        if self.components is None:
            count = max(_DEFAULT_COMPONENTS, arrangement.state.n_components)
            return count, count
        return self.components if isinstance(self.components, tuple) else (self.components, self.components)

    def _bounded(self, arrangement: Arrangement) -> "Mixture | None":
        """This mixture with as many components as are allowed and fit into memory; None if its least do not."""
        least, most = self._range(arrangement)
        allowed = min(most, self.max_components)
        while allowed >= least and not self._estimate(arrangement, allowed).fits:
            allowed //= 2
        if allowed < least:
            return None
        return dataclasses.replace(self, components=least if most == least else (least, allowed))

    def _estimate(self, arrangement: Arrangement, n_components: int) -> Estimate:
        manifold = arrangement.state.manifold
        return estimate_of(arrangement.layout, arrangement.generator, manifold, n_components, self.memory_limit)

    def _size(self, arrangement: Arrangement, n_components: int) -> Size:
        """What depends on the number of components. Raises ValueError if it does not fit into memory."""
        needs = self._estimate(arrangement, n_components)
        if not needs.fits:
            raise refusal(
                "components",
                f"fit into memory_limit = {self.memory_limit:g} GiB",
                f"{n_components} components, {needs.n_parameters} parameters, {needs.memory:.1f} GiB",
                " ".join(needs.advice),
            )
        left = self.memory_limit - float(needs.parts["GiB for the Gram matrix"])
        return Size(n_components, self._solver(arrangement.group.n_sites, n_components), int(left * _GIB))

    def _solver(self, n_sites: int, n_components: int) -> AbstractMetricSolver:
        """The metric solver of a run: the one that was given, or the default (docs/theory.md, eq. 21)."""
        default = Tikhonov(_DAMPING * size_factor(n_sites) ** 2 * min(1.0, _FEW / n_components) ** 2)
        return default if self.metric_solver is None else self.metric_solver

    def _scene(self, arrangement: Arrangement, memory_limit: int) -> Scene:
        generator, layout = arrangement.generator, arrangement.layout
        basis = arrangement.state.basis
        metric = self.metric if isinstance(self.metric, str) else np.asarray(self.metric)
        return Scene(
            contacts=contacts_of(layout),
            generator=contact_generator(generator, layout),
            site_sets=contact_site_sets(site_sets_of(generator), len(generator.matrices) + 1, layout),
            g=jax.device_put(site_metric(metric, basis, arrangement.group.n_sites)),
            memory_limit=memory_limit,
        )


def _checked_components(components: object) -> int | tuple[int, int] | None:
    if components is None:
        return None
    counts = components if isinstance(components, tuple | list) else (components,)
    if isinstance(components, str) or len(counts) not in (1, 2):
        raise argument_error("components", _KINDS, repr(components), "Try hx.Mixture(components=8).")
    least, most = (check_integer("components", count, 1) for count in (counts[0], counts[-1]))
    if max(least, most) > _MOST:
        raise argument_error("components", f"be at most {_MOST}", components, "Some hundred are many already.")
    if most < least:
        raise argument_error("components", "be a pair that increases", components, f"Try {(most, least)}.")
    return (least, most) if least < most else least


def _on_device(motion: MixtureMotion) -> MixtureMotion:
    """Numbers as arrays, so that other parameters of the same shapes reuse the compiled code."""
    placed = jax.tree.map(lambda x: jax.device_put(np.asarray(x)) if isinstance(x, float | np.ndarray) else x, motion)
    return dataclasses.replace(placed, pairs=motion.pairs, growth=motion.growth)
