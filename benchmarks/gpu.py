"""Clusters on a GPU: tables, compilation, one velocity, its bandwidth, a whole run, of problems large enough for one.

Runs on the devices of JAX's default backend, all of them together; `JAX_PLATFORMS=cpu` is for comparison. `--quick`
takes small problems and a short run, some half a minute on two cores. `--store` writes benchmarks/results/gpu.md,
unless the run is a quick one.
"""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import equinox as eqx
import jax
import numpy as np
from common import in_random_fields
from jax import Array
from machine import machine_line, median_seconds

import husimix as hx
from husimix.ansatz import AbstractMotion, Certificate, Point
from husimix.clusters.moves import Moves
from husimix.solve.checks import problem_of

RESULTS = Path(__file__).parent / "results" / "gpu.md"
REPEATS = 20
MEMORY_GIB = 64.0
NUMBER, INDEX = 8, 4
"""Bytes of a float and of an entry of a table."""
HEAD = [
    "| system | m | numbers | tables s | compile s | velocity ms | GB/s | certificate ms | run s | steps |",
    "|---|---|---|---|---|---|---|---|---|---|",
]


@dataclass(frozen=True)
class Case:
    """One problem.

    Attributes:
        length: L, of the square lattice.
        size: m.
        periodic: a torus with all of its symmetry; else open, in random fields, without any.
    """

    length: int
    size: int
    periodic: bool

    @property
    def name(self) -> str:
        kind = "periodic, V = 2, g = 1" if self.periodic else "open, V = 2, g = 1, random fields"
        return f"{self.length}×{self.length} {kind}"

    def model(self) -> hx.Lindbladian:
        model = hx.models.dissipative_ising(hx.Lattice.square(self.length, periodic=self.periodic), V=2.0, g=1.0)
        return model if self.periodic else in_random_fields(model, 1)


CASES = (Case(8, 5, True), Case(8, 6, True), Case(16, 4, False))
QUICK = (Case(8, 3, True), Case(4, 3, False))
END, QUICK_END = 5.0, 0.5


@dataclass(frozen=True)
class Outcome:
    """What was measured; seconds and bytes.

    Attributes:
        numbers: that move.
        tables: building them, in NumPy, and bringing them to the device.
        compilation: of velocity and certificate together.
        velocity, certificate: median of 20.
        traffic: bytes that a velocity reads and writes, see `traffic`.
        run: of a whole one, compilation apart.
        steps: attempted in it.
    """

    numbers: int
    tables: float
    compilation: float
    velocity: float
    certificate: float
    traffic: int
    run: float
    steps: int


def traffic(moves: Iterator[Moves], letters: int) -> int:
    """Bytes that moves read and write, if each kernel reads what the one before it wrote from memory.

    Each move reads its source, its block and its entries of the tables; each slot writes what it brings; each support
    reads that of all of its slots, and writes its rate.
    """
    total = 0
    for some in moves:
        width = letters**some.n
        for group in some.groups:
            source = 0 if group.source is None else NUMBER * letters ** (some.n - group.r + group.c) + 2 * INDEX
            total += group.blocks.size * (source + NUMBER * letters ** (group.r + group.c) + INDEX)
            total += NUMBER * width * group.blocks.shape[0]
        total += some.slots.size * (NUMBER * width + 2 * INDEX) + NUMBER * width * some.n_supports
    return total


def measure(case: Case, end: float) -> Outcome:
    model, ansatz = case.model(), hx.Clusters(size=case.size, memory_limit=MEMORY_GIB)
    state, symmetry = hx.product_state(model.n_sites, "down"), "auto" if case.periodic else None
    began = time.perf_counter()
    prepared = jax.block_until_ready(ansatz.prepare(problem_of(model, state, end, symmetry, None, 0)))
    tables = time.perf_counter() - began
    arrays, others = eqx.partition(prepared.motion, eqx.is_array)

    def velocity(numbers: AbstractMotion, at: Point) -> Point:
        return eqx.combine(numbers, others).velocity(jax.numpy.zeros(()), at)[0]

    def certificate(numbers: AbstractMotion, at: Point, rates: Point) -> Certificate:
        return eqx.combine(numbers, others).certificate(jax.numpy.zeros(()), at, rates, {})

    began = time.perf_counter()
    compiled = jax.jit(velocity).lower(arrays, prepared.point).compile()
    certified = jax.jit(certificate).lower(arrays, prepared.point, prepared.point).compile()
    compilation = time.perf_counter() - began
    point: Point = jax.tree.map(lambda x: x + 0.01, prepared.point)
    rates: Point = compiled(arrays, point)
    seconds = (
        median_seconds(compiled, arrays, point, repeats=REPEATS),
        median_seconds(certified, arrays, point, rates, repeats=REPEATS),
    )
    options = {"ansatz": ansatz, "symmetry": symmetry, "progress": False}
    hx.mesolve(model, state, [0.0, 1e-3 * end], **options)  # compiles all that the run needs
    began = time.perf_counter()
    result = hx.mesolve(model, state, np.linspace(0, end, 6), **options)
    run = time.perf_counter() - began
    leaves: list[Array] = jax.tree.leaves(prepared.point)
    moved = traffic(iter(prepared.motion.equations.moves.values()), model.basis.size - 1)
    steps = int(result.diagnostics["steps"][-1] + result.diagnostics["rejected"][-1])
    return Outcome(sum(x.size for x in leaves), tables, compilation, *seconds, moved, run, steps)


def row(case: Case, found: Outcome) -> str:
    bandwidth = found.traffic / found.velocity / 1e9
    return (
        f"| {case.name} | {case.size} | {found.numbers} | {found.tables:.1f} | {found.compilation:.1f} "
        f"| {1e3 * found.velocity:.3g} | {bandwidth:.3g} | {1e3 * found.certificate:.3g} | {found.run:.2f} "
        f"| {found.steps} |"
    )


def main() -> None:
    """Print the table; write it if asked to."""
    jax.config.update("jax_enable_compilation_cache", False)  # what is compiled is measured
    quick = "--quick" in sys.argv
    cases, end = (QUICK, QUICK_END) if quick else (CASES, END)
    devices = jax.local_devices()
    head = [
        f"{len(devices)} × {devices[0].device_kind} ({devices[0].platform}). {machine_line()}",
        "",
        f"Velocity and certificate: median of {REPEATS}. GB/s: what a velocity reads and writes, on all devices, if a "
        f"kernel takes from memory what the one before it wrote, over its time. Run: to T = {end:g}/γ, compilation "
        "apart.",
        "",
        *HEAD,
    ]
    print("\n".join(head), flush=True)
    lines = []
    for case in cases:
        lines.append(row(case, measure(case, end)))
        print(lines[-1], flush=True)
    if "--store" in sys.argv and not quick:
        RESULTS.write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
