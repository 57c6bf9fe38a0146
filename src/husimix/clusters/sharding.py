"""Tables that several devices share: each device has the rows of its own supports, and all moves into them.

Of S supports, device d of k has those from dB up to (d + 1)B, with B = ⌈S/k⌉. Nothing that a device computes for them
needs another device, so that rates are all that devices tell each other: once for each velocity and each number of
sites. What is not split, numbers that move among it, is the same on all devices.

Cost: each of k devices gathers and multiplies one k-th of what one alone would, and holds one k-th of the tables and of
what they gather; it receives all numbers once for each velocity, and each does all of the arithmetic of a step.
"""

import math
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

__all__ = ["AXIS", "Shares", "everywhere", "mesh_for", "placed", "replicated"]

AXIS = "moves"
"""The axis of devices that tables of moves are split along."""

# Its annotations lack the settings, which are attributes made at run time.
_CONFIG: Any = jax.config
# Numbers that moves into supports of one size gather, below which they are not split: one device gathers them in less
# time than several need to tell each other what they made of them.
_FEWEST = 1 << 20


def mesh_for(n_gathered: int) -> Mesh | None:
    """The devices that share moves which gather so many numbers; None where one device has all of them.

    These are the devices of JAX's default backend that this process has, unless `jax.default_device` names one.
    """
    devices = jax.local_devices()
    if n_gathered < _FEWEST or len(devices) == 1 or _CONFIG.jax_default_device is not None:
        return None
    return Mesh(np.array(devices), (AXIS,))


@dataclass(frozen=True)
class Shares:
    """How supports are shared.

    Attributes:
        n_supports: S.
        n_devices: k.
    """

    n_supports: int
    n_devices: int

    @property
    def n_rows(self) -> int:
        """kB, the supports and what fills up the last devices."""
        return self.n_devices * self._block

    @property
    def _block(self) -> int:
        return math.ceil(self.n_supports / self.n_devices)

    def numbered(self, supports: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
        """Where what belongs to supports stands on their devices.

        Args:
            supports: (R,) int, increasing.

        Returns:
            (R,) int the device of each, (R,) int its place there, and how many places each device needs.
        """
        device = supports // max(self._block, 1)
        counts = np.bincount(device, minlength=self.n_devices)
        place = np.arange(len(supports)) - (np.cumsum(counts) - counts)[device]
        return device, place, int(counts.max(initial=0))


def placed(tree: Any, specs: Any, mesh: Mesh | None) -> Any:
    """Tables on their devices, split as their specs say."""
    if mesh is None:
        return jax.device_put(tree)
    return jax.device_put(tree, jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs))


def replicated(rows: jax.Array, mesh: Mesh) -> jax.Array:
    """In compiled code: rows that were split, whole on every device."""
    return jax.lax.with_sharding_constraint(rows, NamedSharding(mesh, PartitionSpec()))


def everywhere(tree: Any) -> Any:
    """The same arrays, those on one device also on all others that share any of them.

    Compiled code would copy them at every call.
    """
    shardings = [x.sharding for x in jax.tree.leaves(tree) if isinstance(x, jax.Array)]
    meshes = [sharding.mesh for sharding in shardings if isinstance(sharding, NamedSharding)]
    if not meshes:
        return tree
    whole = NamedSharding(meshes[0], PartitionSpec())

    def copied(x: Any) -> Any:
        return jax.device_put(x, whole) if isinstance(x, jax.Array) and len(x.sharding.device_set) == 1 else x

    return jax.tree.map(copied, tree)
