"""The terms of a model as arrays, made once for all who ask: products of the Hamiltonian, and channels by kind.

A lattice has thousands of channels that differ only in where they act.
"""

import functools
from typing import NamedTuple

import numpy as np

from husimix.physics.lindbladian import Lindbladian
from husimix.physics.operators import Operator

__all__ = ["AlikeChannels", "alike_channels", "hamiltonian_products", "real_products"]


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


def real_products(operator: Operator) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], ...]:
    """The products of one and more sites of a Hermitian operator, see `Operator.products`, with real coefficients."""
    return tuple((sites, letters, np.real(f)) for sites, letters, f in operator.products() if sites.shape[1])


@functools.lru_cache(maxsize=4)
def hamiltonian_products(model: Lindbladian) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], ...]:
    """The products of H of one and more sites, see `real_products`."""
    return real_products(model.hamiltonian)


@functools.lru_cache(maxsize=4)
def alike_channels(model: Lindbladian) -> tuple[AlikeChannels, ...]:
    """The channels of a model with a rate above zero, by kind, in the order of the first of each.

    Cost: linear in the number of terms.
    """
    kinds: dict[tuple[object, ...], list[tuple[int, tuple[int, ...]]]] = {}
    for number, channel in enumerate(model.dissipators):
        if channel.rate > 0:
            terms = channel.operator.terms
            sites = tuple(sorted({site for product in terms for site, _ in product}))
            place = {site: n for n, site in enumerate(sites)}
            products = tuple(
                [
                    (tuple([place[i] for i, _ in product]), tuple([a for _, a in product]), f)
                    for product, f in terms.items()
                ]
            )
            kinds.setdefault((channel.rate, products), []).append((number, sites))
    found = []
    for (rate, products), members in kinds.items():
        numbers, sites = zip(*members, strict=True)
        found.append(AlikeChannels(rate, products, np.array(sites, dtype=np.int64), np.array(numbers)))  # type: ignore[arg-type]
    return tuple(found)
