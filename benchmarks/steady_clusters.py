"""Steady states of clusters: the infinite square lattice, a small torus against exact ones, and folds.

    HUSIMIX_CACHE=off python benchmarks/steady_clusters.py         # prints tables, some minutes on two idle cores
    HUSIMIX_CACHE=off python benchmarks/steady_clusters.py folds   # one of infinite, torus, folds

Exact values of the torus come from benchmarks/results/steady_exact.csv (benchmarks/steady.py).
"""

import sys
import time
import warnings
from pathlib import Path

import numpy as np
from machine import machine_line

import husimix as hx

EXACT = Path(__file__).parent / "results" / "steady_exact.csv"
DRIVES = np.linspace(0, 4, 17)
FEW = np.linspace(2, 8, 7)
TORUS, LARGE = (hx.Lattice.square(length, periodic=True) for length in (3, 8))


def scanned(lattice: hx.Lattice, size: int) -> tuple[hx.Scan, float]:
    """Steady states for all drives at V = 2γ with clusters of one size, and seconds, compilation included."""
    began = time.perf_counter()
    found = hx.scan(
        lambda g: hx.models.dissipative_ising(lattice, V=2.0, g=g),
        DRIVES,
        name="g",
        ansatz=hx.Clusters(size=size),
        progress=False,
    )
    return found, time.perf_counter() - began


def infinite() -> None:
    """Rungs of the infinite lattice against each other."""
    print("| m | g | ⟨σx⟩ | ⟨σy⟩ | ⟨σz⟩ | change from m - 1 | gap | seconds |\n|---|---|---|---|---|---|---|---|")
    before = None
    for size in (3, 4, 5):
        found, seconds = scanned(LARGE, size)
        means = found.bloch.mean(axis=1)
        changes = np.full(len(DRIVES), np.nan) if before is None else np.abs(means - before).max(axis=1)
        for g, spins, change, steady in zip(DRIVES, means, changes, found.forward, strict=True):
            values = " | ".join(f"{x:.5f}" for x in spins)
            print(f"| {size} | {g:g} | {values} | {change:.1e} | {steady.gap:.4f} | {steady.wall_time:.1f} |")
        print(f"| {size} | all | | | | {changes.max():.1e} | | {seconds:.0f} |", flush=True)
        before = means


def torus() -> None:
    """The 3×3 torus against exact steady states."""
    exact = np.loadtxt(EXACT, delimiter=",", skiprows=1)[:, 1:]
    print("| m | error, by g = 0, 0.25, … 4 | largest | seconds |\n|---|---|---|---|")
    for size in (3, 4, 5, 6):
        found, seconds = scanned(TORUS, size)
        errors = np.abs(found.bloch.mean(axis=1) - exact).max(axis=1)
        told = ", ".join(f"{e:.0e}" for e in errors)
        print(f"| {size} | {told} | {errors.max():.1e} | {seconds:.0f} |", flush=True)


def folds() -> None:
    """Folds of the infinite lattice at V = 5γ: what correlations leave of the bistability of mean field."""
    print("| m | folds, in g/γ | stations | unstable | completed | seconds |\n|---|---|---|---|---|---|")
    for size in (1, 2, 3, 4):
        began = time.perf_counter()
        found = hx.scan(
            lambda g: hx.models.dissipative_ising(LARGE, V=5.0, g=g),
            FEW,
            name="g",
            follow_folds=True,
            ansatz=hx.Clusters(size=size),
            progress=False,
        )
        seconds, branch = time.perf_counter() - began, found.branch
        if branch is None:
            print(f"| {size} | the first state is not stationary | | | | {seconds:.0f} |", flush=True)
            continue
        places = ", ".join(f"{fold:.4f}" for fold in branch.folds) or "none"
        counts = f"{len(branch.values)} | {(~branch.is_stable).sum()} | {branch.completed}"
        print(f"| {size} | {places} | {counts} | {seconds:.0f} |", flush=True)


def main() -> None:
    warnings.simplefilter("ignore", hx.HusimixWarning)
    tables = {"infinite": infinite, "torus": torus, "folds": folds}
    for name in sys.argv[1:] or tables:
        tables[name]()
        print()
    print(machine_line())


if __name__ == "__main__":
    main()
