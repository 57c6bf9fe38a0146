"""The outcome of a time evolution, in memory and on disk."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from husimix.physics.lindbladian import Lindbladian
from husimix.results.dataset import attributes, labelled, local_variable, packed_values, read_attributes, values_in
from husimix.results.diagnostics import DIAGNOSTICS
from husimix.results.files import AbstractSavable
from husimix.results.states import state_groups, states_in
from husimix.results.status import Status
from husimix.state import AbstractState

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Result"]


@dataclass(frozen=True, eq=False)
class Result(AbstractSavable):
    """What `husimix.mesolve` returns.

    Attributes:
        times: (T,) the save times that were reached, in the user's unit of time.
        local_values: (T, N, D) ⟨B_a⟩ of each site, B_0 = 1 first.
        expect: the observables by name, (T,) each; float for Hermitian operators, complex otherwise.
        final_state: the state at the time reached, which is `final_state.history.time`.
        diagnostics: (T,) each, or (T, N) for what belongs to a site, by name; `meanings` tells what they are.
        status: how the run ended.
        message: what that means and what to do about it.
        model: the Lindbladian.
        settings: every setting that the run depends on, JSON-ready.
        wall_time: seconds that the run took, compilation included.
        meanings: what each diagnostic is, by name.
        states: the states at all times, if they were asked for; else empty.
        errors: with a tolerance, the estimated errors: of "bloch" (T, N, D - 1) and of the observables by name, (T,).
    """

    times: np.ndarray
    local_values: np.ndarray
    expect: dict[str, np.ndarray]
    final_state: AbstractState
    diagnostics: dict[str, np.ndarray]
    status: Status
    message: str
    model: Lindbladian
    settings: dict[str, Any]
    wall_time: float
    meanings: Mapping[str, str] = field(default_factory=lambda: DIAGNOSTICS)
    states: list[AbstractState] = field(default_factory=list)
    errors: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def bloch(self) -> np.ndarray:
        """(T, N, 3) the rank-1 expectation values of each site; ⟨σx⟩, ⟨σy⟩, ⟨σz⟩ for spin ½."""
        return self.local_values[..., 1:4]

    @property
    def completed(self) -> bool:
        """Whether the run reached its last save time."""
        return self.status in (Status.COMPLETED, Status.TOLERANCE_MISSED)

    def to_xarray(self) -> "xr.Dataset":
        """The result as a labelled dataset with the model, settings and versions in its attributes, states apart.

        Returns:
            A dataset with dimensions time, site and axis; the variable `bloch`, one `expect_NAME` for each observable
            (complex ones with a further dimension `part`), `diagnostic_NAME` for each diagnostic, and `error_bloch`
            and `error_expect_NAME` where errors were estimated.
        """
        dims = ("time",)
        variables: dict[str, Any] = {"bloch": local_variable(self.local_values, dims)}
        variables |= packed_values("expect", self.expect, dims)
        for name, values in self.diagnostics.items():
            meaning = {"long_name": self.meanings.get(name, name)}
            variables[f"diagnostic_{name}"] = ((*dims, "site")[: np.ndim(values)], values, meaning)
        for name, values in self.errors.items():
            key = "error_bloch" if name == "bloch" else f"error_expect_{name}"
            variables[key] = (("time", "site", "axis") if name == "bloch" else dims, values)
        attrs = attributes("dynamics", self.model, self.settings, self.wall_time)
        attrs |= {"status": self.status.name, "message": self.message}
        return labelled(variables, self.model, attrs, time=self.times)

    def to_groups(self) -> "dict[str, xr.Dataset]":
        """The groups of the file that `save` writes: the numbers, then the states, the last at the time reached."""
        return {"/": self.to_xarray()} | state_groups([*self.states, self.final_state])

    @classmethod
    def from_groups(cls, groups: "Mapping[str, xr.Dataset]") -> Self:
        """The result that `to_groups` described."""
        data = groups["/"]
        *states, final = states_in(groups)
        bloch = data["bloch"].values
        meanings, errors = {}, {}
        for variable in map(str, data.data_vars):
            kind, _, name = variable.partition("_")
            if kind == "diagnostic":
                meanings[name] = str(data[variable].attrs.get("long_name", name))
            elif kind == "error":
                errors[name.removeprefix("expect_")] = data[variable].values
        return cls(
            times=data["time"].values,
            local_values=np.concatenate([np.ones((*bloch.shape[:-1], 1)), bloch], axis=-1),
            expect=values_in("expect", data),
            final_state=final,
            diagnostics=values_in("diagnostic", data),
            status=Status[data.attrs["status"]],
            message=str(data.attrs["message"]),
            meanings=meanings,
            states=states,
            errors=errors,
            **read_attributes(data.attrs),
        )

    def __repr__(self) -> str:
        names = ", ".join(self.expect) or "none"
        last = f"{self.times[-1]:.6g}" if len(self.times) else "-"
        return (
            f"Result: {self.status.name.lower()}, {len(self.times)} times up to t = {last}, "
            f"{self.final_state!r}, observables: {names}"
        )
