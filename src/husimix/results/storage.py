"""Whatever the solvers return, read from files."""

import os
from pathlib import Path

from husimix._errors import argument_error
from husimix.results import files
from husimix.results.result import Result
from husimix.results.scan import Scan
from husimix.results.steady_state import SteadyState

__all__ = ["load"]

_KINDS = {"dynamics": Result, "steadystate": SteadyState, "scan": Scan}


def load(path: str | os.PathLike[str]) -> Result | SteadyState | Scan:
    """Read what `Result.save`, `SteadyState.save` or `Scan.save` wrote.

    Args:
        path: a NetCDF file.

    Returns:
        What was saved, with its model and states ready to use.

    Raises:
        ValueError: if there is no such file, or it is not a result of husimix, or it is cut off.
    """
    groups = files.read(Path(path))
    kind = groups["/"].attrs.get("kind")
    if kind not in _KINDS:
        raise argument_error("path", "name a result that this husimix knows", repr(kind), "Upgrade husimix.")
    return _KINDS[kind].from_groups(groups)
