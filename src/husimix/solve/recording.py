"""What a run keeps of the rows that the loop hands over."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from husimix.ansatz import AbstractAnsatz, Problem
from husimix.results.diagnostics import Physicality, smallest_probabilities, warn_of_violations
from husimix.solve.stepping import Row
from husimix.state import AbstractState

__all__ = ["Recorder"]


class Recorder:
    """Collects what a result holds at each save time.

    Args:
        ansatz: of the run.
        problem: that it solves.
        save_states: keep every state.
    """

    def __init__(self, ansatz: AbstractAnsatz, problem: Problem, save_states: bool):
        self._ansatz = ansatz
        self._problem = problem
        self._save_states = save_states
        self._rows: list[Row] = []
        self.states: list[AbstractState] = []
        self._physicality: Physicality | None = None

    def add(self, row: Row) -> None:
        """Keep a row."""
        if self._save_states:
            self.states.append(row.motion.state(row.point, row.history))
        # Nothing is computed after this line: an interruption must leave equal lengths.
        self._rows.append(row)

    @property
    def times(self) -> np.ndarray:
        """(T,) the save times so far."""
        return np.array([row.t for row in self._rows])

    @property
    def sites(self) -> np.ndarray:
        """(T, N, D), ⟨B_a⟩ of each site."""
        shape = (-1, self._problem.model.n_sites, self._problem.model.basis.size)
        return np.array([row.local_values.sites for row in self._rows]).reshape(shape)

    @property
    def pairs(self) -> np.ndarray:
        """(T, M, D, D), ⟨B_a B_b⟩ of the watched pairs."""
        size = self._problem.model.basis.size
        count = len(self._rows[0].motion.pairs) if self._rows else 0
        return np.array([row.local_values.pairs for row in self._rows]).reshape(len(self._rows), count, size, size)

    @property
    def expect(self) -> dict[str, np.ndarray]:
        """The observables by name, (T,) each; float for Hermitian operators."""
        values = {}
        for name, operator in self._problem.observables.items():
            found = np.array([row.observables[name] for row in self._rows], dtype=complex)
            values[name] = np.real(found) if operator.is_hermitian else found
        return values

    def diagnostics(self) -> dict[str, np.ndarray]:
        """(T,) each, or (T, N) where sites are told apart, by name; see `husimix.results.diagnostics`."""
        if not self._rows:
            return {}
        found = [_numbers(row) for row in self._rows]
        seen = self.physicality()
        return {name: np.array([numbers[name] for numbers in found]) for name in found[0]} | {
            "smallest_probability_site": seen.site,
            "smallest_probability_pair": seen.pair,
        }

    def physicality(self) -> Physicality:
        """The smallest eigenvalues of reduced density matrices at all times."""
        if self._physicality is None or len(self._physicality.site) < len(self._rows):
            self._physicality = smallest_probabilities(self._problem.model.basis, self.sites, self.pairs)
        return self._physicality

    def warn(self, stacklevel: int) -> None:
        """Warn of what no density matrix can be; see `warn_of_violations`."""
        if self._rows:
            purity = np.array([row.numbers["purity"] for row in self._rows if "purity" in row.numbers])
            remedy = self._ansatz.remedies.get("UNPHYSICAL", "")
            pairs = self._rows[0].motion.pairs
            warn_of_violations(self.times.tolist(), self.physicality(), pairs, purity, remedy, stacklevel + 1)

    def errors_against(self, other: "Recorder") -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Differences from another run of the same problem at the times of this one; nan where the other ended sooner.

        Returns:
            (T,) the largest difference of one-site, neighbours' and other expectation values; and the absolute
            differences of "bloch" (T, N, D - 1) and of the observables by name, (T,).
        """
        count = min(len(self._rows), len(other._rows))

        def gap(these: np.ndarray, those: np.ndarray) -> np.ndarray:
            found = np.full(these.shape, np.nan)
            found[:count] = np.abs(these[:count] - those[:count])
            return found

        errors = {"bloch": gap(self.sites[..., 1:], other.sites[..., 1:])}
        errors |= {name: gap(values, other.expect[name]) for name, values in self.expect.items()}
        return _largest((*errors.values(), gap(self.pairs, other.pairs)), len(self._rows)), errors


def _numbers(row: Row) -> dict[str, Any]:
    certificate = row.certificate
    return (
        {name: np.asarray(value).item() for name, value in row.numbers.items()}
        | {
            "steps": row.seen.accepted,
            "rejected": row.seen.rejected,
            "step_size": row.seen.step_size,
            "step_error": row.history.step_error,
        }
        | row.motion.named(row.report)
        | {
            "projection_error": float(certificate.relative),
            "projection_error_absolute": float(certificate.absolute),
            "projection_share": float(certificate.share),
            **({"projection_error_site": certificate.sites} if certificate.sites.size else {}),
            "accumulated_error": row.history.accumulated_error,
            "accumulated_error_absolute": row.history.accumulated_error_absolute,
        }
    )


def _largest(gaps: Iterable[np.ndarray], n_times: int) -> np.ndarray:
    """(T,) the largest entry at each time; nan where one is."""
    return np.max([gap.reshape(n_times, -1).max(axis=1, initial=0.0) for gap in gaps], axis=0, initial=0.0)
