"""Whole runs from the start of Python to the result: both ansätze, small and large, with and without symmetry.

Every run has a process of its own, one of them with an empty compilation cache; the second run in a process tells the
time after compilation. Writes benchmarks/results/runs.md, in about five minutes on two idle cores. Deviations are
from stored curves, benchmarks/results/converged.csv, which `python benchmarks/runs.py --converge` computes anew in some
minutes.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from machine import machine_line, peak_memory

CONVERGED = Path(__file__).parent / "results" / "converged.csv"
REFERENCES = ({"components": 16, "metric": "auto", "seed": 1}, {"components": 24, "metric": 0.05, "seed": 2})
TIMES = np.linspace(0, 5, 51)


@dataclass(frozen=True)
class Run:
    """One run of the dissipative Ising model on a square lattice.

    Attributes:
        length: L.
        kind: "mixture" or "clusters".
        knob: K, or m.
        V, g: couplings.
        end: time of the end, in 1/γ.
        random: open boundaries and a random longitudinal field in [-1, 1] on each site, no symmetry.
        repeat: run twice, to tell what compilation took.
    """

    length: int
    kind: str
    knob: int
    V: float = 2.0
    g: float = 1.0
    end: float = 5.0
    random: bool = False
    repeat: bool = True


RUNS = (
    Run(8, "mixture", 5),
    Run(8, "mixture", 8, V=5.0, g=5.0),
    Run(16, "mixture", 4, repeat=False),
    Run(8, "mixture", 8, end=2.0, random=True),
    Run(8, "clusters", 3),
    Run(8, "clusters", 4),
    Run(8, "clusters", 4, V=5.0, g=5.0),
    Run(64, "clusters", 3),
    Run(64, "clusters", 4),
    Run(8, "clusters", 3, end=2.0, random=True),
)


def problem(run: Run):
    """Model, state and observables."""
    # Not at the top: the process that starts the others stays small.
    from common import bond_mean, in_random_fields

    import husimix as hx

    lattice = hx.Lattice.square(run.length, run.length, periodic=not run.random)
    model = hx.models.dissipative_ising(lattice, V=run.V, g=run.g)
    if run.random:
        model = in_random_fields(model, seed=1)
    return model, hx.product_state(lattice.n_sites, "down"), {"zz": bond_mean(lattice, "zz")}


def curves(result) -> np.ndarray:
    """(T, 4): site means of ⟨σ⟩ and the bond mean of ⟨σzσz⟩."""
    return np.column_stack([result.bloch.mean(axis=1), result.expect["zz"]])


def measure(run: Run, began: float) -> dict:
    """Everything about one run, in this fresh process."""
    from common import ansatz_of

    import husimix as hx

    model, state, observables = problem(run)
    ansatz = ansatz_of(run.kind, run.knob)
    times = TIMES[run.end >= TIMES - 1e-12]
    ends = [time.perf_counter()]
    for _ in range(1 + run.repeat):
        result = hx.mesolve(model, state, times, ansatz=ansatz, observables=observables, progress=False)
        ends.append(time.perf_counter())
    told = hx.estimate(model, state, ansatz=ansatz)
    attempts = int(result.diagnostics["steps"][-1] + result.diagnostics["rejected"][-1])
    return {
        "parameters": told.n_parameters,
        "total": ends[1] - began,
        "again": ends[2] - ends[1] if run.repeat else None,
        "attempts": attempts,
        "told_seconds": told.seconds_per_step * attempts,
        "peak": peak_memory() / 1024,
        "curves": curves(result).tolist(),
    }


def converge() -> None:
    """The curves of the first run from two independent ones: more components, less damping, other metric and seed."""
    import husimix as hx

    model, state, observables = problem(RUNS[0])
    arguments = {"observables": observables, "method": hx.Stepping(rtol=3e-5)}
    found = []
    for told in REFERENCES:
        ansatz = hx.Mixture(told["components"], metric=told["metric"], metric_solver=hx.Tikhonov(1e-9))
        found.append(curves(hx.mesolve(model, state, TIMES, ansatz=ansatz, seed=told["seed"], **arguments)))
    header = f"{machine_line()} Damping 1e-9, rtol 3e-5; columns sx, sy, sz, zz for each of {REFERENCES}"
    np.savetxt(CONVERGED, np.hstack(found), fmt="%.6f", header=header)


def converged() -> list[np.ndarray]:
    """The stored curves of each reference."""
    return np.split(np.loadtxt(CONVERGED), len(REFERENCES), axis=1)


def in_own_process(run: Run, cache: str) -> dict:
    command = [sys.executable, __file__, "--run", json.dumps(asdict(run)), str(time.time())]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ | {"HUSIMIX_CACHE": cache}
    )
    return json.loads(done.stdout.splitlines()[-1])


def row(run: Run, cache: str, told: dict, reference: list[np.ndarray]) -> str:
    is_known = run.V == RUNS[0].V and run.g == RUNS[0].g and not run.random
    deviation = max(np.abs(np.array(told["curves"]) - known).max() for known in reference) if is_known else None
    again = "" if told["again"] is None else f"{told['again']:.1f}"
    lattice = f"{run.length}×{run.length}{', random fields' if run.random else ''}"
    return (
        f"| {lattice} | {run.V:g}, {run.g:g} | {'K' if run.kind == 'mixture' else 'm'} = {run.knob} | {run.end:g} "
        f"| {told['parameters']} | {cache} "
        f"| {told['total']:.1f} | {again} | {told['attempts']} | {told['told_seconds']:.1f} | {told['peak']:.2f} "
        f"| {'' if deviation is None else f'{deviation:.1e}'} |"
    )


def main() -> None:
    if sys.argv[1:2] == ["--converge"]:
        converge()
        return
    if sys.argv[1:2] == ["--run"]:
        # The clock of the parent started before Python did; perf_counter has its own zero.
        began = time.perf_counter() - (time.time() - float(sys.argv[3]))
        print(json.dumps(measure(Run(**json.loads(sys.argv[2])), began)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        told = {(run, "empty"): in_own_process(run, folder) for run in RUNS[:1]}
        for run in RUNS:
            cache = "warm" if run is RUNS[0] else "empty"
            with tempfile.TemporaryDirectory() as other:
                told[run, cache] = in_own_process(run, folder if cache == "warm" else other)
            print(run, {k: v for k, v in told[run, cache].items() if k != "curves"}, flush=True)
    reference, counts = converged(), [r["components"] for r in REFERENCES]
    spread = np.abs(reference[0] - reference[1]).max()
    rows = [row(run, cache, found, reference) for (run, cache), found in told.items()]
    lines = [
        "# Whole runs",
        "",
        "Dissipative Ising model on square lattices, γ = 1, all spins down, mixtures of K components and clusters of m",
        "sites, else defaults; periodic, but open and without symmetry where fields are random. P numbers that move.",
        "Total: seconds from the start of Python to the result, with an empty or a warm compilation cache. Again: the",
        "same run once more in the same process. Steps: attempted. Told: seconds that `hx.estimate` foresees for them.",
        "Peak: GiB of the process. Deviation: largest, at any time, of site-averaged ⟨σx⟩, ⟨σy⟩, ⟨σz⟩ and of",
        f"bond-averaged ⟨σzσz⟩ from converged values of 8×8, converged.csv: mixtures of K = {counts[0]}",
        f"and {counts[1]} with damping 1e-9, rtol 3e-5, metrics 0.125 and 0.05, and different seeds, which agree",
        f"within {spread:.1e}.",
        "",
        machine_line(),
        "",
        "| lattice | V, g | ansatz | T | P | cache | total | again | steps | told | peak | deviation |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
        *rows,
    ]
    target = Path(__file__).parent / "results" / "runs.md"
    target.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    print(f"Wrote {target}")


if __name__ == "__main__":
    main()
