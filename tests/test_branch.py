"""Curves of steady states through folds, against the closed form of mean field and scans that jump."""

import numpy as np
import pytest
from typer.testing import CliRunner

import husimix as hx
from husimix.apps.cli import app
from husimix.apps.plots import plot_scan

LATTICE, V = hx.Lattice.square(3, 3, periodic=True), 5.0
QUIET = {"progress": False}


def ising(g):
    return hx.models.dissipative_ising(LATTICE, V=V, g=g)


def drive_of(z):
    """g of the mean-field steady state with ⟨σz⟩ = z: g² = -(1 + z)(8 V² z² + γ²/2)/z on a lattice of four neighbours."""
    return np.sqrt(-(1 + z) * (8 * V**2 * z**2 + 0.5) / z)


@pytest.fixture(scope="module")
def mean_field():
    observables = {"x": hx.sigmax(0), "lower": hx.sigmam(0)}
    return hx.scan(
        ising,
        np.linspace(3, 9, 9),
        name="g",
        backward=True,
        follow_folds=True,
        ansatz=hx.Clusters(size=1),
        observables=observables,
        **QUIET,
    )


def test_every_point_of_the_curve_solves_the_cubic(mean_field):
    branch = mean_field.branch
    assert branch.completed and branch.values[0] == 3.0 and branch.values[-1] == 9.0
    np.testing.assert_allclose(drive_of(branch.bloch[:, 0, 2]), branch.values, rtol=0, atol=1e-6)
    np.testing.assert_allclose(branch.expect["x"], branch.bloch[:, 0, 0], rtol=0, atol=1e-12)
    assert np.ptp(branch.bloch, axis=1).max() < 1e-12


def test_folds_are_where_the_closed_form_turns(mean_field):
    z = -np.linspace(0.01, 0.9, 100_001)
    g = drive_of(z)
    turns = g[1:-1][np.diff(g)[1:] * np.diff(g)[:-1] < 0]
    np.testing.assert_allclose(sorted(mean_field.branch.folds), turns, rtol=0, atol=1e-5)


def test_states_between_the_folds_are_unstable(mean_field):
    branch = mean_field.branch
    z, step = branch.bloch[:, 0, 2], 1e-6
    rises = drive_of(z + step) > drive_of(z - step)
    apart = np.abs(drive_of(z + step) - drive_of(z - step)) > 1e-7  # at the folds themselves rounding decides
    np.testing.assert_array_equal(branch.is_stable[apart], rises[apart])
    assert 3 < (~branch.is_stable).sum() < len(z) - 10


def test_scans_jump_at_the_folds(mean_field):
    low, high = sorted(mean_field.branch.folds)
    inside = (mean_field.values > low) & (mean_field.values < high)
    assert inside.sum() == 4
    assert (mean_field.hysteresis[inside] > 0.2).all() and (mean_field.hysteresis[~inside] < 1e-6).all()


def test_curves_are_saved_and_loaded(mean_field, tmp_path):
    loaded, branch = hx.load(mean_field.save(tmp_path / "scan.nc")), mean_field.branch
    assert isinstance(loaded, hx.Scan)
    for name in ("values", "local_values", "eigenvalues", "folds", "is_stable", "gap"):
        np.testing.assert_array_equal(getattr(loaded.branch, name), getattr(branch, name))
    np.testing.assert_array_equal(loaded.branch.expect["lower"], branch.expect["lower"])
    assert loaded.branch.completed and repr(loaded.branch) == repr(branch)
    assert len(loaded.forward) == 9 and loaded.name == "g"


def test_correlations_leave_folds_where_scans_jump():
    """At m = 2: between the folds, and only there, the two ways of a scan end in different states."""
    line = hx.scan(
        ising,
        np.linspace(4, 7, 4),
        backward=True,
        follow_folds=True,
        ansatz=hx.Clusters(size=2),
        **QUIET,
    )
    assert line.branch.completed
    low, high = (min(line.branch.folds), max(line.branch.folds)) if len(line.branch.folds) else (np.inf, -np.inf)
    inside = (line.values > low) & (line.values < high)
    np.testing.assert_array_equal(line.hysteresis > 1e-6, inside)


def test_folds_are_refused_where_they_cannot_be_followed():
    with pytest.raises(ValueError, match="Argument `follow_folds` must be False for this ansatz"):
        hx.scan(ising, [3, 4], follow_folds=True, ansatz=hx.Mixture(components=1), **QUIET)
    with pytest.raises(ValueError, match="Argument `follow_folds` must be False with a tolerance"):
        hx.scan(ising, [3, 4], follow_folds=True, ansatz=hx.Clusters(), tol=1e-2, **QUIET)
    with pytest.raises(ValueError, match="Argument `values` must hold at least two different numbers"):
        hx.scan(ising, [3.0], follow_folds=True, ansatz=hx.Clusters(size=1), **QUIET)


def test_pictures_show_the_curve_dotted_where_it_is_unstable(mean_field):
    branch = mean_field.branch
    figure = plot_scan(mean_field.to_xarray(), branch.to_xarray(ising(3.0), "g"))
    lines = figure.axes[0].lines[6:]  # after three ways there and three back
    assert [line.get_linestyle() for line in lines[:3]] == ["-", ":", "-"]
    dotted = lines[1].get_xdata()
    assert dotted.min() == pytest.approx(min(branch.folds), abs=0.5)
    assert dotted.max() == pytest.approx(max(branch.folds), abs=0.5)


def test_run_files_can_ask_for_the_curve(tmp_path):
    text = """
        [lattice]
        kind = "square"
        shape = [3, 3]
        [model]
        name = "dissipative_ising"
        V = 5.0
        [scan]
        parameter = "g"
        values = [3.0, 3.5]
        follow_folds = true
        [ansatz]
        name = "clusters"
        size = 1
    """
    (tmp_path / "run.toml").write_text(text)
    ended = CliRunner().invoke(app, ["run", str(tmp_path / "run.toml"), "-o", str(tmp_path / "run.nc"), "--quiet"])
    assert ended.exit_code == 0, ended.output
    assert hx.load(tmp_path / "run.nc").branch.completed
    assert CliRunner().invoke(app, ["plot", str(tmp_path / "run.nc")]).exit_code == 0
