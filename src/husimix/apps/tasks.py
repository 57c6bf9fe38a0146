"""What a run file can ask for: time evolution, a steady state, or a scan of steady states."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from husimix.ansatz import AbstractAnsatz, Estimate
from husimix.apps import exact
from husimix.physics.lindbladian import Lindbladian
from husimix.physics.operators import Operator
from husimix.results.result import Result
from husimix.results.scan import Scan
from husimix.results.status import Status
from husimix.results.steady_state import SteadyState
from husimix.solve.estimate import estimate
from husimix.solve.mesolve import mesolve
from husimix.solve.scan import scan
from husimix.solve.steadystate import steadystate
from husimix.solve.stepping import Stepping
from husimix.state import AbstractState

__all__ = ["AbstractTask", "Choices", "Dynamics", "ParameterScan", "SearchLimits", "Stationary"]

Curves = dict[str, tuple[tuple[str, ...], np.ndarray]]


@dataclass(frozen=True)
class Choices:
    """How a run file wants its task carried out; what it leaves open has the defaults of the library.

    Attributes:
        ansatz, tol, time_limit, symmetry, method, seed: see `husimix.mesolve`.
        save_states: see `husimix.mesolve`; of time evolutions only.
    """

    ansatz: AbstractAnsatz | str = "auto"
    tol: float | None = None
    time_limit: float = 300.0
    symmetry: str | None = "auto"
    method: Stepping | None = None
    seed: int = 0
    save_states: bool = False


@dataclass(frozen=True)
class SearchLimits:
    """What only searches of steady states have; see `husimix.steadystate`. None is the default of the library."""

    starts: int | None = None
    max_drift: float | None = None
    max_time: float | None = None

    def given(self) -> dict[str, Any]:
        """Those that are not left open, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True, eq=False, kw_only=True)
class AbstractTask(ABC):
    """Something to compute.

    Attributes:
        model: the Lindbladian, with its lattice.
        state: the initial state.
        observables: operators by name.
        choices: how it is to be carried out.
    """

    model: Lindbladian
    state: AbstractState
    observables: dict[str, Operator]
    choices: Choices

    @abstractmethod
    def solve(self, progress: bool) -> Any:
        """The variational result. Raises ValueError for settings that do not fit."""

    @abstractmethod
    def shortfall(self, result: Any) -> str:
        """Why a result is not what was asked for, in one line; empty if it is."""

    @abstractmethod
    def check_exact(self) -> None:
        """Refuse what the exact twin cannot do. Raises ValueError."""

    @abstractmethod
    def exact_curves(self, data: xr.Dataset) -> Curves:
        """By the exact twin: variables `exact_NAME` for the variational ones of a dataset."""

    def estimate(self) -> Estimate:
        """What the first evolution will need. Raises ValueError for settings that `estimate` refuses."""
        chosen = self.choices
        return estimate(
            self.model, self.state, ansatz=chosen.ansatz, symmetry=chosen.symmetry, observables=self.observables
        )

    def _common(self, progress: bool) -> dict[str, Any]:
        """The keyword arguments that all doors have."""
        chosen = self.choices
        return {
            "ansatz": chosen.ansatz,
            "tol": chosen.tol,
            "time_limit": chosen.time_limit,
            "symmetry": chosen.symmetry,
            "method": chosen.method,
            "seed": chosen.seed,
            "observables": self.observables,
            "progress": progress,
        }


@dataclass(frozen=True, eq=False, kw_only=True)
class Dynamics(AbstractTask):
    """Time evolution; `times` are the (T,) save times."""

    times: np.ndarray

    def solve(self, progress: bool) -> Result:
        """See `AbstractTask`."""
        states = self.choices.save_states
        return mesolve(self.model, self.state, self.times, save_states=states, **self._common(progress))

    def shortfall(self, result: Result) -> str:
        """See `AbstractTask`."""
        if result.completed:
            return "" if result.status is Status.COMPLETED else result.message
        reached = f"It came to t = {result.times[-1]:g}." if len(result.times) else "No save time was reached."
        return f"{result.message} {reached}"

    def check_exact(self) -> None:
        """See `AbstractTask`."""
        exact.check_evolvable(self.model)

    def exact_curves(self, data: xr.Dataset) -> Curves:
        """See `AbstractTask`."""
        twin = exact.mesolve(self.model, self.state, data["time"].values, observables=self.observables)
        return _curves([twin], data, ("time",))


@dataclass(frozen=True, eq=False, kw_only=True)
class _AbstractSearch(AbstractTask):
    """Steady states; `limits` are those of their searches."""

    limits: SearchLimits

    def check_exact(self) -> None:
        """See `AbstractTask`."""
        exact.check_solvable(self.model)


@dataclass(frozen=True, eq=False, kw_only=True)
class Stationary(_AbstractSearch):
    """One steady state."""

    def solve(self, progress: bool) -> SteadyState:
        """See `AbstractTask`."""
        return steadystate(self.model, self.state, **self._common(progress), **self.limits.given())

    def shortfall(self, result: SteadyState) -> str:
        """See `AbstractTask`."""
        return "" if result.status is Status.COMPLETED else result.message

    def exact_curves(self, data: xr.Dataset) -> Curves:
        """See `AbstractTask`."""
        return _curves([exact.steadystate(self.model, observables=self.observables)], data, ())


@dataclass(frozen=True, eq=False, kw_only=True)
class ParameterScan(_AbstractSearch):
    """Steady states along a parameter of the model.

    Attributes:
        name: of the parameter.
        values: in order.
        model_of: the model for a value.
        backward: whether to go back as well.
        follow_folds: whether to follow the curve of steady states through folds as well.
    """

    name: str
    values: np.ndarray
    model_of: Callable[[float], Lindbladian]
    backward: bool
    follow_folds: bool = False

    def solve(self, progress: bool) -> Scan:
        """See `AbstractTask`."""
        return scan(
            self.model_of,
            self.values,
            self.state,
            name=self.name,
            backward=self.backward,
            follow_folds=self.follow_folds,
            **self._common(progress),
            **self.limits.given(),
        )

    def shortfall(self, result: Scan) -> str:
        """See `AbstractTask`."""
        found = [*result.forward, *result.backward]
        missed = sum(not each.completed for each in found)
        asked = len(self.values) * (1 + self.backward)
        if len(found) < asked:
            return f"{Status.INTERRUPTED.value} It came up to {len(found)} of {asked} steady states."
        return f"{missed} of {asked} states are not stationary." if missed else ""

    def exact_curves(self, data: xr.Dataset) -> Curves:
        """See `AbstractTask`."""
        models = (self.model_of(float(value)) for value in data["value"].values)
        return _curves((exact.steadystate(model, observables=self.observables) for model in models), data, ("value",))


def _curves(twins: Iterable[exact.ExactResult], data: xr.Dataset, dims: tuple[str, ...]) -> Curves:
    """Exact results, one after the other along `dims`, as variables that match those of a dataset."""
    results = list(twins)

    def joined(parts: list[np.ndarray]) -> np.ndarray:
        values = np.concatenate(parts)
        return values if dims else values[0]

    curves: Curves = {"exact_bloch": ((*dims, "site", "axis"), joined([r.bloch for r in results]))}
    for name in results[0].expect:
        values = joined([r.expect[name] for r in results])
        if "part" in data[f"expect_{name}"].dims:
            parts = np.stack([np.real(values), np.imag(values)], axis=-1)
            curves[f"exact_expect_{name}"] = ((*dims, "part"), parts)
        else:
            curves[f"exact_expect_{name}"] = (dims, np.real(values))
    return curves
