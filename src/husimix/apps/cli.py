"""The command line: `husimix run`, `plot`, `info`, `models`, `demo`.

Exit codes: 0 all went well; 1 a computation ended early or its comparison or picture failed, and what there is has
been saved; 2 nothing was computed, for a reason that one line on standard error gives.
"""

import inspect
import io
import json
import sys
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
import xarray as xr
from rich.console import Console
from rich.table import Table
from typer.core import TyperGroup

from husimix._errors import argument_error
from husimix._version import __version__
from husimix.apps import runner
from husimix.apps.config import RunFile, parse_run_file, read_run_file
from husimix.physics.lindbladian import Lindbladian
from husimix.physics.models import NAMED
from husimix.solve import dataset
from husimix.solve.journey import Status

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["app", "main"]

_PICTURES = (".png", ".pdf", ".svg")


class _OneLineErrors(TyperGroup):
    """Turns what the user can mend, and an interruption, into one line on standard error."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # the reader of our output has left, as in `husimix info run.nc | head -1`
            raise
        except (ValueError, OSError, ImportError, MemoryError) as error:
            _complain(str(error) or type(error).__name__)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            _complain("Interrupted before there was anything to save.")
            raise typer.Exit(1) from None


app = typer.Typer(cls=_OneLineErrors, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def main() -> None:
    """The entry point of the command `husimix`."""
    for stream in (sys.stdout, sys.stderr):
        # Terminals and pipes that know no Greek shall get a question mark, not a crash.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    app()


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"husimix {__version__}")
        raise typer.Exit


@app.callback()
def _husimix(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Variational dynamics of open quantum spin lattices."""


@app.command("run")
def _run(
    file: Annotated[Path, typer.Argument(help="Run file, TOML.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="NetCDF file to write.")],
    compare_exact: Annotated[bool, typer.Option("--compare-exact", help="Solve with QuTiP too.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Picture to draw (.png, .pdf, .svg).")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Carry out a run file and save the result."""
    if plot is not None:
        _check_picture("plot", plot)
    outcome = runner.run(read_run_file(file), output, compare_exact, progress=not quiet)
    if not quiet:
        _print_summary(outcome.data)
        _print_errors(outcome.data)
        typer.echo(f"Saved {outcome.path}")
    failed = _report_failures(outcome)
    if plot is not None and not _draw_safely(outcome, plot, quiet):
        failed = True
    if failed:
        raise typer.Exit(1)


@app.command("plot")
def _plot(
    file: Annotated[Path, typer.Argument(help="Result, NetCDF.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Picture; FILE.png or FILE_map.png by default.")
    ] = None,
    as_map: Annotated[bool, typer.Option("--map", help="Sites on the lattice, at one time.")] = False,
    axis: Annotated[str | None, typer.Option(help="With --map: x, y or z (default).")] = None,
    time: Annotated[float | None, typer.Option(help="With --map: the save time; the last by default.")] = None,
) -> None:
    """Draw a result."""
    if not as_map and (axis is not None or time is not None):
        raise argument_error("axis" if time is None else "time", "stand beside --map", axis or time)
    data = _read(file)
    beside = file.with_name(f"{file.stem}_map.png") if as_map else file.with_suffix(".png")
    target = _check_picture("output", output or beside)
    from husimix.apps import plots

    if as_map:
        figure = plots.plot_map(data, axis or "z", -1 if time is None else _nearest_save(data, time))
    else:
        figure = plots.plot_dynamics(data)
    _save(figure, target)
    typer.echo(f"Saved {target}")


@app.command("info")
def _info(
    file: Annotated[Path, typer.Argument(help="Result, NetCDF; with --estimate a run file, TOML.")],
    estimate: Annotated[bool, typer.Option("--estimate", help="Tell what a run file will need.")] = False,
) -> None:
    """Tell what a result holds and how to repeat it, or what a run file will need."""
    if estimate:
        typer.echo(str(runner.estimated(read_run_file(file).build())))
        return
    data = _read(file)
    _print_summary(data)
    _print_errors(data)
    settings, versions = (json.loads(data.attrs[name]) for name in ("settings", "versions"))
    typer.echo(f"created     {data.attrs['created']}")
    typer.echo(f"versions    {', '.join(f'{name} {version}' for name, version in versions.items())}")
    typer.echo("settings")
    for name, value in settings.items():
        shown = f"{len(value)} times from {value[0]:g} to {value[-1]:g}" if name == "tsave" else json.dumps(value)
        typer.echo(f"  {name:<12}{shown}")
    if "run_file" in data.attrs:
        typer.echo(f"\nTo repeat it: husimix run FILE -o {file.name}, where FILE holds\n")
        typer.echo(str(data.attrs["run_file"]).rstrip())
        return
    typer.echo("\nTo repeat it: call husimix.mesolve with these settings, this model, and a product state of")
    typer.echo("the Bloch vectors at the first save time (unless it was started from a mixture).\n")
    typer.echo(repr(Lindbladian.from_dict(json.loads(data.attrs["model"]))))


@app.command("models")
def _models() -> None:
    """List the named models and their parameters."""
    for name, function in sorted(NAMED.items()):
        first_line = (inspect.getdoc(function) or "").partition("\n")[0]
        parameters = [p for p in inspect.signature(function).parameters.values() if p.name != "lattice"]
        typer.echo(name)
        typer.echo(f"    {first_line}")
        typer.echo(f"    {', '.join(str(p).replace(': ', ' (', 1).replace(' = ', ') = ', 1) for p in parameters)}\n")


@app.command("demo")
def _demo(
    directory: Annotated[Path, typer.Option(help="Where to put run.nc and run.png.")] = Path("demo"),
    show: Annotated[bool, typer.Option("--show", help="Print the run file and stop.")] = False,
) -> None:
    """Nine spins next to their exact solution: save, draw and compare."""
    text = files("husimix.apps").joinpath("demo.toml").read_text(encoding="utf-8")
    if show:
        typer.echo(text, nl=False)
        return
    directory.mkdir(parents=True, exist_ok=True)
    picture = _check_picture("directory", directory / "run.png")
    run_file = parse_run_file(text, "demo.toml")
    outcome = runner.run(run_file, directory / "run.nc", compare_exact=True)
    failed = _report_failures(outcome)
    if not failed:
        _print_summary(outcome.data)
        _print_errors(outcome.data)
        _print_times(outcome, run_file)
    typer.echo(f"Saved {outcome.path}")
    if not _draw_safely(outcome, picture, quiet=False) or failed:
        raise typer.Exit(1)


def _complain(message: str) -> None:
    typer.echo(f"Error: {' '.join(message.split())}", err=True)


def _check_picture(name: str, path: Path) -> Path:
    """Refuse a picture that could not be drawn later: no matplotlib, or no place to write it."""
    from husimix.apps import plots  # noqa: F401

    return runner.check_writable(name, path, _PICTURES)


def _report_failures(outcome: runner.Outcome) -> bool:
    """Say on standard error what did not work; whether there was anything."""
    result = outcome.result
    if not result.completed:
        reached = f"{result.times[-1]:g}" if len(result.times) else "the start"
        _complain(f"{result.status.value} {outcome.path} holds what was reached, up to t = {reached}.")
    elif result.status is Status.TOLERANCE_MISSED:
        _complain(result.status.value)
    if outcome.problem:
        _complain(f"{outcome.problem} {outcome.path} holds the variational result.")
    return result.status is not Status.COMPLETED or bool(outcome.problem)


def _draw_safely(outcome: runner.Outcome, path: Path, quiet: bool) -> bool:
    """Draw a finished run; a picture that fails is told in one line and returned as False."""
    from husimix.apps import plots

    try:
        _save(plots.plot_dynamics(outcome.data), path)
    except Exception as error:  # a picture is not worth a traceback over a saved result
        _complain(f"The picture failed: {error} {outcome.path} holds the result.")
        return False
    if not quiet:
        typer.echo(f"Saved {path}")
    return True


def _save(figure: "Figure", path: Path) -> None:
    figure.savefig(path, bbox_inches="tight")


def _read(file: Path) -> xr.Dataset:
    data = dataset.read(file)
    needed = {"title", "status", "model", "settings", "versions", "created", "wall_time"}
    missing = sorted(needed - data.attrs.keys()) + sorted({"bloch", "time"} - set(data.variables))
    if missing:
        raise argument_error("path", "name a whole result of husimix", f"{file} without {missing[0]}")
    return data


def _nearest_save(data: xr.Dataset, time: float) -> int:
    times = data["time"].values
    if not (len(times) and times[0] <= time <= times[-1]):
        span = f"{times[0]:g} to {times[-1]:g}" if len(times) else "none"
        raise argument_error("time", f"lie within the save times ({span})", time)
    return int(np.argmin(np.abs(times - time)))


def _print_summary(data: xr.Dataset) -> None:
    model = Lindbladian.from_dict(json.loads(data.attrs["model"]))
    times, status = data["time"].values, Status[data.attrs["status"]]
    typer.echo(str(data.attrs["title"]))
    typer.echo(f"status      {status.name.lower()}: {status.value}")
    typer.echo(f"sites       {model.n_sites}" + (f", {model.lattice!r}" if model.lattice else ""))
    typer.echo(f"seed        {json.loads(data.attrs['settings'])['seed']}")
    typer.echo(f"wall time   {float(data.attrs['wall_time']):.3g} s, compilation included")
    if "diagnostic_components" in data and len(times):
        counts = np.unique(data["diagnostic_components"].values)
        typer.echo(f"components  {' to '.join(str(int(k)) for k in counts[[0, -1][: len(counts)]])}")
    if "diagnostic_estimated_error" in data and len(times):
        typer.echo(f"error       {float(data['diagnostic_estimated_error'].max()):.2g}, estimated, at the worst time")
    if len(times) == 0:
        typer.echo("no save time was reached")
        return
    typer.echo(f"times       {len(times)} from {times[0]:g} to {times[-1]:g}")
    last = data.isel(time=-1)
    spins = ", ".join(f"σ{axis} {last['bloch'].sel(axis=axis).mean():.6g}" for axis in "xyz")
    typer.echo(f"at the end  mean over sites: {spins}")
    for name in map(str, data.data_vars):
        if name.startswith("expect_"):
            value = last[name].values
            shown = f"{value:.6g}" if value.ndim == 0 else f"{complex(*value):.6g}"
            typer.echo(f"            {name.removeprefix('expect_')} {shown}")


def _print_errors(data: xr.Dataset) -> None:
    """A table of deviations from the exact twin, if the data hold it."""
    if "exact_bloch" not in data:
        return
    table = Table("deviation from exact", "worst", "rms")
    for name, deviation in runner.errors(data).items():
        label = "⟨σ⟩, all sites and times" if name == "bloch" else name.removeprefix("expect_")
        table.add_row(label, f"{deviation.worst:.2e}", f"{deviation.rms:.2e}")
    Console().print(table)


def _print_times(outcome: runner.Outcome, run_file: RunFile) -> None:
    """Wall times of the demonstration; runs the variational part once more to time it without compilation."""
    again = runner.solve(run_file.build())
    table = Table("wall time", "seconds")
    table.add_row("variational, first run (compiles)", f"{outcome.result.wall_time:.1f}")
    table.add_row("variational, second run", f"{again.wall_time:.1f}")
    table.add_row("exact, QuTiP", f"{outcome.data.attrs['exact_wall_time']:.1f}")
    Console().print(table)
