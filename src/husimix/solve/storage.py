"""Whatever the solvers return, read from files."""

import os
from pathlib import Path
from typing import Any

from husimix._errors import argument_error
from husimix.solve import files
from husimix.solve.dataset import from_dataset
from husimix.solve.journey import Status
from husimix.solve.result import Result
from husimix.solve.scan import Scan
from husimix.solve.steady_dataset import scan_parts, steady_parts
from husimix.solve.steadystate import SteadyState

__all__ = ["load"]


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
    match groups["/"].attrs.get("kind"):
        case "dynamics":
            return Result(**_with_status(from_dataset(groups["/"])))
        case "steadystate":
            return SteadyState(**_with_status(steady_parts(groups)))
        case "scan":
            parts = scan_parts(groups)
            forward, backward = ([SteadyState(**_with_status(p)) for p in parts[w]] for w in ("forward", "backward"))
            return Scan(parts["values"], forward, backward, parts["name"])
        case kind:
            raise argument_error("path", "name a result that this husimix knows", repr(kind), "Upgrade husimix.")


def _with_status(parts: dict[str, Any]) -> dict[str, Any]:
    return parts | {"status": Status[parts["status"]]}
