"""Expectation values of background and moments.

⟨Π B⟩ = Σ over sets w of the sites of Π_{i∉w} b_i · M_w. A moment that is not kept is the product of those of its parts
which no bond joins, and 0 where there is one part only or a part is a single site (docs/theory.md, after eq. 23).
"""

import itertools
from collections.abc import Mapping
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from husimix._errors import refusal
from husimix.clusters.moments import Lookup, MomentLayout, Point, Sites
from husimix.clusters.rows import numbered_rows
from husimix.physics.operators import Operator

__all__ = ["Measurement", "looked_up", "reduced_tensor"]


# Sites of the largest product: 2^12 choices of sites.
_MOST_SITES = 12


class _Factor(eqx.Module):
    """Moments of one part of the sites of some products.

    Attributes:
        moments: where they are found.
        strings: (P,) int, the string of letters of each product.
    """

    moments: Lookup
    strings: Int[Array, " product"]


class _Part(eqx.Module):
    """What one choice of sites w adds to some products of q sites.

    Attributes:
        outside: (P, q - |w|) int, places of the background of the sites that are not in w.
        factors: the moments of w, or those of its parts; none where w is empty.
        coefficients: (P,) complex.
    """

    outside: Int[Array, "product rest"]
    factors: tuple[_Factor, ...]
    coefficients: Complex[Array, " product"]


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
        """Tables have 2^q entries for each product of q sites. Raises ValueError for products of too many sites."""
        constant, parts = 0.0 + 0.0j, []
        for sites, members, coefficients in operator.products():
            q = sites.shape[1]
            if q == 0:
                constant += complex(coefficients.sum())
                continue
            if q > _MOST_SITES:
                fix = "Clusters keep correlations of few sites; measure products of fewer."
                raise refusal("observables", f"have products of at most {_MOST_SITES} sites", f"{q} sites", fix)
            products = _ProductTable(sites.astype(np.int64), members.astype(np.int64), coefficients.astype(complex))
            for n in (0, *range(2, q + 1)):
                for chosen in itertools.combinations(range(q), n):
                    parts += _parts_of(products, chosen, layout)
        return cls(jax.device_put(np.asarray(constant)), tuple(parts))

    def value(self, point: Point, sites: Sites, maps: Float[Array, "label letter letter"]) -> Complex[Array, ""]:
        """⟨O⟩. Cost: 2^q (D - 1)^q for each product of q sites."""
        background = sites.values(point.background, maps).reshape(-1)
        total = self.constant
        for part in self.parts:
            product = jnp.prod(background[part.outside], axis=1)
            for factor in part.factors:
                values = factor.moments.values(point.moments, maps)
                product = product * jnp.take_along_axis(values, factor.strings[:, None], axis=1)[:, 0]
            total = total + jnp.dot(part.coefficients, product.astype(complex))
        return total


class _ProductTable(NamedTuple):
    """Products of q one-site operators: (P, q) sites, (P, q) members of the basis, (P,) coefficients."""

    sites: np.ndarray
    members: np.ndarray
    coefficients: np.ndarray

    def of(self, chosen: np.ndarray) -> "_ProductTable":
        """Some of them."""
        return _ProductTable(*(x[chosen] for x in self))


def _parts_of(products: _ProductTable, chosen: tuple[int, ...], layout: MomentLayout) -> list[_Part]:
    """What sites `chosen` of all products add, by the parts that their moments are products of."""
    if not chosen:
        return [_part(products, (), (), layout)]
    rows = products.sites[:, list(chosen)]
    found = []
    for blocks, some in _factorised(rows, layout).items():
        columns = tuple(tuple(chosen[j] for j in block) for block in blocks)
        found.append(_part(products.of(some), chosen, columns, layout))
    return found


def _part(
    products: _ProductTable, chosen: tuple[int, ...], blocks: tuple[tuple[int, ...], ...], layout: MomentLayout
) -> _Part:
    """The part of some products whose moments of sites `chosen` are those of the blocks, all kept."""
    letters, rest = layout.letters, [j for j in range(products.sites.shape[1]) if j not in chosen]
    outside = products.sites[:, rest] * letters + products.members[:, rest] - 1
    factors = []
    for block in blocks:
        powers = letters ** np.arange(len(block) - 1, -1, -1)
        strings = (products.members[:, list(block)] - 1) @ powers
        lookup = layout.lookup(products.sites[:, list(block)])
        factors.append(_Factor(lookup, jax.device_put(strings.astype(np.int32))))
    placed = jax.device_put((outside.astype(np.int32), products.coefficients))
    return _Part(placed[0], tuple(factors), placed[1])


def _factorised(rows: np.ndarray, layout: MomentLayout) -> dict[tuple[tuple[int, ...], ...], np.ndarray]:
    """Sets of sites by the blocks of columns whose moments make up theirs: one block for what is kept.

    Returns:
        By blocks, the (R',) int rows, without those whose moments are 0.
    """
    kept = _is_kept(rows, layout)
    found: dict[tuple[tuple[int, ...], ...], np.ndarray] = {(tuple(range(rows.shape[1])),): np.flatnonzero(kept)}
    left = np.flatnonzero(~kept)
    patterns, which = numbered_rows(layout.family.parts(rows[left]))
    for number, pattern in enumerate(patterns):
        blocks = tuple(tuple(np.flatnonzero(pattern == first).tolist()) for first in np.unique(pattern))
        if len(blocks) < 2 or min(map(len, blocks)) < 2:
            continue
        some = left[which == number]
        whole = np.all([_is_kept(rows[some][:, list(block)], layout) for block in blocks], axis=0)
        found[blocks] = some[whole]
    return {blocks: some for blocks, some in found.items() if len(some)}


def _is_kept(rows: np.ndarray, layout: MomentLayout) -> np.ndarray:
    return layout.family.find(layout.orbits.canonical(rows).sites) >= 0


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
        values = looked_up(layout, moments, sites[np.array(chosen)])
        for places, value in zip(chosen, values, strict=True):
            at = tuple(slice(1, None) if j in places else 0 for j in range(n))
            central[at] = value.reshape((letters,) * size)
    for j, site in enumerate(sites):
        rows = np.moveaxis(central, j, 0)
        raised = rows[1:] + np.multiply.outer(background[site], rows[0])
        central = np.moveaxis(np.concatenate([rows[:1], raised]), 0, j)
    return central


def looked_up(layout: MomentLayout, moments: Mapping[int, np.ndarray], sets: np.ndarray) -> np.ndarray:
    """The moments of (R, n) sets of sites, (R, (D - 1)^n), in NumPy; those that are not kept by their parts."""
    n, letters = sets.shape[1], layout.letters
    total = np.zeros((len(sets), letters**n))
    for blocks, some in _factorised(sets, layout).items():
        values = np.ones((len(some), 1))
        for block in blocks:
            factor = _kept_moments(layout, moments[len(block)], sets[some][:, list(block)])
            values = (values[:, :, None] * factor[:, None, :]).reshape(len(some), -1)
        axes = np.argsort([j for block in blocks for j in block])
        tensor = values.reshape(-1, *(letters,) * n).transpose(0, *(1 + axes))
        total[some] = tensor.reshape(len(some), -1)
    return total


def _kept_moments(layout: MomentLayout, moments: np.ndarray, sets: np.ndarray) -> np.ndarray:
    """The moments of (R, n) kept sets of sites, (R, (D - 1)^n)."""
    found = layout.orbits.canonical(sets)
    values = moments[layout.family.find(found.sites)]
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
