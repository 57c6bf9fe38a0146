"""The command line: `husimix run`, `plot`, `info`, `cite`, `models`, `demo`.

Exit codes: 0 all went well; 1 a computation ended early or its comparison or picture failed, and what there is has
been saved; 2 nothing was computed, for a reason that one line on standard error gives.
"""

import inspect
import io
import json
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
import xarray as xr
from typer.core import TyperGroup

from husimix._errors import argument_error
from husimix._version import __version__
from husimix.apps import report, runner
from husimix.apps.citation import cite
from husimix.apps.config import parse_run_file, read_run_file
from husimix.apps.demo import demonstrate
from husimix.physics.lindbladian import Lindbladian
from husimix.physics.models import NAMED
from husimix.results import files
from husimix.results.files import check_writable
from husimix.results.storage import load

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
        report.print_summary(outcome.data)
        report.print_errors(outcome.data)
        typer.echo(f"Saved {outcome.path}")
    failed = _report_failures(outcome)
    if plot is not None and not _draw_safely(lambda: _picture(outcome.data, outcome.path), outcome.path, plot, quiet):
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
    if as_map and data.attrs["kind"] == "scan":
        raise argument_error("map", "be left out for scans", "--map", "A map shows one state.")
    if as_map:
        from husimix.apps import plots

        index = -1 if time is None else _nearest_save(data, time)
        figure = plots.plot_map(data, axis or "z", index)
    else:
        figure = _picture(data, file)
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
    report.print_summary(data)
    report.print_errors(data)
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
    function = {"dynamics": "mesolve", "steadystate": "steadystate", "scan": "scan"}[data.attrs["kind"]]
    typer.echo(f"\nTo repeat it: call husimix.{function} with these settings, the state that it was started from (in")
    typer.echo("dynamics the Bloch vectors at the first save time), and this model, which husimix.load reads whole.\n")
    typer.echo(repr(Lindbladian.from_dict(json.loads(data.attrs["model"]))))


@app.command("cite")
def _cite(
    file: Annotated[Path, typer.Argument(help="A result (.nc).")],
    bibtex: Annotated[bool, typer.Option("--bibtex", help="Print BibTeX entries.")] = False,
) -> None:
    """What to cite for a result: the methods, model and software that it used."""
    found = cite(load(file))
    typer.echo(found.bibtex if bibtex else str(found), nl=not bibtex)


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
    directory: Annotated[Path, typer.Option(help="Where to put run.nc, run.png and exact_beside_*.nc.")] = Path("demo"),
    show: Annotated[bool, typer.Option("--show", help="Print the run file and stop.")] = False,
) -> None:
    """Nine spins beside their exact solution, then sixty-four with error bars: save, draw and compare."""
    text = resources.files("husimix.apps").joinpath("demo.toml").read_text(encoding="utf-8")
    if show:
        typer.echo(text, nl=False)
        return
    directory.mkdir(parents=True, exist_ok=True)
    picture = _check_picture("directory", directory / "run.png")
    found = demonstrate(parse_run_file(text, "demo.toml"), directory)
    report.print_demonstration(found)
    failed = _report_failures(found.outcome)
    typer.echo(f"Saved {found.outcome.path}")

    def draw() -> "Figure":
        from husimix.apps import plots

        return plots.plot_demonstration({each.label: each.data for each in found.beside}, found.outcome.data)

    if not _draw_safely(draw, found.outcome.path, picture, quiet=False) or failed:
        raise typer.Exit(1)


def _complain(message: str) -> None:
    typer.echo(f"Error: {' '.join(message.split())}", err=True)


def _check_picture(name: str, path: Path) -> Path:
    """Refuse a picture that could not be drawn later: no matplotlib, or no place to write it."""
    from husimix.apps import plots  # noqa: F401

    return check_writable(name, path, _PICTURES)


def _report_failures(outcome: runner.Outcome) -> bool:
    """Say on standard error what should be known and what did not work; whether anything did not."""
    for remark in outcome.remarks:
        typer.echo(f"Warning: {' '.join(remark.split())}", err=True)
    if outcome.shortfall:
        _complain(f"{outcome.shortfall} {outcome.path} holds what was found.")
    if outcome.exact_failure:
        _complain(f"{outcome.exact_failure} {outcome.path} holds the variational result.")
    return bool(outcome.shortfall or outcome.exact_failure)


def _draw_safely(draw: "Callable[[], Figure]", saved: Path, path: Path, quiet: bool) -> bool:
    """Draw what is saved already; a picture that fails is told in one line and returned as False."""
    try:
        _save(draw(), path)
    except Exception as error:  # a picture is not worth a traceback over a saved result
        _complain(f"The picture failed: {error} {saved} holds the result.")
        return False
    if not quiet:
        typer.echo(f"Saved {path}")
    return True


def _picture(data: xr.Dataset, file: Path) -> "Figure":
    """The picture that tells most of what a file holds: curves over time or along a scan, or a steady state's map."""
    from husimix.apps import plots

    if data.attrs["kind"] == "scan":
        return plots.plot_scan(data, files.read(file).get("/branch"))
    draw = {"dynamics": plots.plot_dynamics, "steadystate": plots.plot_map}
    return draw[data.attrs["kind"]](data)


def _save(figure: "Figure", path: Path) -> None:
    figure.savefig(path, bbox_inches="tight")


def _read(file: Path) -> xr.Dataset:
    data = files.read(file)["/"]
    needed = {"kind", "title", "status", "message", "model", "settings", "versions", "created", "wall_time"}
    missing = sorted(needed - data.attrs.keys()) + sorted({"bloch"} - set(data.variables))
    if missing:
        raise argument_error("path", "name a whole result of husimix", f"{file} without {missing[0]}")
    return data


def _nearest_save(data: xr.Dataset, time: float) -> int:
    if "time" not in data:
        raise argument_error("time", "be left out where there are no save times", time)
    times = data["time"].values
    if not (len(times) and times[0] <= time <= times[-1]):
        span = f"{times[0]:g} to {times[-1]:g}" if len(times) else "none"
        raise argument_error("time", f"lie within the save times ({span})", time)
    return int(np.argmin(np.abs(times - time)))
