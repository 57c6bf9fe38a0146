"""The part of a point that has the symmetry which its layout assumes.

An operation that maps a kept support onto itself ties the moments of that support to each other: those of a bond whose
sites may be exchanged have M_ab = M_ba. All of them are kept, and equations read those of other supports through any
one of the operations that lead there. What breaks the ties is no state of that symmetry; it stays out of the equations,
where rounding could let it grow.
"""

from typing import Any, NamedTuple, Self

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float, Int

from husimix.clusters.moments import Lookup, MomentLayout, Point

__all__ = ["Symmetrisation"]


class _Tied(NamedTuple):
    """The supports of n sites that operations map onto themselves.

    Attributes:
        lookup: of the E images of their moments under these operations.
        owners: (E,) int, which of the tied supports each image is of.
        shares: (E,) one over the number of images of the support.
        places: (T,) int, where the tied supports stand among the kept ones.
    """

    lookup: Lookup
    owners: Int[Array, " image"]
    shares: Float[Array, " image"]
    places: Int[Array, " tied"]

    def average(self, moments: Array, maps: Array) -> Array:
        """The moments of all kept supports, those of tied ones averaged over their images."""
        images = self.lookup.values({self.lookup.n: moments}, maps) * self.shares[:, None]
        return moments.at[self.places].set(jax.ops.segment_sum(images, self.owners, len(self.places)))


class Symmetrisation(eqx.Module):
    """The projection of points onto those that have the symmetry of a layout: a mean over stabilisers.

    Attributes:
        tied: by n = 1, 2, …, where there are any.
    """

    tied: dict[int, _Tied]

    @classmethod
    def of(cls, layout: MomentLayout) -> Self:
        """For all numbers of a layout. Cost: that of a search for orbits."""
        rows = {1: layout.sites[:, None]} | layout.family.by_size
        made = {} if layout.orbits.is_trivial else {n: _tied(layout, some) for n, some in rows.items()}
        return cls({n: tied for n, tied in made.items() if tied is not None})

    def __call__(self, point: Point, maps: Float[Array, "label letter letter"]) -> Point:
        """The nearest point with the symmetry. Cost: that of reading the images of tied supports."""
        background, moments = point.background, dict(point.moments)
        for n, tied in self.tied.items():
            if n == 1:
                background = tied.average(background, maps)
            else:
                moments[n] = tied.average(moments[n], maps)
        return Point(background, moments)


def _tied(layout: MomentLayout, rows: np.ndarray) -> _Tied | None:
    owners, images = layout.orbits.stabilisers(rows)
    counts = np.bincount(owners, minlength=len(rows))
    chosen, tied = counts[owners] > 1, np.flatnonzero(counts > 1)
    if not len(tied):
        return None
    owners, images = owners[chosen], type(images)(*(part[chosen] for part in images))
    numbers: Any = np.searchsorted(tied, owners).astype(np.int32)
    shares: Any = 1.0 / counts[owners]
    places: Any = tied.astype(np.int32)
    return jax.device_put(_Tied(layout.lookup_of(images, owners), numbers, shares, places))
