"""Decay channels that differ only in where they act, told once: a lattice has thousands, of few kinds."""

import functools
from typing import NamedTuple

import numpy as np

from husimix.physics.lindbladian import Lindbladian

__all__ = ["AlikeChannels", "alike_channels"]


class AlikeChannels(NamedTuple):
    """Channels γ D[L] whose jump operators are the same sum of products on other sites.

    Attributes:
        rate: γ > 0.
        products: of L, for each its sites as places in a row of `sites`, its letters, and its coefficient.
        sites: (C, n) int, the sites of each channel, increasing along each row.
        numbers: (C,) int, which of `Lindbladian.dissipators` each is.
    """

    rate: float
    products: tuple[tuple[tuple[int, ...], tuple[int, ...], complex], ...]
    sites: np.ndarray
    numbers: np.ndarray


@functools.lru_cache(maxsize=4)
def alike_channels(model: Lindbladian) -> tuple[AlikeChannels, ...]:
    """The channels of a model with a rate above zero, by kind, in the order of the first of each.

    Cost: linear in the number of terms.
    """
    kinds: dict[tuple[object, ...], list[tuple[int, tuple[int, ...]]]] = {}
    for number, channel in enumerate(model.dissipators):
        if channel.rate > 0:
            terms, sites = channel.operator.terms, channel.operator.sites
            place = {site: n for n, site in enumerate(sites)}
            products = tuple(
                (tuple(place[i] for i, _ in product), tuple(a for _, a in product), f) for product, f in terms.items()
            )
            kinds.setdefault((channel.rate, products), []).append((number, sites))
    found = []
    for (rate, products), members in kinds.items():
        numbers, sites = zip(*members, strict=True)
        found.append(AlikeChannels(rate, products, np.array(sites, dtype=np.int64), np.array(numbers)))  # type: ignore[arg-type]
    return tuple(found)
