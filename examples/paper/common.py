"""What the scripts of this folder share: settings of the command line, figures, claims on record."""

import argparse
import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

# Seconds are to hold compilation: whatever an earlier run left in the user's cache would hide it.
os.environ["HUSIMIX_CACHE"] = "off"

import matplotlib
import numpy as np
from PIL import Image

import husimix as hx

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

RESULTS = Path(__file__).parent / "results"

NAMES = ("x", "y", "z", "zz")
LABELS = {"x": "⟨σx⟩", "y": "⟨σy⟩", "z": "⟨σz⟩", "zz": "⟨σzσz⟩"}
COLOURS = dict(zip(NAMES, ("#0072B2", "#D55E00", "#009E73", "#CC79A7"), strict=True))
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")

EXCELLENT = 1e-2
"""What "excellent agreement" is taken for, since no number is named: the width of a line in a figure from 0 to 1."""

plt.rcParams.update(
    {"figure.dpi": 120, "font.size": 10, "axes.grid": True, "grid.alpha": 0.3, "axes.titlesize": 10}
    | {"legend.fontsize": 8, "lines.linewidth": 1.5, "lines.markersize": 4.5, "figure.constrained_layout.use": True}
)


@dataclass
class Record:
    """The claims that one script checks, written as JSON for `report.py`.

    Attributes:
        script: name of the script.
        output: folder of the record and of the figures.
        quick: whether this is the small version.
    """

    script: str
    output: Path
    quick: bool
    claims: list[dict[str, Any]] = field(default_factory=list)
    began: float = field(default_factory=time.perf_counter)

    def claim(self, claim: str, reference: str, mixture: str, clusters: str, verdict: str, **figures: Any) -> None:
        """Put a claim on record.

        Args:
            claim: what the paper claims, of which system.
            reference: what it is compared with.
            mixture: what the paper's ansatz makes of it, in words.
            clusters: what clusters make of it.
            verdict: "reproduced" or "not reproduced: ...", with the figure that is missed.
            **figures: the numbers behind it.
        """
        words = {"claim": claim, "reference": reference, "mixture": mixture, "clusters": clusters, "verdict": verdict}
        self.claims.append(words | {"figures": figures})
        print(f"{claim}: mixture {mixture}; clusters {clusters}: {verdict}", flush=True)

    def save(self, figure: Figure) -> None:
        """Write the figure beside the record."""
        target = self.output / f"{self.script}.png"
        figure.savefig(target)
        plt.close(figure)
        # Few colours are in use; a palette halves the file.
        with Image.open(target) as picture:
            palette = picture.convert("RGB").quantize(128)
        palette.save(target, optimize=True)

    def write(self, **tables: Any) -> None:
        """Write the record, with the machine, the time it took and whatever table should be kept."""
        seconds = round(time.perf_counter() - self.began, 1)
        told = {"script": self.script, "quick": self.quick, "machine": machine_line(), "seconds": seconds}
        target = self.output / f"{self.script}.json"
        text = json.dumps(told | {"claims": self.claims} | tables, indent=1, ensure_ascii=False)
        target.write_text(text + "\n", encoding="utf-8")
        print(f"Wrote {target} in {seconds:.0f} s")


def begin(script: str, description: str) -> Record:
    """Read the command line, `--quick` and `--output`, and open the record of a script."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tiny version, to see that it runs")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the figure and of the record")
    chosen = parser.parse_args()
    chosen.output.mkdir(parents=True, exist_ok=True)
    return Record(Path(script).stem, chosen.output, chosen.quick)


def draw_averages(
    panel: Axes,
    axis: np.ndarray,
    reference: Mapping[str, np.ndarray],
    mixture: Mapping[str, np.ndarray],
    clusters: Mapping[str, np.ndarray],
) -> None:
    """The four averages over time or drive: the reference as lines, the mixture as circles, clusters as crosses.

    Args:
        panel: where to draw.
        axis: (T,) times or drives.
        reference: (T,) arrays by name; averages that it lacks have no line.
        mixture: (T,) arrays by name.
        clusters: (T,) arrays by name.
    """
    every = max(1, len(axis) // 16)
    for name in NAMES:
        if name in reference:
            panel.plot(axis, reference[name], color=COLOURS[name], label=LABELS[name])
        for values, style in ((mixture, {"marker": "o", "mfc": "white"}), (clusters, {"marker": "x", "ms": 3.5})):
            panel.plot(axis[::every], values[name][::every], ls="", color=COLOURS[name], **style)
    panel.set(ylim=(-1.05, 1.05))


def legend_above(figure: Figure, panel: Axes, lines: str) -> None:
    """One legend for all panels, above them: the averages by colour, and what lines and markers are."""
    handles, _ = panel.get_legend_handles_labels()
    kinds = {"-": lines, "o": "the paper's ansatz", "x": "clusters"}
    for kind, words in kinds.items():
        style = {"ls": "-"} if kind == "-" else {"ls": "", "marker": kind, "mfc": "white"}
        handles.append(Line2D([], [], color="0.3", label=words, **style))
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), fontsize=8)


def log_ticks(panel: Axes, ticks: Sequence[float]) -> None:
    """A logarithmic axis with few plain numbers below it."""
    panel.set_xscale("log")
    panel.set_xticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    panel.set_xticks([], minor=True)


def machine_line() -> str:
    """Date, processor, cores that this process may use, and versions."""
    processor = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), processor)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    plural = "core" if cores == 1 else "cores"
    return f"{date.today()}, {processor}, {cores} {plural}, JAX {version('jax')}, husimix {version('husimix')}."


def site_averages(lattice: hx.Lattice) -> dict[str, hx.Operator]:
    """The mean over sites of σx, σy, σz and over bonds of σzσz, by the names x, y, z, zz."""
    sites, bonds = range(lattice.n_sites), lattice.bonds()
    means = {a: hx.operator_sum([hx.pauli(a, i) for i in sites]) / lattice.n_sites for a in "xyz"}
    return means | {"zz": hx.operator_sum([hx.pauli("zz", i, j) for i, j in bonds]) / len(bonds)}
