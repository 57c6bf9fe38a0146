"""Pictures of runs: datasets in, matplotlib figures out, with no display and no global state.

Save one with `figure.savefig("run.png")`. Colours are those of Okabe and Ito, which colour-blind readers can tell
apart; where exact curves are known they are lines and the variational ones are markers.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import xarray as xr
from scipy.spatial import KDTree

try:
    from matplotlib.axes import Axes
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch
except ImportError as error:
    raise ImportError('Pictures need matplotlib: pip install "husimix[plot]"') from error

from husimix._errors import argument_error, check_choice, check_integer
from husimix.physics.lattice import Lattice
from husimix.physics.lindbladian import Lindbladian

__all__ = ["plot_demonstration", "plot_dynamics", "plot_map", "plot_scan"]

_BLUE, _VERMILION, _GREEN, _PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
_ORANGE, _SKY, _BLACK, _GREY = "#E69F00", "#56B4E9", "#000000", "#6E6E6E"
_AXIS_COLOURS = (_BLUE, _VERMILION, _GREEN)
_OBSERVABLE_COLOURS = (_PURPLE, _ORANGE, _SKY, _BLACK, _BLUE, _VERMILION, _GREEN)
_MARKERS = "osD^vP*"
_DIAGNOSTICS = {
    "purity": ("purity", _BLACK),
    "step_size": ("step size (1/rate)", _SKY),
    "projection_error": ("projection error (rate)", _ORANGE),
    "accumulated_error": ("its integral over time", _BLUE),
    "estimated_error": ("estimated error", _VERMILION),
}
_SCAN_DIAGNOSTICS = {
    "residual": ("residual (rate)", _ORANGE),
    "drift": ("drift (rate)", _SKY),
    "gap": ("gap (rate)", _BLACK),
}
_TIME_LABEL = "time $t$ (unit of 1/rate)"
# Markers closer together than this run into each other.
_MAX_MARKERS = 40


@dataclass(frozen=True, eq=False)
class _Curve:
    """One quantity over time, variational and, if known, exact; its estimated error, if there is one."""

    label: str
    values: np.ndarray
    exact: np.ndarray | None
    error: np.ndarray | None


def plot_dynamics(data: xr.Dataset) -> Figure:
    """⟨σx⟩, ⟨σy⟩, ⟨σz⟩ averaged over the sites, the observables, and the diagnostics of a run over time.

    Args:
        data: from `Result.to_xarray`, or a result read by xarray. Exact curves, and bands of estimated errors, are
            drawn where it has them.

    Returns:
        A figure of two panels, or three if there are observables.

    Raises:
        ValueError: if the run has no save times.
    """
    times = data["time"].values
    if len(times) == 0:
        raise argument_error("data", "hold at least one save time", "none", "The run ended before its first.")
    figure, last = _expectation_panels(data, "time")
    _draw_diagnostics(last, times, {f"diagnostic_{name}": text for name, text in _DIAGNOSTICS.items()}, data)
    last.set_xlabel(_TIME_LABEL)
    return figure


def plot_scan(data: xr.Dataset, branch: xr.Dataset | None = None) -> Figure:
    """⟨σx⟩, ⟨σy⟩, ⟨σz⟩ averaged over the sites, the observables, and the residuals of steady states along a scan.

    Args:
        data: from `Scan.to_xarray`, or a scan read by xarray. Exact curves are drawn where it has them; the way back
            is dashed.
        branch: from `Branch.to_xarray`, or the group "branch" of a scan read by xarray: a thin line along the curve
            through folds, dotted where states are unstable.

    Returns:
        A figure of two panels, or three if there are observables.
    """
    forward = data.sel(way="forward")
    figure, last = _expectation_panels(forward, "value")
    _draw_diagnostics(last, data["value"].values, _SCAN_DIAGNOSTICS, forward)
    if "backward" in data["way"].values:
        back = data.sel(way="backward")
        figure.suptitle(f"{data.attrs.get('title', '')} (dashed: the way back)", fontsize="medium")
        kinds = _spin_curves(back), _observable_curves(back)
        for panel, curves, colours in zip(figure.axes, kinds, (_AXIS_COLOURS, _OBSERVABLE_COLOURS), strict=False):
            for index, curve in enumerate(curves):
                panel.plot(data["value"].values, curve.values, color=colours[index % len(colours)], ls="--", lw=1.0)
    if branch is not None:
        kinds = _spin_curves(branch), _observable_curves(branch)
        for panel, curves, colours in zip(figure.axes, kinds, (_AXIS_COLOURS, _OBSERVABLE_COLOURS), strict=False):
            for index, curve in enumerate(curves):
                _draw_branch(panel, branch, curve.values, colours[index % len(colours)])
    last.set_xlabel(str(data.attrs["parameter"]))
    return figure


def plot_demonstration(beside: Mapping[str, xr.Dataset], large: xr.Dataset) -> Figure:
    """Some ansätze beside the exact solution of one lattice, and a larger lattice with its error bands.

    Args:
        beside: by label, results with exact curves, all of the same model and times.
        large: a result; estimated errors are drawn where it has them.

    Returns:
        A figure of four panels: expectation values above, errors below.
    """
    figure = Figure(figsize=(9.6, 5.6), dpi=150, layout="constrained")
    panels = figure.subplots(2, 2, sharex="col", sharey="row", height_ratios=[2.4, 1.0])
    styles = [{"marker": "o", "mfc": "white", "ms": 5.5}, {"marker": "x", "ms": 4.0}, {"marker": "+"}]
    handles: list[Line2D | Patch] = [Line2D([], [], color=_GREY, lw=1.3, label="exact")]
    for (label, data), style, shade in zip(beside.items(), styles, (_BLACK, _PURPLE, _ORANGE), strict=False):
        times, every = data["time"].values, max(1, -(-len(data["time"]) // (_MAX_MARKERS // 2)))
        for curve, colour in zip(_spin_curves(data), _AXIS_COLOURS, strict=True):
            if not handles[1:]:
                panels[0, 0].plot(times, curve.exact, color=colour, lw=1.3)
            panels[0, 0].plot(times, curve.values, color=colour, ls="none", markevery=every, **style)
        gap = np.abs(data["bloch"].values - data["exact_bloch"].values).max(axis=(1, 2))
        panels[1, 0].plot(times, np.where(gap > 0, gap, np.nan), color=shade, lw=1.3, label=label)
        handles.append(Line2D([], [], color=_GREY, ls="none", label=label, **style))
    panels[0, 0].legend(handles=handles, frameon=False, fontsize="small")
    panels[1, 0].legend(frameon=False, fontsize="small")
    times = large["time"].values
    for curve, colour in zip(_spin_curves(large), _AXIS_COLOURS, strict=True):
        panels[0, 1].plot(times, curve.values, color=colour, lw=1.8, label=curve.label)
        if curve.error is not None:
            band = curve.values - curve.error, curve.values + curve.error
            panels[0, 1].fill_between(times, *band, color=colour, alpha=0.25, lw=0)
    panels[0, 1].legend(frameon=False, fontsize="small")
    if "diagnostic_estimated_error" in large:
        values = large["diagnostic_estimated_error"].values
        panels[1, 1].plot(times, np.where(values > 0, values, np.nan), color=_VERMILION, lw=1.3, label="estimated")
        panels[1, 1].legend(frameon=False, fontsize="small")
    for column, data in enumerate((next(iter(beside.values())), large)):
        lattice = Lindbladian.from_dict(json.loads(data.attrs["model"])).lattice
        panels[0, column].set_title("" if lattice is None else f"{lattice.n_sites} spins", fontsize="medium")
        panels[1, column].set(xlabel=_TIME_LABEL, yscale="log")
    for panel in panels.ravel():
        _tidy(panel)
    panels[0, 0].set_ylabel("mean over sites")
    panels[1, 0].set_ylabel("error of any site")
    figure.suptitle(str(large.attrs.get("title", "")), fontsize="medium")
    return figure


def _draw_branch(panel: Axes, branch: xr.Dataset, values: np.ndarray, colour: str) -> None:
    """A curve through folds: parts of one stability in one style, each up to the next part."""
    places, is_stable = branch["value"].values, branch["is_stable"].values.astype(bool)
    starts = [0, *(np.flatnonzero(np.diff(is_stable)) + 1), len(places)]
    for first, end in pairwise(starts):
        part = slice(first, end + 1)
        panel.plot(places[part], values[part], color=colour, ls="-" if is_stable[first] else ":", lw=0.8)


def _expectation_panels(data: xr.Dataset, axis: str) -> tuple[Figure, Axes]:
    """A figure with ⟨σ⟩ and, if there are any, observables along an axis, and a last panel that is still empty."""
    places, spins, observables = data[axis].values, _spin_curves(data), _observable_curves(data)
    heights = [3.0, 2.2, 1.5] if observables else [3.0, 1.5]
    figure = Figure(figsize=(6.0, sum(heights) + 0.6), dpi=150, layout="constrained")
    panels = figure.subplots(len(heights), sharex=True, height_ratios=heights, squeeze=False)[:, 0]
    _draw(panels[0], places, spins, _AXIS_COLOURS)
    panels[0].set_ylabel("mean over sites")
    figure.suptitle(str(data.attrs.get("title", "")), fontsize="medium")
    if observables:
        _draw(panels[1], places, observables, _OBSERVABLE_COLOURS, explain=False)
        panels[1].set_ylabel(observables[0].label if len(observables) == 1 else "observables")
    for panel, letter in zip(panels, "abc", strict=False):
        panel.set_title(f"({letter})", loc="left", fontsize="medium")
        _tidy(panel)
    figure.align_ylabels()
    return figure, panels[-1]


def plot_map(data: xr.Dataset, axis: str = "z", time: int = -1) -> Figure:
    """⟨σ_axis⟩ of each site at its place on the lattice, with the bonds between neighbours.

    Bonds that close a periodic direction are left out; a cubic lattice is seen in oblique projection.

    Args:
        data: from `Result.to_xarray` or `SteadyState.to_xarray`, or a result read by xarray.
        axis: "x", "y" or "z".
        time: index of the save time; the last by default. Steady states have none.

    Returns:
        The figure.

    Raises:
        ValueError: for another axis, an index out of range, or a model without a lattice.
    """
    check_choice("axis", axis, "xyz")
    if "value" in data.dims:
        raise argument_error("data", "be of one model for a map", "a scan", "Draw it with plot_scan.")
    when = ""
    if "time" in data.dims:
        times = data["time"].values
        if not -len(times) <= check_integer("time", time) < len(times):
            raise argument_error("time", f"be an index of the {len(times)} save times", time)
        data, when = data.isel(time=time), f", $t$ = {times[time]:.4g}"
    lattice = Lindbladian.from_dict(json.loads(data.attrs["model"])).lattice
    if lattice is None:
        raise argument_error("data", "come from a model with a lattice", "none", "Pass lattice=... to the Lindbladian.")
    places = _projected(lattice.positions)
    values = data["bloch"].sel(axis=axis).values
    low_corner, high_corner = places.min(axis=0) - 0.6, places.max(axis=0) + 0.6
    extent = high_corner - low_corner
    width = 4.4
    height = float(np.clip(width * extent[1] / extent[0], 0.8, 8.0))
    # Room for the colour bar on the right, for the title and the labels above and below.
    figure = Figure(figsize=(width + 1.7, height + 0.8), dpi=150, layout="constrained")
    panel = figure.subplots()
    bonds = LineCollection(list(places[_bonds_within(lattice)]), colors=_GREY, linewidths=1.0, zorder=1)
    panel.add_collection(bonds)
    colours, low, high = _colour_range(values)
    # The diameter of a site, in points, is a share of the smallest distance in the picture.
    nearest = KDTree(places).query(places, k=2)[0][:, 1].min()
    diameter = 0.6 * 72 * nearest * min(width / extent[0], height / extent[1])
    dots = panel.scatter(
        *places.T,
        c=values,
        s=np.clip(diameter, 3.0, 40.0) ** 2,
        cmap=colours,
        vmin=low,
        vmax=high,
        edgecolors=_BLACK,
        linewidths=0.6,
        zorder=2,
    )
    figure.colorbar(dots, ax=panel, label=rf"$\langle\sigma_{axis}\rangle$", shrink=0.95)
    unit = "" if lattice.name == "graph" else " (unit of the neighbour distance)"
    panel.set(aspect="equal", xlabel=f"$x${unit}", ylabel="$y$")
    panel.set(xlim=(low_corner[0], high_corner[0]), ylim=(low_corner[1], high_corner[1]))
    if np.ptp(places[:, 1]) == 0:
        panel.set(yticks=[], ylabel="")
    panel.set_title(f"{data.attrs.get('title', '')}{when}", fontsize="medium")
    return figure


def _spin_curves(data: xr.Dataset) -> list[_Curve]:
    def mean(name: str, axis: str) -> np.ndarray | None:
        return data[name].sel(axis=axis).mean("site").values if name in data else None

    curves = []
    for axis in "xyz":
        values = mean("bloch", axis)
        assert values is not None
        label = rf"$\langle\sigma_{axis}\rangle$"
        curves.append(_Curve(label, values, mean("exact_bloch", axis), mean("error_bloch", axis)))
    return curves


def _observable_curves(data: xr.Dataset) -> list[_Curve]:
    def part(name: str, index: int) -> np.ndarray | None:
        if name not in data:
            return None
        return data[name].values[:, index] if "part" in data[name].dims else data[name].values

    curves = []
    for variable in map(str, data.data_vars):
        if variable.startswith("expect_"):
            name = variable.removeprefix("expect_")
            labels = (f"{name} (real)", f"{name} (imag)") if "part" in data[variable].dims else (name,)
            for index, label in enumerate(labels):
                values = part(variable, index)
                assert values is not None
                exact, error = (part(f"{kind}_{variable}", index) for kind in ("exact", "error"))
                curves.append(_Curve(label, values, exact, error))
    return curves


def _draw(
    panel: Axes, places: np.ndarray, curves: Sequence[_Curve], colours: Sequence[str], explain: bool = True
) -> None:
    """Draw curves and their legend, which says what lines and markers mean if `explain`."""
    handles: list[Line2D | Patch] = []
    every = max(1, -(-len(places) // _MAX_MARKERS))
    for index, curve in enumerate(curves):
        colour, marker = colours[index % len(colours)], _MARKERS[index % len(_MARKERS)]
        if curve.exact is None:
            (handle,) = panel.plot(places, curve.values, color=colour, lw=1.8, label=curve.label)
        else:
            panel.plot(places, curve.exact, color=colour, lw=1.3, label="_exact")
            (handle,) = panel.plot(
                places,
                curve.values,
                color=colour,
                marker=marker,
                markevery=every,
                linestyle="none",
                markersize=4.5,
                markerfacecolor="white",
                label=curve.label,
            )
        if curve.error is not None:
            band = curve.values - curve.error, curve.values + curve.error
            panel.fill_between(places, *band, color=colour, alpha=0.25, lw=0)
        handles.append(handle)
    if explain and any(curve.exact is not None for curve in curves):
        handles += [
            Line2D([], [], color=_GREY, marker="o", ls="none", ms=4.5, mfc="white", label="variational"),
            Line2D([], [], color=_GREY, lw=1.3, label="exact"),
        ]
    if explain and any(curve.error is not None for curve in curves):
        handles.append(Patch(color=_GREY, alpha=0.25, lw=0, label="estimated error"))
    panel.legend(handles=handles, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small")


def _draw_diagnostics(panel: Axes, places: np.ndarray, shown: dict[str, tuple[str, str]], data: xr.Dataset) -> None:
    for variable, (label, colour) in shown.items():
        if variable in data:
            values = data[variable].values.astype(float)
            # No step precedes the first save time; a logarithmic axis has no place for its 0 and nan.
            panel.plot(places, np.where(values > 0, values, np.nan), color=colour, lw=1.3, label=label)
    panel.set_yscale("log")
    panel.set_ylabel("diagnostics")
    panel.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small")


def _tidy(panel: Axes) -> None:
    panel.spines[["top", "right"]].set_visible(False)
    panel.grid(color="0.92", lw=0.6)
    panel.set_axisbelow(True)
    panel.margins(x=0.01)


def _projected(positions: np.ndarray) -> np.ndarray:
    """(N, 2): positions in the plane, a chain on the line y = 0, three dimensions by oblique projection."""
    n_sites, dimension = positions.shape
    if dimension == 1:
        return np.column_stack([positions, np.zeros(n_sites)])
    return positions[:, :2] + (positions[:, 2:3] * [0.35, 0.25] if dimension > 2 else 0.0)


def _bonds_within(lattice: Lattice) -> np.ndarray:
    """(M, 2): the bonds between neighbours, without those that wrap around."""
    bonds = lattice.bonds()
    if lattice.name == "graph":
        return bonds
    lengths = np.linalg.norm(lattice.positions[bonds[:, 0]] - lattice.positions[bonds[:, 1]], axis=1)
    return bonds[lengths < 1 + 1e-6]


def _colour_range(values: np.ndarray) -> tuple[str, float, float]:
    """A colour map and its limits: the range of values of one sign, otherwise diverging around 0."""
    low, high = float(values.min()), float(values.max())
    # Nearly equal sites would be painted in the extreme colours of their rounding errors.
    if low * high > 0 and high - low > 0.02:
        return "cividis", low, high
    limit = max(-low, high) or 1.0
    return "PuOr", -limit, limit
