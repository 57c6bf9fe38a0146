"""Strict by default: float64, no silent rank or dtype promotion, seeded keys."""

import itertools

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


@pytest.fixture(autouse=True)
def _few_programs():
    """Thousands of tests of kernels compile more programs than a process can hold."""
    if next(_COUNT) % 20 == 0:
        drop_compiled_if_many()


@pytest.fixture
def getkey():
    """A source of fresh random keys that is the same in every run of a test."""
    state = {"key": jax.random.key(2604)}

    def fresh():
        state["key"], key = jax.random.split(state["key"])
        return key

    return fresh
