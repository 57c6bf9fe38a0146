"""Steady states along a scan of the drive, against exact ones, and of a lattice that has no exact twin.

    HUSIMIX_CACHE=off python benchmarks/steady.py  # its first runs are to compile

Writes benchmarks/results/steady.md and steady.png, in about two minutes on two idle cores. The exact values are stored
beside them; `python benchmarks/steady.py --exact` computes these anew by `hx.exact.steadystate`, in some 15 minutes.
"""

import sys
import time
import warnings
from pathlib import Path

import numpy as np
from machine import machine_line

import husimix as hx
from husimix.apps.plots import plot_scan

RESULTS = Path(__file__).parent / "results"
EXACT = RESULTS / "steady_exact.csv"
DRIVES = np.linspace(0, 4, 17)
TORUS, LARGE = (hx.Lattice.square(length, periodic=True) for length in (3, 8))
COMPONENTS = (8, 16)


def model_of(g: float) -> hx.Lindbladian:
    return hx.models.dissipative_ising(TORUS, V=2.0, g=g)


def compute_exact() -> None:
    """Store ⟨σx⟩, ⟨σy⟩, ⟨σz⟩, averaged over the sites, for every drive."""
    rows = []
    for g in DRIVES:
        rows.append([g, *hx.exact.steadystate(model_of(g)).bloch[0].mean(axis=0)])
        print(rows[-1], flush=True)
    np.savetxt(EXACT, rows, delimiter=",", header="g,x,y,z", comments="", fmt="%.9g")


def scan_lines(exact: np.ndarray) -> list[str]:
    lines = [
        "| K | g | ⟨σx⟩ | ⟨σy⟩ | ⟨σz⟩ | error | drift | residual | seconds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for count in COMPONENTS:
        began = time.perf_counter()
        found = hx.scan(model_of, DRIVES, name="g", ansatz=hx.Mixture(components=count), progress=False)
        seconds = time.perf_counter() - began
        means = found.bloch.mean(axis=1)
        errors = np.abs(means - exact).max(axis=1)
        for g, spins, error, steady in zip(DRIVES, means, errors, found.forward, strict=True):
            values = " | ".join(f"{x:.4f}" for x in spins)
            drift = f"{steady.drift:.1e}" + ("" if steady.completed else ", not stationary")
            numbers = f"{error:.1e} | {drift} | {steady.residual:.1e} | {steady.wall_time:.1f}"
            lines.append(f"| {count} | {g:g} | {values} | {numbers} |")
        lines.append(f"| {count} | all | | | | **{errors.max():.1e}** | | | **{seconds:.0f}** |")
        print(*lines[-18:], sep="\n", flush=True)
    twins = np.repeat(exact[:, None], TORUS.n_sites, axis=1)
    data = found.to_xarray().assign(exact_bloch=(("value", "site", "axis"), twins))
    data.attrs["title"] = f"dissipative Ising, 3×3 torus, V = 2γ, K = {COMPONENTS[-1]}"
    plot_scan(data).savefig(RESULTS / "steady.png", dpi=150)
    return lines


def large_lines() -> list[str]:
    lines = ["| ansatz | ⟨σx⟩ | ⟨σy⟩ | ⟨σz⟩ | starts differ by | residual | gap | first, s | again, s |"]
    lines.append("|---|---|---|---|---|---|---|---|---|")
    model = hx.models.dissipative_ising(LARGE, V=2.0, g=1.0)
    for ansatz in (hx.Mixture(components=4), hx.Mixture(components=8), hx.Clusters(size=3), hx.Clusters(size=4)):
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


def main() -> None:
    if sys.argv[1:2] == ["--exact"]:
        compute_exact()
    warnings.simplefilter("ignore", hx.HusimixWarning)
    exact = np.loadtxt(EXACT, delimiter=",", skiprows=1)[:, 1:]
    lines = [
        "## Steady states along a scan",
        "",
        "Dissipative Ising model, V = 2γ, 3×3 torus, γ = 1, mixtures of K components; every search starts from the",
        "state before. Error: of the site-averaged ⟨σ⟩, against the exact steady state. Drift and residual: see",
        "`SteadyState`. Seconds: of all searches together with compilation (the second K finds some of it done); exact",
        "ones take some 40 s each.",
        "",
        *scan_lines(exact),
        "",
        "![Steady states on the exact ones](steady.png)",
        "",
        "## A steady state of 64 spins",
        "",
        "The same on 8×8, g = 1. Two starts, all down and maximally mixed, compared. Residuals of mixtures and",
        "clusters are in different metrics. First: with compilation.",
        "",
        *large_lines(),
        "",
        machine_line(),
        "",
    ]
    (RESULTS / "steady.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
