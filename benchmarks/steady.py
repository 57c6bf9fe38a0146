"""Steady states along a scan of the drive, against exact ones, and of lattices that have no exact twin.

    HUSIMIX_CACHE=off python benchmarks/steady.py [NAME ...]  # its first runs are to compile

Writes steady_torus.md with steady.png, steady_infinite.md, steady_folds.md and steady_large.md, in about ten minutes on
two idle cores. The exact values are stored beside them;
`python benchmarks/steady.py exact` computes these anew by `hx.exact.steadystate`, in some 15 minutes.
"""

import time
import warnings
from collections.abc import Callable

import numpy as np
from common import knob_of
from machine import RESULTS, Options, machine_line, options, write

import husimix as hx
from husimix.ansatz import AbstractAnsatz
from husimix.apps.plots import plot_scan

EXACT = RESULTS / "steady_exact.csv"
DRIVES = np.linspace(0, 4, 17)
TORUS, LARGE = (hx.Lattice.square(length, periodic=True) for length in (3, 8))
MIXTURES = (hx.Mixture(components=8), hx.Mixture(components=16))
CLUSTERS = tuple(hx.Clusters(size=m) for m in (3, 4, 5, 6))


def compute_exact() -> None:
    """Store ⟨σx⟩, ⟨σy⟩, ⟨σz⟩, averaged over the sites, for every drive."""
    rows = []
    for g in DRIVES:
        rows.append([g, *hx.exact.steadystate(hx.models.dissipative_ising(TORUS, V=2.0, g=g)).bloch[0].mean(axis=0)])
        print(rows[-1], flush=True)
    np.savetxt(EXACT, rows, delimiter=",", header="g,x,y,z", comments="", fmt="%.9g")


def scanned(lattice: hx.Lattice, drives: np.ndarray, ansatz: AbstractAnsatz) -> tuple[hx.Scan, float]:
    """Steady states for all drives at V = 2γ, each search from the state before, and seconds with compilation."""
    began = time.perf_counter()
    found = hx.scan(
        lambda g: hx.models.dissipative_ising(lattice, V=2.0, g=g), drives, name="g", ansatz=ansatz, progress=False
    )
    return found, time.perf_counter() - began


def torus_lines(asked: Options) -> list[str]:
    """3×3 against exact steady states, by both ansätze."""
    exact = np.loadtxt(EXACT, delimiter=",", skiprows=1)[:, 1:]
    drives, ansatze = DRIVES, (*MIXTURES, *CLUSTERS[1:])
    if asked.quick:
        drives, ansatze = DRIVES[1:3], (hx.Mixture(components=2), hx.Clusters(size=2))
    exact = exact[np.isin(DRIVES, drives)]
    lines = [
        "## Steady states along a scan",
        "",
        "Dissipative Ising model, V = 2γ, 3×3 torus, γ = 1, mixtures of K components and clusters of m sites; every",
        "search starts from the state before. Errors: of the site-averaged ⟨σ⟩, against the exact steady state, for",
        f"g = {drives[0]:g}, {drives[1]:g}, …, {drives[-1]:g}. Residuals of the two are in different metrics.",
        "Seconds: of all searches together with compilation; exact ones take some 40 s each.",
        "",
        "| ansatz | errors, by g | largest | stationary | largest residual | seconds |",
        "|---|---|---|---|---|---|",
    ]
    scans = {}
    for ansatz in ansatze:
        found, seconds = scanned(TORUS, drives, ansatz)
        scans[ansatz] = found
        errors = np.abs(found.bloch.mean(axis=1) - exact).max(axis=1)
        told = ", ".join(f"{e:.0e}" for e in errors)
        still = f"{sum(steady.completed for steady in found.forward)} of {len(drives)}"
        residual = max(steady.residual for steady in found.forward)
        lines.append(
            f"| {knob_of(ansatz)} | {told} | **{errors.max():.1e}** | {still} | {residual:.1e} | {seconds:.0f} |"
        )
        print(lines[-1], flush=True)
    shown = ansatze[1]
    twins = np.repeat(exact[:, None], TORUS.n_sites, axis=1)
    data = scans[shown].to_xarray().assign(exact_bloch=(("value", "site", "axis"), twins))
    data.attrs["title"] = f"dissipative Ising, 3×3 torus, V = 2γ, {knob_of(shown)}"
    plot_scan(data).savefig(asked.output / "steady.png", dpi=150)
    return [*lines, "", f"![Steady states of {knob_of(shown)} on the exact ones](steady.png)"]


def infinite_lines(asked: Options) -> list[str]:
    """Sizes of clusters on 8×8 against each other."""
    lattice, drives, sizes = LARGE, DRIVES, CLUSTERS[:3]
    if asked.quick:
        lattice, drives, sizes = TORUS, DRIVES[1:3], (hx.Clusters(size=1), hx.Clusters(size=2))
    lines = [
        "## A scan of the infinite lattice",
        "",
        "The same drives on 8×8, which clusters as small as these cannot tell from the infinite lattice. Change: the",
        "largest of any site-averaged ⟨σ⟩ at any drive, from clusters one site smaller. Gap: the smallest of all.",
        "First: with compilation.",
        "",
        "| m | numbers | change | gap | first, s | again, s |",
        "|---|---|---|---|---|---|",
    ]
    before = None
    for ansatz in sizes:
        (_, first), (found, again) = (scanned(lattice, drives, ansatz) for _ in range(2))
        spins = found.bloch.mean(axis=1)
        change = "" if before is None else f"{np.abs(spins - before).max():.1e}"
        gap = min(steady.gap for steady in found.forward)
        count = hx.estimate(found.forward[0].model, ansatz=ansatz).n_parameters
        lines.append(f"| {ansatz.size} | {count} | {change} | {gap:.3f} | {first:.0f} | {again:.0f} |")
        print(lines[-1], flush=True)
        before = spins
    return lines


def fold_lines(asked: Options) -> list[str]:
    """What correlations leave of the bistability of mean field."""
    lines = [
        "## Folds",
        "",
        "V = 5γ on 8×8, followed through folds from g = 2γ to 8γ.",
        "",
        "| m | folds, in g/γ | stations | unstable | completed | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for size in (1,) if asked.quick else (1, 2, 3, 4):
        began = time.perf_counter()
        found = hx.scan(
            lambda g: hx.models.dissipative_ising(LARGE, V=5.0, g=g),
            np.linspace(2, 8, 7),
            name="g",
            follow_folds=True,
            ansatz=hx.Clusters(size=size),
            progress=False,
        )
        seconds, branch = time.perf_counter() - began, found.branch
        places, counts = "the first state is not stationary", "| | "
        if branch is not None:
            places = ", ".join(f"{fold:.4f}" for fold in branch.folds) or "none"
            counts = f"{len(branch.values)} | {(~branch.is_stable).sum()} | {branch.completed}"
        lines.append(f"| {size} | {places} | {counts} | {seconds:.0f} |")
        print(lines[-1], flush=True)
    return lines


def large_lines(asked: Options) -> list[str]:
    """One steady state of 64 spins from two starts."""
    lines = [
        "## A steady state of 64 spins",
        "",
        "The same at g = 1. Two starts, all down and maximally mixed, compared. First: with compilation.",
        "",
        "| ansatz | ⟨σx⟩ | ⟨σy⟩ | ⟨σz⟩ | starts differ by | residual | gap | first, s | again, s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    model = hx.models.dissipative_ising(TORUS if asked.quick else LARGE, V=2.0, g=1.0)
    several = (hx.Mixture(components=4), hx.Mixture(components=8), hx.Clusters(size=3), hx.Clusters(size=4))
    for ansatz in (hx.Clusters(size=2),) if asked.quick else several:
        seconds = []
        for _ in range(2):
            began = time.perf_counter()
            found = hx.steadystate(model, ansatz=ansatz, progress=False)
            seconds.append(time.perf_counter() - began)
        values = " | ".join(f"{x:.5f}" for x in found.bloch.mean(axis=0))
        lines.append(
            f"| {ansatz.label} | {values} | {found.disagreement:.1e} | {found.residual:.1e} | {found.gap:.2f} "
            f"| {seconds[0]:.1f} | {seconds[1]:.1f} |"
        )
        print(lines[-1], flush=True)
    return lines


PARTS: dict[str, Callable[[Options], list[str]]] = {
    "torus": torus_lines,
    "infinite": infinite_lines,
    "folds": fold_lines,
    "large": large_lines,
}


def main() -> None:
    warnings.simplefilter("ignore", hx.HusimixWarning)
    asked = options(__doc__, (*PARTS, "exact"))
    if "exact" in asked.names:
        compute_exact()
    for name in [n for n in asked.names if n in PARTS] if asked.names else PARTS:
        write(asked, f"steady_{name}.md", "\n".join([*PARTS[name](asked), "", machine_line()]))


if __name__ == "__main__":
    main()
