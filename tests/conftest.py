"""Strict by default: float64, no silent rank or dtype promotion, seeded keys."""

import itertools
import os
from pathlib import Path

import jax
import pytest
from hypothesis import settings

import husimix  # noqa: F401  # switches JAX to float64 before anything else does
from husimix._compilation import drop_compiled_if_many

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

# Compilation makes the first example of a property slow; time is no property here.
settings.register_profile("husimix", deadline=None, derandomize=True)
settings.load_profile("husimix")


_COUNT = itertools.count(1)
# Beyond this, what tests before have compiled is dropped.
_MOST_GIB = 1.2


@pytest.fixture(autouse=True)
def _few_programs():
    """Thousands of tests of kernels compile more programs than a process can hold."""
    if next(_COUNT) % 20 == 0:
        drop_compiled_if_many()
        if _resident_gib() > _MOST_GIB:
            jax.clear_caches()


def _resident_gib():
    """The memory of this process, where /proc tells it."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**30


@pytest.fixture
def getkey():
    """A source of fresh random keys that is the same in every run of a test."""
    state = {"key": jax.random.key(2604)}

    def fresh():
        state["key"], key = jax.random.split(state["key"])
        return key

    return fresh
