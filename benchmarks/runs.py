"""Whole runs from the start of Python to the result: both ansätze, small and large, with and without symmetry.

Every run has a process of its own and an empty compilation cache, one of them a warm one besides; the second run in a
process tells the time after compilation. Writes runs.md, in about three minutes on two idle cores. Deviations of the
8×8 torus are from stored curves (converged.py).
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace

import numpy as np
from machine import machine_line, options, peak_memory, write


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
    Run(8, "clusters", 3),
    Run(8, "clusters", 4),
    Run(8, "clusters", 4, V=5.0, g=5.0),
    Run(64, "clusters", 4),
    Run(8, "clusters", 3, end=2.0, random=True),
    Run(32, "clusters", 3, end=2.0, random=True),
    Run(8, "mixture", 5),
    Run(8, "mixture", 8, V=5.0, g=5.0),
    Run(16, "mixture", 4, repeat=False),
    Run(8, "mixture", 4, end=2.0, random=True),
)
QUICK = (Run(3, "clusters", 2, end=0.2), Run(3, "mixture", 2, end=0.2, random=True, repeat=False))


def problem(run: Run):
    """The problem, in random fields if they are wanted."""
    # Not at the top: the process that starts the others stays small.
    from common import in_random_fields, ising

    import husimix as hx

    made = ising("", hx.Lattice.square(run.length, periodic=not run.random), run.V, run.g)
    model = in_random_fields(made.model, seed=1) if run.random else made.model
    return replace(made, model=model, times=made.times[run.end >= made.times - 1e-12])


def measure(run: Run, began: float) -> dict:
    """Everything about one run, in this fresh process."""
    from common import ansatz_of

    import husimix as hx

    made, ansatz = problem(run), ansatz_of(run.kind, run.knob)
    model, state, times, observables = made.model, made.state, made.times, made.observables
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
        "deviation": deviation_of(run, [result.expect[name].tolist() for name in observables]),
    }


def deviation_of(run: Run, curves: list[list[float]]) -> float | None:
    """From the stored curves, if they are of this problem."""
    from converged import converged
    from rows import deviation

    is_known = (run.length, run.V, run.g, run.end, run.random) == (8, 2.0, 1.0, 5.0, False)
    return deviation(np.array(curves), converged("large_torus")) if is_known else None


def in_own_process(run: Run, cache: str) -> dict:
    command = [sys.executable, __file__, "--run", json.dumps(asdict(run)), str(time.time())]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ | {"HUSIMIX_CACHE": cache}
    )
    return json.loads(done.stdout.splitlines()[-1])


def row(run: Run, cache: str, told: dict) -> str:
    again, deviation = ("" if told[k] is None else told[k] for k in ("again", "deviation"))
    again = f"{again:.1f}" if again else ""
    lattice = f"{run.length}×{run.length}{', random fields' if run.random else ''}"
    return (
        f"| {lattice} | {run.V:g}, {run.g:g} | {'K' if run.kind == 'mixture' else 'm'} = {run.knob} | {run.end:g} "
        f"| {told['parameters']} | {cache} "
        f"| {told['total']:.1f} | {again} | {told['attempts']} | {told['told_seconds']:.1f} | {told['peak']:.2f} "
        f"| {f'{deviation:.1e}' if deviation else ''} |"
    )


def main() -> None:
    if sys.argv[1:2] == ["--run"]:
        # The clock of the parent started before Python did; perf_counter has its own zero.
        began = time.perf_counter() - (time.time() - float(sys.argv[3]))
        print(json.dumps(measure(Run(**json.loads(sys.argv[2])), began)))
        return
    asked = options(__doc__)
    runs, rows = QUICK if asked.quick else RUNS, []
    for number, run in enumerate(runs):
        with tempfile.TemporaryDirectory() as folder:
            for cache in ("empty", "warm") if number == 0 else ("empty",):
                rows.append(row(run, cache, in_own_process(run, folder)))
                print(rows[-1], flush=True)
    lines = [
        "# Whole runs",
        "",
        "Dissipative Ising model on square lattices, γ = 1, all spins down, mixtures of K components and clusters of m",
        "sites, else defaults; periodic, but open and without symmetry where fields are random. P numbers that move.",
        "Total: seconds from the start of Python to the result, with an empty or a warm compilation cache. Again: the",
        "same run once more in the same process. Steps: attempted. Told: seconds that `hx.estimate` foresees for them.",
        "Peak: GiB of the process. Deviation: largest, at any time, of site-averaged ⟨σx⟩, ⟨σy⟩, ⟨σz⟩ and of",
        "bond-averaged ⟨σzσz⟩ on 8×8 from stored curves of clusters of five and six sites.",
        "",
        machine_line(),
        "",
        "| lattice | V, g | ansatz | T | P | cache | total | again | steps | told | peak | deviation |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
        *rows,
    ]
    write(asked, "runs.md", "\n".join(lines))


if __name__ == "__main__":
    main()
