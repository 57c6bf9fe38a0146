"""Time of the pair kernels and of the Cholesky factorisation, with one and with two BLAS threads.

Writes benchmarks/results/kernels.md.
"""

import platform
import time
from datetime import date
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from threadpoolctl import threadpool_limits

import husimix as hx
from husimix.phasespace import kernels
from husimix.phasespace.metric import site_metric
from husimix.physics.products import sum_of_products

REPEATS = 7


def median_ms(function, *arguments):
    jax.block_until_ready(function(*arguments))
    samples = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        samples.append(time.perf_counter() - began)
    return 1e3 * float(np.median(samples))


def frame_of(state, n_components):
    coordinates = 0.4 * jax.random.normal(jax.random.key(0), (n_components, state.n_sites, 3))
    manifold = state.manifold
    weights = jnp.full(n_components, 1.0 / n_components)
    return kernels.Frame(weights, manifold.vectors(coordinates), manifold.tangents(coordinates))


def main():
    lines = [
        "# Time of the kernels",
        "",
        "Milliseconds, medians of seven, dissipative Ising model on periodic squares. Cholesky is factorisation",
        "and solution of the Gram matrix of the same row, by OpenBLAS with one and two threads.",
        "",
        f"{date.today()}, {platform.processor() or platform.machine()}, {platform.system()}, 2 cores, "
        f"Python {platform.python_version()}, JAX {jax.__version__}.",
        "",
        "| lattice | K | group | parameters | overlaps | Gram | force | Gram + force | Cholesky 1 thread | 2 threads |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for length, count, symmetric in ((3, 8, True), (8, 4, True), (8, 8, True), (8, 8, False)):
        lattice = hx.Lattice.square(length, length, periodic=True)
        generator = sum_of_products(hx.models.dissipative_ising(lattice))
        group = hx.SymmetryGroup.translations(lattice) if symmetric else hx.SymmetryGroup.identity(length**2)
        state = hx.product_state(length**2)
        frame, g = frame_of(state, count), jnp.asarray(site_metric("husimi", state.basis))
        scale = kernels.log_norm(frame.vectors, g)
        gram = jax.jit(kernels.gram_matrix)(frame, frame, g, group, scale)
        damped = gram + 1e-6 * jnp.trace(gram) / len(gram) * jnp.eye(len(gram))

        @jax.jit
        def solve(matrix):
            return jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(matrix), jnp.ones((len(matrix), 2)))

        row = [
            median_ms(jax.jit(kernels.overlaps), frame.vectors, frame.vectors, g, group, scale),
            median_ms(jax.jit(kernels.gram_matrix), frame, frame, g, group, scale),
            median_ms(jax.jit(kernels.force), frame, frame, g, group, generator, scale),
            median_ms(jax.jit(kernels.gram_and_force), frame, g, group, generator, scale),
        ]
        for threads in (1, 2):
            with threadpool_limits(threads, user_api="blas"):
                row.append(median_ms(solve, damped))
        numbers = " | ".join(f"{x:.2f}" for x in row)
        lines.append(f"| {length}×{length} | {count} | {group.order} | {len(gram)} | {numbers} |")
        print(lines[-1], flush=True)
    target = Path(__file__).parent / "results" / "kernels.md"
    target.write_text("\n".join(lines) + "\n")
    print(f"Wrote {target}")


if __name__ == "__main__":
    main()
