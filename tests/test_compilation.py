"""Compiled code is kept on disk, where the user wants it."""

import os
import subprocess
import sys

import pytest

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
