"""Steady states and scans as labelled datasets, one for each group of a file: the numbers, then the states."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from husimix.phasespace.mixture import Mixture
from husimix.physics.lindbladian import Lindbladian
from husimix.solve.dataset import attributes, dataset, packed_states, packed_values, states_in, values_in

if TYPE_CHECKING:
    import xarray as xr

    from husimix.solve.scan import Scan
    from husimix.solve.steadystate import SteadyState

__all__ = [
    "NUMBERS",
    "scan_groups",
    "scan_parts",
    "scan_to_dataset",
    "steady_groups",
    "steady_parts",
    "steady_to_dataset",
]

NUMBERS = {
    "residual": "‖𝓛R‖/‖R‖",
    "speed": "‖Ṙ‖/‖R‖",
    "drift": "largest rate of change of an expectation value",
    "gap": "slowest relaxation rate that was seen, an estimate",
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
    """The groups of a file: the numbers, then the state and those of the other starts."""
    return {"/": steady_to_dataset(found)} | _state_groups([found.state, *found.alternatives])


def steady_parts(groups: "Mapping[str, xr.Dataset]") -> dict[str, Any]:
    """The fields of a `SteadyState` by name, the status as its name."""
    data = groups["/"]
    return _parts(data, _states(groups)) | {
        "status": data.attrs["status"],
        "model": Lindbladian.from_dict(json.loads(data.attrs["model"])),
        "settings": json.loads(data.attrs["settings"]),
        "wall_time": float(data.attrs["wall_time"]),
    }


def scan_to_dataset(scan: "Scan") -> "xr.Dataset":
    """The labelled dataset of a scan, without its states; see `Scan.to_xarray`."""
    ways = {"forward": scan.forward} | ({"backward": scan.backward} if scan.backward else {})
    rows = list(ways.values())
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
    variables |= {
        "status": (dims, grid(lambda f: f.status.name)),
        "model": (dims, grid(lambda f: json.dumps(f.model.to_dict()))),
        "settings": (dims, grid(lambda f: json.dumps(f.settings))),
        "wall_time": (dims, grid(lambda f: f.wall_time)),
        "n_states": (dims, grid(lambda f: 1 + len(f.alternatives))),
    }
    seconds = sum(found.wall_time for row in rows for found in row)
    attrs = attributes("scan", first.model, first.settings | {"values": scan.values.tolist()}, seconds)
    name = first.model.label.partition("(")[0] or attrs["title"]
    title = f"{name}, {scan.name} = {scan.values[0]:g} to {scan.values[-1]:g}"
    attrs |= {"parameter": scan.name, "status": scan.status.name, "title": title}
    return dataset(variables, first.model, attrs, way=list(ways), value=scan.values)


def scan_groups(scan: "Scan") -> "dict[str, xr.Dataset]":
    """The groups of a file: the numbers, then all states."""
    states = [state for f in (*scan.forward, *scan.backward) for state in (f.state, *f.alternatives)]
    return {"/": scan_to_dataset(scan)} | _state_groups(states)


def scan_parts(groups: "Mapping[str, xr.Dataset]") -> dict[str, Any]:
    """The values and name of a scan, and the fields of its steady states on each way."""
    data, states = groups["/"], iter(_states(groups))
    ways: dict[str, list[dict[str, Any]]] = {"forward": [], "backward": []}
    for way in map(str, data["way"].values):
        for number in range(data.sizes["value"]):
            one = data.sel(way=way).isel(value=number)
            ways[way].append(
                _parts(one, [next(states) for _ in range(int(one["n_states"]))])
                | {
                    "status": str(one["status"].values),
                    "model": Lindbladian.from_dict(json.loads(str(one["model"].values))),
                    "settings": json.loads(str(one["settings"].values)),
                    "wall_time": float(one["wall_time"]),
                }
            )
    return {"values": data["value"].values, "name": data.attrs["parameter"], **ways}


def _parts(data: "xr.Dataset", states: Sequence[Mixture]) -> dict[str, Any]:
    """What a steady state and a point of a scan keep alike."""
    expect, diagnostics = values_in(data)
    return {
        "state": states[0],
        "alternatives": list(states[1:]),
        "bloch": data["bloch"].values,
        "expect": {name: values.item() for name, values in expect.items()},
        "diagnostics": {name: values.item() for name, values in diagnostics.items()},
        **{name: float(data[name]) for name in NUMBERS},
    }


def _state_groups(states: Sequence[Mixture]) -> "dict[str, xr.Dataset]":
    """Groups of states that are averaged over the same elements: a file of many groups takes seconds to read."""
    import xarray as xr

    alike: dict[str, list[int]] = {}
    for number, state in enumerate(states):
        arrays = [
            array.tobytes() for name, array in state.to_arrays().items() if name not in ("weights", "coordinates")
        ]
        kind = hashlib.sha256(b"".join([json.dumps(state.to_dict()).encode(), *arrays])).hexdigest()
        alike.setdefault(kind, []).append(number)
    groups = {}
    for numbers in alike.values():
        variables, kind = packed_states([states[n] for n in numbers])
        variables["number"] = (("state",), np.array(numbers))
        groups[f"/states_{len(groups)}"] = xr.Dataset(variables, attrs={"state": json.dumps(kind)})
    return groups


def _states(groups: "Mapping[str, xr.Dataset]") -> list[Mixture]:
    """All states in their order."""
    found: dict[int, Mixture] = {}
    for name, data in groups.items():
        if name.startswith("/states_"):
            states = states_in(data, json.loads(data.attrs["state"]))
            found |= dict(zip(data["number"].values.tolist(), states, strict=True))
    return [found[number] for number in sorted(found)]
