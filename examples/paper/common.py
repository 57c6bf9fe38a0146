"""What the scripts of this folder share: settings of the command line, figures, claims on record, errors."""

import argparse
import functools
import json
import os
import platform
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from PIL import Image

import husimix as hx
from husimix.state import AbstractState

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

RESULTS = Path(__file__).parent / "results"
STORED = Path(__file__).parents[2] / "benchmarks" / "results"
"""Where the benchmarks keep exact and converged values."""

NAMES = ("x", "y", "z", "zz")
LABELS = {"x": "⟨σx⟩", "y": "⟨σy⟩", "z": "⟨σz⟩", "zz": "⟨σzσz⟩"}
COLOURS = dict(zip(NAMES, ("#0072B2", "#D55E00", "#009E73", "#CC79A7"), strict=True))
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = "osD^vP"

EXCELLENT = 1e-2
"""What "excellent agreement" is taken for, since no number is named: the width of a line in a figure from 0 to 1."""

MAX_STEPS = 3000
"""Attempted steps after which a run of `measure` gives up; with default components runs take 100 to 300."""

PATIENCE = 30.0
"""Seconds after which `measure` is content with one seed."""

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

    def claim(self, claim: str, paper: str, measured: str, verdict: str, **figures: float | str) -> None:
        """Put a claim on record.

        Args:
            claim: what is claimed, of which system.
            paper: what the paper says of it.
            measured: the measured figure in words.
            verdict: "reproduced" or "not reproduced", with how far off; other words where nothing is claimed.
            **figures: the numbers behind it.
        """
        self.claims.append(
            {"claim": claim, "paper": paper, "measured": measured, "verdict": verdict, "figures": figures}
        )
        print(f"{claim}: {measured}: {verdict}", flush=True)

    def save(self, figure: Figure, name: str = "") -> None:
        """Write a figure beside the record, under the name of the script unless another is given."""
        target = self.output / f"{name or self.script}.png"
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


def legend_above(figure: Figure, panel: Axes, markers: str) -> None:
    """One legend for all panels, above them: the labels of one panel, and what markers are."""
    handles, labels = panel.get_legend_handles_labels()
    handles.append(Line2D([], [], ls="", marker="o", color="0.3", mfc="white"))
    figure.legend(handles, [*labels, markers], loc="outside upper center", ncols=len(handles), fontsize=9)


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


def worst(found: Mapping[str, np.ndarray], exact: Mapping[str, np.ndarray]) -> float:
    """The largest difference of any of the four averages at any time."""
    return float(max(np.abs(np.asarray(found[name]) - np.asarray(exact[name])).max() for name in NAMES))


def judge(error: float, is_claimed: bool = True) -> str:
    """The verdict on an error: whether it is reproduced, or agrees where nothing is claimed, or by how much not."""
    missed = f": {error / EXCELLENT:.1f} times the limit of {EXCELLENT:g}"
    if is_claimed:
        return "reproduced" if error <= EXCELLENT else f"not reproduced{missed}"
    return "agrees" if error <= EXCELLENT else f"does not agree{missed}"


def quietly(function: Callable[..., Any], *arguments: Any, **settings: Any) -> Any:
    """Call a function of husimix without its progress meter; its warnings are for users, claims hold the figures."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", hx.HusimixWarning)
        return function(*arguments, progress=False, **settings)


@dataclass(frozen=True)
class System:
    """A dissipative Ising model on a periodic chain or square, all spins down, with its exact solution.

    Attributes:
        name: for tables.
        lattice: where the spins sit.
        V, g: coupling and drive in γ.
        end: time of the end in 1/γ.
    """

    name: str
    lattice: hx.Lattice
    V: float
    g: float
    end: float = 5.0

    @property
    def model(self) -> hx.Lindbladian:
        """The Lindbladian."""
        return hx.models.dissipative_ising(self.lattice, V=self.V, g=self.g)

    @property
    def state(self) -> AbstractState:
        """All spins down."""
        return hx.product_state(self.lattice.n_sites, "down")

    @property
    def times(self) -> np.ndarray:
        """Save times, ten in 1/γ."""
        return np.linspace(0, self.end, round(10 * self.end) + 1)

    @functools.cached_property
    def exact(self) -> dict[str, np.ndarray]:
        """The four averages by QuTiP, (T,) each."""
        return hx.exact.mesolve(self.model, self.state, self.times, observables=site_averages(self.lattice)).expect


def small_systems(quick: bool, couplings: Sequence[tuple[str, float, float]]) -> list[System]:
    """The ring of 6 and the 3×3 torus, or a ring of 3 for a short time, for each name, V and g."""
    if quick:
        return [System("ring of 3", hx.Lattice.chain(3, periodic=True), *couplings[0][1:], end=0.5)]
    ring, torus = hx.Lattice.chain(6, periodic=True), hx.Lattice.square(3, periodic=True)
    return [
        System(f"{where}, {name}", lattice, V, g)
        for where, lattice in (("ring of 6", ring), ("3×3 torus", torus))
        for name, V, g in couplings
    ]


class Kind(NamedTuple):
    """A kind of components: their manifold, and the symmetry they are averaged over."""

    manifold: str
    symmetry: str | None

    def settings(self, components: int | tuple[int, int]) -> dict[str, Any]:
        """What `hx.mesolve` and `hx.estimate` take for so many components, in the Husimi metric."""
        ansatz = hx.Mixture(components=components, manifold=self.manifold, metric="husimi")
        return {"ansatz": ansatz, "symmetry": self.symmetry}


KINDS = {
    "coherent, no symmetry": Kind("coherent", None),
    "coherent, translations": Kind("coherent", "translations"),
    "bloch, no symmetry": Kind("bloch", None),
    "bloch, auto": Kind("bloch", "auto"),
}
"""Coherent components, the paper's, and those of any Bloch vectors; "bloch, auto" is what a mixture is by default."""


def measure(system: System, kind: str, components: int | tuple[int, int], seeds: Sequence[int]) -> dict[str, Any]:
    """Runs with some seeds: the median of their largest errors, parameters, steps, and seconds after compilation.

    The first seed compiles; seconds are of the fastest run. Where a run takes longer than PATIENCE, the others are left
    out, and seconds hold compilation, some ten of them. A run that stops is judged up to where it came, and told.
    """
    settings = KINDS[kind].settings(components)
    limit = hx.Stepping(max_steps=MAX_STEPS)
    observables, errors, seconds, reached = site_averages(system.lattice), [], [], []
    for seed in seeds:
        run = quietly(
            hx.mesolve,
            system.model,
            system.state,
            system.times,
            seed=seed,
            observables=observables,
            method=limit,
            **settings,
        )
        count = len(run.times)
        errors.append(worst(run.expect, {name: values[:count] for name, values in system.exact.items()}))
        seconds.append(run.wall_time)
        reached.append(float(run.times[-1]))
        if run.wall_time > PATIENCE:
            break
    told = hx.estimate(system.model, system.state, **settings)
    row = {"system": system.name, "ansatz": kind, "components": components, "parameters": told.n_parameters}
    row |= {"error": float(np.median(errors)), "errors": errors, "seconds": min(seconds)}
    row |= {"steps": int(run.diagnostics["steps"][-1]), "reached": min(reached)}
    told_k = "{} to {}".format(*components) if isinstance(components, tuple) else components
    print(
        f"{system.name}, {kind}, K = {told_k}, P = {row['parameters']}: error {row['error']:.1e} "
        f"({min(errors):.1e} to {max(errors):.1e}), {row['seconds']:.1f} s, {row['steps']} steps",
        flush=True,
    )
    return row
