"""Compiled programs: made quickly, kept on disk, dropped before there are too many, LAPACK on one thread."""

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import equinox as eqx
import jax
import platformdirs
import scipy.linalg.cython_lapack  # noqa: F401  # JAX's LAPACK; loaded before the limit of threads is set on it
from threadpoolctl import threadpool_limits

__all__ = ["compiled", "drop_compiled_if_many", "keep_compiled", "one_blas_thread"]

Arguments = ParamSpec("Arguments")
Value = TypeVar("Value")

_VARIABLE = "HUSIMIX_CACHE"
# Compilations shorter than this cost less than the file that would hold them.
_SHORTEST_S = 0.02
# Of the memory maps that Linux allows a process; one run may need some thousand more.
_MANY = 0.5


# Its annotations lack what it passes on to `jax.jit`.
_JIT: Any = eqx.filter_jit
# LLVM's first level of optimisation: programs are ready in three quarters of the time, and run as fast.
_ON_CPU = {"xla_backend_optimization_level": 1}


def compiled(function: Callable[Arguments, Value]) -> Callable[Arguments, Value]:
    """A function that JAX compiles where it is called, as `equinox.filter_jit` does, for the default backend then.

    It is an entry from the host: JAX refuses these settings where a compiled function calls another.
    """

    @functools.cache
    def program() -> Callable[Arguments, Value]:
        options = _ON_CPU if jax.default_backend() == "cpu" else None
        return _JIT(function, compiler_options=options)

    @functools.wraps(function)
    def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Value:
        return program()(*args, **kwargs)

    return call


def keep_compiled() -> None:
    """Keep compiled code in the user's cache folder, unless the user has decided otherwise.

    The environment variable HUSIMIX_CACHE names another folder, or switches the cache off with "off". A folder that
    was given to JAX already stays. A folder that cannot be written is no error: JAX then compiles as it would
    without.
    """
    chosen = os.environ.get(_VARIABLE, "")
    if chosen.lower() == "off" or jax.config.values["jax_compilation_cache_dir"] is not None:
        return
    folder = Path(chosen) if chosen else Path(platformdirs.user_cache_dir("husimix"))
    jax.config.update("jax_compilation_cache_dir", str(folder.expanduser()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _SHORTEST_S)


def drop_compiled_if_many() -> None:
    """Drop all compiled programs when they take up half of the memory maps that a process may have.

    XLA maps every kernel apart, some 750 maps for each new shape of a run, and Linux allows 65530 (vm.max_map_count):
    without this, a process ends at some ninety shapes. What is needed again is read from the cache on disk. Counting
    takes 2 µs for each map. Where there is no /proc, nothing is done.
    """
    try:
        allowed = int(Path("/proc/sys/vm/max_map_count").read_text())
        taken = Path("/proc/self/maps").read_bytes().count(b"\n")
    except OSError:
        return
    if taken > _MANY * allowed:
        jax.clear_caches()


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep the LAPACK that compiled programs call on one thread.

    OpenBLAS threads wait by spinning; beside any other load, Cholesky factorisations of a few hundred rows take
    hundreds of times longer with two threads than with one (benchmarks/results).
    """
    with threadpool_limits(1, user_api="blas"):
        yield
