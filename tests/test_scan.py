"""Scans of steady states."""

import dataclasses

import numpy as np
import pytest

import husimix as hx
from husimix.solve.steadystate import steadystate

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


def test_scans_save_and_load(tmp_path):
    found = hx.scan(
        lambda g: hx.models.dissipative_ising(RING, V=2.0, g=g),
        [1.0, 0.5],
        name="g",
        backward=True,
        components=3,
        observables={"lower": hx.sigmam(1)},
        progress=False,
    )
    loaded = hx.load(found.save(tmp_path / "scan.nc"))
    assert isinstance(loaded, hx.Scan)
    assert loaded.name == "g" and loaded.values.tolist() == [1.0, 0.5]
    assert loaded.status is found.status is hx.Status.COMPLETED
    for way in ("forward", "backward"):
        for ours, theirs in zip(getattr(loaded, way), getattr(found, way), strict=True):
            np.testing.assert_array_equal(ours.bloch, theirs.bloch)
            np.testing.assert_array_equal(ours.state.to_dense(), theirs.state.to_dense())
            assert ours.model.to_dict() == theirs.model.to_dict() and ours.expect == theirs.expect
    data = found.to_xarray()
    np.testing.assert_array_equal(data["bloch"].sel(way="backward", value=0.5), found.backward[1].bloch)
    np.testing.assert_array_equal(data["residual"].sel(way="forward"), [f.residual for f in found.forward])


def test_each_search_starts_from_the_state_before(monkeypatch):
    begun, ended = [], []

    def remember(model, state, **settings):
        begun.append(state)
        ended.append(steadystate(model, state, **settings))
        return ended[-1]

    monkeypatch.setattr("husimix.solve.scan.steadystate", remember)
    start = hx.product_state(3, "down")
    hx.scan(
        lambda g: hx.models.dissipative_ising(RING, g=g), [1.0, 0.8], state=start, backward=True, components=2,
        progress=False,
    )  # fmt: skip
    assert begun == [start, *(found.state for found in ended[:-1])]
    # With all components there are, the first look is at the state that was handed on.
    assert begun[1].n_components == 2


def test_an_interrupted_scan_keeps_the_points_before(monkeypatch):
    searched = []

    def interrupt_the_second(model, *arguments, **settings):
        searched.append(found := steadystate(model, *arguments, **settings))
        return found if len(searched) == 1 else dataclasses.replace(found, status=hx.Status.INTERRUPTED)

    monkeypatch.setattr("husimix.solve.scan.steadystate", interrupt_the_second)
    found = hx.scan(
        lambda g: hx.models.dissipative_ising(RING, g=g), [1.0, 0.5, 0.2], backward=True, components=2, progress=False
    )
    assert len(searched) == 2
    assert found.values.tolist() == [1.0] and len(found.forward) == 1 and found.backward == []
