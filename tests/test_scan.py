"""Scans of steady states."""

import dataclasses
import warnings

import numpy as np
import pytest

import husimix as hx

RING = hx.Lattice.chain(3, periodic=True)
VALUES = [1.0, 0.5, 0.0]


def ising(g):
    return hx.models.dissipative_ising(RING, V=2.0, g=g)


@pytest.fixture(scope="module")
def there_and_back():
    observables = {"x": hx.sigmax(0), "lower": hx.sigmam(1)}
    return hx.scan(
        ising, VALUES, ansatz=hx.Mixture(components=6), name="g", backward=True, observables=observables, progress=False
    )


def test_a_scan_there_and_back_finds_the_exact_steady_states(there_and_back):
    """At g = 0 the model has more symmetries, so that the search starts afresh there."""
    found = there_and_back
    exact = [hx.exact.steadystate(ising(g)).bloch[0] for g in VALUES]
    np.testing.assert_allclose(found.bloch, exact, atol=2e-3)
    np.testing.assert_allclose([s.bloch for s in found.backward], exact, atol=2e-3)
    np.testing.assert_allclose(found.expect["x"], found.bloch[:, 0, 0], atol=1e-12)
    assert found.hysteresis.max() < 4e-3
    assert repr(found) == "Scan: 3 steady states, there and back, 6 of 6 found"
    one_way = dataclasses.replace(found, backward=[])
    assert np.isnan(one_way.hysteresis).all()
    assert repr(one_way) == "Scan: 3 steady states, 3 of 3 found"


def test_scans_save_and_load(there_and_back, tmp_path):
    found = there_and_back
    loaded = hx.load(found.save(tmp_path / "scan.nc"))
    assert isinstance(loaded, hx.Scan)
    assert loaded.name == "g" and loaded.values.tolist() == VALUES
    assert loaded.status is found.status is hx.Status.COMPLETED
    for way in ("forward", "backward"):
        for ours, theirs in zip(getattr(loaded, way), getattr(found, way), strict=True):
            np.testing.assert_array_equal(ours.bloch, theirs.bloch)
            np.testing.assert_array_equal(ours.state.weights, theirs.state.weights)
            np.testing.assert_array_equal(ours.state.coordinates, theirs.state.coordinates)
            assert ours.state.to_dict() == theirs.state.to_dict()
            assert ours.model.to_dict() == theirs.model.to_dict() and ours.expect == theirs.expect
    data = found.to_xarray()
    np.testing.assert_array_equal(data["bloch"].sel(way="backward", value=0.5), found.backward[1].bloch)
    np.testing.assert_array_equal(data["residual"].sel(way="forward"), [f.residual for f in found.forward])


@pytest.fixture
def searches(there_and_back, monkeypatch):
    """Searches that find, without searching, what the fixture found; a list of the states that they began with."""
    known, begun = iter([*there_and_back.forward, *there_and_back.forward]), []

    def search(model, state, wanted, stacklevel):
        begun.append(state)
        found = next(known)
        return dataclasses.replace(found, status=hx.Status.INTERRUPTED) if len(begun) in begun_to_fail else found

    begun_to_fail = set()
    monkeypatch.setattr("husimix.solve.scan.find", search)
    return begun, begun_to_fail


def test_each_search_starts_from_the_state_before(there_and_back, searches):
    begun, _ = searches
    start, (first, second, _) = hx.product_state(3, "down"), there_and_back.forward
    hx.scan(ising, [1.0, 0.8], ansatz=hx.Mixture(components=6), state=start, backward=True, progress=False)
    assert begun[:3] == [start, first.state, second.state]


def test_an_interrupted_scan_keeps_the_points_before(searches):
    begun, to_fail = searches
    to_fail.add(2)
    found = hx.scan(ising, [1.0, 0.5, 0.2], ansatz=hx.Mixture(components=6), backward=True, progress=False)
    assert len(begun) == 2
    assert found.values.tolist() == [1.0] and len(found.forward) == 1 and found.backward == []


@pytest.mark.parametrize("at", [2, 3])
def test_an_interruption_between_searches_keeps_the_points_before(there_and_back, monkeypatch, at):
    """Of two points there and two back, the second or the third is interrupted before its search begins."""
    begun = []

    def search(model, state, wanted, stacklevel):
        begun.append(state)
        if len(begun) == at:
            raise KeyboardInterrupt
        return there_and_back.forward[len(begun) - 1]

    monkeypatch.setattr("husimix.solve.scan.find", search)
    found = hx.scan(ising, [1.0, 0.5], ansatz=hx.Mixture(components=6), backward=True, progress=False)
    assert len(found.forward) == len(found.values) == at - 1 and found.backward == []


@pytest.mark.parametrize("values", [[], [[1.0]], [np.nan]])
def test_scans_refuse_what_is_no_list_of_numbers(values):
    with pytest.raises(ValueError, match="Argument `values` must be a sequence of finite numbers"):
        hx.scan(lambda g: hx.models.dissipative_ising(RING, g=g), values)


def test_scans_refuse_what_is_no_model():
    with pytest.raises(ValueError, match=r"Argument `model_of\(value\)` must be a Lindbladian"):
        hx.scan(lambda g: g, [1.0])
    with pytest.raises(ValueError, match="Argument `model_of` must be a function that makes a model of a value"):
        hx.scan(ising(1.0), [1.0])


def test_what_is_not_stationary_is_told_once(recwarn):
    found = hx.scan(
        ising, [1.0, 0.5], ansatz=hx.Mixture(components=2), name="g", max_time=0.5, max_drift=1e-14, progress=False
    )
    assert not any(s.completed for s in found.forward)
    (warning,) = recwarn
    drift, residual = (max(getattr(s, name) for s in found.forward) for name in ("drift", "residual"))
    told = "2 of 2 states are not stationary (at g = 1, 0.5): "
    told += f"the largest drift is {drift:.2g}, the largest residual {residual:.2g}. Not stationary: "
    assert issubclass(warning.category, hx.HusimixWarning) and str(warning.message).startswith(told)


def test_other_warnings_name_the_value(there_and_back, monkeypatch):
    def search(model, state, wanted, stacklevel):
        warnings.warn("The purity is 2.", hx.HusimixWarning, stacklevel=2)
        return there_and_back.forward[0]

    monkeypatch.setattr("husimix.solve.scan.find", search)
    with pytest.warns(hx.HusimixWarning, match=r"At g = 0\.5: The purity is 2\."):
        hx.scan(ising, [0.5], ansatz=hx.Mixture(components=6), name="g", progress=False)


def test_models_of_different_sites_are_refused_before_any_search(searches):
    begun, _ = searches
    with pytest.raises(ValueError, match=r"`model_of\(value\)` must have 3 sites for every value, but got 4 sites"):
        hx.scan(lambda n: hx.models.dissipative_ising(hx.Lattice.chain(int(n))), [3, 4], progress=False)
    assert begun == []
