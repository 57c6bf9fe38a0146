"""Strict by default: float64, no silent rank or dtype promotion, seeded keys."""

import jax
import pytest
from hypothesis import settings

import husimix  # noqa: F401  # switches JAX to float64 before anything else does

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

# Compilation makes the first example of a property slow; time is no property here.
settings.register_profile("husimix", deadline=None, derandomize=True)
settings.load_profile("husimix")


@pytest.fixture
def getkey():
    """A source of fresh random keys that is the same in every run of a test."""
    state = {"key": jax.random.key(2604)}

    def fresh():
        state["key"], key = jax.random.split(state["key"])
        return key

    return fresh
