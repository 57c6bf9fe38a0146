"""What the command line tells of a result."""

import json
from collections.abc import Mapping
from typing import Any

import typer
import xarray as xr
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from husimix.apps import runner
from husimix.apps.demo import Demonstration
from husimix.physics.lindbladian import Lindbladian
from husimix.results.diagnostics import STEADY_NUMBERS
from husimix.results.status import Status

__all__ = ["described", "print_demonstration", "print_errors", "print_summary", "printable"]


def printable(text: object) -> str:
    """A text from a file without what a terminal would obey: control characters are shown as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def described(settings: Mapping[str, Any]) -> str:
    """The settings of an ansatz in one line, its name first and without what was left open."""
    chosen = [f"{name} {value}" for name, value in settings.items() if name != "name" and value not in (None, [], 0.0)]
    return f"{settings['name']}: {', '.join(chosen)}"


def print_summary(data: xr.Dataset) -> None:
    """What a result holds: how it ended, its size, and expectation values."""
    model = Lindbladian.from_dict(json.loads(data.attrs["model"]))
    settings, status = json.loads(data.attrs["settings"]), Status[data.attrs["status"]]
    typer.echo(printable(data.attrs["title"]))
    typer.echo(f"status      {status.name.lower()}: {printable(data.attrs['message'])}")
    typer.echo(f"sites       {model.n_sites}" + (f", {model.lattice!r}" if model.lattice else ""))
    typer.echo(f"ansatz      {printable(described(settings['ansatz']))}")
    typer.echo(f"seed        {settings['seed']}")
    typer.echo(f"wall time   {float(data.attrs['wall_time']):.3g} s, compilation included")
    {"dynamics": _print_dynamics, "steadystate": _print_steady, "scan": _print_scan}[data.attrs["kind"]](data)


def _print_dynamics(data: xr.Dataset) -> None:
    times = data["time"].values
    if len(times) == 0:
        typer.echo("no save time was reached")
        return
    if "diagnostic_estimated_error" in data:
        typer.echo(f"error       {float(data['diagnostic_estimated_error'].max()):.2g}, estimated, at the worst time")
    typer.echo(f"times       {len(times)} from {times[0]:g} to {times[-1]:g}")
    _print_values("at the end", data.isel(time=-1))


def _print_steady(data: xr.Dataset) -> None:
    for name, text in STEADY_NUMBERS.items():
        typer.echo(f"{name:<14}{float(data[name]):.3g}, {text}")
    _print_values("stationary", data)


def _print_scan(data: xr.Dataset) -> None:
    name = printable(data.attrs["parameter"])
    names = [str(v) for v in data.data_vars if str(v).startswith("expect_") and "part" not in data[v].dims]
    table = Table(
        escape(name),
        "way",
        *(f"⟨σ{axis}⟩" for axis in "xyz"),
        *(escape(printable(n.removeprefix("expect_"))) for n in names),
        "drift",
    )
    moving = []
    for way in data["way"].values:
        for value in data["value"].values:
            found = data.sel(way=way, value=value)
            spins = [float(found["bloch"].sel(axis=axis).mean("site")) for axis in "xyz"]
            numbers = [*spins, *(float(found[n]) for n in names)]
            table.add_row(f"{value:g}", str(way), *(f"{x:.5f}" for x in numbers), f"{float(found['drift']):.1e}")
            if str(found["status"].values) != Status.COMPLETED.name:
                moving.append(f"{name} = {value:g} {way} (residual {float(found['residual']):.2g})")
    Console().print(table)
    if moving:
        typer.echo(f"not stationary: {', '.join(moving)}")


def _print_values(when: str, data: xr.Dataset) -> None:
    spins = ", ".join(f"σ{axis} {_without_dust(data['bloch'].sel(axis=axis).mean().item()):.6g}" for axis in "xyz")
    typer.echo(f"{when:<12}mean over sites: {spins}")
    for name in map(str, data.data_vars):
        if name.startswith("expect_"):
            value = data[name].values
            shown = f"{value:.6g}" if value.ndim == 0 else f"{complex(*value):.6g}"
            typer.echo(f"            {printable(name.removeprefix('expect_'))} {shown}")


def _without_dust(value: float) -> float:
    """A number without what rounding leaves where it should be 0."""
    return 0.0 if abs(value) < 1e-12 else value


def print_errors(data: xr.Dataset) -> None:
    """A table of deviations from the exact twin, if the data hold it."""
    if "exact_bloch" not in data:
        return
    table = Table("deviation from exact", "worst", "rms")
    for name, deviation in runner.errors(data).items():
        label = "⟨σ⟩, all sites and points" if name == "bloch" else escape(printable(name.removeprefix("expect_")))
        table.add_row(label, f"{deviation.worst:.2e}", f"{deviation.rms:.2e}")
    Console().print(table)


def print_demonstration(found: Demonstration) -> None:
    """What each ansatz makes of nine spins, beside the exact solution, and what came of the run file."""
    model = Lindbladian.from_dict(json.loads(found.beside[0].data.attrs["model"]))
    table = Table(f"{model.n_sites} spins", "numbers", "worst error of ⟨σ⟩", "rms", "seconds", "with compilation")
    for each in found.beside:
        deviation = runner.errors(each.data)["bloch"]
        errors = f"{deviation.worst:.1e}", f"{deviation.rms:.1e}"
        table.add_row(escape(each.label), f"{each.n_numbers}", *errors, f"{each.again:.1f}", f"{each.first:.1f}")
    table.add_row("exact (QuTiP)", f"{model.basis.size**model.n_sites}", "", "", f"{found.exact_seconds:.1f}", "")
    Console().print(table)
    print_summary(found.outcome.data)
