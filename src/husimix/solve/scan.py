"""Steady states along a line of models, each started from the one before."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from husimix._errors import argument_error
from husimix.physics.lindbladian import Lindbladian
from husimix.solve.arrangement import arrange
from husimix.solve.setup import check_kind
from husimix.solve.steadystate import SteadyState, steadystate
from husimix.solve.symmetries import same_elements

__all__ = ["Scan", "scan"]


@dataclass(frozen=True, eq=False)
class Scan:
    """What `husimix.scan` returns.

    Attributes:
        values: (S,) what was scanned.
        forward: the steady states in the order of `values`.
        backward: those found on the way back, in the same order; empty if it was not asked for.
    """

    values: np.ndarray
    forward: list[SteadyState]
    backward: list[SteadyState]

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

    def expect(self, name: str) -> np.ndarray:
        """(S,) an observable on the way forward."""
        return np.array([found.expect[name] for found in self.forward])

    def __repr__(self) -> str:
        n = sum(found.converged for found in self.forward)
        return f"Scan: {len(self.values)} steady states, {n} converged"


def scan(
    model_of: Callable[[float], Lindbladian],
    values: Iterable[float],
    *,
    backward: bool = False,
    **arguments: Any,
) -> Scan:
    """Steady states along a scan, each search started from the state before.

    Models of equal lattice and terms share compiled code, so that only the first point compiles. Where a value changes
    the symmetries of the model the search starts afresh.

    Args:
        model_of: the Lindbladian for a value, such as `lambda g: hx.models.dissipative_ising(lattice, g=g)`.
        values: (S,) in the order of the scan.
        backward: go back as well, from the last to the first: where both ways differ there is hysteresis.
        **arguments: of `steadystate`; `starts` is 1, and `state` starts the first point.

    Returns:
        A `Scan`.

    Raises:
        ValueError: for values that are no numbers, or arguments that `steadystate` refuses.
    """
    points = np.asarray(list(values), dtype=float)
    if points.ndim != 1 or not len(points) or not np.isfinite(points).all():
        raise argument_error("values", "be a sequence of finite numbers", points)
    models = [check_kind("model_of(value)", model_of(float(v)), Lindbladian, "Return a model.") for v in points]
    chosen: dict[str, Any] = {"starts": 1} | arguments
    begin = chosen.pop("state", None)

    def follow(along: list[Lindbladian], before: SteadyState | None) -> list[SteadyState]:
        found: list[SteadyState] = []
        for model in along:
            before = found[-1] if found else before
            is_near = before is not None and _same_group(model, before, chosen)
            found.append(steadystate(model, before.state if before and is_near else begin, **chosen))
        return found

    forward = follow(models, None)
    back = follow(models[::-1], forward[-1]) if backward else []
    return Scan(points, forward, back[::-1])


def _same_group(model: Lindbladian, before: SteadyState, chosen: dict[str, Any]) -> bool:
    """Whether a search would average over the same group as the one before: components can then be taken over."""
    arrangement = arrange(model, before.state, chosen.get("symmetry", "auto"), chosen.get("window"))
    return same_elements(arrangement.group, before.state.group)
