"""What the scripts of this directory share: arguments, the look of figures, and the files they leave."""

import argparse
import json
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

import husimix as hx

__all__ = ["COLOURS", "GREY", "MARKERS", "Run", "begin", "mean", "panels"]

BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY = COLOURS = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
"""The palette of Okabe and Ito, which colour-blind readers can tell apart."""
GREY = "#6E6E6E"
MARKERS = "osD^vP"
_STYLE = {
    "font.size": 10,
    "axes.grid": True,
    "grid.color": "#E6E6E6",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "lines.markersize": 5,
}


@dataclass(frozen=True)
class Run:
    """How a script was called, and what it leaves behind.

    Attributes:
        name: of the script and its files.
        output: the directory to write to.
        quick: whether a tiny version was asked for.
        began: when the script began, in seconds of some clock.
        warned: messages of husimix so far, kept for the end.
    """

    name: str
    output: Path
    quick: bool
    began: float = field(default_factory=time.perf_counter)
    warned: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        """Print a line with the seconds since the script began."""
        print(f"[{time.perf_counter() - self.began:5.0f} s] {text}", flush=True)

    def save(self, figure: Figure, numbers: dict[str, Any]) -> None:
        """Write NAME.png, and the numbers in the figure as NAME.json with the seconds that the script took."""
        self.output.mkdir(parents=True, exist_ok=True)
        seconds = round(time.perf_counter() - self.began, 1)
        content = {"seconds": seconds, "quick": self.quick, "husimix": hx.__version__} | numbers
        lines = (
            f" {json.dumps(key)}: {json.dumps(_plain(value), ensure_ascii=False)}" for key, value in content.items()
        )
        (self.output / f"{self.name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
        figure.savefig(self.output / f"{self.name}.png", dpi=120)
        self.say(f"written: {self.output / self.name}.png and .json")
        for text, count in Counter(text.split(":")[0] for text in self.warned).items():
            print(f"husimix warned {count} times: {text}")


def begin(script: str, description: str | None) -> Run:
    """Read the arguments of a script, and set up what all share.

    Args:
        script: its `__file__`.
        description: its docstring.

    Returns:
        The run. Warnings of husimix, such as that K is too small, are listed at its end instead of where they arise.
    """
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=description, formatter_class=formatter)
    default = Path(script).parent / "results"
    parser.add_argument("--output", type=Path, default=default, help="where to write (default: results, beside it)")
    parser.add_argument("--quick", action="store_true", help="a tiny version, to see whether it runs")
    chosen = parser.parse_args()
    matplotlib.rcParams.update(_STYLE)
    run = Run(Path(script).stem, chosen.output, chosen.quick)
    _keep_warnings(run.warned)
    return run


def panels(columns: int, rows: int = 1, size: tuple[float, float] = (8.4, 3.6)) -> tuple[Figure, Sequence[Any]]:
    """An empty figure and its axes in a row."""
    figure = Figure(figsize=size, layout="constrained")
    return figure, np.atleast_1d(figure.subplots(rows, columns)).ravel()


def mean(result: hx.Result) -> np.ndarray:
    """(T, 3) ⟨σx⟩, ⟨σy⟩, ⟨σz⟩ averaged over the sites."""
    return result.bloch.mean(axis=1)


def _keep_warnings(kept: list[str]) -> None:
    """Collect warnings of husimix; show all others as usual."""
    show = warnings.showwarning

    def collect(message: Any, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, hx.HusimixWarning):
            kept.append(str(message))
        else:
            show(message, category, *where, **more)

    warnings.simplefilter("always", hx.HusimixWarning)
    warnings.showwarning = collect


def _plain(content: Any) -> Any:
    """Arrays as lists, numbers to six digits."""
    if isinstance(content, dict):
        return {str(key): _plain(value) for key, value in content.items()}
    if isinstance(content, np.ndarray | list | tuple):
        return [_plain(value) for value in content]
    if isinstance(content, float | np.floating):
        return float(f"{content:.6g}")
    return content.item() if isinstance(content, np.generic) else content
