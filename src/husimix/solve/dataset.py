"""Results as labelled datasets and NetCDF files that tell how to repeat the run."""

import json
import os
import platform
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from husimix._errors import argument_error
from husimix._version import __version__
from husimix.phasespace.mixture import Mixture
from husimix.physics.lindbladian import Lindbladian

if TYPE_CHECKING:
    import xarray as xr

    from husimix.solve.result import Result

__all__ = ["from_dataset", "read", "to_dataset", "write"]

_FORMAT = 1
_GROUP = {
    "permutations": ("element", "site"),
    "labels": ("element", "site"),
    "maps": ("map", "operator", "operator_before"),
    "generators": ("generator",),
}
_LIBRARIES = ("jax", "jaxlib", "diffrax", "equinox", "numpy", "xarray")


def to_dataset(result: "Result") -> "xr.Dataset":
    """The labelled dataset of a result; see `Result.to_xarray`."""
    variables: dict[str, Any] = {"bloch": (("time", "site", "axis"), result.bloch, {"long_name": "Bloch vector"})}
    for name, values in result.expect.items():
        if np.iscomplexobj(values):
            parts = np.stack([np.real(values), np.imag(values)], axis=-1)
            variables[f"expect_{name}"] = (("time", "part"), parts)
        else:
            variables[f"expect_{name}"] = (("time",), values)
    for name, values in result.diagnostics.items():
        variables[f"diagnostic_{name}"] = (("time",), values)
    states = result.states or [result.final_state]
    variables["components"] = (("state",), np.array([s.n_components for s in states]))
    variables["weights"] = (("state", "component"), _stacked([np.asarray(s.weights) for s in states]))
    variables["coordinates"] = (
        ("state", "component", "site", "coordinate"),
        _stacked([np.asarray(s.coordinates) for s in states]),
    )
    arrays = result.final_state.to_arrays()
    for name, dimensions in _GROUP.items():
        variables[name] = (dimensions, arrays[name])
    coords: dict[str, Any] = {"time": result.times, "axis": ["x", "y", "z"]}
    if any(np.iscomplexobj(values) for values in result.expect.values()):
        coords["part"] = ["real", "imag"]
    if result.model.lattice is not None:
        variables["position"] = (("site", "dimension"), result.model.lattice.positions)
    import xarray as xr  # here, because it takes half a second of `import husimix`

    return xr.Dataset(variables, coords=coords, attrs=_attributes(result))


def _stacked(arrays: list[np.ndarray]) -> np.ndarray:
    """Arrays with as many rows each as the longest of them; what is missing is nan."""
    longest = max(len(a) for a in arrays)
    padding = [((0, longest - len(a)), *((0, 0),) * (a.ndim - 1)) for a in arrays]
    return np.stack([np.pad(a, p, constant_values=np.nan) for a, p in zip(arrays, padding, strict=True)])


def _attributes(result: "Result") -> dict[str, Any]:
    versions = {"husimix": __version__, "python": platform.python_version()}
    versions |= {name: version(name) for name in _LIBRARIES}
    return {
        "husimix_format": _FORMAT,
        "title": result.model.label or f"open spin system of {result.model.n_sites} sites",
        "status": result.status.name,
        "wall_time": result.wall_time,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": json.dumps(result.model.to_dict()),
        "settings": json.dumps(result.settings),
        "versions": json.dumps(versions),
        "state": json.dumps(result.final_state.to_dict() | {"saved_at_every_time": bool(result.states)}),
    }


def from_dataset(data: "xr.Dataset") -> dict[str, Any]:
    """The fields of a `Result` by name, the status as its name."""
    kind = json.loads(data.attrs["state"])
    group = {name: data[name].values for name in _GROUP}
    states = [
        Mixture.from_arrays({"weights": w[:n], "coordinates": x[:n], **group}, kind)
        for n, w, x in zip(data["components"].values, data["weights"].values, data["coordinates"].values, strict=True)
    ]
    expect = {}
    for name in data.data_vars:
        if str(name).startswith("expect_"):
            values = data[name].values
            complete = values[:, 0] + 1j * values[:, 1] if "part" in data[name].dims else values
            expect[str(name).removeprefix("expect_")] = complete
    diagnostics = {
        str(name).removeprefix("diagnostic_"): data[name].values
        for name in data.data_vars
        if str(name).startswith("diagnostic_")
    }
    return {
        "times": data["time"].values,
        "bloch": data["bloch"].values,
        "expect": expect,
        "final_state": states[-1],
        "diagnostics": diagnostics,
        "status": data.attrs["status"],
        "model": Lindbladian.from_dict(json.loads(data.attrs["model"])),
        "settings": json.loads(data.attrs["settings"]),
        "wall_time": float(data.attrs["wall_time"]),
        "states": states if kind["saved_at_every_time"] else [],
    }


def write(data: "xr.Dataset", path: Path) -> Path:
    """Write a dataset beside its place first, then move it there: a failure leaves no half of a file."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        data.to_netcdf(temporary, engine="h5netcdf")
        # mkstemp makes files for the owner alone; a result has the permissions of any other new file.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def read(path: Path) -> "xr.Dataset":
    """Read a dataset that `write` wrote. Raises ValueError, naming the path, for anything else."""
    import xarray as xr

    if not path.is_file():
        raise argument_error("path", "name an existing file", path)
    try:
        data = xr.load_dataset(path, engine="h5netcdf")
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        fix = "The file is cut off or is no NetCDF file; run again or restore a copy."
        raise argument_error("path", "name a readable NetCDF file", path, fix) from error
    if "husimix_format" not in data.attrs:
        raise argument_error("path", "name a result of husimix", path, "It is a NetCDF file of something else.")
    if data.attrs["husimix_format"] != _FORMAT:
        found = f"format {data.attrs['husimix_format']} in {path}"
        raise argument_error("path", f"name a result in format {_FORMAT}", found, "Upgrade husimix.")
    return data
