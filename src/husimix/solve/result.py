"""The outcome of a run, in memory and on disk."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from husimix.phasespace.mixture import Mixture
from husimix.physics.lindbladian import Lindbladian
from husimix.solve import dataset
from husimix.solve.files import AbstractSavable
from husimix.solve.journey import Status

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Result"]


@dataclass(frozen=True, eq=False)
class Result(AbstractSavable):
    """What `husimix.mesolve` returns.

    Attributes:
        times: (T,) the save times that were reached, in the user's unit of time.
        bloch: (T, N, 3) ⟨σx⟩, ⟨σy⟩, ⟨σz⟩ of each site.
        expect: the observables by name, (T,) each; float for Hermitian operators, complex otherwise.
        final_state: the state at the last time reached.
        states: the states at all times, if they were asked for; else empty.
        diagnostics: (T,) each: "trace", "purity", "smallest_probability_site" and
            "smallest_probability_pair", the smallest eigenvalues of the density matrices of a site and of two
            neighbours (below 0 no state has them), "components", "steps" and "rejected" (so far), "step_size",
            "damping", "largest_eigenvalue" and "smallest_eigenvalue" of the Gram matrix in units of its mean eigenvalue
            (bounds from Cholesky pivots or quotients with `Tikhonov`), "iterations" of conjugate gradients (0 where
            the Gram matrix is factorised), "residual", the part of the force that damping left out, and the
            *certificate*: "projection_error", ‖𝓛R - Ṙ‖/‖R‖ in the metric, in 1/time, how fast the state leaves what
            the ansatz can follow, "projection_error_absolute" without the division, and "projection_share",
            ‖𝓛R - Ṙ‖/‖𝓛R‖. From "step_size" on all are averages over the interval since the previous save time, or
            belong to its last step. "accumulated_error" and "accumulated_error_absolute" are the integrals of the
            projection error since the first save time, plus the distances of compressions. With `tol`, also
            "estimated_error", see `mesolve`.
        status: how the run ended; its value is the remedy if it ended early.
        model: the Lindbladian.
        settings: every setting that the run depends on, JSON-ready.
        wall_time: seconds that the run took, compilation included.
    """

    times: np.ndarray
    bloch: np.ndarray
    expect: dict[str, np.ndarray]
    final_state: Mixture
    diagnostics: dict[str, np.ndarray]
    status: Status
    model: Lindbladian
    settings: dict[str, Any]
    wall_time: float
    states: list[Mixture] = field(default_factory=list)

    @property
    def completed(self) -> bool:
        """Whether the run reached its last save time."""
        return self.status in (Status.COMPLETED, Status.TOLERANCE_MISSED)

    def to_xarray(self) -> "xr.Dataset":
        """The result as a labelled dataset with the model, settings and versions in its attributes.

        Returns:
            A dataset with dimensions time, site, axis, component, coordinate; one variable `expect_NAME` for each
            observable (complex ones with a further dimension `part`) and `diagnostic_NAME` for each diagnostic.
        """
        return dataset.to_dataset(self)

    def to_groups(self) -> "dict[str, xr.Dataset]":
        """The groups of the file that `save` writes: there is only one."""
        return {"/": self.to_xarray()}

    def __repr__(self) -> str:
        names = ", ".join(self.expect) or "none"
        last = f"{self.times[-1]:.6g}" if len(self.times) else "-"
        return (
            f"Result: {self.status.name.lower()}, {len(self.times)} times up to t = {last}, "
            f"{self.final_state.n_sites} sites, {self.final_state.n_components} components, observables: {names}"
        )
