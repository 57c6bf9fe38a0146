"""States in files: whatever their kind, those that are alike lie in one group."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from husimix.state import AbstractState, History, state_class

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["state_groups", "states_in"]

_PREFIX = "/states_"


def state_groups(states: Sequence[AbstractState]) -> "dict[str, xr.Dataset]":
    """The groups of a file that hold states, one for each kind and shape: files of many groups take seconds to read.

    Arrays that all states of a group have in common are kept once.
    """
    import xarray as xr  # here, because it takes half a second of `import husimix`

    alike: dict[str, list[tuple[int, AbstractState, dict[str, np.ndarray]]]] = {}
    for number, state in enumerate(states):
        arrays = state.to_arrays()
        shapes = {name: (array.shape, str(array.dtype)) for name, array in arrays.items()}
        alike.setdefault(json.dumps([state.kind, state.to_dict(), shapes]), []).append((number, state, arrays))
    groups = {}
    for members in alike.values():
        variables: dict[str, Any] = {
            "number": (("state",), np.array([number for number, *_ in members])),
            "history": (("state", "entry"), np.array([state.history for _, state, _ in members], dtype=float)),
        }
        for name, first in members[0][2].items():
            dims = tuple(f"{name}_{axis}" for axis in range(first.ndim))
            if all(np.array_equal(first, arrays[name]) for *_, arrays in members[1:]):
                variables[f"common_{name}"] = (dims, first)
            else:
                variables[f"each_{name}"] = (("state", *dims), np.stack([arrays[name] for *_, arrays in members]))
        state = members[0][1]
        attrs = {"kind": state.kind, "state": json.dumps(state.to_dict())}
        groups[f"{_PREFIX}{len(groups)}"] = xr.Dataset(variables, attrs=attrs)
    return groups


def states_in(groups: "Mapping[str, xr.Dataset]") -> list[AbstractState]:
    """All states of a file in their order."""
    found: dict[int, AbstractState] = {}
    for group, data in groups.items():
        if not group.startswith(_PREFIX):
            continue
        cls, kind = state_class(data.attrs["kind"]), json.loads(data.attrs["state"])
        for row, number in enumerate(data["number"].values.tolist()):
            arrays = {}
            for variable in map(str, data.data_vars):
                scope, _, name = variable.partition("_")
                if scope in ("common", "each"):
                    arrays[name] = data[variable].values if scope == "common" else data[variable].values[row]
            history = History(*data["history"].values[row].tolist())
            found[number] = cls.from_arrays(arrays, kind).with_history(history)
    return [found[number] for number in sorted(found)]
