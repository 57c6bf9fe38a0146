"""Time of the pair kernels, of a velocity and of the Cholesky factorisation, and what bounds them.

Writes benchmarks/results/kernels.md, in about three minutes on two idle cores.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg.cython_lapack  # noqa: F401  # JAX's LAPACK; loaded before the limit of threads is set on it
from jax import Array
from machine import REPEATS, blas_peak, copy_bandwidth, machine_line, median_seconds, xla_peak
from threadpoolctl import threadpool_limits

import husimix as hx
from husimix.phasespace import kernels
from husimix.phasespace.clusters import contact_clusters
from husimix.phasespace.contacts import Contacts, Counts, contact_generator, contacts_of
from husimix.phasespace.gram import factored_gram, gram_and_force, gram_matrix
from husimix.phasespace.kernels import Frame
from husimix.phasespace.metric import site_metric
from husimix.solve.arrangement import arrange
from husimix.solve.estimate import estimated
from husimix.solve.symmetries import Symmetry
from husimix.solve.tdvp import Motion, Point

CASES = [
    (3, "full", None, 8),
    (8, "full", None, 8),
    (8, "full", 2, 4),
    (8, "translations", None, 4),
    (8, None, None, 8),
    (16, "full", None, 4),
]
"""Length, symmetry, window, K."""

FORMS = [
    (6, None, 4),
    (8, None, 4),
    (12, None, 4),
    (8, None, 8),
    (4, None, 16),
    (8, "auto", 4),
]
"""Length, symmetry, K of open lattices, with the Gram matrix in both forms."""

TIMES_HEADER = [
    "| lattice | symmetry | window | K | G | F | P | overlaps | force | Gram | Gram + force | velocity "
    "| Cholesky 1 thread | 2 threads |",
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
]
BOUNDS_HEADER = [
    "| lattice | symmetry | window | K | images by | product GFLOP/s | of peak | of Gram's time | Cholesky GFLOP/s "
    "| of peak | sums GB/s | of copy | factors GB/s | of copy |",
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
]

FORMS_HEADER = [
    "| lattice | symmetry | K | G | P | iterations | matrix ms | factors ms | ratio | automatic |",
    "|---|---|---|---|---|---|---|---|---|---|",
]


class Problem(NamedTuple):
    """A velocity to compute: everything it depends on, and a point."""

    motion: Motion
    point: Point


def problem(
    length: int,
    symmetry: Symmetry,
    window: int | None,
    count: int,
    periodic: bool = True,
    gram: str = "matrix",
) -> Problem:
    """The dissipative Ising model on a square, K components around all spins down, like in `mesolve`."""
    lattice = hx.Lattice.square(length, length, periodic=periodic)
    model, state = hx.models.dissipative_ising(lattice), hx.product_state(length**2, "down")
    arrangement = arrange(model, state, symmetry, window)
    free, space = arrangement.free_coordinates(state), state.manifold
    # In NumPy, so that no compilation counts as set-up; the background is common to all components, as in a run.
    coordinates = free + 0.3 * np.random.default_rng(0).normal(size=(count, *free.shape[1:]))
    coordinates[:, arrangement.background] = free[:, arrangement.background]
    needs = estimated(arrangement, count, space, hx.TDVP(gram=gram))
    motion = Motion(
        contact_generator(arrangement.generator, arrangement.layout),
        contacts_of(arrangement.layout),
        jnp.asarray(site_metric("auto", state.basis, length**2)),
        space,
        hx.Tikhonov(),
        contact_clusters(arrangement.clusters(), len(arrangement.generator.matrices) + 1, arrangement.layout),
        needs.kernel_bytes(),
        gram == "factors",
    )
    motion = jax.tree.map(lambda x: jnp.asarray(x) if isinstance(x, float | np.ndarray) else x, motion)
    return Problem(motion, Point(jnp.asarray(np.full(count, 1.0 / count)), jnp.asarray(coordinates)))


def product_seconds(case: Problem) -> float:
    """One product of the Gram matrix, kept as its factors, with a vector."""
    motion, frame = case.motion, case.motion.frame(case.point)
    scale = kernels.log_norm(frame.vectors, motion.g, motion.contacts.sizes)
    factors = jax.jit(factored_gram)(frame, motion.g, motion.contacts, scale)
    return compiled_seconds(lambda matrix, x: matrix @ x, factors, jnp.ones(len(factors)))


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


def measure(case: Problem) -> Timing:
    motion, frame = case.motion, case.motion.frame(case.point)
    contacts, g, generator = motion.contacts, motion.g, motion.generator
    scale = kernels.log_norm(frame.vectors, g, contacts.sizes)
    with threadpool_limits(1, user_api="blas"):
        parts = (
            compiled_seconds(kernels.overlaps, frame.vectors, frame.vectors, g, contacts, scale),
            compiled_seconds(kernels.force, frame, frame, g, contacts, generator, scale),
            compiled_seconds(gram_matrix, frame, frame, g, contacts, scale),
            compiled_seconds(gram_and_force, frame, g, contacts, generator, scale),
            compiled_seconds(Motion.velocity, motion, case.point),
        )
        gram = jax.jit(gram_matrix)(frame, frame, g, contacts, scale)
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


def product_shape(case: Problem) -> tuple[int, int, int]:
    """(pairs, images, parameters of a component) of the Gram matrix of all pairs."""
    frame = case.motion.frame(case.point)
    return len(frame.weights) ** 2, len(case.motion.contacts.share), frame.n_parameters


def gather_seconds(table: Array, rows: Array) -> float:
    return compiled_seconds(lambda t, r: t[r], table, rows)


def sums_gather(frame: Frame, contacts: Contacts) -> tuple[Array, Array]:
    """The table over contacts, three entries for every pair, and the contacts of all images."""
    return jnp.ones((contacts.n_contacts, 3, len(frame.weights) ** 2)), contacts.images.by_bra


def factors_gather(case: Problem) -> tuple[Array, Array]:
    """The one-site maps at all contacts, for every pair, and the factors of all products."""
    generator, n_pairs = case.motion.generator, len(case.point.weights) ** 2
    rows = jnp.concatenate([c.factors.ravel() for c in generator.couplings])
    return jnp.ones((len(generator.matrices) * case.motion.contacts.n_contacts, n_pairs)), rows


def gathered_bytes(table: Array, rows: Array) -> int:
    """Read and written by table[rows]."""
    return 16 * rows.size * (table.size // len(table))


def times_row(name: str, case: Problem, timing: Timing) -> str:
    _, order, q = product_shape(case)
    sizes = f"{order} | {case.motion.contacts.n_free} | {q * len(case.point.weights)}"
    return f"| {name} | {sizes} | " + " | ".join(f"{1e3 * s:.2f}" for s in (*timing.parts, *timing.cholesky)) + " |"


def bounds_row(name: str, case: Problem, timing: Timing, peaks: tuple[float, float, float]) -> str:
    xla, blas, copy = peaks
    pairs, order, q = product_shape(case)
    size = q * len(case.point.weights)
    frame, contacts = case.motion.frame(case.point), case.motion.contacts
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


def forms_row(length: int, symmetry: Symmetry, count: int) -> str:
    """A velocity with the Gram matrix in either form."""
    seconds, iterations = {}, 0.0
    for gram in ("matrix", "factors"):
        case = problem(length, symmetry, None, count, periodic=False, gram=gram)
        with threadpool_limits(1, user_api="blas"):
            seconds[gram] = compiled_seconds(Motion.velocity, *case)
            iterations = jax.jit(Motion.velocity)(*case)[1].metric.iterations
    _, order, q = product_shape(case)
    lattice = hx.Lattice.square(length, length)
    told = hx.estimate(hx.models.dissipative_ising(lattice), components=count, symmetry=symmetry).gram
    return (
        f"| {length}×{length} open | {symmetry or 'none'} | {count} | {order} | {q * count} | {iterations:.0f} "
        f"| {1e3 * seconds['matrix']:.2f} | {1e3 * seconds['factors']:.2f} "
        f"| {seconds['matrix'] / seconds['factors']:.2f} | {told} |"
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

## Matrix or factors

A velocity with the Gram matrix as a matrix (Cholesky) and as its factors (conjugate gradients to 1e-8), on open
lattices; the last column is what `gram="auto"` takes.

{{forms}}
"""


def main():
    peaks = xla_peak(), blas_peak(1), copy_bandwidth()
    times, bounds = [], []
    target = Path(__file__).parent / "results" / "kernels.md"
    for length, symmetry, window, count in CASES:
        name = f"{length}×{length} | {symmetry or 'none'} | {'' if window is None else window} | {count}"
        case = problem(length, symmetry, window, count)
        timing = measure(case)
        times.append(times_row(name, case, timing))
        bounds.append(bounds_row(name, case, timing, peaks))
        print(times[-1], bounds[-1], sep="\n", flush=True)
    forms = []
    for length, symmetry, count in FORMS:
        forms.append(forms_row(length, symmetry, count))
        print(forms[-1], flush=True)
    tables = {
        "times": "\n".join(TIMES_HEADER + times),
        "bounds": "\n".join(BOUNDS_HEADER + bounds),
        "forms": "\n".join(FORMS_HEADER + forms),
    }
    target.write_text(heading(peaks).format(**tables))
    print(f"Wrote {target}")


if __name__ == "__main__":
    main()
