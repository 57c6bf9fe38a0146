"""Expectation values of background and moments.

⟨Π B⟩ = Σ over sets w of the sites of Π_{i∉w} b_i · M_w: what is not kept counts as 0 (docs/theory.md, eq. 23).
"""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from husimix.clusters.moments import Lookup, MomentLayout, Point, Sites
from husimix.clusters.orbits import Canonical
from husimix.physics.operators import Operator

__all__ = ["Measurement", "looked_up", "reduced_tensor"]


class _Part(eqx.Module):
    """What one choice of sites w adds to all products of q sites.

    Attributes:
        outside: (P, q - |w|) int, places of the background of the sites that are not in w.
        moments: where the moments of w are found; None where w is empty.
        strings: (P,) int, the string of letters on w.
        coefficients: (P,) complex.
        n: |w|.
    """

    outside: Int[Array, "product rest"]
    moments: Lookup | None
    strings: Int[Array, " product"]
    coefficients: Complex[Array, " product"]
    n: int = eqx.field(static=True)


class Measurement(eqx.Module):
    """An operator made ready to be measured at many points of one layout.

    Attributes:
        constant: the coefficient of the identity.
        parts: the rest.
    """

    constant: Complex[Array, ""]
    parts: tuple[_Part, ...]

    @classmethod
    def of(cls, operator: Operator, layout: MomentLayout) -> "Measurement":
        """Tables have 2^q entries for each product of q sites."""
        constant, parts = 0.0 + 0.0j, []
        for sites, members, coefficients in operator.products():
            q = sites.shape[1]
            if q == 0:
                constant += complex(coefficients.sum())
                continue
            for n in (0, *range(2, q + 1)):
                for chosen in itertools.combinations(range(q), n):
                    part = _part(sites.astype(np.int64), members.astype(np.int64), coefficients, chosen, layout)
                    parts += [] if part is None else [part]
        return cls(jax.device_put(np.asarray(constant)), tuple(parts))

    def value(self, point: Point, sites: Sites, maps: Float[Array, "label letter letter"]) -> Complex[Array, ""]:
        """⟨O⟩. Cost: 2^q (D - 1)^q for each product of q sites."""
        background = sites.values(point.background, maps).reshape(-1)
        total = self.constant
        for part in self.parts:
            factor = jnp.prod(background[part.outside], axis=1)
            if part.moments is not None:
                values = part.moments.values(point.moments, maps)
                factor = factor * jnp.take_along_axis(values, part.strings[:, None], axis=1)[:, 0]
            total = total + jnp.dot(part.coefficients, factor.astype(complex))
        return total


def _part(
    sites: np.ndarray, members: np.ndarray, coefficients: np.ndarray, chosen: tuple[int, ...], layout: MomentLayout
) -> _Part | None:
    """The part of sites `chosen` of all products; None if no such moments are kept."""
    q, n, letters = sites.shape[1], len(chosen), layout.letters
    rest = [j for j in range(q) if j not in chosen]
    lookup = None
    if n:
        found = layout.orbits.canonical(sites[:, list(chosen)])
        place = layout.family.find(found.sites)
        kept = place >= 0
        if not kept.any():
            return None
        lookup = layout.lookup_of(Canonical(*(x[kept] for x in found)), place[kept])
        sites, members, coefficients = sites[kept], members[kept], coefficients[kept]
    outside = sites[:, rest] * letters + members[:, rest] - 1
    powers = letters ** np.arange(n - 1, -1, -1)
    strings = (members[:, list(chosen)] - 1) @ powers if n else np.zeros(len(sites), dtype=int)
    placed = {
        "outside": outside.astype(np.int32),
        "strings": strings.astype(np.int32),
        "coefficients": coefficients.astype(complex),
    }
    return _Part(moments=lookup, n=n, **jax.device_put(placed))


def reduced_tensor(
    layout: MomentLayout, background: np.ndarray, moments: dict[int, np.ndarray], sites: np.ndarray
) -> np.ndarray:
    """⟨B_a1 ⊗ … ⊗ B_an⟩ of some sites, (D, …, D), in NumPy.

    Args:
        layout: of the moments.
        background: (N, D - 1) of every site.
        moments: by number of sites, those that are kept.
        sites: (n,) int, different sites.
    """
    n, letters = len(sites), layout.letters
    central = np.zeros((letters + 1,) * n)
    central[(0,) * n] = 1.0
    for size in range(2, n + 1):
        chosen = list(itertools.combinations(range(n), size))
        if size not in moments:
            continue
        values = looked_up(layout, moments[size], sites[np.array(chosen)])
        for places, value in zip(chosen, values, strict=True):
            at = tuple(slice(1, None) if j in places else 0 for j in range(n))
            central[at] = value.reshape((letters,) * size)
    for j, site in enumerate(sites):
        rows = np.moveaxis(central, j, 0)
        raised = rows[1:] + np.multiply.outer(background[site], rows[0])
        central = np.moveaxis(np.concatenate([rows[:1], raised]), 0, j)
    return central


def looked_up(layout: MomentLayout, moments: np.ndarray, sets: np.ndarray) -> np.ndarray:
    """The moments of (R, n) sets of sites, (R, (D - 1)^n), in NumPy; what is not kept is 0."""
    found = layout.orbits.canonical(sets)
    place = layout.family.find(found.sites)
    values = np.concatenate([moments, np.zeros((1, moments.shape[1]))])[place]
    n, letters, maps = sets.shape[1], layout.letters, layout.orbits.maps
    tensor = values.reshape(-1, *(letters,) * n)
    # The axes of the representative in the order of the sites of the set, then its local maps undone.
    rows = np.arange(len(tensor)).reshape(-1, *(1,) * n)
    digits = np.indices((letters,) * n)
    index = np.zeros((n, len(tensor), *(letters,) * n), dtype=int)
    for j in range(n):
        axis = found.axes[:, j].reshape(-1, *(1,) * n)
        for k in range(n):
            index[k] = np.where(axis == k, digits[j], index[k])
    tensor = tensor[(rows, *index)]
    if len(maps) > 1:
        for j in range(n):
            moved = np.moveaxis(tensor, 1 + j, -1)
            tensor = np.moveaxis(np.einsum("r...b,rab->r...a", moved, maps[found.labels[:, j]]), -1, 1 + j)
    return tensor.reshape(values.shape)
