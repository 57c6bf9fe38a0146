"""Time of the pair kernels of mixtures, of a velocity and of the Cholesky factorisation, and what bounds them.

Writes kernels.md, in about a minute on two idle cores. Clusters have no kernels of pairs and no linear algebra; what
their velocity takes is in scaling.py.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg.cython_lapack  # noqa: F401  # JAX's LAPACK; loaded before the limit of threads is set on it
from jax import Array
from machine import REPEATS, blas_peak, copy_bandwidth, machine_line, median_seconds, options, write, xla_peak
from threadpoolctl import threadpool_limits

import husimix as hx
from husimix.mixture import kernels
from husimix.mixture.contacts import Contacts, Counts
from husimix.mixture.equations import Equations, Point
from husimix.mixture.gram import gram_and_force, gram_matrix
from husimix.mixture.kernels import Frame
from husimix.solve.checks import problem_of

CASES = [
    (3, "full", 8),
    (8, "full", 8),
    (8, None, 8),
    (16, "full", 4),
]
"""Length, symmetry, K."""

TIMES_HEADER = [
    "| lattice | symmetry | K | G | F | P | overlaps | force | Gram | Gram + force | velocity "
    "| Cholesky 1 thread | 2 threads |",
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
]
BOUNDS_HEADER = [
    "| lattice | symmetry | K | images by | product GFLOP/s | of peak | of Gram's time | Cholesky GFLOP/s "
    "| of peak | sums GB/s | of copy | factors GB/s | of copy |",
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
]


class Case(NamedTuple):
    """A velocity to compute: the equations and a point."""

    equations: Equations
    point: Point

    @property
    def frame(self) -> Frame:
        return self.equations.frame(self.point)


def case_of(length: int, symmetry: str | None, count: int) -> Case:
    """The dissipative Ising model on a periodic square, K components around all spins down."""
    lattice = hx.Lattice.square(length, periodic=True)
    model, state = hx.models.dissipative_ising(lattice), hx.product_state(length**2, "down")
    ansatz = hx.Mixture(components=count, metric_solver=hx.Tikhonov())
    prepared = ansatz.prepare(problem_of(model, state, 5.0, symmetry, None, 0))
    # All weights differ from 0, as in the midst of a run.
    rng, shape = np.random.default_rng(0), prepared.point.coordinates.shape
    coordinates = np.asarray(prepared.point.coordinates[:1]) + 0.3 * rng.normal(size=shape)
    return Case(prepared.motion.equations, Point(*jax.device_put((np.full(count, 1.0 / count), coordinates))))


class Timing(NamedTuple):
    """Seconds of one case.

    Attributes:
        parts: overlaps, force, Gram, Gram and force, velocity.
        cholesky: with one and with two BLAS threads.
        product: of the Gram's matrix product over images, alone.
        sums: of the gathering of contacts for the images, alone; None where that is a matrix product.
        factors: of the gathering of the products' factors, alone.
    """

    parts: tuple[float, ...]
    cholesky: tuple[float, float]
    product: float
    sums: float | None
    factors: float


def measure(case: Case) -> Timing:
    scene, frame = case.equations.scene, case.frame
    contacts, scale = scene.contacts, scene.log_scale(frame.vectors)
    with threadpool_limits(1, user_api="blas"):
        parts = (
            compiled_seconds(kernels.overlaps, frame.vectors, frame.vectors, scene, scale),
            compiled_seconds(kernels.force, frame, frame, scene, scale),
            compiled_seconds(gram_matrix, frame, frame, scene, scale),
            compiled_seconds(gram_and_force, frame, scene, scale),
            compiled_seconds(Equations.velocity, case.equations, case.point),
        )
        gram = jax.jit(gram_matrix)(frame, frame, scene, scale)
        sums = None if isinstance(contacts.images, Counts) else gather_seconds(*sums_gather(frame, contacts))
        factors = gather_seconds(*factors_gather(case))
    damped = gram + 1e-6 * jnp.trace(gram) / len(gram) * jnp.eye(len(gram))
    cholesky = []
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            cholesky.append(compiled_seconds(solve, damped))
    left, right = (jax.random.normal(jax.random.key(n), product_shape(case)) for n in range(2))
    product = compiled_seconds(lambda a, b: jnp.einsum("qgx,qgy->qxy", a, b), left, right)
    return Timing(parts, tuple(cholesky), product, sums, factors)


def compiled_seconds(function: Callable, *arguments) -> float:
    return median_seconds(jax.jit(function), *arguments)


def solve(matrix: Array) -> Array:
    return jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(matrix, lower=True), jnp.ones((len(matrix), 2)))


def product_shape(case: Case) -> tuple[int, int, int]:
    """(pairs, images, parameters of a component) of the Gram matrix of all pairs."""
    frame, contacts = case.frame, case.equations.scene.contacts
    return len(frame.weights) ** 2, len(contacts.share), frame.parameters_of_component


def gather_seconds(table: Array, rows: Array) -> float:
    return compiled_seconds(lambda t, r: t[r], table, rows)


def sums_gather(frame: Frame, contacts: Contacts) -> tuple[Array, Array]:
    """The table over contacts, three entries for every pair, and the contacts of all images."""
    return jnp.ones((contacts.n_contacts, 3, len(frame.weights) ** 2)), contacts.images.by_bra


def factors_gather(case: Case) -> tuple[Array, Array]:
    """The one-site maps at all contacts, for every pair, and the factors of all products."""
    scene, n_pairs = case.equations.scene, len(case.point.weights) ** 2
    rows = jnp.concatenate([c.factors.ravel() for c in scene.generator.couplings])
    return jnp.ones((len(scene.generator.matrices) * scene.contacts.n_contacts, n_pairs)), rows


def gathered_bytes(table: Array, rows: Array) -> int:
    """Read and written by table[rows]."""
    return 16 * rows.size * (table.size // len(table))


def times_row(name: str, case: Case, timing: Timing) -> str:
    _, order, q = product_shape(case)
    sizes = f"{order} | {case.equations.scene.contacts.n_free} | {q * len(case.point.weights)}"
    return f"| {name} | {sizes} | " + " | ".join(f"{1e3 * s:.2f}" for s in (*timing.parts, *timing.cholesky)) + " |"


def bounds_row(name: str, case: Case, timing: Timing, peaks: tuple[float, float, float]) -> str:
    xla, blas, copy = peaks
    pairs, order, q = product_shape(case)
    size = q * len(case.point.weights)
    frame, contacts = case.frame, case.equations.scene.contacts
    # Factorisation, then two triangular solutions of two columns.
    cholesky = (size**3 / 3 + 4 * size**2) / timing.cholesky[0]
    product = 2 * pairs * order * q**2 / timing.product
    sums = " | "
    if timing.sums is not None:
        rate = gathered_bytes(*sums_gather(frame, contacts)) / timing.sums
        sums = f"{rate / 1e9:.1f} | {rate / copy:.0%}"
    factors = gathered_bytes(*factors_gather(case)) / timing.factors
    return (
        f"| {name} | {'products' if isinstance(contacts.images, Counts) else 'gathers'} "
        f"| {product / 1e9:.1f} | {product / xla:.0%} | {timing.product / timing.parts[2]:.0%} "
        f"| {cholesky / 1e9:.1f} | {cholesky / blas:.0%} | {sums} | {factors / 1e9:.1f} | {factors / copy:.0%} |"
    )


def heading(peaks: tuple[float, float, float]) -> str:
    xla, blas, copy = peaks
    return f"""# Time of the kernels

Milliseconds, medians of {REPEATS}; dissipative Ising model on periodic squares, Bloch manifold. G images, F free sites,
P parameters. Cholesky is factorisation and solution for two columns of the Gram matrix of the same row, by OpenBLAS;
all else is with one BLAS thread, as in `mesolve`, and XLA on all cores. A velocity is Gram + force and Cholesky with
one thread.

{machine_line()}

{{times}}

## What bounds them

Each operation on its own, at the sizes of the kernel, over what this process reached at best: {xla / 1e9:.1f} GFLOP/s
in a matrix product of XLA (1024 rows, all cores), {blas / 1e9:.1f} GFLOP/s in a dgemm of OpenBLAS (one thread), and
{copy / 1e9:.1f} GB/s in copying 128 MiB (read and written, one core).

- product: the Gram's product over images, 2 Q G q² operations, and its share of the time of the Gram kernel, which
  also makes its operands and the terms of each site. Without a group it is an outer product, which no machine
  computes at its peak.
- Cholesky: P³/3 + 4 P² operations, one thread.
- sums: table[contacts of all images], 3 Q numbers a row; with few free sites these sums are matrix products instead.
- factors: α[factors of all products of 𝓛], Q numbers a row. Both gathers count bytes read and written; above 100 %
  the tables stay in cache. Within the kernel the gather is part of the multiplication, and nothing is written.

{{bounds}}
"""


def main():
    asked = options(__doc__)
    peaks = xla_peak(), blas_peak(1), copy_bandwidth()
    times, bounds = [], []
    for length, symmetry, count in [(3, "full", 2)] if asked.quick else CASES:
        name = f"{length}×{length} | {symmetry or 'none'} | {count}"
        case = case_of(length, symmetry, count)
        timing = measure(case)
        times.append(times_row(name, case, timing))
        bounds.append(bounds_row(name, case, timing, peaks))
        print(times[-1], bounds[-1], sep="\n", flush=True)
    tables = {"times": "\n".join(TIMES_HEADER + times), "bounds": "\n".join(BOUNDS_HEADER + bounds)}
    write(asked, "kernels.md", heading(peaks).format(**tables))


if __name__ == "__main__":
    main()
