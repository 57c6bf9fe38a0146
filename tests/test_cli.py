"""The command line: real files through `husimix run`, `info`, `plot`, `models` and `demo`."""

import dataclasses
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

import husimix as hx
from husimix import apps
from husimix.apps import cli, exact, runner, tasks
from husimix.apps.config import parse_run_file
from husimix.results import files
from husimix.solve.progress import ProgressMeter
from husimix.solve.recording import Recorder

# Without coupling a product state stays one, so that even two components are exact. `sp` is not Hermitian.
FREE = """\
# σ in a comment survives the way into the result and back
[lattice]
kind = "chain"
shape = [3]
periodic = true

[model]
name = "dissipative_ising"
V = 0.0

[state]
spins = [[0.6, 0.0, -0.8], [0.3, 0.0, -0.9], [0.0, 0.6, 0.8]]

[time]
end = 2.0
saves = 9

[ansatz]
name = "mixture"
components = 2

[observables]
zz = { pauli = "zz", mean_over = "bonds" }
sp = { pauli = "+", sites = [1] }
"""


def husimix(*arguments):
    outcome = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    # A traceback for the user would be an exception other than SystemExit here.
    assert outcome.exception is None or isinstance(outcome.exception, SystemExit), outcome.exception
    return outcome


def refused(*arguments):
    """The one line on standard error of a command that must exit with code 2."""
    outcome = husimix(*arguments)
    assert outcome.exit_code == 2
    assert outcome.stdout == ""
    (line,) = outcome.stderr.splitlines()
    assert line.startswith("Error: ")
    return line


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """What `husimix run` printed and wrote, exact curves and picture included."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "free.toml").write_text(FREE, encoding="utf-8")
    outcome = husimix(
        "run",
        folder / "free.toml",
        "-o",
        folder / "free.nc",
        "--compare-exact",
        "--plot",
        folder / "free.svg",
    )
    assert outcome.exit_code == 0, outcome.stderr
    return folder, outcome


@pytest.fixture
def run_file(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text(FREE, encoding="utf-8")
    return path


@pytest.fixture
def no_computing(monkeypatch):
    """Any computation fails the test."""

    def compute(*arguments, **settings):
        raise AssertionError("the computation began")

    monkeypatch.setattr(tasks, "mesolve", compute)


def test_help_and_version():
    assert husimix("--version").stdout == f"husimix {hx.__version__}\n"
    text = husimix("--help").stdout
    assert all(command in text for command in ("run", "plot", "info", "cite", "models", "demo"))
    assert "--compare-exact" in husimix("run", "--help").stdout


def test_models_shows_hamiltonians_and_defaults():
    text = husimix("models").stdout
    assert all(f"{name}\n" in text for name in hx.models.NAMED)
    assert "H = (V/4) Σ_bonds σz σz + (g/2) Σ σx" in text
    assert "V (float) = 2.0, g (float) = 1.0, gamma (float) = 1.0\n" in text


def test_entry_point_survives_a_terminal_without_greek(finished):
    call = [sys.executable, "-W", "error", "-c", "from husimix.apps.cli import main; main()"]
    command = [*call, "info", str(finished[0] / "free.nc")]
    latin = os.environ | {"PYTHONIOENCODING": "latin-1"}
    ended = subprocess.run(command, capture_output=True, env=latin, check=False)
    assert ended.returncode == 0, ended.stderr
    assert b"???, all sites and points" in ended.stdout


def test_run_saves_what_it_prints(finished):
    folder, outcome = finished
    result = hx.load(folder / "free.nc")
    assert result.completed
    assert np.allclose(result.times, np.linspace(0, 2, 9))
    assert "completed: All that was asked for was found." in outcome.stdout
    assert f"zz {result.expect['zz'][-1]:.6g}\n" in outcome.stdout
    assert f"sp {result.expect['sp'][-1]:.6g}\n" in outcome.stdout
    assert f"Saved {folder / 'free.nc'}\n" in outcome.stdout
    assert (folder / "free.svg").read_text("utf-8").rstrip().endswith("</svg>")
    assert xr.load_dataset(folder / "free.nc").attrs["run_file"] == FREE


def test_quiet_run_prints_nothing(finished, run_file):
    outcome = husimix("run", run_file, "-o", run_file.with_suffix(".nc"), "--quiet")
    assert (outcome.exit_code, outcome.output) == (0, "")
    again = hx.load(run_file.with_suffix(".nc"))
    assert np.array_equal(again.bloch, hx.load(finished[0] / "free.nc").bloch)


def test_exact_curves_agree_where_the_method_is_exact(finished):
    folder, outcome = finished
    data = xr.load_dataset(folder / "free.nc")
    assert data["exact_bloch"].dims == ("time", "site", "axis")
    assert data["exact_expect_sp"].dims == ("time", "part")
    deviations = runner.errors(data)
    assert set(deviations) == {"bloch", "expect_zz", "expect_sp"}
    for deviation in deviations.values():
        assert 0 < deviation.rms <= deviation.worst < 1e-3
    assert f"{deviations['expect_zz'].worst:.2e}" in outcome.stdout
    assert np.ptp(data["exact_expect_sp"].values, axis=0).min() > 0.05


def test_errors_are_worst_and_rms():
    data = xr.Dataset(
        {
            "bloch": (("time", "site", "axis"), np.zeros((2, 1, 2))),
            "exact_bloch": (("time", "site", "axis"), np.array([[[0.0, 0.0]], [[0.0, -0.2]]])),
            "expect_sp": (("time", "part"), np.zeros((2, 2))),
            "exact_expect_sp": (("time", "part"), np.array([[0.0, 0.0], [0.3, 0.4]])),
        }
    )
    assert runner.errors(data)["bloch"] == pytest.approx((0.2, 0.1))
    assert runner.errors(data)["expect_sp"] == pytest.approx((0.5, np.sqrt(0.125)))
    with pytest.raises(ValueError, match="hold exact curves"):
        runner.errors(data.drop_vars("exact_bloch"))


def test_info_tells_how_to_repeat(finished):
    folder, _ = finished
    outcome = husimix("info", folder / "free.nc")
    assert outcome.exit_code == 0
    title, *lines = outcome.stdout.splitlines()
    assert title == "dissipative_ising(V=0, g=1, gamma=1)"
    assert "sites       3, Lattice.chain(3, periodic=True): 3 sites" in lines
    assert "seed        0" in lines
    assert "  tsave       9 times from 0 to 2" in lines
    assert any(line.startswith("ansatz      mixture: components 2, manifold bloch") for line in lines)
    assert any(line.startswith("versions    husimix ") and "diffrax" in line for line in lines)
    assert any(line.startswith("wall time   ") for line in lines)
    assert outcome.stdout.endswith(FREE)
    assert parse_run_file(FREE, "repeated").build().task.choices.ansatz == hx.Mixture(components=2)


def test_cite_names_what_a_run_used(finished):
    file = finished[0] / "free.nc"
    told = husimix("cite", file)
    assert told.exit_code == 0 and told.stdout == f"{hx.cite(hx.load(file))}\n"
    assert "The integrator Tsit5" in told.stdout
    assert husimix("cite", file, "--bibtex").stdout == hx.cite(hx.load(file)).bibtex
    assert "no.nc" in refused("cite", "no.nc")


def test_a_missed_tolerance_is_told_with_what_was_reached(tmp_path):
    run_file, output = tmp_path / "auto.toml", tmp_path / "auto.nc"
    chosen = "max_components = 8\n\n[run]\ntol = 1e-6"
    run_file.write_text(FREE.replace("components = 2", chosen).replace("V = 0.0", "V = 4.0"), encoding="utf-8")
    outcome = husimix("run", run_file, "-o", output)
    assert outcome.exit_code == 1
    assert "Raise max_components" in outcome.stderr
    result = hx.load(output)
    assert result.completed and result.status is hx.Status.TOLERANCE_MISSED
    lines = outcome.stdout.splitlines()
    assert f"error       {result.diagnostics['estimated_error'].max():.2g}, estimated, at the worst time" in lines


def test_info_of_a_run_without_run_file(finished, tmp_path):
    result = hx.load(finished[0] / "free.nc")
    outcome = husimix("info", result.save(tmp_path / "library.nc"))
    assert "deviation from exact" not in outcome.stdout
    assert "call husimix.mesolve with these settings" in outcome.stdout
    assert outcome.stdout.endswith(f"{result.model!r}\n")


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_plot(finished, tmp_path, suffix):
    picture = tmp_path / f"picture{suffix}"
    assert husimix("plot", finished[0] / "free.nc", "-o", picture).stdout == f"Saved {picture}\n"
    assert picture.stat().st_size > 5_000


def test_plot_of_the_lattice(finished, tmp_path):
    picture = tmp_path / "map.png"
    outcome = husimix("plot", finished[0] / "free.nc", "-o", picture, "--map", "--axis", "y", "--time", "0.9")
    assert outcome.stdout == f"Saved {picture}\n"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_plot_goes_beside_the_result(finished):
    folder, _ = finished
    assert husimix("plot", folder / "free.nc").exit_code == 0
    picture = (folder / "free.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert husimix("plot", folder / "free.nc", "--map").exit_code == 0
    assert (folder / "free.png").read_bytes() == picture
    assert (folder / "free_map.png").read_bytes().startswith(b"\x89PNG")


def test_map_takes_the_nearest_save_time(finished, monkeypatch):
    from husimix.apps import plots

    asked = []
    monkeypatch.setattr(plots, "plot_map", lambda data, axis, time: asked.append((axis, time)) or plots.Figure())
    file = finished[0] / "free.nc"
    for options in ([], ["--time", "0.85"], ["--time", "0.9"], ["--time", "0", "--axis", "x"]):
        assert husimix("plot", file, "--map", *options).exit_code == 0
    assert asked == [("z", -1), ("z", 3), ("z", 4), ("x", 0)]


@pytest.mark.parametrize(
    ("options", "fragment"),
    [
        (["--axis", "x"], "Argument `axis` must stand beside --map, but got x."),
        (["--time", "0"], "Argument `time` must stand beside --map, but got 0"),
        (["--map", "--axis", "w"], "Argument `axis` must be one of x, y, z, but got 'w'."),
        (["--map", "--time", "2.5"], "Argument `time` must lie within the save times (0 to 2), but got 2.5."),
        (["--map", "--time", "nan"], "Argument `time` must lie within the save times (0 to 2), but got nan."),
        (["-o", "picture.jpeg"], "Argument `output` must end in .png or .pdf or .svg, but got picture.jpeg."),
    ],
)
def test_plot_refuses(finished, options, fragment):
    assert fragment in refused("plot", finished[0] / "free.nc", *options)


@pytest.mark.parametrize("command", ["info", "plot"])
def test_files_that_are_no_result(finished, tmp_path, command):
    whole = (finished[0] / "free.nc").read_bytes()
    cut_off, text, other, gutted = (tmp_path / f"{name}.nc" for name in ("cut", "text", "other", "gutted"))
    cut_off.write_bytes(whole[: len(whole) // 2])
    text.write_text(FREE, encoding="utf-8")
    xr.Dataset({"bloch": ("time", [1.0])}).to_netcdf(other, engine="h5netcdf")
    files.write({"/": xr.load_dataset(finished[0] / "free.nc").drop_vars("bloch")}, gutted)
    assert "cut.nc. The file is cut off or is no NetCDF file" in refused(command, cut_off)
    assert "text.nc. The file is cut off or is no NetCDF file" in refused(command, text)
    assert "must name a result of husimix, but got" in refused(command, other)
    assert "must name a whole result of husimix, but got" in refused(command, gutted)
    assert "must name an existing file, but got" in refused(command, tmp_path / "none.nc")
    run_file = tmp_path / "free.toml"
    run_file.write_text(FREE, encoding="utf-8")
    assert "free.toml. Carry it out: husimix run" in refused(command, run_file)


@pytest.mark.usefixtures("no_computing")
def test_mistakes_in_run_files_get_one_line(run_file):
    run_file.write_text(FREE.replace("components", "componets"), encoding="utf-8")
    line = refused("run", run_file, "-o", run_file.with_suffix(".nc"))
    assert line == f"Error: Run file {run_file}: [ansatz] has no key `componets`. Did you mean `components`?"
    assert "cannot be read" in refused("run", run_file.with_name("none.toml"), "-o", run_file.with_suffix(".nc"))


@pytest.mark.usefixtures("no_computing")
@pytest.mark.parametrize(
    ("output", "fragment"),
    [
        ("run", "Argument `output` must end in .nc, but got"),
        ("run.txt", "run.nc."),
        ("folder.nc", "Argument `output` must name a file, but got the directory"),
        ("missing/run.nc", "Argument `output` must lie in an existing directory, but got"),
        ("run.toml/run.nc", "Argument `output` must lie in an existing directory, but got"),
        ("n" * 253 + ".nc", "Argument `output` must name a file that can be written, but got"),
        pytest.param(
            "/proc/run.nc",
            "Argument `output` must name a file that can be written, but got /proc/run.nc",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux"),
        ),
    ],
)
def test_output_that_cannot_be_written_is_found_before_the_run(run_file, output, fragment):
    (run_file.parent / "folder.nc").mkdir()
    assert fragment in refused("run", run_file, "-o", run_file.parent / output)
    assert sorted(path.name for path in run_file.parent.iterdir()) == ["folder.nc", "run.toml"]


@pytest.mark.usefixtures("no_computing")
def test_picture_that_cannot_be_written_is_found_before_the_run(run_file):
    line = refused("run", run_file, "-o", run_file.with_suffix(".nc"), "--plot", run_file.with_suffix(".gif"))
    assert "Argument `plot` must end in .png or .pdf or .svg" in line


@pytest.mark.usefixtures("no_computing")
def test_missing_matplotlib_is_found_before_the_run(run_file, monkeypatch):
    monkeypatch.delattr(apps, "plots", raising=False)
    monkeypatch.delitem(sys.modules, "husimix.apps.plots", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib.axes", None)
    picture = run_file.with_suffix(".png")
    line = refused("run", run_file, "-o", run_file.with_suffix(".nc"), "--plot", picture)
    assert line == 'Error: Pictures need matplotlib: pip install "husimix[plot]"'
    assert refused("demo", "--directory", run_file.parent / "demo") == line


@pytest.mark.usefixtures("no_computing")
def test_exact_twin_that_cannot_be_is_found_before_the_run(run_file, monkeypatch):
    arguments = ("run", run_file, "-o", run_file.with_suffix(".nc"), "--compare-exact")
    text = FREE[: FREE.index("[state]")] + FREE[FREE.index("[time]") :]
    run_file.write_text(text.replace("[3]", "[11]"), encoding="utf-8")
    line = refused(*arguments)
    assert line.startswith(f"Error: Run file {run_file}: Argument `model` must have a Hilbert space of at most 1024")
    monkeypatch.setitem(sys.modules, "qutip", None)
    assert 'QuTiP: pip install "husimix[exact]"' in refused(*arguments)


@pytest.mark.parametrize(
    ("failure", "fragment"),
    [
        (RuntimeError("the solver\ngave up"), "The exact twin failed. RuntimeError: the solver gave up"),
        (KeyboardInterrupt(), "The exact twin was interrupted."),
    ],
)
def test_result_survives_a_failing_exact_twin(run_file, monkeypatch, failure, fragment):
    def fail(*arguments, **settings):
        raise failure

    monkeypatch.setattr(exact, "mesolve", fail)
    output = run_file.with_suffix(".nc")
    outcome = husimix("run", run_file, "-o", output, "--compare-exact", "--quiet")
    assert outcome.exit_code == 1
    assert outcome.stderr == f"Error: {fragment} {output} holds the variational result.\n"
    assert hx.load(output).completed


def test_result_survives_a_failing_picture(run_file, monkeypatch):
    from husimix.apps import plots

    def fail(data):
        raise RuntimeError("no ink")

    monkeypatch.setattr(plots, "plot_dynamics", fail)
    output = run_file.with_suffix(".nc")
    outcome = husimix("run", run_file, "-o", output, "--quiet", "--plot", run_file.with_suffix(".png"))
    assert outcome.exit_code == 1
    assert outcome.stderr == f"Error: The picture failed: no ink {output} holds the result.\n"
    assert hx.load(output).completed


def test_interrupted_run_keeps_what_it_has(run_file, monkeypatch):
    update = ProgressMeter.update

    def interrupt(self, time, steps):
        update(self, time, steps)
        if time > 1.0:
            raise KeyboardInterrupt

    monkeypatch.setattr(ProgressMeter, "update", interrupt)
    output = run_file.with_suffix(".nc")
    outcome = husimix("run", run_file, "-o", output, "--compare-exact")
    assert outcome.exit_code == 1
    kept = hx.load(output)
    assert kept.status is hx.Status.INTERRUPTED
    assert 1 < len(kept.times) < 9
    assert f"It came to t = {kept.times[-1]:g}. {output} holds what was found." in outcome.stderr
    assert "The exact twin was left out, because the run ended early." in outcome.stderr
    assert "status      interrupted" in husimix("info", output).stdout
    assert husimix("plot", output).exit_code == 0


def test_run_interrupted_before_its_first_save(run_file, monkeypatch):
    def interrupt(self, *arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(Recorder, "add", interrupt)
    output = run_file.with_suffix(".nc")
    outcome = husimix("run", run_file, "-o", output, "--quiet", "--plot", run_file.with_suffix(".png"))
    assert outcome.exit_code == 1
    assert "No save time was reached." in outcome.stderr
    assert "no save time was reached" in husimix("info", output).stdout
    assert "must hold at least one save time" in refused("plot", output)
    assert "must lie within the save times (none)" in refused("plot", output, "--map", "--time", "0")


def test_interruption_while_nothing_is_there_yet(run_file, monkeypatch):
    def interrupt(*arguments, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(tasks, "mesolve", interrupt)
    outcome = husimix("run", run_file, "-o", run_file.with_suffix(".nc"))
    assert outcome.exit_code == 1
    assert outcome.stderr == "Error: Interrupted before there was anything to save.\n"
    assert not run_file.with_suffix(".nc").exists()


def test_run_that_gives_up_prints_the_remedy(run_file):
    run_file.write_text(
        FREE.replace("components = 2", "components = 2\n\n[method]\nmax_steps = 8").replace("end = 2.0", "end = 40.0"),
        encoding="utf-8",
    )
    output = run_file.with_suffix(".nc")
    outcome = husimix("run", run_file, "-o", output, "--quiet")
    assert outcome.exit_code == 1
    (line,) = outcome.stderr.splitlines()
    assert line.startswith(f"Error: {hx.Status.MAX_STEPS.value}") and "It came to t = " in line
    assert line.endswith(f"{output} holds what was found.")
    assert hx.load(output).status is hx.Status.MAX_STEPS


def test_disk_that_fills_up_gets_one_line(run_file, monkeypatch):
    def fail(data, path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(files, "write", fail)
    assert "No space left on device" in refused("run", run_file, "-o", run_file.with_suffix(".nc"), "--quiet")


def test_demo_shows_its_run_file():
    text = husimix("demo", "--show").stdout
    assert parse_run_file(text, "demo").build().task.model.n_sites == 64


@pytest.mark.slow
def test_demo_saves_draws_and_compares(tmp_path):
    outcome = husimix("demo", "--directory", tmp_path / "a" / "b")
    assert outcome.exit_code == 0, outcome.stderr
    assert hx.load(tmp_path / "a" / "b" / "run.nc").bloch.shape == (51, 64, 3)
    assert (tmp_path / "a" / "b" / "run.png").read_bytes().startswith(b"\x89PNG")
    for words in ("clusters of 3", "8 components", "exact (QuTiP)", "262144", "estimated, at the worst time"):
        assert words in outcome.stdout


STEADY = FREE.replace("[time]\nend = 2.0\nsaves = 9\n", "[steadystate]\nmax_drift = 1e-3\n")
SCAN = FREE.replace("[time]\nend = 2.0\nsaves = 9\n", '[scan]\nparameter = "g"\nvalues = [0.5, 1.0]\nbackward = true\n')


def carried_out(folder, text):
    """The outcome of `husimix run` on a run file, exact twin and picture included, and the files."""
    (folder / "run.toml").write_text(text, encoding="utf-8")
    output, picture = folder / "found.nc", folder / "found.svg"
    outcome = husimix("run", folder / "run.toml", "-o", output, "--compare-exact", "--plot", picture)
    assert outcome.exit_code == 0, outcome.stderr
    assert picture.read_text("utf-8").rstrip().endswith("</svg>")
    return outcome, output


@pytest.fixture(scope="module")
def steady(tmp_path_factory):
    return carried_out(tmp_path_factory.mktemp("steady"), STEADY)


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    return carried_out(tmp_path_factory.mktemp("scan"), SCAN)


def test_steady_states_from_run_files(steady):
    outcome, output = steady
    found = hx.load(output)
    assert isinstance(found, hx.SteadyState) and found.completed
    assert f"zz {found.expect['zz']:.6g}\n" in outcome.stdout
    # One spin driven at g = 1 and decaying at 1: ⟨σz⟩ = -1 / (1 + 2 g²) in units of the rate.
    np.testing.assert_allclose(found.bloch[:, 2], -1 / 3, atol=1e-3)
    assert runner.errors(xr.load_dataset(output))["bloch"].worst < 3e-3
    assert "drift" in husimix("info", output).stdout
    assert husimix("plot", output).exit_code == 0
    assert "where there are no save times" in refused("plot", output, "--map", "--time", "1")


def test_scans_from_run_files(scan, tmp_path):
    _, output = scan
    found = hx.load(output)
    assert isinstance(found, hx.Scan) and found.name == "g"
    np.testing.assert_allclose(found.bloch[:, 0, 2], [-1 / (1 + 2 * g**2) for g in (0.5, 1.0)], atol=1e-3)
    assert runner.errors(xr.load_dataset(output))["bloch"].worst < 3e-3
    told = husimix("info", output).stdout
    assert "completed" in told and "not stationary" not in told
    lost = dataclasses.replace(found.backward[0], status=hx.Status.NOT_STATIONARY, residual=0.25)
    dataclasses.replace(found, backward=[lost, found.backward[1]]).save(tmp_path / "lost.nc")
    told = husimix("info", tmp_path / "lost.nc").stdout
    assert "not stationary: g = 0.5 backward (residual 0.25)\n" in told
    assert "`map` must be left out for scans" in refused("plot", output, "--map")


def test_several_steady_states_are_told(steady, run_file, tmp_path, monkeypatch):
    def several(*arguments, **settings):
        warnings.warn("There may be\nseveral.", hx.HusimixWarning, stacklevel=2)
        return hx.load(steady[1])

    monkeypatch.setattr(tasks, "steadystate", several)
    run_file.write_text(STEADY, encoding="utf-8")
    outcome = husimix("run", run_file, "-o", tmp_path / "steady.nc", "--quiet")
    assert (outcome.exit_code, outcome.stderr) == (0, "Warning: There may be several.\n")


def test_an_interrupted_scan_is_told(scan, run_file, tmp_path, monkeypatch):
    whole = hx.load(scan[1])
    assert isinstance(whole, hx.Scan)
    part = dataclasses.replace(whole, values=whole.values[:1], forward=whole.forward[:1], backward=[])
    monkeypatch.setattr(tasks, "scan", lambda *arguments, **settings: part)
    run_file.write_text(SCAN, encoding="utf-8")
    outcome = husimix("run", run_file, "-o", tmp_path / "scan.nc", "--quiet")
    assert outcome.exit_code == 1
    assert "It came up to 1 of 4 steady states." in outcome.stderr


def test_a_steady_state_that_was_not_found_is_told(steady, run_file, tmp_path, monkeypatch):
    status = hx.Status.NOT_STATIONARY
    lost = dataclasses.replace(hx.load(steady[1]), status=status, message=status.value)
    monkeypatch.setattr(tasks, "steadystate", lambda *arguments, **settings: lost)
    run_file.write_text(STEADY, encoding="utf-8")
    outcome = husimix("run", run_file, "-o", tmp_path / "steady.nc", "--quiet")
    assert outcome.exit_code == 1
    assert outcome.stderr.startswith("Error: Not stationary: expectation values")
