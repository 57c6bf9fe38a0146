"""What is compiled once: kept on disk for later sessions, and begun in a thread before it is needed."""

import contextlib
import os
import threading
from pathlib import Path
from typing import Any

import jax
import platformdirs

__all__ = ["compile_beside", "keep_compiled"]

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


def compile_beside(function: Any, *arguments: Any) -> threading.Thread:
    """Begin to compile a jitted function in a thread, while this one goes on.

    JAX keeps the program for the calls that follow with arguments of the same shapes. If compilation fails, these calls
    raise the error.

    Args:
        function: what `jax.jit` or `equinox.filter_jit` returned.
        *arguments: as it will be called.

    Returns:
        The thread, to wait for with `join`; a call that comes too soon compiles once more.
    """
    # Traced here, since two threads in Python get in each other's way.
    lowered = function.lower(*arguments)

    def compile_it() -> None:
        with contextlib.suppress(Exception):
            lowered.compile()

    thread = threading.Thread(target=compile_it)
    thread.start()
    return thread
