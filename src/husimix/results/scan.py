"""The outcome of a scan of steady states, in memory and on disk."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from husimix.physics.lindbladian import Lindbladian
from husimix.results.branch import Branch
from husimix.results.dataset import attributes, labelled, local_variable
from husimix.results.files import AbstractSavable
from husimix.results.states import state_groups, states_in
from husimix.results.status import Status
from husimix.results.steady_state import SteadyState

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Scan"]


@dataclass(frozen=True, eq=False)
class Scan(AbstractSavable):
    """What `husimix.scan` returns.

    Attributes:
        values: (S,) what was scanned; after an interruption, as far as it came.
        forward: the steady states in the order of `values`.
        backward: those found on the way back, in the same order; empty if it was not asked for or was not finished.
        name: what the values are called.
        branch: the curve of steady states through folds; None if it was not asked for.
    """

    values: np.ndarray
    forward: list[SteadyState]
    backward: list[SteadyState]
    name: str = "value"
    branch: Branch | None = None

    @property
    def found(self) -> list[SteadyState]:
        """The steady states of both ways."""
        return [*self.forward, *self.backward]

    @property
    def status(self) -> Status:
        """How the first search ended that did not find what was asked for; COMPLETED if all did."""
        return next((found.status for found in self.found if found.status is not Status.COMPLETED), Status.COMPLETED)

    @property
    def bloch(self) -> np.ndarray:
        """(S, N, 3) rank-1 expectation values of each site on the way forward."""
        return np.array([found.bloch for found in self.forward])

    @property
    def hysteresis(self) -> np.ndarray:
        """(S,) the largest difference of `bloch` between the two ways; nan without a way back."""
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
        ways = {"forward": self.forward} | ({"backward": self.backward} if self.backward else {})
        rows, dims, first = list(ways.values()), ("way", "value"), self.forward[0]

        def grid(of: Any) -> np.ndarray:
            return np.array([[of(found) for found in row] for row in rows])

        variables: dict[str, Any] = {"bloch": local_variable(grid(lambda f: f.local_values), dims)}
        numbers = [[found.numbers(dims) for found in row] for row in rows]
        for name, (labels, _, *attrs) in numbers[0][0].items():
            parts = [np.concatenate([one[name][1] for one in row], axis=1) for row in numbers]
            variables[name] = (labels, np.concatenate(parts), *attrs)
        variables |= {
            "status": (dims, grid(lambda f: f.status.name)),
            "message": (dims, grid(lambda f: f.message)),
            "model": (dims, grid(lambda f: json.dumps(f.model.to_dict()))),
            "settings": (dims, grid(lambda f: json.dumps(f.settings))),
            "wall_time": (dims, grid(lambda f: f.wall_time)),
            "n_states": (dims, grid(lambda f: 1 + len(f.alternatives))),
        }
        seconds = sum(found.wall_time for found in self.found)
        attrs = attributes("scan", first.model, first.settings | {"values": self.values.tolist()}, seconds)
        name = first.model.label.partition("(")[0] or attrs["title"]
        title = f"{name}, {self.name} = {self.values[0]:g} to {self.values[-1]:g}"
        attrs |= {"parameter": self.name, "status": self.status.name, "message": self.message, "title": title}
        return labelled(variables, first.model, attrs, way=list(ways), value=self.values)

    @property
    def message(self) -> str:
        """What the status means and what to do about it."""
        return next((found.message for found in self.found if found.status is self.status), self.status.value)

    def to_groups(self) -> "dict[str, xr.Dataset]":
        """The groups of the file that `save` writes: the numbers, and the states of every steady state."""
        states = [state for found in self.found for state in (found.state, *found.alternatives)]
        groups = {"/": self.to_xarray()} | state_groups(states)
        if self.branch is not None:
            groups["/branch"] = self.branch.to_xarray(self.forward[0].model, self.name)
        return groups

    @classmethod
    def from_groups(cls, groups: "Mapping[str, xr.Dataset]") -> Self:
        """The scan that `to_groups` described."""
        data, states = groups["/"], iter(states_in(groups))
        ways: dict[str, list[SteadyState]] = {"forward": [], "backward": []}
        for way in map(str, data["way"].values):
            for number in range(data.sizes["value"]):
                one = data.sel(way=way).isel(value=number)
                described = {name: one[name].values.item() for name in ("status", "message", "wall_time")}
                described["model"] = Lindbladian.from_dict(json.loads(str(one["model"].values)))
                described["settings"] = json.loads(str(one["settings"].values))
                own = [next(states) for _ in range(int(one["n_states"]))]
                ways[way].append(SteadyState.from_parts(one, own, described))
        branch = Branch.from_xarray(groups["/branch"]) if "/branch" in groups else None
        return cls(data["value"].values, ways["forward"], ways["backward"], str(data.attrs["parameter"]), branch)

    def __repr__(self) -> str:
        ways = ", there and back" if self.backward else ""
        n = sum(each.completed for each in self.found)
        return f"Scan: {len(self.values)} steady states{ways}, {n} of {len(self.found)} found"
