"""Results as labelled datasets that tell how to repeat the run."""

import json
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from husimix._version import __version__
from husimix.phasespace.mixture import Mixture
from husimix.physics.lindbladian import Lindbladian
from husimix.solve.files import FORMAT

if TYPE_CHECKING:
    import xarray as xr

    from husimix.solve.result import Result

__all__ = [
    "attributes",
    "dataset",
    "from_dataset",
    "packed_states",
    "packed_values",
    "states_in",
    "to_dataset",
    "values_in",
]

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
    variables |= packed_values(result.expect, result.diagnostics, ("time",))
    states, kind = packed_states(result.states or [result.final_state])
    attrs = attributes("dynamics", result.model, result.settings, result.wall_time) | {
        "status": result.status.name,
        "state": json.dumps(kind | {"saved_at_every_time": bool(result.states)}),
    }
    return dataset(variables | states, result.model, attrs, time=result.times)


def dataset(variables: Mapping[str, Any], model: Lindbladian, attrs: Mapping[str, Any], **coords: Any) -> "xr.Dataset":
    """A dataset with the labels that all of them share: axes, parts of complex numbers, positions of sites."""
    import xarray as xr  # here, because it takes half a second of `import husimix`

    labels: dict[str, Any] = {"axis": ["x", "y", "z"]}
    if any("part" in dims for dims, *_ in variables.values()):
        labels["part"] = ["real", "imag"]
    places = {} if model.lattice is None else {"position": (("site", "dimension"), model.lattice.positions)}
    return xr.Dataset({**variables, **places}, coords=coords | labels, attrs=attrs)


def packed_values(
    expect: Mapping[str, Any], diagnostics: Mapping[str, Any], dims: tuple[str, ...]
) -> dict[str, tuple[Any, ...]]:
    """Variables `expect_NAME`, complex ones with a last dimension `part`, and `diagnostic_NAME`."""
    variables: dict[str, tuple[Any, ...]] = {}
    for name, values in expect.items():
        if np.iscomplexobj(values):
            parts = np.stack([np.real(values), np.imag(values)], axis=-1)
            variables[f"expect_{name}"] = ((*dims, "part"), parts)
        else:
            variables[f"expect_{name}"] = (dims, values)
    return variables | {f"diagnostic_{name}": (dims, values) for name, values in diagnostics.items()}


def values_in(data: "xr.Dataset") -> tuple[dict[str, Any], dict[str, Any]]:
    """The expectation values and the diagnostics of a dataset by name, as arrays."""
    expect, diagnostics = {}, {}
    for name, variable in data.data_vars.items():
        kind, _, rest = str(name).partition("_")
        values = variable.values
        if kind == "expect":
            expect[rest] = values[..., 0] + 1j * values[..., 1] if "part" in variable.dims else values
        elif kind == "diagnostic":
            diagnostics[rest] = values
    return expect, diagnostics


def packed_states(states: Sequence[Mixture]) -> tuple[dict[str, tuple[Any, ...]], dict[str, Any]]:
    """Variables that hold states of one group and manifold, and what kind of states they are, JSON-ready."""
    variables: dict[str, tuple[Any, ...]] = {
        "components": (("state",), np.array([s.n_components for s in states])),
        "weights": (("state", "component"), _stacked([np.asarray(s.weights) for s in states])),
        "coordinates": (
            ("state", "component", "site", "coordinate"),
            _stacked([np.asarray(s.coordinates) for s in states]),
        ),
    }
    arrays = states[-1].to_arrays()
    return variables | {name: (dims, arrays[name]) for name, dims in _GROUP.items()}, states[-1].to_dict()


def states_in(data: "xr.Dataset", kind: dict[str, Any]) -> list[Mixture]:
    """The states of a dataset that `packed_states` filled."""
    group = {name: data[name].values for name in _GROUP}
    rows = zip(data["components"].values, data["weights"].values, data["coordinates"].values, strict=True)
    return [Mixture.from_arrays({"weights": w[:n], "coordinates": x[:n], **group}, kind) for n, w, x in rows]


def _stacked(arrays: list[np.ndarray]) -> np.ndarray:
    """Arrays with as many rows each as the longest of them; what is missing is nan."""
    longest = max(len(a) for a in arrays)
    padding = [((0, longest - len(a)), *((0, 0),) * (a.ndim - 1)) for a in arrays]
    return np.stack([np.pad(a, p, constant_values=np.nan) for a, p in zip(arrays, padding, strict=True)])


def attributes(kind: str, model: Lindbladian, settings: Mapping[str, Any], wall_time: float) -> dict[str, Any]:
    """What a file says of itself: its kind, the model, how to repeat the run, and what made it."""
    versions = {"husimix": __version__, "python": platform.python_version()}
    versions |= {name: version(name) for name in _LIBRARIES}
    return {
        "husimix_format": FORMAT,
        "kind": kind,
        "title": model.label or f"open spin system of {model.n_sites} sites",
        "wall_time": wall_time,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": json.dumps(model.to_dict()),
        "settings": json.dumps(settings),
        "versions": json.dumps(versions),
    }


def from_dataset(data: "xr.Dataset") -> dict[str, Any]:
    """The fields of a `Result` by name, the status as its name."""
    kind = json.loads(data.attrs["state"])
    states = states_in(data, kind)
    expect, diagnostics = values_in(data)
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
