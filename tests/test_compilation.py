"""Compiled code is kept on disk, where the user wants it; no program is compiled twice."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import husimix as hx
from husimix import _compilation

SCRIPT = "import jax, husimix; print(jax.config.values['jax_compilation_cache_dir'])"


def folder(tmp_path, script=SCRIPT, **variables):
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)} | variables
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("chosen", "expected"), [("", "{}/husimix"), ("off", "None"), ("OFF", "None"), ("{}/other", "{}/other")]
)
def test_the_cache_folder_follows_the_environment(tmp_path, chosen, expected):
    if not sys.platform.startswith("linux") and not chosen:
        pytest.skip("the default folder is named by the platform")
    assert folder(tmp_path, HUSIMIX_CACHE=chosen.format(tmp_path)) == expected.format(tmp_path)


def test_a_folder_given_to_jax_stays(tmp_path):
    script = "import jax; jax.config.update('jax_compilation_cache_dir', '/mine');" + SCRIPT
    assert folder(tmp_path, script, HUSIMIX_CACHE="") == "/mine"


@pytest.fixture
def compiled(caplog):
    """What has been compiled since, one message for each program."""
    jax.clear_caches()
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        yield lambda: [m for r in caplog.records if "Finished XLA compilation" in (m := r.getMessage())]


def test_dynamics_compile_each_program_once(compiled):
    model = hx.models.dissipative_ising(hx.Lattice.chain(3, periodic=True))
    hx.mesolve(model, hx.product_state(3), np.linspace(0, 1, 4), ansatz=hx.Mixture(components=2), progress=False)
    for name in ("_start", "advance", "snapshots"):
        assert sum(f"jit({name})" in message for message in compiled()) == 1, name


def test_steady_states_compile_each_program_once(compiled):
    model = hx.models.dissipative_ising(hx.Lattice.chain(3, periodic=True))
    hx.steadystate(model, ansatz=hx.Mixture(components=2), progress=False)
    for name in ("_start", "advance", "snapshots", "_at_rest", "_look"):
        assert sum(f"jit({name})" in message for message in compiled()) == 1, name


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux limits memory maps")
def test_programs_are_dropped_before_there_are_too_many(monkeypatch):
    def taken():
        return Path("/proc/self/maps").read_bytes().count(b"\n")

    model, state = hx.models.dissipative_ising(hx.Lattice.chain(3, periodic=True)), hx.product_state(3)

    def run(components):
        return hx.mesolve(
            model, state, np.linspace(0, 0.2, 3), ansatz=hx.Mixture(components=components), progress=False
        )

    jax.clear_caches()
    first, few = run(2), taken()
    run(3)
    assert taken() > few + 200
    allowed = int(Path("/proc/sys/vm/max_map_count").read_text())
    monkeypatch.setattr(_compilation, "_MANY", (few + 200) / allowed)
    again = run(2)
    assert taken() < few + 200
    np.testing.assert_array_equal(again.bloch, first.bloch)
