"""Symmetry groups of a model as arrays of site permutations, and the check that a model obeys one.

A permutation p moves site i to p[i]. The average of a state over the group is what one mixture component
stands for when a group is in use (docs/theory.md, eq. 13).
"""

import math
from collections import Counter
from typing import Any

import equinox as eqx
import numpy as np
from sympy.combinatorics import Permutation, PermutationGroup

from husimix._errors import argument_error, check_integer
from husimix.physics.lattice import Lattice
from husimix.physics.lindbladian import Lindbladian
from husimix.physics.operators import Operator

__all__ = ["SymmetryGroup", "broken_term"]


class SymmetryGroup(eqx.Module):
    """A finite group of site permutations.

    Attributes:
        permutations: (G, N) int; element g moves site i to permutations[g, i]. Element 0 is the identity.
        sources: (G, N) int; the inverse permutations, so that site j receives what was at sources[g, j].
        generators: (M, N) int; permutations whose products are all elements, enough to test for symmetry.
    """

    permutations: np.ndarray
    sources: np.ndarray
    generators: np.ndarray

    @classmethod
    def identity(cls, n_sites: int) -> "SymmetryGroup":
        """The group of one element: no symmetry is used."""
        identity = np.arange(check_integer("n_sites", n_sites, 1))[None]
        return cls.of_elements(identity, identity[:0])

    @classmethod
    def translations(cls, lattice: Lattice) -> "SymmetryGroup":
        """All translations along the periodic directions of a lattice."""
        elements = lattice.translations()
        # The shifts come in row-major order, so that a step along one direction is one stride away.
        lengths = [n if closed else 1 for n, closed in zip(lattice.shape, lattice.periodic, strict=True)]
        strides = [math.prod(lengths[i + 1 :]) for i in range(len(lengths))]
        steps = [stride for stride, length in zip(strides, lengths, strict=True) if length > 1]
        return cls.of_elements(elements, elements[steps])

    @classmethod
    def generated(cls, generators: np.ndarray) -> "SymmetryGroup":
        """The smallest group that contains the given permutations.

        Args:
            generators: (M, N) int, rows p with p[i] the site to which site i moves.

        Returns:
            The group with all its elements.

        Raises:
            ValueError: if a row is not a permutation of 0 ... N - 1.
        """
        try:
            rows = np.atleast_2d(np.asarray(generators))
        except ValueError:
            raise argument_error("generators", "be permutations of equal length", generators) from None
        for row in rows:
            if row.dtype.kind not in "iu" or not np.array_equal(np.sort(row), np.arange(rows.shape[1])):
                raise argument_error("generators", f"be permutations of 0 ... {rows.shape[1] - 1}", row)
        group: Any = PermutationGroup([Permutation([int(i) for i in row]) for row in rows])
        elements = np.array([element.array_form for element in group.elements])
        return cls.of_elements(elements[np.lexsort(elements.T[::-1])], rows)

    @classmethod
    def of_elements(cls, permutations: np.ndarray, generators: np.ndarray) -> "SymmetryGroup":
        """The group with the given elements and generators, both (., N) int; they are taken at their word."""
        inverse = np.argsort(permutations, axis=1)
        return cls(*(array.astype(np.int32) for array in (permutations, inverse, generators)))

    @property
    def order(self) -> int:
        """G, the number of elements."""
        return len(self.permutations)

    @property
    def n_sites(self) -> int:
        """N, the number of sites."""
        return self.permutations.shape[1]

    def __repr__(self) -> str:
        return f"SymmetryGroup(order {self.order}, {self.n_sites} sites)"


def broken_term(model: Lindbladian, permutation: np.ndarray) -> str | None:
    """The first term of a model that a site permutation does not leave in place.

    Dissipators are compared as the channels that they are: by γ L ⊗ L†, so that a permutation may exchange
    equal channels.

    Args:
        model: the Lindbladian.
        permutation: (N,) int, site i moves to permutation[i].

    Returns:
        The term as text, or None if the model is symmetric.
    """
    moved = model.hamiltonian.permuted(permutation).terms
    scale = max((abs(f) for f in moved.values()), default=0.0)
    # As many terms before as after: if each is found again, none is new.
    for product, f in model.hamiltonian.terms.items():
        if abs(moved.get(product, 0.0) - f) > 1e-12 * scale:
            return repr(Operator({product: f}, model.basis))
    channels = [c for c in model.dissipators if c.rate > 0]
    strength = max((c.rate * abs(f) ** 2 for c in channels for f in c.operator.terms.values()), default=1.0)
    here = [_channel_key(c.operator, c.rate / strength) for c in channels]
    there = Counter(_channel_key(c.operator.permuted(permutation), c.rate / strength) for c in channels)
    counts = Counter(here)
    for channel, key in zip(channels, here, strict=True):
        if there[key] != counts[key]:
            return repr(channel)
    return None


def _channel_key(jump: Operator, rate: float) -> tuple[object, ...]:
    """A value that is equal for two channels whose γ L ⊗ L† are equal up to 1e-10; rates are at most of order 1."""
    terms = sorted(jump.terms.items())
    first = terms[0][1] if terms else 1.0
    phase = first / abs(first)
    return tuple((p, complex(np.round(np.sqrt(rate) * f / phase, 10))) for p, f in terms)
