"""How time and memory of one velocity grow with lattice, number of components and size of the symmetry group.

Every case runs in a process of its own, whose peak memory is that of the case. Writes benchmarks/results/scaling.md
and scaling.png, in about three minutes on two idle cores. `python benchmarks/scaling.py NAME ...` runs some series
only and writes nothing; a new method is one more entry in SERIES.
"""

import json
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from machine import machine_line, median_seconds

CASE_SECONDS = 25.0
CASE_GIBIBYTES = 4.0
ALL_SECONDS = 240.0
FEWEST_TO_FIT = 3


@dataclass(frozen=True)
class Case:
    """One velocity.

    Attributes:
        length: L, of the square lattice.
        components: K.
        symmetry: "full", "translations" or None.
        window: radius, or None.
        periodic: whether the lattice is a torus.
        step: only translations by a multiple of this many sites; 1 for what `symmetry` says.
        gram: whether the Gram matrix is kept as a "matrix" or as its "factors".
    """

    length: int
    components: int
    symmetry: str | None = "full"
    window: int | None = None
    periodic: bool = True
    step: int = 1
    gram: str = "matrix"


@dataclass(frozen=True)
class Outcome:
    """What one process measured; times in seconds, memory in MiB.

    Attributes:
        order: G, images.
        free_sites: F.
        parameters: P, rows of the Gram matrix.
        setup: symmetries, contacts and tables, in NumPy.
        compilation: of the velocity.
        velocity: median time of one.
        product: median time of the Gram matrix, kept as its factors, times one vector; None for a matrix.
        setup_memory: peak of the process after the set-up, less that of the bare import.
        memory: peak of the process at the end, less that of the bare import.
        buffers: what the compiled velocity allocates, by XLA's own account.
    """

    order: int
    free_sites: int
    parameters: int
    setup: float
    compilation: float
    velocity: float
    product: float | None
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


AXES = {"N": "lattice sites N", "K": "components K", "G": "images |G|"}
LENGTHS = (8, 16, 32, 64)
SERIES = {
    "window": Series(
        'symmetry="full", window=2, K = 4', "N", tuple(Case(length, 4, window=2) for length in LENGTHS), 0.0
    ),
    "matrix": Series(
        "open, no symmetry, Gram as a matrix, K = 4",
        "N",
        tuple(Case(length, 4, None, periodic=False) for length in (8, 12, 16)),
        2.5,
    ),
    "factors": Series(
        "open, no symmetry, Gram as factors, K = 4",
        "N",
        tuple(Case(length, 4, None, periodic=False, gram="factors") for length in LENGTHS),
        1.0,
    ),
    "components": Series('8×8, symmetry="full"', "K", tuple(Case(8, count) for count in (2, 4, 8, 16)), 2.5),
    "group": Series(
        "8×8, translations by 8, 4, 2, 1, K = 2",
        "G",
        tuple(Case(8, 2, "translations", step=step) for step in (8, 4, 2, 1)),
        1.0,
    ),
    "translations": Series(
        'symmetry="translations", K = 2', "N", tuple(Case(length, 2, "translations") for length in (8, 12, 16)), 2.5
    ),
    "full": Series('symmetry="full", K = 2', "N", tuple(Case(length, 2) for length in LENGTHS[:3]), 2.0),
}
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v")


def measure(case: Case) -> Outcome:
    """Set up, compile and time the velocity of a case; for a fresh process only."""
    import jax
    import kernels
    from threadpoolctl import threadpool_limits

    from husimix.solve.tdvp import Motion

    jax.block_until_ready(jax.numpy.zeros(1))
    bare = peak_memory()
    began = time.perf_counter()
    symmetry = case.symmetry if case.step == 1 else some_translations(case.length, case.step)
    found = kernels.problem(case.length, symmetry, case.window, case.components, case.periodic, case.gram)
    setup, setup_memory = time.perf_counter() - began, peak_memory() - bare
    began = time.perf_counter()
    velocity = jax.jit(Motion.velocity).lower(*found).compile()
    compilation = time.perf_counter() - began
    # A second's worth of repeats, since others may use the machine.
    with threadpool_limits(1, user_api="blas"):
        began = time.perf_counter()
        jax.block_until_ready(velocity(*found))
        repeats = int(np.clip(1.0 / (time.perf_counter() - began), 3, 50))
        seconds = median_seconds(velocity, *found, repeats=repeats)
        product = kernels.product_seconds(found) if case.gram == "factors" else None
    _, order, q = kernels.product_shape(found)
    report = velocity.memory_analysis()
    buffers = (report.temp_size_in_bytes + report.argument_size_in_bytes + report.output_size_in_bytes) / 2**20
    return Outcome(
        order,
        found.motion.contacts.n_free,
        q * case.components,
        setup,
        compilation,
        seconds,
        product,
        setup_memory,
        peak_memory() - bare,
        buffers,
    )


def some_translations(length: int, step: int):
    """The group of all translations of a square by a multiple of `step` sites along both directions."""
    import husimix as hx

    sites = np.arange(length**2).reshape(length, length)
    return hx.SymmetryGroup.generated([np.roll(sites, -step, axis).ravel() for axis in (0, 1)])


def peak_memory() -> float:
    """MiB that this process has occupied at most; macOS counts bytes, others KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2 ** (20 if sys.platform == "darwin" else 10)


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
    return {"N": case.length**2, "K": case.components, "G": (case.length // case.step) ** 2}[series.axis]


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
    done = [(x, y) for x, y in values if y is not None]
    return np.array(done).reshape(-1, 2).T


def exponent(x: np.ndarray, y: np.ndarray) -> float | None:
    """d log y / d log x of the upper half of the range (in log x); None for fewer than FEWEST_TO_FIT points."""
    if len(x) < FEWEST_TO_FIT:
        return None
    upper = x >= np.sqrt(x[0] * x[-1])
    upper[-FEWEST_TO_FIT:] = True
    return float(np.polyfit(np.log(x[upper]), np.log(y[upper]), 1)[0])


TABLE_HEADER = [
    "| lattice | K | symmetry | window | G | F | P | set-up s | compile s | ms per velocity | ms S·x "
    "| peak MiB | set-up MiB | buffers MiB |",
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
]


def table_row(series: Series, case: Case, outcome: Outcome | str) -> str:
    symmetry = case.symmetry or "none"
    if case.step > 1:
        symmetry += f" by {case.step}"
    lattice = f"{case.length}×{case.length}{'' if case.periodic else ' open'}"
    settings = f"| {lattice} | {case.components} | {symmetry} | {'' if case.window is None else case.window} "
    if isinstance(outcome, str):
        return settings + f"| | | | | | {outcome} | | | | |"
    o = outcome
    product = "" if o.product is None else f"{1e3 * o.product:.3g}"
    return settings + (
        f"| {o.order} | {o.free_sites} | {o.parameters} | {o.setup:.2f} | {o.compilation:.1f} | "
        f"{1e3 * o.velocity:.3g} | {product} | {o.memory:.0f} | {o.setup_memory:.0f} | {o.buffers:.3g} |"
    )


def exponent_line(series: Series, rows: list[tuple[Case, Outcome | str]]) -> str:
    def shown(name: str) -> str:
        power = exponent(*points(series, rows, name))
        return "" if power is None else f"{power:.2f}"

    names = ("velocity", "product", "memory", "buffers", "setup")
    return f"| {series.name} | {series.axis} | " + " | ".join(shown(name) for name in names) + " |"


def draw(results: dict[str, list[tuple[Case, Outcome | str]]], target: Path) -> None:
    """Time above, memory below, buffers solid and peak dotted; one column for each axis."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(2, len(AXES), figsize=(13, 8), sharex="col", layout="constrained")
    rows_of = (("velocity", 1e3, "time of one velocity (ms)"), ("buffers", 1.0, "memory (MiB)"))
    for column, axis in enumerate(AXES):
        chosen = [(SERIES[key], rows) for key, rows in results.items() if SERIES[key].axis == axis]
        for panel, (name, unit, label) in zip(panels[:, column], rows_of, strict=True):
            for (series, rows), colour, marker in zip(chosen, COLOURS, MARKERS, strict=False):
                x, y = points(series, rows, name)
                power = exponent(x, y)
                text = series.name if power is None else f"{series.name}: ${axis}^{{{power:.2f}}}$"
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


def report(results: dict[str, list[tuple[Case, Outcome | str]]]) -> str:
    lines = [
        "# How time and memory grow",
        "",
        "One velocity S⁻¹F of the dissipative Ising model on square lattices, Bloch manifold, Tikhonov; a step of the",
        "default solver takes three. Each case in a process of its own. G images, F free sites, P parameters. Set-up:",
        "finding symmetries and making tables, once for a run. Compile: the velocity alone, not a whole run. Peak: of",
        "the process, less the bare import, so it holds what the set-up and the compiler needed; set-up MiB is the",
        "peak before compilation. Buffers: what the compiled velocity allocates, by XLA's account, with its arguments.",
        f"Limits of a case: {CASE_SECONDS:g} s, {CASE_GIBIBYTES:g} GiB.",
        "",
        machine_line(),
        "",
        "## Exponents",
        "",
        "Powers fitted to the upper half of each range, on a logarithmic scale, at least three points.",
        "",
        "| series | against | time | product S·x | peak memory | buffers | set-up time |",
        "|---|---|---|---|---|---|---|",
        *(exponent_line(SERIES[key], rows) for key, rows in results.items()),
        "",
        "![Time and memory of one velocity](scaling.png)",
        "",
        "Memory: buffers of the compiled velocity (solid), and peak of the process less the bare import (dotted).",
    ]
    for key, rows in results.items():
        series = SERIES[key]
        lines += ["", f"## {series.name}, against {AXES[series.axis]}", "", *TABLE_HEADER]
        lines += [table_row(series, case, outcome) for case, outcome in rows]
    return "\n".join(lines) + "\n"


def main() -> None:
    if sys.argv[1:2] == ["--case"]:
        print(json.dumps(asdict(measure(Case(**json.loads(sys.argv[2]))))))
        return
    chosen = sys.argv[1:] or list(SERIES)
    deadline = time.perf_counter() + ALL_SECONDS - CASE_SECONDS
    known: dict[Case, Outcome | str] = {}
    results = {}
    print(*TABLE_HEADER, sep="\n")
    for key in chosen:
        results[key] = run(SERIES[key], known, deadline)
        print(exponent_line(SERIES[key], results[key]), flush=True)
    if not sys.argv[1:]:
        target = Path(__file__).parent / "results"
        (target / "scaling.md").write_text(report(results))
        draw(results, target / "scaling.png")
        print(f"Wrote {target / 'scaling.md'} and scaling.png")


if __name__ == "__main__":
    main()
