"""How time and memory of one velocity grow: with the lattice, with m or K, with the local dimension.

Every case runs in a process of its own, whose peak memory is that of the case. Writes scaling.md and scaling.png, in
about four minutes on two idle cores.
"""

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from machine import machine_line, median_seconds, options, peak_memory, write

CASE_SECONDS = 25.0
CASE_GIBIBYTES = 4.0
ALL_SECONDS = 300.0
FEWEST_TO_FIT = 3


@dataclass(frozen=True)
class Case:
    """One velocity.

    Attributes:
        length: L, of the square lattice.
        kind: "mixture" or "clusters".
        knob: K, or m.
        symmetry: "full", "translations" or None.
        periodic: whether the lattice is a torus.
        levels: d, of each site; spins S = (d - 1)/2.
    """

    length: int
    kind: str
    knob: int
    symmetry: str | None = "full"
    periodic: bool = True
    levels: int = 2


@dataclass(frozen=True)
class Outcome:
    """What one process measured; times in seconds, memory in MiB.

    Attributes:
        parameters: P, the numbers that move.
        setup: symmetries and tables, in NumPy.
        compilation: of the velocity.
        velocity: median time of one.
        setup_memory: peak of the process after the set-up, less that of the bare import.
        memory: peak of the process at the end, less that of the bare import.
        buffers: what the compiled velocity allocates, by XLA's own account.
    """

    parameters: int
    setup: float
    compilation: float
    velocity: float
    setup_memory: float
    memory: float
    buffers: float


@dataclass(frozen=True)
class Series:
    """Cases along one axis.

    Attributes:
        name: of the curve.
        axis: what grows, a key of AXES.
        cases: from small to large.
        growth: the power of the axis by which time and memory are expected to grow, to foresee what will not fit.
    """

    name: str
    axis: str
    cases: tuple[Case, ...]
    growth: float


Results = list[tuple[Series, list[tuple[Case, Outcome | str]]]]
AXES = {
    "N": "lattice sites N",
    "K": "components K",
    "10^m": "10^m, m sites in a cluster",
    "D": "local operators D = d²",
}
LENGTHS = (8, 16, 32, 64)


def along_lengths(lengths: tuple[int, ...], kind: str, knob: int, **settings) -> tuple[Case, ...]:
    return tuple(Case(length, kind, knob, **settings) for length in lengths)


SERIES = {
    "clusters": Series("clusters, m = 3, symmetry", "N", along_lengths(LENGTHS, "clusters", 3), 0.0),
    "clusters_open": Series(
        "clusters, m = 3, none", "N", along_lengths(LENGTHS, "clusters", 3, symmetry=None, periodic=False), 1.0
    ),
    "mixture": Series("mixture, K = 2, symmetry", "N", along_lengths(LENGTHS[:3], "mixture", 2), 2.0),
    "mixture_open": Series(
        "mixture, K = 4, none", "N", along_lengths((8, 12, 16), "mixture", 4, symmetry=None, periodic=False), 2.5
    ),
    "components": Series("mixture, 8×8, symmetry", "K", tuple(Case(8, "mixture", k) for k in (2, 4, 8, 16)), 2.5),
    "sizes": Series("clusters, 8×8, symmetry", "10^m", tuple(Case(8, "clusters", m) for m in (2, 3, 4, 5)), 1.0),
    "sizes_open": Series(
        "clusters, 8×8, none",
        "10^m",
        tuple(Case(8, "clusters", m, symmetry=None, periodic=False) for m in (2, 3, 4)),
        1.0,
    ),
    "levels": Series(
        "clusters, m = 2, 8×8, none",
        "D",
        tuple(Case(8, "clusters", 2, symmetry=None, periodic=False, levels=d) for d in (2, 3, 4)),
        3.0,
    ),
}
COLOURS = ("#0072B2", "#56B4E9", "#D55E00", "#CC79A7", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v")


def measure(case: Case) -> Outcome:
    """Set up, compile and time the velocity of a case; for a fresh process only."""
    import equinox as eqx
    import jax
    from common import ansatz_of
    from threadpoolctl import threadpool_limits

    from husimix.ansatz import AbstractMotion, Point
    from husimix.solve.checks import problem_of

    jax.block_until_ready(jax.numpy.zeros(1))
    bare = peak_memory()
    began = time.perf_counter()
    model, state = spin_model(case)
    ansatz = ansatz_of(case.kind, case.knob)
    prepared = ansatz.prepare(problem_of(model, state, 5.0, case.symmetry, None, 0))
    setup, setup_memory = time.perf_counter() - began, peak_memory() - bare
    arrays, others = eqx.partition(prepared.motion, eqx.is_array)

    def rates(numbers: AbstractMotion, at: Point) -> tuple:
        return eqx.combine(numbers, others).velocity(jax.numpy.zeros(()), at)

    arguments = jax.device_put((arrays, prepared.point))
    began = time.perf_counter()
    velocity = jax.jit(rates).lower(*arguments).compile()
    compilation = time.perf_counter() - began
    # A second's worth of repeats, since others may use the machine.
    with threadpool_limits(1, user_api="blas"):
        began = time.perf_counter()
        jax.block_until_ready(velocity(*arguments))
        repeats = int(np.clip(1.0 / (time.perf_counter() - began), 3, 50))
        seconds = median_seconds(velocity, *arguments, repeats=repeats)
    report = velocity.memory_analysis()
    buffers = (report.temp_size_in_bytes + report.argument_size_in_bytes + report.output_size_in_bytes) / 2**20
    parameters = sum(leaf.size for leaf in jax.tree.leaves(prepared.point))
    return Outcome(parameters, setup, compilation, seconds, setup_memory, peak_memory() - bare, buffers)


def spin_model(case: Case):
    """The dissipative Ising model and all spins down; beyond two levels with S_z, S_x, S_- in place of σ/2 and σ⁻."""
    import husimix as hx
    from husimix.physics.basis import coherent_vectors, site_basis, spin_matrices

    lattice = hx.Lattice.square(case.length, periodic=case.periodic)
    if case.levels == 2:
        return hx.models.dissipative_ising(lattice), hx.product_state(lattice.n_sites, "down")
    x, y, z = spin_matrices(case.levels)
    spins = [hx.Operator.local(z, i) for i in range(lattice.n_sites)]
    terms = [2.0 * spins[i] * spins[j] for i, j in lattice.bonds()]
    terms += [hx.Operator.local(x, i) for i in range(lattice.n_sites)]
    decay = [hx.Dissipator(hx.Operator.local(x - 1j * y, i), 1.0) for i in range(lattice.n_sites)]
    down = np.tile([0.0, 0.0, -1.0], (lattice.n_sites, 1))
    basis = site_basis(case.levels)
    state = hx.Clusters().product_state(np.asarray(coherent_vectors(basis, down)), basis)
    return hx.Lindbladian(hx.operator_sum(terms), decay, lattice=lattice), state


def in_own_process(case: Case) -> Outcome | str:
    """The outcome, or why there is none."""
    # Started from here, where JAX is not imported: the peak of a process begins at that of its parent.
    command = [sys.executable, __file__, "--case", json.dumps(asdict(case))]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=CASE_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"stopped after {CASE_SECONDS:g} s"
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"ended with code {done.returncode}"]
        return f"failed: {lines[-1][:120]}"
    return Outcome(**json.loads(done.stdout.splitlines()[-1]))


def axis_value(series: Series, case: Case) -> float:
    return {"N": case.length**2, "K": case.knob, "10^m": 10.0**case.knob, "D": case.levels**2}[series.axis]


def excess(series: Series, case: Case, done: list[tuple[Case, Outcome]]) -> str | None:
    """Why a case would exceed its limits, judged by the last ones of its series; None if it would not."""
    if not done:
        return None
    last, outcome = done[-1]
    ratio = axis_value(series, case) / axis_value(series, last)
    seconds = outcome.compilation + grown("setup", series, ratio, done) + 4 * grown("velocity", series, ratio, done)
    compiler = max(outcome.memory - outcome.setup_memory - outcome.buffers, 0.0)
    memory = compiler + grown("setup_memory", series, ratio, done) + grown("buffers", series, ratio, done)
    if seconds > CASE_SECONDS:
        return f"left out: about {seconds:.0f} s expected, limit {CASE_SECONDS:g} s"
    if memory > 1024 * CASE_GIBIBYTES:
        return f"left out: about {memory / 1024:.0f} GiB expected, limit {CASE_GIBIBYTES:g} GiB"
    return None


def grown(name: str, series: Series, ratio: float, done: list[tuple[Case, Outcome]]) -> float:
    """A quantity when the axis has grown by `ratio`: by the power of the last two cases or by the expected one."""
    power, value = series.growth, getattr(done[-1][1], name)
    if len(done) > 1:
        past = axis_value(series, done[-1][0]) / axis_value(series, done[-2][0])
        power = max(power, np.log(value / getattr(done[-2][1], name)) / np.log(past))
    return float(value * ratio**power)


def run(series: Series, known: dict[Case, Outcome | str], deadline: float) -> list[tuple[Case, Outcome | str]]:
    """All cases; what one series has measured the next takes over."""
    rows: list[tuple[Case, Outcome | str]] = []
    for case in series.cases:
        done = [(c, o) for c, o in rows if isinstance(o, Outcome)]
        reason = None if case in known else excess(series, case, done)
        if reason is None and case not in known and time.perf_counter() > deadline:
            reason = f"left out: the script has run for {ALL_SECONDS:g} s"
        if case not in known:
            known[case] = reason or in_own_process(case)
        rows.append((case, known[case]))
        print(table_row(series, *rows[-1]), flush=True)
    return rows


def points(series: Series, rows: list[tuple[Case, Outcome | str]], name: str) -> tuple[np.ndarray, np.ndarray]:
    values = [(axis_value(series, c), getattr(o, name)) for c, o in rows if isinstance(o, Outcome)]
    return np.array(values).reshape(-1, 2).T


def exponent(x: np.ndarray, y: np.ndarray) -> float | None:
    """d log y / d log x of the upper half of the range (in log x); None for fewer than FEWEST_TO_FIT points."""
    if len(x) < FEWEST_TO_FIT:
        return None
    upper = x >= np.sqrt(x[0] * x[-1])
    upper[-FEWEST_TO_FIT:] = True
    return float(np.polyfit(np.log(x[upper]), np.log(y[upper]), 1)[0])


TABLE_HEADER = [
    "| lattice | ansatz | symmetry | P | set-up s | compile s | ms per velocity | peak MiB | set-up MiB "
    "| buffers MiB |",
    "|---|---|---|---|---|---|---|---|---|---|",
]


def table_row(series: Series, case: Case, outcome: Outcome | str) -> str:
    lattice = f"{case.length}×{case.length}{'' if case.periodic else ' open'}"
    lattice += "" if case.levels == 2 else f", D = {case.levels**2}"
    settings = f"| {lattice} | {'K' if case.kind == 'mixture' else 'm'} = {case.knob} | {case.symmetry or 'none'} "
    if isinstance(outcome, str):
        return settings + f"| | | | {outcome} | | | |"
    o = outcome
    return settings + (
        f"| {o.parameters} | {o.setup:.2f} | {o.compilation:.1f} | {1e3 * o.velocity:.3g} "
        f"| {o.memory:.0f} | {o.setup_memory:.0f} | {o.buffers:.3g} |"
    )


def exponent_line(series: Series, rows: list[tuple[Case, Outcome | str]]) -> str:
    def shown(name: str) -> str:
        power = exponent(*points(series, rows, name))
        return "" if power is None else f"{power:.2f}"

    names = ("velocity", "memory", "buffers", "setup")
    return f"| {series.name} | {series.axis} | " + " | ".join(shown(name) for name in names) + " |"


def draw(results: Results, target: Path) -> None:
    """Time above, memory below, buffers solid and peak dotted; one column for each axis."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = [name for name in AXES if any(series.axis == name for series, _ in results)]
    size = 4.25 * len(names), 8
    figure, panels = plt.subplots(2, len(names), figsize=size, sharex="col", squeeze=False, layout="constrained")
    rows_of = (("velocity", 1e3, "time of one velocity (ms)"), ("buffers", 1.0, "memory (MiB)"))
    for column, axis in enumerate(names):
        chosen = [(series, rows) for series, rows in results if series.axis == axis]
        for panel, (name, unit, label) in zip(panels[:, column], rows_of, strict=True):
            for (series, rows), colour, marker in zip(chosen, COLOURS, MARKERS, strict=False):
                x, y = points(series, rows, name)
                power = exponent(x, y)
                text = series.name if power is None else f"{series.name}: power {power:.2f}"
                panel.loglog(x, unit * y, color=colour, marker=marker, label=text)
                if name == "buffers":
                    panel.loglog(*points(series, rows, "memory"), color=colour, linestyle=":", linewidth=1.2)
            panel.set_ylabel(label)
            panel.grid(alpha=0.3, which="both")
            panel.margins(y=0.15)
            panel.legend(fontsize=9, loc="lower center", bbox_to_anchor=(0.5, 1.0))
        panels[1, column].set_xlabel(AXES[axis])
    figure.savefig(target, dpi=150)
    plt.close(figure)


def report(results: Results) -> str:
    lines = [
        "# How time and memory grow",
        "",
        "One velocity of the dissipative Ising model on square lattices; a step of the default solver takes six.",
        "Mixtures of K components, clusters of m sites; all symmetries of the periodic lattice, or an open one and",
        "none, which costs what random fields cost. D = 9 and 16: spins 1 and 3/2 in place of spins ½. Each case in a",
        "process of its own. P numbers that move.",
        "Set-up: symmetries and tables, once for a run. Compile: the velocity alone, not a whole run. Peak: of",
        "the process, less the bare import, so it holds what the set-up and the compiler needed; set-up MiB is the",
        "peak before compilation. Buffers: what the compiled velocity allocates, by XLA's account, with its arguments.",
        f"Limits of a case: {CASE_SECONDS:g} s, {CASE_GIBIBYTES:g} GiB.",
        "",
        machine_line(),
        "",
        "## Exponents",
        "",
        "Powers fitted to the upper half of each range, on a logarithmic scale, at least three points. Against 10^m a",
        "power of 1 is ten times as much for each site by which clusters grow.",
        "",
        "| series | against | time | peak memory | buffers | set-up time |",
        "|---|---|---|---|---|---|",
        *(exponent_line(series, rows) for series, rows in results),
        "",
        "![Time and memory of one velocity](scaling.png)",
        "",
        "Memory: buffers of the compiled velocity (solid), and peak of the process less the bare import (dotted).",
    ]
    for series, rows in results:
        lines += ["", f"## {series.name}, against {AXES[series.axis]}", "", *TABLE_HEADER]
        lines += [table_row(series, case, outcome) for case, outcome in rows]
    return "\n".join(lines) + "\n"


TINY = tuple(Case(3, "clusters", 2, symmetry=None, periodic=False, levels=d) for d in (2, 3))
QUICK = {
    "levels": Series("clusters, m = 2, 3×3, none", "D", TINY, 3.0),
    "mixture": Series("mixture, 3×3, symmetry", "K", (Case(3, "mixture", 2),), 2.5),
}


def main() -> None:
    if sys.argv[1:2] == ["--case"]:
        print(json.dumps(asdict(measure(Case(**json.loads(sys.argv[2]))))))
        return
    asked = options(__doc__, SERIES)
    chosen = QUICK if asked.quick else {key: SERIES[key] for key in asked.names or SERIES}
    deadline = time.perf_counter() + ALL_SECONDS - CASE_SECONDS
    known: dict[Case, Outcome | str] = {}
    results = []
    print(*TABLE_HEADER, sep="\n")
    for series in chosen.values():
        results.append((series, run(series, known, deadline)))
        print(exponent_line(*results[-1]), flush=True)
    write(asked, "scaling.md", report(results))
    draw(results, asked.output / "scaling.png")


if __name__ == "__main__":
    main()
