"""Results in memory and on disk."""

import json

import numpy as np
import pytest
import xarray as xr

import husimix as hx


@pytest.fixture(scope="module")
def result():
    lattice = hx.Lattice.chain(3, periodic=True)
    model = hx.models.dissipative_ising(lattice, V=1.5)
    return hx.mesolve(
        model,
        hx.product_state(3, "down"),
        np.linspace(0, 1, 5),
        ansatz=hx.Mixture(components=2),
        observables={"zz": hx.pauli("zz", 0, 1), "lower": hx.sigmam(2)},
        save_states=True,
        seed=7,
        progress=False,
    )


def test_dataset_is_labelled(result):
    data = result.to_xarray()
    assert data["bloch"].dims == ("time", "site", "axis")
    np.testing.assert_array_equal(data["bloch"].sel(axis="z", time=0.0), [-1, -1, -1])
    np.testing.assert_array_equal(data["expect_zz"], result.expect["zz"])
    assert list(data["expect_lower"].part) == ["real", "imag"]
    assert set(result.diagnostics) == {
        name.removeprefix("diagnostic_") for name in map(str, data.data_vars) if name.startswith("diagnostic_")
    }
    assert json.loads(data.attrs["settings"])["seed"] == 7
    assert json.loads(data.attrs["versions"])["husimix"] == hx.__version__
    assert data.attrs["title"] == "dissipative_ising(V=1.5, g=1, gamma=1)"


def test_save_and_load_give_the_same_result(result, tmp_path):
    loaded = hx.load(result.save(tmp_path / "run.nc"))
    np.testing.assert_array_equal(loaded.times, result.times)
    np.testing.assert_array_equal(loaded.bloch, result.bloch)
    for name in result.expect:
        np.testing.assert_array_equal(loaded.expect[name], result.expect[name])
    for name in result.diagnostics:
        np.testing.assert_array_equal(loaded.diagnostics[name], result.diagnostics[name])
    assert loaded.status is result.status and loaded.settings == result.settings
    assert loaded.model.to_dict() == result.model.to_dict()
    assert len(loaded.states) == 5
    for ours, theirs in zip(loaded.states, result.states, strict=True):
        np.testing.assert_array_equal(ours.to_dense(), theirs.to_dense())


def test_a_loaded_run_can_be_repeated_and_continued(result, tmp_path):
    loaded = hx.load(result.save(tmp_path / "run.nc"))
    s = loaded.settings
    again = hx.mesolve(
        loaded.model,
        hx.product_state(3, "down"),
        s["tsave"],
        ansatz=hx.Mixture(components=s["ansatz"]["components"]),
        seed=s["seed"],
        progress=False,
    )
    np.testing.assert_array_equal(again.bloch, result.bloch)
    further = hx.mesolve(loaded.model, loaded.final_state, [1.0, 1.2], ansatz=hx.Mixture(components=2), progress=False)
    np.testing.assert_allclose(further.bloch[0], result.bloch[-1])
    assert further.completed


def test_an_existing_file_survives_a_failed_save(result, tmp_path, monkeypatch):
    path = tmp_path / "run.nc"
    path.write_text("precious")

    def fails(*_, **__):
        raise OSError("No space left on device")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", fails)
    with pytest.raises(OSError, match="No space left"):
        result.save(path)
    assert path.read_text() == "precious" and list(tmp_path.iterdir()) == [path]


def test_load_refuses_what_is_no_result(result, tmp_path):
    with pytest.raises(ValueError, match="Argument `path` must name an existing file"):
        hx.load(tmp_path / "none.nc")
    text = tmp_path / "text.nc"
    text.write_text("not a NetCDF file")
    with pytest.raises(ValueError, match="must name a readable NetCDF file"):
        hx.load(text)
    foreign = tmp_path / "foreign.nc"
    xr.Dataset({"a": ("x", [1.0])}).to_netcdf(foreign, engine="h5netcdf")
    with pytest.raises(ValueError, match="must name a result of husimix"):
        hx.load(foreign)
    newer = result.to_xarray().assign_attrs(husimix_format=99)
    newer.to_netcdf(tmp_path / "newer.nc", engine="h5netcdf")
    with pytest.raises(ValueError, match=r"must name a result in format 2, but got format 99.*Upgrade"):
        hx.load(tmp_path / "newer.nc")


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.95])
def test_load_refuses_a_file_that_is_cut_off(result, tmp_path, kept):
    path = result.save(tmp_path / "run.nc")
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ValueError, match="must name a readable NetCDF file"):
        hx.load(path)


def test_repr_says_what_there_is(result):
    assert repr(result) == (
        "Result: completed, 5 times up to t = 1, mixture of 2 components on 3 sites (Bloch, group of order 3), "
        "observables: zz, lower"
    )


@pytest.mark.parametrize(
    ("path", "message"),
    [("run.csv", "must end in .nc or .nc4"), ("nowhere/run.nc", "must lie in an existing directory")],
)
def test_files_that_cannot_be_are_refused_in_one_line(result, tmp_path, path, message):
    with pytest.raises(ValueError, match=message):
        result.save(tmp_path / path)
    assert list(tmp_path.iterdir()) == []
