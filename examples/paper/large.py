"""Claim: 64 spins on an 8×8 lattice, transient and steady state, in about ten minutes on one GPU.

Periodic 8×8 lattice, V = 2γ, all spins down. The transient at g = γ is compared with the converged values that the
benchmarks keep (benchmarks/results/converged.csv: K = 16 and 24, less damping, other metrics and seeds, which agree
among themselves within 1.7e-3), the steady state with its own value at twice the components. Seconds are told from
the start of Python with an empty compilation cache, and once more in the same process; of the paper's ansatz, spin-
coherent components without symmetry, after it. Steady states are also followed over g = 0 to 4γ with two numbers of
components: nothing exact is known there.

    python examples/paper/large.py
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np
from common import (
    COLOURS,
    KINDS,
    LABELS,
    NAMES,
    STORED,
    Record,
    begin,
    judge,
    legend_above,
    plt,
    quietly,
    site_averages,
)

import husimix as hx

V, G = 2.0, 1.0
PAPER_SECONDS = 600.0
PAPER_TIME = "about ten minutes on one GPU"
PAPER = "2D, 8×8: transients and steady states, converged in the number of components"


def torus(length: int, g: float) -> hx.Lindbladian:
    """The model of a periodic square."""
    return hx.models.dissipative_ising(hx.Lattice.square(length, periodic=True), V=V, g=g)


def measure(length: int, end: float, components: int, quick: bool, born: float) -> dict[str, Any]:
    """The transient twice, steady states and the paper's ansatz, in this fresh process that was started at `born`."""
    model, state = torus(length, G), hx.product_state(length**2, "down")
    times = np.linspace(0, end, round(10 * end) + 1)
    ansatz, measured = hx.Mixture(components=components), {"observables": site_averages(model.lattice)}
    told: dict[str, Any] = {"seconds": {}, "times": times.tolist(), "components": components, "steady": {}}

    def run(label: str, began: float, **settings: Any) -> dict[str, list[float]]:
        found = quietly(hx.mesolve, model, state, times, **measured, **settings)
        told["seconds"][label] = time.time() - began
        return {name: found.expect[name].tolist() for name in NAMES}

    def settle(label: str, count: int) -> None:
        began = time.time()
        found = quietly(hx.steadystate, model, ansatz=hx.Mixture(components=count), **measured)
        told["steady"][str(count)] = {name: float(found.expect[name]) for name in NAMES}
        told["seconds"][label] = time.time() - began

    told["parameters"] = hx.estimate(model, state, ansatz=ansatz).n_parameters
    told["curves"] = run("transient, cold", born, ansatz=ansatz)
    run("transient, again", time.time(), ansatz=ansatz)
    if not quick:
        settle("steady state, first", components)
        settle("steady state, again", components)
        settle(f"steady state, K = {2 * components}", 2 * components)
        plain = KINDS["coherent, no symmetry"].settings(components)
        told["coherent"] = run("coherent, no symmetry", time.time(), **plain)
        told["coherent_parameters"] = hx.estimate(model, state, **plain).n_parameters
    return told


def in_fresh_process(*arguments: float | bool) -> dict[str, Any]:
    """`measure` in a process of its own, with an empty compilation cache."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--measure", json.dumps([*arguments, time.time()])]
        environment = os.environ | {"HUSIMIX_CACHE": folder}
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def scan(length: int, drives: np.ndarray, components: int) -> dict[str, np.ndarray]:
    """Steady states over the drive: (S,) arrays by name."""
    observables = site_averages(torus(length, 0).lattice)
    ansatz = hx.Mixture(components=components)
    return quietly(hx.scan, lambda g: torus(length, g), drives, ansatz=ansatz, observables=observables).expect


def draw(record: Record, told: dict[str, Any], reference: np.ndarray, drives: np.ndarray, scans) -> None:
    """The transient on the converged curves, the scan with its change in K, and the seconds."""
    figure, panels = plt.subplots(1, 3, figsize=(10, 3.6))
    times, (few, many) = np.array(told["times"]), scans
    for column, name in enumerate(NAMES):
        label = f"{LABELS[name]} converged"
        panels[0].plot(times, reference[: len(times), column], color=COLOURS[name], label=label)
        panels[0].plot(times[::3], told["curves"][name][::3], "o", color=COLOURS[name], mfc="white", ms=4)
        gap = np.abs(many[name] - few[name])
        style = {"color": COLOURS[name], "mfc": "white", "ms": 4, "capsize": 2}
        panels[1].errorbar(drives, many[name], gap, fmt="o", **style)
    panels[0].set(title=f"8×8, g = {G:g}γ, lines: converged", xlabel="time $t$ (1/γ)", ylabel="site average")
    panels[1].set(title=f"steady states, bars: change from K = {told['components'] // 2}", xlabel="drive $g$ (γ)")
    legend_above(figure, panels[0], f"husimix, K = {told['components']}")
    names = list(told["seconds"])
    bars = [told["seconds"][name] for name in names]
    panels[2].barh(names, bars, color="#56B4E9")
    panels[2].axvline(PAPER_SECONDS, color="0.3", ls="--", lw=1.2)
    panels[2].set(title="dashed: ten minutes (one GPU)")
    panels[2].invert_yaxis()
    panels[2].set(xscale="log", xlabel="seconds", xlim=(0.1, 2000))
    panels[2].grid(axis="y", visible=False)
    record.save(figure)


def transient_claims(record: Record, told: dict[str, Any], reference: np.ndarray, cores: str) -> None:
    """How fast the transient is, and how far from converged values; the same of the paper's ansatz."""
    seconds, count = told["seconds"], told["components"]
    first = seconds["transient, cold"]
    words = f"{first:.0f} s on {cores} from the start of Python, {seconds['transient, again']:.1f} s once compiled"
    record.claim("8×8, transient to T = 5/γ, time", PAPER_TIME, f"{words} (K = {count})", in_time(first), seconds=first)

    def deviation(curves: dict[str, list[float]]) -> float:
        found = np.column_stack([curves[name] for name in NAMES])
        both = np.split(reference[: len(found)], 2, axis=1)
        return float(max(np.abs(found - known).max() for known in both))

    gap = deviation(told["curves"])
    words = f"largest deviation from converged values {gap:.1e} at K = {count} ({told['parameters']} parameters)"
    record.claim("8×8, transient, V = 2γ, g = γ", PAPER, words, judge(gap), deviation=gap)
    if "coherent" in told:
        gap, reached = deviation(told["coherent"]), len(told["coherent"]["x"])
        words = f"largest deviation {gap:.1e} at K = {count} ({told['coherent_parameters']} parameters), "
        words += f"{seconds['coherent, no symmetry']:.0f} s on {cores} with compilation"
        words += (
            "" if reached == len(told["times"]) else f"; stopped after {reached} of {len(told['times'])} save times"
        )
        claim = "8×8, transient, V = 2γ, g = γ, spin-coherent components without symmetry"
        record.claim(claim, PAPER, words, judge(gap), deviation=gap)


def steady_claims(record: Record, told: dict[str, Any], drives: np.ndarray, scans, cores: str) -> None:
    """How fast a steady state is found, and how much it changes with the number of components."""
    seconds, count = told["seconds"], told["components"]
    if told["steady"]:
        first, again = seconds["steady state, first"], seconds["steady state, again"]
        words = f"{first:.0f} s on {cores} with compilation, {again:.1f} s once compiled, two starts each (K = {count})"
        record.claim("8×8, steady state at g = γ, time", PAPER_TIME, words, in_time(first), seconds=first)
        few, many = (told["steady"][str(k)] for k in (count, 2 * count))
        gap = max(abs(few[name] - many[name]) for name in NAMES)
        words = f"K = {count} and {2 * count} differ by {gap:.1e}"
        record.claim("8×8, steady state, V = 2γ, g = γ", PAPER, words, judge(gap), difference=gap)
    few, many = scans
    gaps = np.max([np.abs(many[name] - few[name]) for name in NAMES], axis=0)
    words = f"K = {count // 2} and {count} differ by up to {gaps.max():.1e}, at g = {drives[gaps.argmax()]:g}γ"
    claim = f"8×8, steady states over g = {drives[0]:g} to {drives[-1]:g}γ"
    record.claim(claim, PAPER, words, judge(gaps.max()), difference=float(gaps.max()))


def in_time(seconds: float) -> str:
    """The verdict on a time."""
    return "reproduced" if seconds <= PAPER_SECONDS else "not reproduced"


def main() -> None:
    """Measure in a fresh process, scan, draw and put on record."""
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(*json.loads(sys.argv[2]))))
        return
    record = begin(__file__, __doc__)
    length, end, count, drives = (8, 5.0, 8, np.linspace(0, 4, 9))
    if record.quick:
        length, end, count, drives = (3, 0.2, 1, np.array([0.5]))
    told = in_fresh_process(length, end, count, record.quick)
    reference = np.loadtxt(STORED / "converged.csv")
    scans = [scan(length, drives, count // 2 if few else count) for few in (not record.quick, False)]
    draw(record, told, reference, drives, scans)
    number = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cores = "1 CPU core" if number == 1 else f"{number} CPU cores"
    transient_claims(record, told, reference, cores)
    steady_claims(record, told, drives, scans, cores)
    record.write(seconds_of=told["seconds"], steady=told["steady"])


if __name__ == "__main__":
    main()
