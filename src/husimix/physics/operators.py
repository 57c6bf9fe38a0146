"""Symbolic operators: sums of products of one-site basis operators, with the algebra of matrices.

An `Operator` is a table {product: coefficient}; a product is a sorted tuple of (site, a) pairs that stands for
⊗ B_a on the named sites and the identity elsewhere. Since the B_a are Hermitian, an operator is Hermitian
exactly when its coefficients are real.
"""

from collections.abc import Iterable, Iterator, Mapping
from numbers import Number
from typing import TYPE_CHECKING

import numpy as np

from husimix._errors import argument_error, check_integer
from husimix.physics.basis import SiteBasis, site_basis
from husimix.physics.termsum import TermSum

if TYPE_CHECKING:
    from husimix.physics.symmetry.transformation import Transformation

__all__ = ["Operator", "Product", "operator_sum", "pauli", "sigmam", "sigmap", "sigmax", "sigmay", "sigmaz"]

Product = tuple[tuple[int, int], ...]

_LETTERS: dict[str, dict[int, complex]] = {
    "x": {1: 1.0},
    "y": {2: 1.0},
    "z": {3: 1.0},
    "+": {1: 0.5, 2: 0.5j},
    "-": {1: 0.5, 2: -0.5j},
}


class Operator:
    """A sum of products of one-site operators, Σ_s f_s ⊗_i B_{a_i}.

    Operators add, subtract, and multiply with `*` or `@`; a scalar stands for that multiple of the identity.

    Args:
        terms: {((site, a), ...): coefficient} with increasing sites and 1 <= a < D; () is the identity.
        basis: the one-site basis that a counts in; spin ½ (x = 1, y = 2, z = 3) by default.
    """

    __slots__ = ("basis", "terms")
    # numpy scalars on the left must defer to __rmul__ instead of broadcasting over the operator.
    __array_ufunc__ = None

    def __init__(self, terms: Mapping[Product, complex], basis: SiteBasis | None = None):
        self.basis = site_basis(2) if basis is None else basis
        self.terms: dict[Product, complex] = {p: complex(f) for p, f in terms.items() if f != 0}

    @classmethod
    def local(cls, matrix: np.ndarray, site: int) -> "Operator":
        """The operator M on one site of any local dimension.

        Args:
            matrix: (d, d) complex M; d fixes the local dimension (3 for spin 1).
            site: the site it acts on.

        Returns:
            M on `site` as an `Operator`.

        Raises:
            ValueError: if `matrix` is not a finite square matrix or `site` is not a site index.
        """
        m = np.asarray(matrix, dtype=complex)
        if m.ndim != 2 or m.shape[0] != m.shape[1] or m.shape[0] < 2:
            raise argument_error("matrix", "be a square matrix of size at least 2", f"shape {m.shape}")
        if not np.isfinite(m).all():
            raise argument_error("matrix", "be finite", "an entry that is not")
        i = check_integer("site", site, 0)
        basis = site_basis(m.shape[0])
        coefficients = basis.components(m)
        coefficients[np.abs(coefficients) < 1e-15 * np.abs(coefficients).max()] = 0.0
        return cls({((i, a),) if a else (): f for a, f in enumerate(coefficients)}, basis)

    @property
    def sites(self) -> tuple[int, ...]:
        """The sites on which the operator acts, increasing."""
        return tuple(sorted({site for product in self.terms for site, _ in product}))

    @property
    def is_hermitian(self) -> bool:
        """Whether all coefficients are real up to rounding (1e-12 of the largest)."""
        return self.first_non_hermitian_term() is None

    def first_non_hermitian_term(self) -> str | None:
        """The first term whose coefficient is not real, as text, or None for a Hermitian operator."""
        scale = max((abs(f) for f in self.terms.values()), default=0.0)
        for product, f in self.terms.items():
            if not abs(f.imag) <= 1e-12 * scale:
                return self._format_term(product, f)
        return None

    def hermitian_part(self) -> "Operator":
        """½(O + O†), which keeps the real part of each coefficient."""
        return Operator({p: f.real for p, f in self.terms.items()}, self.basis)

    def dag(self) -> "Operator":
        """The Hermitian adjoint O†."""
        return Operator({p: f.conjugate() for p, f in self.terms.items()}, self.basis)

    def transformed(self, transformation: "Transformation") -> "Operator":
        """The operator U O U† after a symmetry operation U.

        Args:
            transformation: what happens to the sites; with a permutation p alone, site i is renamed to p[i].

        Returns:
            U O U† as an `Operator`.

        Raises:
            ValueError: if the operation has too few sites or rotates sites of another dimension.
        """
        transformation.check_fits("transformation", self.sites[-1] + 1 if self.sites else 0, self.basis.size)
        total = TermSum[Product, complex]()
        for sites, members, coefficients in self.products():
            rows, sites, members, factors = transformation.images(sites, members)
            weights = (factors * coefficients[rows]).tolist()
            for i, a, weight in zip(sites.tolist(), members.tolist(), weights, strict=True):
                total.add(tuple(zip(i, a, strict=True)), weight)
        return Operator(total.nonzero(), self.basis)

    def products(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """The terms as arrays, grouped by their number of sites q.

        Yields:
            For each q that occurs: sites (M, q) int, members a (M, q) int, coefficients (M,) complex.
        """
        grouped: dict[int, list[Product]] = {}
        for product in self.terms:
            grouped.setdefault(len(product), []).append(product)
        for q in sorted(grouped):
            table = np.array(grouped[q], dtype=np.int32).reshape(len(grouped[q]), q, 2)
            yield table[:, :, 0], table[:, :, 1], np.array([self.terms[p] for p in grouped[q]])

    def __add__(self, other: "Operator | complex") -> "Operator":
        return NotImplemented if not _is_operand(other) else operator_sum((self, self._lift(other)))

    __radd__ = __add__

    def __neg__(self) -> "Operator":
        return Operator({p: -f for p, f in self.terms.items()}, self.basis)

    def __sub__(self, other: "Operator | complex") -> "Operator":
        return NotImplemented if not _is_operand(other) else self + (-1 * other)

    def __rsub__(self, other: "Operator | complex") -> "Operator":
        return NotImplemented if not _is_operand(other) else -self + other

    def __mul__(self, other: "Operator | complex") -> "Operator":
        if not _is_operand(other):
            return NotImplemented
        if not isinstance(other, Operator):
            return Operator({p: f * complex(other) for p, f in self.terms.items()}, self.basis)
        self._require_same_basis(other)
        total = TermSum[Product, complex]()
        for p, f in self.terms.items():
            for q, h in other.terms.items():
                for product, weight in _multiply(p, q, self.basis).items():
                    total.add(product, f * h * weight)
        return Operator(total.nonzero(), self.basis)

    __matmul__ = __mul__

    def __rmul__(self, other: complex) -> "Operator":
        return self * other if _is_operand(other) else NotImplemented

    def __truediv__(self, other: complex) -> "Operator":
        if not isinstance(other, Number):
            return NotImplemented
        divisor = complex(other)
        if divisor == 0:
            raise argument_error("divisor", "be another number than 0", other)
        return self * (1 / divisor)

    def __pow__(self, exponent: int) -> "Operator":
        """The operator multiplied with itself, by repeated squaring; 0 gives the identity."""
        left = check_integer("exponent", exponent, 0)
        power, square = Operator({(): 1.0}, self.basis), self
        while left:
            power = power * square if left % 2 else power
            left //= 2
            square = square * square if left else square
        return power

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Operator):
            return NotImplemented
        return self.basis is other.basis and self.terms == other.terms

    __hash__ = None  # type: ignore[assignment]  # equality by value of a mutable table

    def _lift(self, other: "Operator | complex") -> "Operator":
        return other if isinstance(other, Operator) else Operator({(): complex(other)}, self.basis)

    def _require_same_basis(self, other: "Operator") -> None:
        if self.basis is not other.basis:
            raise ValueError(
                f"Operators on sites of dimension {self.basis.dimension} and {other.basis.dimension} "
                "cannot be combined. All sites of a model must have the same dimension."
            )

    def _format_term(self, product: Product, f: complex) -> str:
        number = f"{f.real:.6g}" if f.imag == 0 else f"({f:.6g})"
        return " ".join([number, *(f"{self.basis.labels[a]}{i}" for i, a in product)])

    def __repr__(self) -> str:
        shown = [self._format_term(p, f) for p, f in list(self.terms.items())[:8]]
        rest = len(self.terms) - len(shown)
        text = " + ".join(shown).replace("+ -", "- ") or "0"
        return text if rest == 0 else f"{text} + ... ({rest} more terms)"


def operator_sum(operators: Iterable[Operator]) -> Operator:
    """Σ of many operators in one pass, in time linear in the number of terms.

    Python's `sum` works too but copies the growing table at each step, which is slow beyond a thousand terms.

    Args:
        operators: the summands, all on sites of the same dimension; at least one.

    Returns:
        Their sum.

    Raises:
        ValueError: if there is none, if one is no operator, or if the local dimensions differ.
    """
    if not isinstance(operators, Iterable):
        raise argument_error("operators", "be a sequence of operators", repr(operators))
    summands = list(operators)
    if not summands:
        raise argument_error("operators", "hold at least one operator", "none")
    for operator in summands:
        if not isinstance(operator, Operator):
            fix = "Add numbers to the sum: 1 + hx.operator_sum([...])."
            raise argument_error("operators", "hold operators only", repr(operator), fix)
    total = TermSum[Product, complex]()
    for operator in summands:
        summands[0]._require_same_basis(operator)
        for product, f in operator.terms.items():
            total.add(product, f)
    return Operator(total.nonzero(), summands[0].basis)


def pauli(letters: str, *sites: int) -> Operator:
    """A product of Pauli operators of spin ½, one letter for each site: `pauli("zz", 0, 1)` is σz₀ σz₁.

    Args:
        letters: one of x y z + - for each site; σ± = ½(σx ± iσy) as in QuTiP, so "-" takes up (+z) to down.
        sites: the site of each letter, all different.

    Returns:
        The product as an `Operator`.

    Raises:
        ValueError: for an unknown letter, a number of sites other than the number of letters, a repeated or
            negative site.
    """
    if not isinstance(letters, str) or not letters:
        raise argument_error("letters", "be a string of the letters x y z + -", repr(letters))
    for letter in letters:
        if letter not in _LETTERS:
            raise argument_error("letters", "hold only the letters x y z + -", f"{letter!r} in {letters!r}")
    if len(sites) != len(letters):
        raise argument_error("sites", f"name {len(letters)} sites for {letters!r}", f"{len(sites)} of them")
    indices = [check_integer("sites", site, 0) for site in sites]
    if len(set(indices)) != len(indices):
        raise argument_error(
            "sites", "be all different", indices, "Multiply one-site operators to act twice on a site."
        )
    terms: dict[Product, complex] = {(): 1.0}
    for letter, i in zip(letters, indices, strict=True):
        terms = {(*p, (i, a)): f * h for p, f in terms.items() for a, h in _LETTERS[letter].items()}
    return Operator({tuple(sorted(p)): f for p, f in terms.items()})


def sigmax(site: int) -> Operator:
    """σx on `site` (spin ½)."""
    return pauli("x", site)


def sigmay(site: int) -> Operator:
    """σy on `site` (spin ½)."""
    return pauli("y", site)


def sigmaz(site: int) -> Operator:
    """σz on `site` (spin ½); |0⟩ = up has σz = +1."""
    return pauli("z", site)


def sigmap(site: int) -> Operator:
    """σ⁺ = ½(σx + iσy) = |up⟩⟨down| on `site` (spin ½)."""
    return pauli("+", site)


def sigmam(site: int) -> Operator:
    """σ⁻ = ½(σx - iσy) = |down⟩⟨up| on `site` (spin ½): decay from +z to -z."""
    return pauli("-", site)


def _is_operand(value: object) -> bool:
    return isinstance(value, Operator | Number)


def _multiply(p: Product, q: Product, basis: SiteBasis) -> dict[Product, complex]:
    """(⊗ B_a)(⊗ B_b) expanded in the basis, site by site, with the multiplication table."""
    left, right = dict(p), dict(q)
    result: dict[Product, complex] = {(): 1.0}
    for site in sorted(left.keys() | right.keys()):
        row = basis.product[left.get(site, 0), right.get(site, 0)]
        factors = [(c, row[c]) for c in np.flatnonzero(row)]
        result = {
            (*product, (site, int(c))) if c else product: f * h for product, f in result.items() for c, h in factors
        }
    return result
