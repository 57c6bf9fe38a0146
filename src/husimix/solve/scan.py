"""Steady states along a line of models, each started from the one before."""

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from husimix._errors import HusimixWarning, argument_error, kept_warnings
from husimix.phasespace.mixture import Mixture
from husimix.physics.lindbladian import Lindbladian
from husimix.solve import steady_dataset
from husimix.solve.arrangement import arrange
from husimix.solve.files import AbstractSavable
from husimix.solve.journey import Status
from husimix.solve.setup import check_kind
from husimix.solve.steadystate import SteadyState, steadystate
from husimix.solve.symmetries import same_elements

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Scan", "scan"]


@dataclass(frozen=True, eq=False)
class Scan(AbstractSavable):
    """What `husimix.scan` returns.

    Attributes:
        values: (S,) what was scanned; after an interruption, as far as it came.
        forward: the steady states in the order of `values`.
        backward: those found on the way back, in the same order; empty if it was not asked for or was not finished.
        name: what the values are called.
    """

    values: np.ndarray
    forward: list[SteadyState]
    backward: list[SteadyState]
    name: str = "value"

    @property
    def status(self) -> Status:
        """How the first search ended that did not find what was asked for; COMPLETED if all did."""
        ends = [found.status for found in (*self.forward, *self.backward)]
        return next((status for status in ends if status is not Status.COMPLETED), Status.COMPLETED)

    @property
    def bloch(self) -> np.ndarray:
        """(S, N, 3) ⟨σ⟩ of each site on the way forward."""
        return np.array([found.bloch for found in self.forward])

    @property
    def hysteresis(self) -> np.ndarray:
        """(S,) the largest difference of ⟨σ⟩ between the two ways; nan without a way back."""
        if not self.backward:
            return np.full(len(self.values), np.nan)
        pairs = zip(self.forward, self.backward, strict=True)
        return np.array([np.abs(there.bloch - back.bloch).max() for there, back in pairs])

    @property
    def expect(self) -> dict[str, np.ndarray]:
        """The observables by name, (S,) each, on the way forward."""
        return {name: np.array([found.expect[name] for found in self.forward]) for name in self.forward[0].expect}

    def to_xarray(self) -> "xr.Dataset":
        """The numbers as a labelled dataset, states apart.

        Returns:
            A dataset with dimensions way ("forward", "backward"), value, site and axis, and the variables of
            `SteadyState.to_xarray` along the first two.
        """
        return steady_dataset.scan_to_dataset(self)

    def to_groups(self) -> "dict[str, xr.Dataset]":
        """The groups of the file that `save` writes: the numbers, and those of every steady state."""
        return steady_dataset.scan_groups(self)

    def __repr__(self) -> str:
        found = [*self.forward, *self.backward]
        ways = ", there and back" if self.backward else ""
        n = sum(each.converged for each in found)
        return f"Scan: {len(self.values)} steady states{ways}, {n} of {len(found)} converged"


def scan(
    model_of: Callable[[float], Lindbladian],
    values: Iterable[float],
    *,
    name: str = "value",
    backward: bool = False,
    **arguments: Any,
) -> Scan:
    """Steady states along a scan, each search started from the state before.

    Models of equal lattice and terms share compiled code, so that only the first point compiles. Where a value changes
    the symmetries of the model the search starts afresh.

    Args:
        model_of: the Lindbladian for a value, such as `lambda g: hx.models.dissipative_ising(lattice, g=g)`.
        values: (S,) in the order of the scan.
        name: what the values are called in files and pictures.
        backward: go back as well, from the last to the first: where both ways differ there is hysteresis.
        **arguments: of `steadystate`; `starts` is 1, and `state` starts the first point.

    Returns:
        A `Scan`. After an interruption it holds the points before; a way back that was not finished is left out. One
        `HusimixWarning` at the end counts the states that are not stationary.

    Raises:
        ValueError: for values that are no numbers, or arguments that `steadystate` refuses.
    """
    points = np.asarray(list(values), dtype=float)
    if points.ndim != 1 or not len(points) or not np.isfinite(points).all():
        raise argument_error("values", "be a sequence of finite numbers", points)
    if not callable(model_of):
        fix = "Try lambda g: hx.models.dissipative_ising(lattice, g=g)."
        raise argument_error("model_of", "be a function that makes a model of a value", repr(model_of), fix)
    models = [check_kind("model_of(value)", model_of(float(v)), Lindbladian, "Return a model.") for v in points]
    chosen: dict[str, Any] = {"starts": 1} | arguments
    begin = chosen.pop("state", None)
    line, remarks = list(zip(points.tolist(), models, strict=True)), []

    def follow(along: list[tuple[float, Lindbladian]], before: SteadyState | None) -> list[SteadyState]:
        found: list[SteadyState] = []
        for value, model in along:
            before = found[-1] if found else before
            try:
                is_near = before is not None and _same_group(model, before, chosen)
                found.append(_searched(model, before.state if before and is_near else begin, chosen, remarks, value))
            except KeyboardInterrupt:  # where no search can return what it has, as during its set-up
                if not found:
                    raise
                return found
            if found[-1].status is Status.INTERRUPTED:
                return found[:-1] if len(found) > 1 else found
        return found

    forward = follow(line, None)
    is_whole = len(forward) == len(points) and forward[-1].status is not Status.INTERRUPTED
    try:
        back = follow(line[::-1], forward[-1]) if backward and is_whole else []
    except KeyboardInterrupt:
        back = []
    result = Scan(points[: len(forward)], forward, back[::-1] if len(back) == len(points) else [], name)
    for text in (*(f"At {name} = {remark}" for remark in remarks), *_shortfall(result)):
        warnings.warn(text, HusimixWarning, stacklevel=2)
    return result


def _searched(
    model: Lindbladian, state: Mixture | None, arguments: dict[str, Any], remarks: list[str], value: float
) -> SteadyState:
    """One steady state; what its search warns of, but for how it ended, joins the remarks."""
    with kept_warnings() as texts:
        found = steadystate(model, state, **arguments)
    remarks.extend(f"{value:g}: {text}" for text in texts if found.status.value not in text)
    return found


def _shortfall(result: Scan) -> list[str]:
    """What to say of a scan in which not all states are stationary; nothing if they are."""
    ways = (result.forward, result.backward)
    missed = [(v, s) for way in ways for v, s in zip(result.values, way, strict=False) if not s.converged]
    if not missed:
        return []
    where = ", ".join(dict.fromkeys(f"{value:g}" for value, _ in missed))
    drift, residual = (max(getattr(s, name) for _, s in missed) for name in ("drift", "residual"))
    counted = f"{len(missed)} of {sum(map(len, ways))} states are not stationary (at {result.name} = {where})"
    worst = f"the largest drift is {drift:.2g}, the largest residual {residual:.2g}"
    return [f"{counted}: {worst}. {result.status.value}"]


def _same_group(model: Lindbladian, before: SteadyState, chosen: dict[str, Any]) -> bool:
    """Whether a search would average over the same group as the one before: components can then be taken over."""
    arrangement = arrange(model, before.state, chosen.get("symmetry", "auto"), chosen.get("window"))
    return same_elements(arrangement.group, before.state.group)
