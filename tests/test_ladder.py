"""Ladders alone: rungs with values written down, and "auto" as it is used."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest

import husimix as hx
from husimix._errors import RefusalError
from husimix.ansatz import Estimate
from husimix.solve.ladder import Ladders, Rungs, climb

QUIET = {"progress": False}


@dataclass(frozen=True)
class Scripted:
    """An ansatz whose rungs have written-down values; None for one that runs away."""

    values: tuple[float | None, ...]
    seconds: float = 0.0
    refuses: str = ""
    rung: int = 0

    @property
    def label(self):
        return f"{self.values[self.rung]}"

    def first_rung(self, problem):
        return self

    def next_rung(self, problem):
        return replace(self, rung=self.rung + 1) if self.rung + 1 < len(self.values) else None

    def estimate(self, problem):
        return Estimate(1, 0.0, 1.0, seconds_per_step=(1.0 + self.seconds) ** self.rung)


@dataclass(frozen=True)
class Seeded:
    seed: int = 0


def climbed(*ansatze, tol=0.1, time_limit=1e9):
    def attempt(ansatz, problem, stepping):
        if ansatz.refuses:
            raise RefusalError(ansatz.refuses)
        return ansatz.values[ansatz.rung]

    def status_of(value):
        return hx.Status.RUN_AWAY if value is None else hx.Status.COMPLETED

    def error_of(value, before):
        return math.nan if before is None or value is None else abs(value - before)

    rungs = Rungs(attempt, status_of, error_of, lambda value: False, lambda value: 1.0)
    return climb(Ladders(ansatze, tol, time_limit), Seeded(), hx.Stepping(), rungs)


def test_a_mistake_is_no_refusal():
    @dataclass(frozen=True)
    class Broken(Scripted):
        def first_rung(self, problem):
            raise ValueError("A defect, or an argument that is wrong for every ansatz.")

    with pytest.raises(ValueError, match="A defect"):
        climbed(Broken((0.0,)), Scripted((0.2, 0.21)))


def test_a_ladder_ends_where_two_rungs_agree():
    end = climbed(Scripted((1.0, 0.5, 0.45, 0.44)))
    assert (end.status, end.attempt, end.before) == (hx.Status.COMPLETED, 0.45, 0.5)
    assert end.labels == ("1.0", "0.5", "0.45")
    assert end.error == pytest.approx(0.05)


def test_rungs_that_run_away_are_passed_over():
    end = climbed(Scripted((1.0, None, None, 0.95)))
    assert (end.status, end.attempt, end.before) == (hx.Status.COMPLETED, 0.95, 1.0)


def test_a_ladder_of_run_aways_ends_as_the_first_of_them():
    end = climbed(Scripted((None, None)))
    assert end.status is hx.Status.RUN_AWAY and math.isnan(end.error)


def test_the_next_ansatz_is_tried_where_the_first_misses():
    end = climbed(Scripted((1.0, 0.0, 0.5)), Scripted((0.2, 0.21)))
    assert (end.status, end.attempt) == (hx.Status.COMPLETED, 0.21)
    assert end.labels == ("1.0", "0.0", "0.5", "0.2", "0.21")


def test_rungs_that_agree_far_from_an_earlier_ladder_do_not_count():
    # The first is certain to 0.2; the second agrees with itself, but 0.5 away.
    end = climbed(Scripted((1.0, 0.8)), Scripted((0.31, 0.3)))
    assert end.status is hx.Status.TOLERANCE_MISSED
    assert end.attempt == 0.8 and end.error == pytest.approx(0.2)
    assert "differ by 0.2" in end.shortfall(0.1)


def test_an_ansatz_that_refuses_is_left_out_unless_it_is_the_only_one():
    refusing = Scripted((0.0,), refuses="Argument `model` must be small.")
    assert climbed(refusing, Scripted((0.2, 0.21))).attempt == 0.21
    with pytest.raises(ValueError, match="must be small"):
        climbed(refusing)
    with pytest.raises(ValueError, match="must be small"):
        climbed(refusing, replace(refusing, refuses="Another reason."))


def test_no_rung_is_begun_that_would_end_too_late():
    end = climbed(Scripted((1.0, 0.0, 0.0), seconds=1e12), time_limit=1.0)
    assert end.status is hx.Status.TOLERANCE_MISSED and end.labels == ("1.0",)
    assert "0.0 would take some" in end.shortfall(0.1) and "time_limit is 1 s" in end.shortfall(0.1)


def test_by_default_a_run_has_an_error_bar_that_holds():
    lattice = hx.Lattice.chain(5)
    model, start, times = hx.models.dissipative_ising(lattice, V=2.0, g=2.5), hx.product_state(5), np.linspace(0, 3, 7)
    zz = hx.pauli("zz", 1, 2)
    found = hx.mesolve(model, start, times, observables={"zz": zz}, **QUIET)
    exact = hx.exact.mesolve(model, start, times, observables={"zz": zz})
    assert found.status is hx.Status.COMPLETED
    assert found.settings["ansatz"]["name"] == "clusters" and found.settings["tol"] == 1e-2
    told = found.diagnostics["estimated_error"]
    assert told.max() <= 1e-2
    assert np.all(np.abs(found.bloch - exact.bloch).max(axis=(1, 2)) <= told + 1e-4)
    assert np.all(np.abs(found.expect["zz"] - exact.expect["zz"]) <= told + 1e-4)
    assert found.errors["bloch"].shape == found.bloch.shape and found.errors["zz"].shape == times.shape


def test_where_the_time_is_up_the_best_is_kept_with_the_reason():
    model = hx.models.dissipative_ising(hx.Lattice.chain(4), V=5.0, g=5.0)
    with pytest.warns(hx.HusimixWarning, match=r"no two rungs agree, and clusters of 3 would take some .*time_limit"):
        found = hx.mesolve(model, hx.product_state(4), [0.0, 0.5, 1.0], time_limit=1e-3, **QUIET)
    assert found.status is hx.Status.TOLERANCE_MISSED and found.completed
    assert found.settings["rungs"] == ["clusters of 2"]


@pytest.mark.parametrize("arguments", [{"tol": 0.0}, {"tol": "small"}, {"time_limit": 0.0}, {"time_limit": None}])
def test_limits_that_are_none_are_refused(arguments):
    model = hx.models.dissipative_ising(hx.Lattice.chain(2))
    with pytest.raises(ValueError, match=f"`{next(iter(arguments))}` must be finite and positive"):
        hx.mesolve(model, hx.product_state(2), [0.0, 1.0], **arguments, **QUIET)
