"""Totals that forget the rounding of cancellations and nothing else."""

import math

from husimix.physics.termsum import TermSum


def total(*values):
    terms = TermSum()
    for value in values:
        terms.add("key", value)
    return dict(terms.nonzero())


def test_rounding_of_a_cancellation_is_forgotten():
    assert 0.1 + 0.2 - 0.3 != 0
    assert total(0.1, 0.2, -0.3) == {}
    assert total(0.1j, 0.2j, -0.3j) == {}
    assert total(0.0) == {}


def test_small_totals_that_are_no_cancellation_are_kept():
    assert total(1e-300) == {"key": 1e-300}
    assert total(1.0, -1.0 + 1e-9)["key"] > 9e-10


def test_what_is_not_finite_stays_to_be_seen():
    assert total(math.inf) == {"key": math.inf}
    assert math.isnan(total(1.0, math.nan)["key"])
    assert math.isnan(total(math.inf, -math.inf)["key"])


def test_keys_keep_the_order_of_their_first_term():
    terms = TermSum()
    for key in "bab":
        terms.add(key, 1.0)
    assert list(terms.nonzero()) == ["b", "a"]
