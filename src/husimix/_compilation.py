"""The persistent compilation cache: what was compiled once is read from disk in later sessions."""

import os
from pathlib import Path

import jax
import platformdirs

__all__ = ["keep_compiled"]

_VARIABLE = "HUSIMIX_CACHE"
# Compilations shorter than this cost less than the file that would hold them.
_SHORTEST_S = 0.02


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
