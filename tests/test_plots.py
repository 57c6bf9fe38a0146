"""Pictures: what is drawn is what the dataset holds."""

import io
import json

import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import husimix as hx
from husimix.apps.plots import plot_dynamics, plot_map, plot_scan

TIMES = np.linspace(0.0, 2.0, 9)
SHAPES = {
    "chain": (5,),
    "rectangle": (4, 3),
    "square": (3, 3),
    "triangular": (3, 4),
    "honeycomb": (3, 3),
    "kagome": (3, 3),
    "cubic": (3, 3, 3),
}


def run_of(lattice, n_times=9, **variables):
    """A dataset like that of a run, with numbers that are easy to tell apart."""
    model = hx.models.dissipative_ising(lattice)
    bloch = np.random.default_rng(0).uniform(-1, 1, (n_times, lattice.n_sites, 3))
    first_is_undefined = np.where(np.arange(n_times) == 0, np.nan, 1e-6)
    return xr.Dataset(
        {
            "bloch": (("time", "site", "axis"), bloch),
            "diagnostic_purity": ("time", np.linspace(1.0, 0.5, n_times)),
            "diagnostic_step_size": ("time", np.linspace(0.0, 0.1, n_times)),
            "diagnostic_projection_error": ("time", first_is_undefined),
            "diagnostic_accumulated_error": ("time", first_is_undefined),
            **variables,
        },
        coords={"time": TIMES[:n_times], "axis": ["x", "y", "z"]},
        attrs={"title": model.label, "model": json.dumps(model.to_dict())},
    )


def with_exact(data):
    return data.assign({f"exact_{name}": data[name] + 0.01 for name in map(str, data) if "diagnostic" not in name})


@pytest.fixture(autouse=True)
def no_global_state():
    yield
    assert plt.get_fignums() == []


def drawn(figure):
    with io.BytesIO() as buffer:
        figure.savefig(buffer, format="png")
        return len(buffer.getvalue())


def lines_of(panel):
    return {line.get_label(): line for line in panel.lines}


def test_dynamics_shows_means_over_sites():
    data = run_of(hx.Lattice.chain(4), expect_zz=("time", TIMES**2), expect_mz=("time", -TIMES))
    figure = plot_dynamics(data)
    assert isinstance(figure, Figure)
    assert drawn(figure) > 10_000
    spins, observables, diagnostics = figure.axes
    for index, letter in enumerate("xyz"):
        line = lines_of(spins)[rf"$\langle\sigma_{letter}\rangle$"]
        assert np.array_equal(line.get_xdata(), TIMES)
        assert np.allclose(line.get_ydata(), data["bloch"].values[:, :, index].mean(axis=1))
        assert (line.get_linestyle(), line.get_marker()) == ("-", "None")
    assert np.array_equal(lines_of(observables)["zz"].get_ydata(), TIMES**2)
    assert np.array_equal(lines_of(observables)["mz"].get_ydata(), -TIMES)
    assert [text.get_text() for text in observables.get_legend().get_texts()] == ["zz", "mz"]
    assert diagnostics.get_xlabel() == "time $t$ (unit of 1/rate)"
    assert diagnostics.get_yscale() == "log"
    assert figure.get_suptitle() == "dissipative_ising(V=2, g=1, gamma=1)"


def test_diagnostics_leave_out_what_has_no_logarithm():
    (*_, diagnostics) = plot_dynamics(run_of(hx.Lattice.chain(4))).axes
    lines = lines_of(diagnostics)
    assert np.allclose(lines["purity"].get_ydata(), np.linspace(1.0, 0.5, 9))
    for label in ("step size (1/rate)", "projection error (rate)", "its integral over time"):
        assert np.isnan(lines[label].get_ydata()).tolist() == [True] + 8 * [False]


def test_colours_are_distinct_and_safe():
    data = run_of(hx.Lattice.chain(2), **{f"expect_{name}": ("time", TIMES) for name in "abcdefg"})
    safe = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"}
    for panel in plot_dynamics(data).axes:
        colours = [to_hex(line.get_color()) for line in panel.lines]
        assert set(colours) <= safe
        assert len(set(colours)) == len(colours)


def test_exact_curves_are_lines_and_variational_ones_markers():
    data = with_exact(run_of(hx.Lattice.chain(4), expect_zz=("time", TIMES**2)))
    figure = plot_dynamics(data)
    assert drawn(figure) > 10_000
    exact, variational = figure.axes[1].lines
    assert np.allclose(exact.get_ydata(), TIMES**2 + 0.01)
    assert np.array_equal(variational.get_ydata(), TIMES**2)
    assert (exact.get_linestyle(), exact.get_marker()) == ("-", "None")
    assert (variational.get_linestyle(), variational.get_marker()) == ("None", "o")
    assert exact.get_color() == variational.get_color()
    explained = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert explained[-2:] == ["variational", "exact"]


def test_estimated_errors_are_bands():
    data = run_of(hx.Lattice.chain(4), expect_zz=("time", TIMES**2))
    error = np.linspace(0.0, 0.4, 9)
    figure = plot_dynamics(data.assign(error_expect_zz=("time", error), error_bloch=0 * data["bloch"] + 0.3))
    (band,) = figure.axes[1].collections
    corners = band.get_paths()[0].vertices
    for t, middle, half in zip(TIMES, TIMES**2, error, strict=True):
        heights = corners[np.isclose(corners[:, 0], t), 1]
        np.testing.assert_allclose([heights.min(), heights.max()], [middle - half, middle + half], atol=1e-12)
    assert len(figure.axes[0].collections) == 3
    assert figure.axes[0].get_legend().get_texts()[-1].get_text() == "estimated error"


def scan_of(lattice):
    """A dataset like that of a scan there and back."""
    values, one = np.array([0.5, 1.0, 2.0]), run_of(lattice, n_times=6, expect_zz=("time", np.arange(6.0)))
    there, back = (
        one.isel(time=part).drop_vars("time").rename(time="value").assign(residual=("value", residual))
        for part, residual in ((slice(3), [0.1, 0.2, 0.3]), (slice(3, 6), [0.4, 0.5, 0.6]))
    )
    both = xr.concat([there, back], dim="way").assign_coords(way=["forward", "backward"], value=values)
    return both.assign_attrs(parameter="g")


def test_scans_are_curves_with_the_way_back_dashed():
    data = scan_of(hx.Lattice.chain(4))
    figure = plot_scan(data)
    assert drawn(figure) > 10_000
    spins, observables, diagnostics = figure.axes
    for index in range(3):
        there, back = spins.lines[index], spins.lines[3 + index]
        assert (there.get_linestyle(), back.get_linestyle()) == ("-", "--")
        assert there.get_color() == back.get_color()
        means = data["bloch"].values[:, :, :, index].mean(axis=2)
        np.testing.assert_allclose([there.get_ydata(), back.get_ydata()], means)
    assert [line.get_ydata().tolist() for line in observables.lines] == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert lines_of(diagnostics)["residual (rate)"].get_ydata().tolist() == [0.1, 0.2, 0.3]
    assert diagnostics.get_xlabel() == "g"


def test_maps_of_steady_states_have_no_time_and_scans_no_map():
    data = run_of(hx.Lattice.chain(4)).isel(time=0).drop_vars("time")
    assert "$t$" not in plot_map(data).axes[0].get_title()
    with pytest.raises(ValueError, match="Draw it with plot_scan"):
        plot_map(scan_of(hx.Lattice.chain(4)))


def test_many_save_times_are_thinned_for_markers():
    data = with_exact(run_of(hx.Lattice.chain(2)))
    dense = data.interp(time=np.linspace(0, 2, 400))
    assert [line.get_markevery() for line in plot_dynamics(dense).axes[0].lines[1::2]] == [10, 10, 10]
    assert [line.get_markevery() for line in plot_dynamics(data).axes[0].lines[1::2]] == [1, 1, 1]


def test_complex_observables_are_two_curves():
    parts = np.stack([TIMES, -2 * TIMES], axis=-1)
    _, observables, _ = plot_dynamics(run_of(hx.Lattice.chain(2), expect_sp=(("time", "part"), parts))).axes
    assert np.array_equal(lines_of(observables)["sp (real)"].get_ydata(), TIMES)
    assert np.array_equal(lines_of(observables)["sp (imag)"].get_ydata(), -2 * TIMES)


def test_run_without_observables_has_two_panels():
    figure = plot_dynamics(run_of(hx.Lattice.chain(4)))
    assert [panel.get_ylabel() for panel in figure.axes] == ["mean over sites", "diagnostics"]


def test_run_with_one_or_no_save_time():
    assert drawn(plot_dynamics(run_of(hx.Lattice.chain(4), n_times=1))) > 5_000
    with pytest.raises(ValueError, match="hold at least one save time"):
        plot_dynamics(run_of(hx.Lattice.chain(4), n_times=0))


def parts_of(figure):
    panel = figure.axes[0]
    (dots,) = (c for c in panel.collections if isinstance(c, PathCollection))
    (bonds,) = (c for c in panel.collections if isinstance(c, LineCollection))
    return panel, dots, bonds


@pytest.mark.parametrize("kind", SHAPES)
def test_map_draws_sites_and_bonds_that_do_not_wrap(kind):
    lattice, open_lattice = (getattr(hx.Lattice, kind)(*SHAPES[kind], periodic=p) for p in (True, False))
    data = run_of(lattice)
    figure = plot_map(data)
    assert drawn(figure) > 5_000
    _, dots, bonds = parts_of(figure)
    places = np.asarray(dots.get_offsets())
    assert np.allclose(dots.get_array(), data["bloch"].values[-1, :, 2])
    if lattice.positions.shape[1] == 2:
        assert np.allclose(places, lattice.positions)
    assert len(np.unique(places.round(6), axis=0)) == lattice.n_sites
    assert np.allclose(bonds.get_segments(), places[open_lattice.bonds()])


def test_map_of_another_axis_and_time():
    data = run_of(hx.Lattice.square(3))
    figure = plot_map(data, axis="x", time=2)
    panel, dots, _ = parts_of(figure)
    assert np.allclose(dots.get_array(), data["bloch"].values[2, :, 0])
    assert panel.get_title() == "dissipative_ising(V=2, g=1, gamma=1), $t$ = 0.5"
    assert panel.get_xlabel() == "$x$ (unit of the neighbour distance)"
    assert figure.axes[1].get_ylabel() == r"$\langle\sigma_x\rangle$"


@pytest.mark.parametrize(
    ("values", "colours", "limits"),
    [
        ([-0.5, 0.2, 0.1, 0.0], "PuOr", (-0.5, 0.5)),
        ([-0.5, -0.2, -0.4, -0.3], "cividis", (-0.5, -0.2)),
        ([-0.7, -0.7, -0.7, -0.701], "PuOr", (-0.701, 0.701)),
        ([0.0, 0.0, 0.0, 0.0], "PuOr", (-1.0, 1.0)),
    ],
)
def test_map_colours_do_not_exaggerate(values, colours, limits):
    data = run_of(hx.Lattice.chain(4), n_times=1)
    data["bloch"].values[0, :, 2] = values
    _, dots, _ = parts_of(plot_map(data))
    assert dots.get_cmap().name == colours
    assert dots.get_clim() == pytest.approx(limits)


def test_map_of_a_graph_has_all_its_bonds():
    lattice = hx.Lattice.from_graph(nx.complete_graph(7))
    panel, dots, bonds = parts_of(plot_map(run_of(lattice)))
    assert np.allclose(bonds.get_segments(), lattice.positions[lattice.bonds()])
    assert np.allclose(dots.get_offsets(), lattice.positions)
    assert panel.get_xlabel() == "$x$"


def test_map_of_one_site():
    assert drawn(plot_map(run_of(hx.Lattice.chain(1)))) > 3_000


def test_map_refuses():
    data = run_of(hx.Lattice.chain(4))
    with pytest.raises(ValueError, match="Argument `axis` must be one of x, y, z, but got 'w'"):
        plot_map(data, axis="w")
    for time in (9, -10):
        with pytest.raises(ValueError, match=f"Argument `time` must be an index of the 9 save times, but got {time}"):
            plot_map(data, time=time)
    model = hx.Lindbladian(hx.sigmax(0), n_sites=4)
    with pytest.raises(ValueError, match="come from a model with a lattice"):
        plot_map(data.assign_attrs(model=json.dumps(model.to_dict())))
