"""The outcome of a search for a stationary state, in memory and on disk."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from husimix._errors import argument_error, check_integer
from husimix.physics.lindbladian import Lindbladian, dissipation_rate
from husimix.results.dataset import attributes, labelled, local_variable, packed_values, read_attributes, values_in
from husimix.results.diagnostics import DIAGNOSTICS, N_EIGENVALUES, STEADY_NUMBERS, ZERO_MODE
from husimix.results.files import AbstractSavable
from husimix.results.states import state_groups, states_in
from husimix.results.status import Status
from husimix.state import AbstractState

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["SteadyState"]


@dataclass(frozen=True, eq=False)
class SteadyState(AbstractSavable):
    """What `husimix.steadystate` returns.

    Attributes:
        state: the stationary state.
        local_values: (N, D) ⟨B_a⟩ of each site, B_0 = 1 first.
        expect: the observables by name.
        residual: ‖𝓛R‖/‖R‖ in the metric of the ansatz, in 1/time: what keeps the state from being stationary, since the
            ansatz cannot follow it.
        speed: ‖Ṙ‖/‖R‖, in 1/time: what is left of the motion itself, most of it in what no expectation value sees.
        drift: the largest rate of change of any expectation value of a site, of two neighbours, or of an observable,
            in 1/time; where the state keeps wandering, of its means over windows of 5/rate.
        gap: the slowest relaxation rate, in 1/time: minus the largest real part of the eigenvalues, negative if the
            state is unstable. For an ansatz without eigenvalues an estimate from how the drift fell at the end of the
            evolution; nan if it did not fall exponentially.
        disagreement: the largest difference of one-site expectation values and observables between starts.
        alternatives: the stationary states of the other starts.
        diagnostics: of the state, by name, numbers or (N,) for what belongs to a site; see `Result`.
        status: how the search ended.
        message: what that means and what to do about it.
        model: the Lindbladian.
        settings: every setting that the search depends on.
        wall_time: seconds, compilation included.
        estimated_error: with a tolerance, the largest difference from the rung before; else nan.
        eigenvalues: (k,) complex, in 1/time, those of the equations linearised at the state that have the largest real
            parts, up to 8 of them, the slowest first; empty where an ansatz has none, or nothing stationary was found.
            They are the modes that have the symmetry of the state; see `spectrum`.
    """

    state: AbstractState
    local_values: np.ndarray
    expect: dict[str, float | complex]
    residual: float
    speed: float
    drift: float
    gap: float
    disagreement: float
    alternatives: list[AbstractState]
    diagnostics: dict[str, Any]
    status: Status
    message: str
    model: Lindbladian
    settings: dict[str, Any]
    wall_time: float
    estimated_error: float = field(default=float("nan"))
    eigenvalues: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=complex))

    @property
    def bloch(self) -> np.ndarray:
        """(N, 3) the rank-1 expectation values of each site; ⟨σx⟩, ⟨σy⟩, ⟨σz⟩ for spin ½."""
        return self.local_values[:, 1:4]

    @property
    def completed(self) -> bool:
        """Whether the search found what was asked for: a drift below the limit."""
        return self.status in (Status.COMPLETED, Status.TOLERANCE_MISSED)

    @property
    def is_stable(self) -> bool:
        """Whether no disturbance with the symmetry of the state grows; False where no eigenvalues are known."""
        return bool(len(self.eigenvalues)) and self.gap > -ZERO_MODE * dissipation_rate(self.model)

    def spectrum(self, k: int = 1) -> np.ndarray:
        """The relaxation modes: eigenvalues of the equations of motion linearised at the steady state.

        Disturbances go as Σ_j c_j exp(λ_j t). Where the ansatz holds every state, without symmetry, the λ_j are the
        eigenvalues of the Liouvillian, 0 of the steady state itself apart. With symmetry they are those of disturbances
        that have it.

        Args:
            k: how many.

        Returns:
            (k,) complex, in 1/time, by falling real part; of a conjugate pair the one with Im λ > 0 first.

        Raises:
            ValueError: for more than are known; an ansatz whose numbers are no coordinates of the state knows none.
        """
        check_integer("k", k, 1)
        if k > len(self.eigenvalues):
            fix = "A mixture has none; search with ansatz=hx.Clusters(...)." if not len(self.eigenvalues) else ""
            raise argument_error("k", f"be at most {len(self.eigenvalues)}, the eigenvalues that are known", k, fix)
        return self.eigenvalues[:k]

    def to_xarray(self) -> "xr.Dataset":
        """The numbers as a labelled dataset with the model, settings and versions in its attributes, states apart.

        Returns:
            A dataset with dimensions site and axis; the variable `bloch`, one `expect_NAME` for each observable and
            `diagnostic_NAME` for each diagnostic, and the numbers of the steady state by name.
        """
        variables = {"bloch": local_variable(self.local_values, ())} | self.numbers(())
        attrs = attributes("steadystate", self.model, self.settings, self.wall_time)
        return labelled(variables, self.model, attrs | {"status": self.status.name, "message": self.message})

    def numbers(self, dims: tuple[str, ...]) -> dict[str, tuple[Any, ...]]:
        """All variables of the dataset but `bloch`, each an array of one entry along `dims`."""
        shape = (1,) * len(dims)

        def array(value: Any) -> np.ndarray:
            return np.reshape(value, (*shape, *np.shape(value)))

        variables = packed_values("expect", {name: array(value) for name, value in self.expect.items()}, dims)
        for name, value in self.diagnostics.items():
            variables[f"diagnostic_{name}"] = ((*dims, "site") if np.ndim(value) else dims, array(value))
        for name, meaning in {**STEADY_NUMBERS, "estimated_error": DIAGNOSTICS["estimated_error"]}.items():
            variables[name] = (dims, array(getattr(self, name)), {"long_name": meaning})
        modes = np.full((N_EIGENVALUES, 2), np.nan)
        modes[: len(self.eigenvalues)] = np.column_stack([np.real(self.eigenvalues), np.imag(self.eigenvalues)])
        described = {"long_name": "eigenvalues of the linearised equations, nan where there are no more"}
        variables["eigenvalues"] = ((*dims, "mode", "part"), modes.reshape(*shape, *modes.shape), described)
        return variables

    def to_groups(self) -> "dict[str, xr.Dataset]":
        """The groups of the file that `save` writes: the numbers, and the states."""
        return {"/": self.to_xarray()} | state_groups([self.state, *self.alternatives])

    @classmethod
    def from_groups(cls, groups: "Mapping[str, xr.Dataset]") -> Self:
        """The steady state that `to_groups` described."""
        data = groups["/"]
        return cls.from_parts(data, states_in(groups), dict(data.attrs) | read_attributes(data.attrs))

    @classmethod
    def from_parts(cls, data: "xr.Dataset", states: list[AbstractState], described: Mapping[str, Any]) -> Self:
        """A steady state from its numbers, its states and what describes it.

        Args:
            data: a dataset as `to_xarray` makes it, attributes apart.
            states: the state, then those of the other starts.
            described: model, settings, wall_time, status and message.
        """
        bloch = data["bloch"].values
        modes = data["eigenvalues"].values
        return cls(
            state=states[0],
            alternatives=states[1:],
            local_values=np.concatenate([np.ones((len(bloch), 1)), bloch], axis=1),
            expect={name: values.item() for name, values in values_in("expect", data).items()},
            diagnostics={n: x if x.ndim else x.item() for n, x in values_in("diagnostic", data).items()},
            status=Status[str(described["status"])],
            message=str(described["message"]),
            model=described["model"],
            settings=described["settings"],
            wall_time=described["wall_time"],
            eigenvalues=(modes @ [1, 1j])[~np.isnan(modes[:, 0])],
            **{name: float(data[name]) for name in (*STEADY_NUMBERS, "estimated_error")},
        )

    def __repr__(self) -> str:
        ending = "found" if self.completed else self.status.name.lower()
        return f"SteadyState: {ending}, {self.state!r}, residual {self.residual:.2g}, drift {self.drift:.2g}"
