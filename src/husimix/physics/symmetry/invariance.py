"""Whether a symmetry operation leaves a model in place, exactly, on its table of terms."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import scipy.sparse

from husimix._errors import argument_error
from husimix.physics.lindbladian import Lindbladian
from husimix.physics.operators import Operator, Product
from husimix.physics.symmetry.transformation import Transformation
from husimix.physics.termsum import TermSum

__all__ = ["Invariance", "broken_term"]

_TOLERANCE = 1e-12


def broken_term(model: Lindbladian, transformation: Transformation) -> str | None:
    """The first term of a model that a symmetry operation does not leave in place.

    The comparison is exact in both directions: the generator dρ/dt is the same function of ρ after the operation
    if and only if None is returned, up to 1e-12 of the largest coefficient. Channels may be exchanged, multiplied
    by a phase or mixed by a unitary matrix, and multiples of the identity may move between jump and Hamiltonian.

    Args:
        model: the Lindbladian.
        transformation: the operation.

    Returns:
        The term as text, or None if the model is symmetric. A term of the Hamiltonian is given after its share from
        multiples of the identity in the jumps was added.

    Raises:
        ValueError: if the operation acts on another number of sites or on sites of another dimension.
    """
    return Invariance(model).broken_term(transformation)


class Invariance:
    """`broken_term` of one model for many operations: the tables of the model are made once.

    Two tables settle a generator: the Hamiltonian, and the matrix C_pq = Σ_c γ_c l_cp l_cq* of the jumps
    L_c = Σ_p l_cp P_p in products P_p of basis operators. They are unique once the jumps have no trace, which
    L → L - l, H → H - (γ/2i)(l* L - l L†) achieves without a change of the generator.

    Args:
        model: the Lindbladian.
    """

    def __init__(self, model: Lindbladian):
        self._model = model
        self._channels = [c for c in model.dissipators if c.rate > 0]
        shifted = TermSum[Product, float]()
        sizes = [abs(f) for p, f in model.hamiltonian.terms.items() if p]
        for product, f in model.hamiltonian.terms.items():
            shifted.add(product, f.real)
        for channel in self._channels:
            constant = channel.operator.terms.get((), 0.0)
            for product, f in channel.operator.terms.items() if constant else ():
                shifted.add(product, -channel.rate * (constant.conjugate() * f).imag)
                sizes += [channel.rate * abs(constant * f)] if product else []
        self._tolerance = _TOLERANCE * max(sizes, default=0.0)
        self._hamiltonian = _tables((p, 0, f) for p, f in shifted.nonzero().items())
        self._jumps = _tables(
            (p, owner, math.sqrt(c.rate) * f)
            for owner, c in enumerate(self._channels)
            for p, f in c.operator.terms.items()
        )

    def broken_term(self, transformation: Transformation) -> str | None:
        """The first term that an operation does not leave in place; see the function `broken_term`."""
        transformation.check_fits("transformation", self._model.n_sites, self._model.basis.size)
        if transformation.n_sites > self._model.n_sites:
            raise argument_error("transformation", f"act on {self._model.n_sites} sites", transformation.n_sites)
        checks = [self._broken_hamiltonian, self._broken_channel]
        # The smaller table settles most operations that do not hold, such as translations of a driven boundary.
        if sum(len(t.owners) for t in self._jumps) < sum(len(t.owners) for t in self._hamiltonian):
            checks.reverse()
        return checks[0](transformation) or checks[1](transformation)

    def _broken_hamiltonian(self, transformation: Transformation) -> str | None:
        for here in self._hamiltonian:
            there = _moved(here, transformation)
            rows, _ = _row_numbers(here, there)
            both = np.concatenate([here.coefficients, there.coefficients])
            signs = np.repeat([1, -1], [len(here.owners), len(there.owners)])
            broken = np.abs(np.bincount(rows, signs * np.real(both)))[rows] > self._tolerance
            if broken.any():
                k = int(np.argmax(broken))
                sites, members = (np.concatenate(pair)[k].tolist() for pair in zip(here[:2], there[:2], strict=True))
                return repr(Operator({tuple(zip(sites, members, strict=True)): both[k]}, self._model.basis))
        return None

    def _broken_channel(self, transformation: Transformation) -> str | None:
        rows: list[tuple[np.ndarray, np.ndarray]] = []
        pairs = [(here, _moved(here, transformation)) for here in self._jumps]
        n_rows = 0
        for here, there in pairs:
            numbers, count = _row_numbers(here, there)
            rows.append((n_rows + numbers[: len(here.owners)], n_rows + numbers[len(here.owners) :]))
            n_rows += count
        if n_rows == 0:
            return None
        before, after = (
            _Factor(
                np.concatenate([row[side] for row in rows]),
                np.concatenate([pair[side].owners for pair in pairs]),
                np.concatenate([pair[side].coefficients for pair in pairs]),
                (n_rows, len(self._channels)),
            )
            for side in (0, 1)
        )
        # C - C' has as many rows and columns as there are products. Its product with random vectors is linear
        # in the number of terms, and a row of it vanishes only with the row itself.
        probe = np.random.default_rng(0).standard_normal((n_rows, 2, 2)) @ np.array([1, 1j])
        difference = np.abs(before.applied(probe) - after.applied(probe)).max(axis=1)
        broken = difference > _TOLERANCE * max(before.scale(), after.scale())
        if not broken.any():
            return None
        owner = next(factor.owners[hit][0] for factor in (before, after) if (hit := broken[factor.rows]).any())
        return repr(self._channels[owner])


class _Table(NamedTuple):
    """M products of q basis operators, each with a coefficient, and the number of the operator it belongs to."""

    sites: np.ndarray  # (M, q), increasing along each row
    members: np.ndarray  # (M, q)
    owners: np.ndarray  # (M,)
    coefficients: np.ndarray  # (M,) complex


def _tables(entries: Iterable[tuple[Product, int, complex]]) -> list[_Table]:
    """(product, owner, coefficient) as arrays, one table for each number of sites; the identity is left out."""
    grouped: dict[int, list[tuple[Product, int, complex]]] = {}
    for entry in entries:
        grouped.setdefault(len(entry[0]), []).append(entry)
    tables = []
    for q in sorted(grouped.keys() - {0}):
        products, owners, coefficients = zip(*grouped[q], strict=True)
        pairs = np.array(products, dtype=np.int64)
        tables.append(_Table(pairs[..., 0], pairs[..., 1], np.array(owners), np.array(coefficients, dtype=complex)))
    return tables


def _moved(table: _Table, transformation: Transformation) -> _Table:
    rows, sites, members, factors = transformation.images(table.sites, table.members)
    return _Table(sites, members, table.owners[rows], factors * table.coefficients[rows])


def _row_numbers(here: _Table, there: _Table) -> tuple[np.ndarray, int]:
    """A number for each product of both tables, equal for equal products, and the count of different ones."""
    sites, members = np.concatenate([here.sites, there.sites]), np.concatenate([here.members, there.members])
    letters = sites * (members.max() + 1) + members
    numbers = np.zeros(len(letters), dtype=np.int64)
    for column in letters.T:
        numbers = np.unique(numbers * (letters.max() + 1) + column, return_inverse=True)[1]
    return numbers, int(numbers.max()) + 1


class _Factor(NamedTuple):
    """A matrix A of products × channels such that C = A A†, by its entries."""

    rows: np.ndarray
    owners: np.ndarray
    coefficients: np.ndarray
    shape: tuple[int, int]

    def matrix(self) -> scipy.sparse.csr_array:
        return scipy.sparse.csr_array((self.coefficients, (self.rows, self.owners)), shape=self.shape)

    def applied(self, vectors: np.ndarray) -> np.ndarray:
        """C v for the columns v."""
        a = self.matrix()
        return a @ (a.conj().T @ vectors)

    def scale(self) -> float:
        """The size of the largest row of C, with no cancellation between channels."""
        a = abs(self.matrix())
        return float((a @ np.sqrt(a.power(2).sum(axis=0))).max())
