"""Steady states and scans as labelled datasets, one for each group of a file."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from husimix.phasespace.mixture import Mixture
from husimix.physics.lindbladian import Lindbladian
from husimix.solve.dataset import attributes, dataset, packed_states, packed_values, states_in, values_in

if TYPE_CHECKING:
    import xarray as xr

    from husimix.solve.scan import Scan
    from husimix.solve.steadystate import SteadyState

__all__ = ["scan_groups", "scan_parts", "scan_to_dataset", "steady_groups", "steady_parts", "steady_to_dataset"]

NUMBERS = {
    "residual": "‖𝓛R‖/‖R‖",
    "speed": "‖Ṙ‖/‖R‖",
    "drift": "largest rate of change of an expectation value",
    "gap": "slowest relaxation rate",
    "disagreement": "largest difference between starts",
}
"""Of every steady state, with what they are."""


def steady_to_dataset(found: "SteadyState") -> "xr.Dataset":
    """The labelled dataset of a steady state, without its states; see `SteadyState.to_xarray`."""
    variables: dict[str, Any] = {"bloch": (("site", "axis"), found.bloch, {"long_name": "Bloch vector"})}
    variables |= packed_values(found.expect, found.diagnostics, ())
    variables |= {name: ((), getattr(found, name), {"long_name": text}) for name, text in NUMBERS.items()}
    attrs = attributes("steadystate", found.model, found.settings, found.wall_time)
    return dataset(variables, found.model, attrs | {"status": found.status.name})


def steady_groups(found: "SteadyState") -> "dict[str, xr.Dataset]":
    """The groups of a file: all but the states, the state, and those of the other starts."""
    import xarray as xr

    groups = {"/": steady_to_dataset(found)}
    for number, state in enumerate([found.state, *found.alternatives]):
        variables, kind = packed_states([state])
        groups[f"/state_{number}"] = xr.Dataset(variables, attrs={"state": json.dumps(kind)})
    return groups


def steady_parts(groups: "Mapping[str, xr.Dataset]", prefix: str = "") -> dict[str, Any]:
    """The fields of a `SteadyState` by name, the status as its name."""
    data = groups[prefix or "/"]
    expect, diagnostics = values_in(data)
    first, *others = _states(groups, prefix)
    return {
        "state": first,
        "bloch": data["bloch"].values,
        "expect": {name: values.item() for name, values in expect.items()},
        **{name: float(data[name]) for name in NUMBERS},
        "alternatives": others,
        "diagnostics": {name: values.item() for name, values in diagnostics.items()},
        "status": data.attrs["status"],
        "model": Lindbladian.from_dict(json.loads(data.attrs["model"])),
        "settings": json.loads(data.attrs["settings"]),
        "wall_time": float(data.attrs["wall_time"]),
    }


def scan_to_dataset(scan: "Scan") -> "xr.Dataset":
    """The labelled dataset of a scan, without its states; see `Scan.to_xarray`."""
    ways = {"forward": scan.forward} | ({"backward": scan.backward} if scan.backward else {})
    rows = [list(found) for found in ways.values()]
    dims, first = ("way", "value"), scan.forward[0]

    def grid(of: Any) -> np.ndarray:
        return np.array([[of(found) for found in row] for row in rows])

    variables: dict[str, Any] = {"bloch": ((*dims, "site", "axis"), grid(lambda f: f.bloch))}
    variables |= packed_values(
        {name: grid(lambda f, name=name: f.expect[name]) for name in first.expect},
        {name: grid(lambda f, name=name: f.diagnostics[name]) for name in first.diagnostics},
        dims,
    )
    for name, text in NUMBERS.items():
        variables[name] = (dims, grid(lambda f, name=name: getattr(f, name)), {"long_name": text})
    variables["status"] = (dims, grid(lambda f: f.status.name))
    seconds = sum(found.wall_time for row in rows for found in row)
    attrs = attributes("scan", first.model, first.settings | {"values": scan.values.tolist()}, seconds)
    return dataset(
        variables,
        first.model,
        attrs | {"parameter": scan.name, "status": scan.status.name},
        way=list(ways),
        value=scan.values,
    )


def scan_groups(scan: "Scan") -> "dict[str, xr.Dataset]":
    """The groups of a file: all but the states, and the groups of every steady state."""
    groups = {"/": scan_to_dataset(scan)}
    for way, found in (("forward", scan.forward), ("backward", scan.backward)):
        for number, steady in enumerate(found):
            inside = steady_groups(steady)
            groups |= {f"/{way}_{number}{name.rstrip('/')}": data for name, data in inside.items()}
    return groups


def scan_parts(groups: "Mapping[str, xr.Dataset]") -> dict[str, Any]:
    """The values and name of a scan, and the fields of its steady states on each way."""
    data = groups["/"]
    numbers = range(data.sizes["value"])
    ways = {w: [steady_parts(groups, f"/{w}_{n}") for n in numbers] for w in map(str, data["way"].values)}
    return {
        "values": data["value"].values,
        "name": data.attrs["parameter"],
        "forward": ways["forward"],
        "backward": ways.get("backward", []),
    }


def _states(groups: "Mapping[str, xr.Dataset]", prefix: str) -> list[Mixture]:
    states = []
    while (name := f"{prefix}/state_{len(states)}") in groups:
        states += states_in(groups[name], json.loads(groups[name].attrs["state"]))
    return states
