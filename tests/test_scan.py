"""Scans of steady states."""

import numpy as np
import pytest

import husimix as hx

RING = hx.Lattice.chain(3, periodic=True)


def test_a_scan_there_and_back_finds_the_exact_steady_states():
    """At g = 0 the model has more symmetries, so that the search starts afresh there."""
    values = [1.0, 0.5, 0.0]
    found = hx.scan(
        lambda g: hx.models.dissipative_ising(RING, V=2.0, g=g),
        values,
        backward=True,
        components=6,
        observables={"x": hx.sigmax(0)},
        progress=False,
    )
    exact = [hx.exact.steadystate(hx.models.dissipative_ising(RING, V=2.0, g=g)).bloch[0] for g in values]
    np.testing.assert_allclose(found.bloch, exact, atol=2e-3)
    np.testing.assert_allclose([s.bloch for s in found.backward], exact, atol=2e-3)
    np.testing.assert_allclose(found.expect("x"), found.bloch[:, 0, 0], atol=1e-12)
    assert found.hysteresis.max() < 4e-3
    assert "3 steady states" in repr(found)
    one_way = hx.scan(lambda g: hx.models.dissipative_ising(RING, V=2.0, g=g), [1.0], components=2, progress=False)
    assert np.isnan(one_way.hysteresis).all() and one_way.backward == []


@pytest.mark.parametrize("values", [[], [[1.0]], [np.nan]])
def test_scans_refuse_what_is_no_list_of_numbers(values):
    with pytest.raises(ValueError, match="Argument `values` must be a sequence of finite numbers"):
        hx.scan(lambda g: hx.models.dissipative_ising(RING, g=g), values)


def test_scans_refuse_what_is_no_model():
    with pytest.raises(ValueError, match=r"Argument `model_of\(value\)` must be a Lindbladian"):
        hx.scan(lambda g: g, [1.0])
