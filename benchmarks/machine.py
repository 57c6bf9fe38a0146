"""What the benchmarks share: the line that names the machine, the clock, memory, what the machine can do at best.

Imports neither JAX nor husimix before it has to, so that a script which starts other processes stays small.
"""

import argparse
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import numpy as np

REPEATS = 7
"""Runs of which the median counts."""
RESULTS = Path(__file__).parent / "results"


class Options(NamedTuple):
    """What a script was asked for.

    Attributes:
        names: parts to run; empty for all.
        quick: whether a small version is wanted, in seconds.
        output: where tables and figures go.
    """

    names: list[str]
    quick: bool
    output: Path


def options(documentation: str | None, names: Iterable[str] = ()) -> Options:
    """The command line of a script, whose help is its documentation.

    The quick version and one of some parts write into a temporary folder, that of everything into benchmarks/results.
    """
    parser = argparse.ArgumentParser(description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter)
    choices = list(names)
    if choices:
        parser.add_argument("names", nargs="*", metavar="NAME", help=f"parts to run, of {', '.join(choices)}")
    parser.add_argument("--quick", action="store_true", help="a small version, in seconds")
    parser.add_argument("--output", type=Path, help="where tables and figures go")
    told = parser.parse_args()
    chosen = getattr(told, "names", [])
    for name in chosen:
        if name not in choices:
            parser.error(f"Argument `NAME` must be one of {', '.join(choices)}, but got {name}")
    output = told.output or (Path(tempfile.mkdtemp()) if told.quick or chosen else RESULTS)
    output.mkdir(parents=True, exist_ok=True)
    return Options(chosen, told.quick, output)


def write(options: Options, name: str, text: str) -> None:
    """Write a table and say where."""
    (options.output / name).write_text(text.rstrip("\n") + "\n", encoding="utf-8")
    print(f"Wrote {options.output / name}", flush=True)


def machine_line(*packages: str) -> str:
    """Date, processor, system, cores that this process may use, and versions, also of those packages that there are."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = f"Python {platform.python_version()}, JAX {version('jax')}, husimix {version('husimix')}"
    for name in packages:
        try:
            versions += f", {name} {version(name.lower())}"
        except PackageNotFoundError:
            continue
    return f"{date.today()}, {_processor()}, {platform.system()}, {cores} cores, {versions}."


def peak_memory() -> float:
    """MiB that this process has occupied at most; macOS counts bytes, others KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2 ** (20 if sys.platform == "darwin" else 10)


def median_seconds(function: Callable, *arguments, repeats: int = REPEATS) -> float:
    """Median wall time of function(*arguments), its first call left out; waits for what JAX has begun."""
    return float(np.median(_samples(function, arguments, repeats)))


def blas_peak(threads: int, size: int = 1024) -> float:
    """Operations a second of a large dgemm of the BLAS that JAX's Cholesky comes from."""
    import scipy.linalg.blas
    from threadpoolctl import threadpool_limits

    a, b = (np.asfortranarray(np.random.default_rng(n).normal(size=(size, size))) for n in range(2))
    with threadpool_limits(threads, user_api="blas"):
        return 2 * size**3 / _best_seconds(scipy.linalg.blas.dgemm, 1.0, a, b)


def xla_peak(size: int = 1024) -> float:
    """Operations a second of a large matrix product as JAX compiles it, on all cores."""
    import jax

    a, b = (jax.random.normal(jax.random.key(n), (size, size), dtype="float64") for n in range(2))
    return 2 * size**3 / _best_seconds(jax.jit(jax.numpy.matmul), a, b)


def copy_bandwidth(size: int = 1 << 24) -> float:
    """Bytes a second, read and written, of copying what no cache holds to where memory is mapped already; one core."""
    source, target = np.ones(size), np.ones(size)
    return 16 * size / _best_seconds(np.copyto, target, source)


def _samples(function: Callable, arguments: tuple, repeats: int) -> list[float]:
    import jax

    jax.block_until_ready(function(*arguments))
    samples = []
    for _ in range(repeats):
        began = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        samples.append(time.perf_counter() - began)
    return samples


def _best_seconds(function: Callable, *arguments) -> float:
    return min(_samples(function, arguments, 2 * REPEATS))


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
