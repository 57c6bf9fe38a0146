"""Whether a symmetry operation leaves a model in place, exactly, on its table of terms."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.sparse

from husimix._errors import argument_error
from husimix.physics.lindbladian import Lindbladian
from husimix.physics.operators import Operator, Product
from husimix.physics.symmetry.transformation import Transformation
from husimix.physics.terms import AlikeChannels, alike_channels, hamiltonian_products, real_products
from husimix.physics.termsum import TermSum

__all__ = ["Invariance", "broken_term"]

_TOLERANCE = 1e-12
# Of a number that stands for a product.
_BITS = 62


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
        alike = alike_channels(model)
        products, sizes = _without_traces(model, alike)
        self._tolerance = _TOLERANCE * max(sizes, default=0.0)
        numbers = model.n_sites, model.basis.size
        self._hamiltonian = [
            _Known(_Table(sites, members, np.zeros(len(sites), dtype=int), coefficients), *numbers)
            for sites, members, coefficients in products
        ]
        self._jumps = [_Known(table, *numbers) for table in _tables_of_jumps(alike)]
        most = 2 * sum(len(known.table.owners) for known in self._jumps)
        # C - C' has as many rows and columns as there are products. Its product with random vectors is linear
        # in the number of terms, and a row of it vanishes only with the row itself.
        self._probe = np.random.default_rng(0).standard_normal((most, 2, 2)) @ np.array([1, 1j])
        self._own: _Factor | None = None

    def broken_term(self, transformation: Transformation) -> str | None:
        """The first term that an operation does not leave in place; see the function `broken_term`."""
        transformation.check_fits("transformation", self._model.n_sites, self._model.basis.size)
        if transformation.n_sites > self._model.n_sites:
            raise argument_error("transformation", f"act on {self._model.n_sites} sites", transformation.n_sites)
        checks = [self._broken_hamiltonian, self._broken_channel]
        # The smaller table settles most operations that do not hold, such as translations of a driven boundary.
        if sum(len(k.table.owners) for k in self._jumps) < sum(len(k.table.owners) for k in self._hamiltonian):
            checks.reverse()
        return checks[0](transformation) or checks[1](transformation)

    def _broken_hamiltonian(self, transformation: Transformation) -> str | None:
        for known in self._hamiltonian:
            here, there = known.table, known.table.moved(transformation)
            before, after, count = known.row_numbers(there)
            difference = np.bincount(before, here.coefficients, count) - np.bincount(after, there.coefficients, count)
            broken = np.abs(difference) > self._tolerance
            for table, rows in ((here, before), (there, after)):
                if broken[rows].any():
                    k = int(np.argmax(broken[rows]))
                    product = tuple(zip(table.sites[k].tolist(), table.members[k].tolist(), strict=True))
                    return repr(Operator({product: table.coefficients[k].item()}, self._model.basis))
        return None

    def _broken_channel(self, transformation: Transformation) -> str | None:
        if not self._jumps:
            return None
        moved = [known.table.moved(transformation) for known in self._jumps]
        numbered = [known.row_numbers(there) for known, there in zip(self._jumps, moved, strict=True)]
        own, others, counts = zip(*numbered, strict=True)
        before = self._before(own, counts)
        after = _Factor.of(moved, others, counts, self._probe)
        difference = np.abs(before.probed - after.probed).max(axis=1)
        broken = difference > _TOLERANCE * max(before.scale, after.scale)
        if not broken.any():
            return None
        owner = next(factor.owners[hit][0] for factor in (before, after) if (hit := broken[factor.rows]).any())
        return repr(self._model.dissipators[owner])

    def _before(self, rows: Sequence[np.ndarray], counts: Sequence[int]) -> "_Factor":
        """The factor of the model itself. Operations that bring no new products leave its rows as they are."""
        tables = [known.table for known in self._jumps]
        if any(some is not known.rows for some, known in zip(rows, self._jumps, strict=True)):
            return _Factor.of(tables, rows, counts, self._probe)
        if self._own is None:
            self._own = _Factor.of(tables, rows, counts, self._probe)
        return self._own


def _without_traces(
    model: Lindbladian, alike: Sequence[AlikeChannels]
) -> tuple[tuple[tuple[np.ndarray, np.ndarray, np.ndarray], ...], list[float]]:
    """The products of the Hamiltonian beside jump operators without multiples of the identity, and how large terms are
    by themselves, before any cancel."""
    shifted, sizes = TermSum[Product, float](), []
    for kind in alike:
        constant = next((f for places, _, f in kind.products if not places), 0.0)
        for places, letters, f in kind.products if constant else ():
            for sites in kind.sites[:, list(places)].tolist():
                shifted.add(tuple(zip(sites, letters, strict=True)), -kind.rate * (constant.conjugate() * f).imag)
            sizes += [kind.rate * abs(constant * f)] if places else []
    products = hamiltonian_products(model)
    sizes += [float(np.abs(f).max()) for _, _, f in products]
    if not shifted.nonzero():
        return products, sizes
    for product, f in model.hamiltonian.terms.items():
        shifted.add(product, f.real)
    return real_products(Operator(shifted.nonzero(), model.basis)), sizes


class _Table(NamedTuple):
    """M products of q basis operators, each with a coefficient, and the number of the operator it belongs to."""

    sites: np.ndarray  # (M, q), increasing along each row
    members: np.ndarray  # (M, q)
    owners: np.ndarray  # (M,)
    coefficients: np.ndarray  # (M,) float or complex

    def moved(self, transformation: Transformation) -> "_Table":
        """What an operation makes of the products."""
        rows, sites, members, factors = transformation.images(self.sites, self.members)
        return _Table(sites, members, self.owners[rows], factors * self.coefficients[rows])


def _tables_of_jumps(alike: Sequence[AlikeChannels]) -> list[_Table]:
    """The products √γ l_cp P_p of all channels, one table for each number of sites; the identity is left out."""
    grouped: dict[int, list[_Table]] = {}
    for kind in alike:
        for places, letters, f in kind.products:
            if places:
                sites = kind.sites[:, list(places)]
                members = np.tile(letters, (len(sites), 1))
                coefficients = np.full(len(sites), math.sqrt(kind.rate) * f, dtype=complex)
                grouped.setdefault(len(places), []).append(_Table(sites, members, kind.numbers, coefficients))
    return [_Table(*(np.concatenate(x) for x in zip(*grouped[q], strict=True))) for q in sorted(grouped)]


class _Known:
    """A table whose different products are numbered, so that those of its images need only be looked up.

    Args:
        table: of products.
        n_sites: N.
        size: D.

    Attributes:
        table: as given.
        rows: (M,) int, the number of each product; empty where products are too long to be numbered.
    """

    def __init__(self, table: _Table, n_sites: int, size: int):
        self.table = table
        self._size, self._base = size, n_sites * size
        self.rows = np.zeros(0, dtype=np.int64)
        self._is_short = table.sites.shape[1] * math.log2(self._base) < _BITS
        if self._is_short:
            self._keys, self.rows = np.unique(self._key(table), return_inverse=True)

    def row_numbers(self, there: _Table) -> tuple[np.ndarray, np.ndarray, int]:
        """A number for each product of this table and of another, equal for equal products, and the count of different
        ones. Cost: that of a sort, less where all products of the other are among those of this one."""
        if self._is_short:
            keys = self._key(there)
            rows = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
            if (self._keys[rows] == keys).all():
                return self.rows, rows, len(self._keys)
        here = self.table
        letters = np.concatenate([here.sites, there.sites]) * self._size + np.concatenate([here.members, there.members])
        numbers = np.zeros(len(letters), dtype=np.int64)
        for column in letters.T:
            numbers = np.unique(numbers * self._base + column, return_inverse=True)[1]
        return numbers[: len(here.sites)], numbers[len(here.sites) :], int(numbers.max()) + 1

    def _key(self, table: _Table) -> np.ndarray:
        """(M,) int, a number for each product."""
        letters = table.sites.astype(np.int64) * self._size + table.members
        return letters @ self._base ** np.arange(letters.shape[1], dtype=np.int64)


class _Factor(NamedTuple):
    """A matrix A of products × channels such that C = A A†.

    Attributes:
        rows, owners: (E,) int, of its entries.
        probed: C v of random vectors v, one column each.
        scale: the size of the largest row of C, with no cancellation between channels.
    """

    rows: np.ndarray
    owners: np.ndarray
    probed: np.ndarray
    scale: float

    @classmethod
    def of(
        cls, tables: Sequence[_Table], rows: Sequence[np.ndarray], counts: Sequence[int], probe: np.ndarray
    ) -> "_Factor":
        """The matrix of some tables whose products have these numbers, table by table."""
        starts = np.cumsum(counts) - counts
        places = np.concatenate([start + some for start, some in zip(starts, rows, strict=True)])
        owners = np.concatenate([table.owners for table in tables])
        coefficients = np.concatenate([table.coefficients for table in tables])
        n_products = int(sum(counts))
        a = scipy.sparse.csr_array((coefficients, (places, owners)), shape=(n_products, int(owners.max()) + 1))
        moduli = abs(a)
        scale = float((moduli @ np.sqrt(moduli.power(2).sum(axis=0))).max())
        return cls(places, owners, a @ (a.conj().T @ probe[:n_products]), scale)
