"""The demonstration on fewer sites and for a shorter time than `husimix demo` takes."""

from importlib import resources

import numpy as np
import pytest
import xarray as xr

import husimix as hx
from husimix.apps import runner
from husimix.apps.config import parse_run_file
from husimix.apps.demo import demonstrate
from husimix.apps.plots import plot_demonstration


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    text = resources.files("husimix.apps").joinpath("demo.toml").read_text(encoding="utf-8")
    text = text.replace("[8, 8]", "[3, 3]").replace("end = 5.0", "end = 0.6").replace("saves = 51", "saves = 4")
    folder = tmp_path_factory.mktemp("demo")
    return demonstrate(parse_run_file(text, "demo.toml"), folder, shape=(2, 2), progress=False), folder


def test_both_ansaetze_stand_beside_the_exact_solution(found):
    demonstration, folder = found
    lattice = hx.Lattice.square(2, periodic=True)
    model = hx.models.dissipative_ising(lattice, V=2.0, g=1.0)
    exact = hx.exact.mesolve(model, hx.product_state(4, "down"), np.linspace(0, 0.6, 4))
    for each, name in zip(demonstration.beside, ("clusters", "mixture"), strict=True):
        np.testing.assert_allclose(each.data["exact_bloch"], exact.bloch, rtol=0, atol=1e-6)
        assert np.abs(each.data["bloch"].values - exact.bloch).max() < 2e-2
        assert each.first > each.again > 0
        stored = xr.load_dataset(folder / f"exact_beside_{name}.nc")
        np.testing.assert_array_equal(stored["bloch"], each.data["bloch"])


def test_the_run_file_is_carried_out_with_error_bars(found):
    demonstration, folder = found
    assert demonstration.outcome.result.bloch.shape == (4, 9, 3)
    assert not demonstration.outcome.shortfall
    assert hx.load(folder / "run.nc").errors["bloch"].max() < 1e-2


def test_the_picture_shows_exact_lines_markers_and_bands(found):
    demonstration = found[0]
    beside = {each.label: each.data for each in demonstration.beside}
    small, large, error, estimate = plot_demonstration(beside, demonstration.outcome.data).axes
    # One line and two kinds of markers for each axis.
    assert len(small.lines) == 9 and len(large.lines) == 3
    assert len(large.collections) == 3
    assert [line.get_label() for line in error.lines] == list(beside)
    assert estimate.get_yscale() == "log"
    assert (small.get_title(), large.get_title()) == ("4 spins", "9 spins")


def test_the_picture_does_without_estimated_errors(found):
    demonstration = found[0]
    beside = {each.label: each.data for each in demonstration.beside}
    *_, estimate = plot_demonstration(beside, demonstration.outcome.data.drop_vars("diagnostic_estimated_error")).axes
    assert not estimate.lines


def test_an_interrupted_run_on_few_sites_ends_the_demonstration(tmp_path, monkeypatch):
    class Interrupted:
        def to_groups(self):
            return {"/": xr.Dataset(attrs={"status": hx.Status.INTERRUPTED.name})}

    monkeypatch.setattr(runner, "solve", lambda setup, progress: (Interrupted(), []))
    text = resources.files("husimix.apps").joinpath("demo.toml").read_text(encoding="utf-8")
    with pytest.raises(KeyboardInterrupt):
        demonstrate(parse_run_file(text, "demo.toml"), tmp_path, progress=False)
    assert not list(tmp_path.iterdir())
