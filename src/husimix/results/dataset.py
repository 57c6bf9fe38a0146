"""What results have in common as labelled datasets that tell how to repeat the run."""

import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from husimix._version import __version__
from husimix.physics.lindbladian import Lindbladian
from husimix.results.files import FORMAT

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["attributes", "labelled", "local_variable", "packed_values", "read_attributes", "values_in"]

_LIBRARIES = ("jax", "jaxlib", "diffrax", "equinox", "numpy", "xarray")


def local_variable(values: np.ndarray, dims: tuple[str, ...]) -> tuple[Any, ...]:
    """The variable `bloch` of (..., N, D) one-site expectation values: all of them but the identity."""
    return ((*dims, "site", "axis"), values[..., 1:], {"long_name": "one-site expectation values"})


def labelled(variables: Mapping[str, Any], model: Lindbladian, attrs: Mapping[str, Any], **coords: Any) -> "xr.Dataset":
    """A dataset with the labels that all of them share: operators, parts of complex numbers, positions of sites."""
    import xarray as xr  # here, because it takes half a second of `import husimix`

    labels: dict[str, Any] = {"axis": list(model.basis.labels[1:])}
    if any("part" in dims for dims, *_ in variables.values()):
        labels["part"] = ["real", "imag"]
    places = {} if model.lattice is None else {"position": (("site", "dimension"), model.lattice.positions)}
    return xr.Dataset({**variables, **places}, coords=coords | labels, attrs=attrs)


def packed_values(prefix: str, values: Mapping[str, Any], dims: tuple[str, ...]) -> dict[str, tuple[Any, ...]]:
    """Variables PREFIX_NAME, complex ones with a last dimension `part`."""
    variables: dict[str, tuple[Any, ...]] = {}
    for name, array in values.items():
        if np.iscomplexobj(array):
            parts = np.stack([np.real(array), np.imag(array)], axis=-1)
            variables[f"{prefix}_{name}"] = ((*dims, "part"), parts)
        else:
            variables[f"{prefix}_{name}"] = (dims, array)
    return variables


def values_in(prefix: str, data: "xr.Dataset") -> dict[str, Any]:
    """The arrays that `packed_values` made variables of, by name."""
    found = {}
    for variable in map(str, data.data_vars):
        kind, _, name = variable.partition("_")
        if kind == prefix:
            values = data[variable].values
            found[name] = values[..., 0] + 1j * values[..., 1] if "part" in data[variable].dims else values
    return found


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


def read_attributes(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Model, settings and wall time, as `attributes` wrote them."""
    return {
        "model": Lindbladian.from_dict(json.loads(attrs["model"])),
        "settings": json.loads(attrs["settings"]),
        "wall_time": float(attrs["wall_time"]),
    }
