"""The Lindbladian as a real sum of products of one-site maps, the view that the pair kernels use.

In the Hermitian basis dR/dt = 𝓛R with 𝓛 = Σ_t w_t ⊗_{i∈t} A_t^{(i)}, every A a real D×D matrix
(docs/theory.md, eqs. 4 to 6). Each product of complex one-site maps ℓ(B_a) r(B_b) = X + iY expands into
products of the real X and Y. The products of q sites form one `Coupling`; everything that acts on a single site
is summed into one matrix for each site.
"""

import itertools
from collections import defaultdict
from collections.abc import Mapping

import equinox as eqx
import numpy as np

from husimix.physics.basis import SiteBasis
from husimix.physics.lindbladian import Lindbladian
from husimix.physics.operators import Operator
from husimix.physics.termsum import TermSum

__all__ = ["Coupling", "SumOfProducts", "sum_of_products"]

# One real one-site map: the real (0) or imaginary (1) part of ℓ(B_a) r(B_b), with a >= b.
_Letter = tuple[int, int, int]
_Word = tuple[tuple[int, _Letter], ...]


class Coupling(eqx.Module):
    """All M products of q >= 2 sites: Σ_m w_m ⊗_n A_{letters[m, n]} at site sites[m, n].

    Attributes:
        letters: (M, q) int, indices into `SumOfProducts.matrices`.
        sites: (M, q) int, where the matrices act.
        weights: (M,) float, the w_m in units of 1/time.
    """

    letters: np.ndarray
    sites: np.ndarray
    weights: np.ndarray


class SumOfProducts(eqx.Module):
    """𝓛 = Σ_i A_i + Σ over couplings, acting on the real tensor R.

    Attributes:
        one_site: (N, D, D) float, the sum A_i of all maps that act on site i alone.
        matrices: (m, D, D) float, the one-site maps that couplings are made of.
        couplings: the products of two and more sites, one `Coupling` for each number of sites.
    """

    one_site: np.ndarray
    matrices: np.ndarray
    couplings: tuple[Coupling, ...]

    def to_dense(self) -> np.ndarray:
        """𝓛 as a dense (D^N, D^N) real matrix on R flattened with site 0 slowest; for few sites."""
        n_sites, size, _ = self.one_site.shape
        products = [((i,), (matrix,), 1.0) for i, matrix in enumerate(self.one_site)]
        for coupling in self.couplings:
            rows = zip(coupling.sites, self.matrices[coupling.letters], coupling.weights, strict=True)
            products += [(sites, tuple(factors), weight) for sites, factors, weight in rows]
        dense = np.zeros((size**n_sites,) * 2)
        for sites, factors, weight in products:
            local = dict(zip((int(s) for s in sites), factors, strict=True))
            term = np.array([[weight]])
            for i in range(n_sites):
                term = np.kron(term, local.get(i, np.eye(size)))
            dense += term
        return dense


def sum_of_products(model: Lindbladian) -> SumOfProducts:
    """The real sum of products of a Lindbladian (docs/theory.md, eqs. 4 to 6).

    A Hamiltonian product of q sites gives 2^(q-1) real products; a jump operator of s products gives of the
    order of s² 2^(q-1).

    Args:
        model: the Lindbladian.

    Returns:
        The `SumOfProducts`; its matrices depend on the kinds of terms, its weights on the parameters, so a scan
        over parameters keeps all shapes.
    """
    words = TermSum[_Word, float]()
    for product, f in model.hamiltonian.terms.items():
        if product:
            # -i f [P, .] = 2 f Im ⊗ℓ = Re(-2i f ⊗ℓ)
            _add(words, [(i, a, 0) for i, a in product], -2j * f.real)
    for channel in model.dissipators:
        if channel.rate > 0 and channel.operator.sites:
            _add_dissipator(words, channel.operator, channel.rate)
    return _collect(words.nonzero(), model.basis, model.n_sites)


def _add_dissipator(words: TermSum[_Word, float], jump: Operator, rate: float) -> None:
    terms = list(jump.terms.items())
    # Multiples of the identity map go where the jump acts: there they cancel, as the trace is conserved.
    identity = [(jump.sites[0], 0, 0)]
    for s, (p, f) in enumerate(terms):
        for t, (q, h) in enumerate(terms[: s + 1]):
            left, right = dict(p), dict(q)
            factors = [(i, left.get(i, 0), right.get(i, 0)) for i in sorted(left.keys() | right.keys())]
            # (s, t) and (t, s) are complex conjugates of each other.
            _add(words, factors or identity, rate * f * h.conjugate() * (1 if s == t else 2))
    for product, f in (jump.dag() * jump).terms.items():
        # -½{P, .} = -Re ⊗ℓ for Hermitian P
        _add(words, [(i, a, 0) for i, a in product] or identity, -rate * f.real)


def _add(words: TermSum[_Word, float], factors: list[tuple[int, int, int]], weight: complex) -> None:
    """Add Re(weight · ⊗ ℓ(B_a) r(B_b)) over the (site, a, b) in `factors`, expanded into real words."""
    for parts in itertools.product((0, 1), repeat=len(factors)):
        word: list[tuple[int, _Letter]] = []
        value = weight * 1j ** sum(parts)
        for part, (site, a, b) in zip(parts, factors, strict=True):
            # ℓ(B_b) r(B_a) is the complex conjugate of ℓ(B_a) r(B_b): the order costs a sign of the Y part.
            if part and a < b:
                value = -value
            word.append((site, (part, max(a, b), min(a, b))))
        if value.real != 0 and not any(part and a == b for _, (part, a, b) in word):
            words.add(tuple(word), value.real)


def _matrix(letter: _Letter, basis: SiteBasis) -> np.ndarray:
    part, a, b = letter
    matrix = basis.sandwich(a, b)
    return np.imag(matrix) if part else np.real(matrix)


def _collect(words: Mapping[_Word, float], basis: SiteBasis, n_sites: int) -> SumOfProducts:
    one_site = np.zeros((n_sites, basis.size, basis.size))
    groups: dict[int, list[tuple[_Word, float]]] = defaultdict(list)
    for word, weight in words.items():
        if len(word) == 1:
            one_site[word[0][0]] += weight * _matrix(word[0][1], basis)
        else:
            groups[len(word)].append((word, weight))
    letters = sorted({letter for members in groups.values() for word, _ in members for _, letter in word})
    position = {letter: n for n, letter in enumerate(letters)}
    couplings = tuple(_coupling(groups[q], position) for q in sorted(groups))
    matrices = np.array([_matrix(letter, basis) for letter in letters]).reshape(-1, basis.size, basis.size)
    return SumOfProducts(one_site, matrices, couplings)


def _coupling(members: list[tuple[_Word, float]], position: dict[_Letter, int]) -> Coupling:
    sites = [[site for site, _ in word] for word, _ in members]
    letters = [[position[letter] for _, letter in word] for word, _ in members]
    weights = [weight for _, weight in members]
    return Coupling(np.array(letters, dtype=np.int32), np.array(sites, dtype=np.int32), np.array(weights))
