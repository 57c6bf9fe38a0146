"""A curve of steady states through folds, in memory and as a dataset."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from husimix.physics.lindbladian import Lindbladian
from husimix.results.dataset import labelled, local_variable, packed_values, values_in
from husimix.results.diagnostics import ZERO_MODE

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Branch"]


@dataclass(frozen=True, eq=False)
class Branch:
    """The steady states along a curve that may turn back in the parameter: what `husimix.scan` follows through folds.

    Where the curve passes a value of the parameter three times, two of its states are stable: bistability, and between
    the folds the two ways of a scan differ.

    Attributes:
        values: (P,) the parameter, in order along the curve.
        local_values: (P, N, D) ⟨B_a⟩ of each site, B_0 = 1 first.
        expect: the observables by name, (P,) each.
        eigenvalues: (P, k) complex, in 1/time, of the linearised equations, those of the largest real parts; nan where
            there are fewer.
        folds: (F,) the values at which the curve turns back, in order along it.
        rate: the mean dissipation rate, in 1/time, the scale of what counts as zero.
        completed: whether the curve came to the last value of the scan.
    """

    values: np.ndarray
    local_values: np.ndarray
    expect: dict[str, np.ndarray]
    eigenvalues: np.ndarray
    folds: np.ndarray
    rate: float
    completed: bool

    @property
    def bloch(self) -> np.ndarray:
        """(P, N, 3) rank-1 expectation values of each site."""
        return self.local_values[..., 1:4]

    @property
    def gap(self) -> np.ndarray:
        """(P,) the slowest relaxation rate; negative where a state is unstable."""
        return -np.real(self.eigenvalues[:, 0])

    @property
    def is_stable(self) -> np.ndarray:
        """(P,) bool: whether no disturbance with the symmetry of the state grows."""
        return self.gap > -ZERO_MODE * self.rate

    def to_xarray(self, model: Lindbladian, name: str) -> "xr.Dataset":
        """The curve as a labelled dataset with dimensions point, site and axis, and the parameter as `value`."""
        dims = ("point",)
        modes = np.stack([np.real(self.eigenvalues), np.imag(self.eigenvalues)], axis=-1)
        variables: dict[str, Any] = {
            "value": (dims, self.values, {"long_name": name}),
            "bloch": local_variable(self.local_values, dims),
            "eigenvalues": (("point", "mode", "part"), modes),
            "is_stable": (dims, self.is_stable),
            "fold": (("turn",), self.folds),
        } | packed_values("expect", self.expect, dims)
        attrs = {"rate": self.rate, "completed": int(self.completed), "parameter": name}
        return labelled(variables, model, attrs)

    @classmethod
    def from_xarray(cls, data: "xr.Dataset") -> Self:
        """The curve that `to_xarray` described."""
        bloch = data["bloch"].values
        return cls(
            values=data["value"].values,
            local_values=np.concatenate([np.ones((*bloch.shape[:2], 1)), bloch], axis=-1),
            expect=values_in("expect", data),
            eigenvalues=data["eigenvalues"].values @ [1, 1j],
            folds=data["fold"].values,
            rate=float(data.attrs["rate"]),
            completed=bool(data.attrs["completed"]),
        )

    def __repr__(self) -> str:
        folds = ", ".join(f"{fold:.4g}" for fold in self.folds) or "none"
        return f"Branch: {len(self.values)} steady states, {int(self.is_stable.sum())} of them stable, folds: {folds}"
