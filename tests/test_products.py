"""The real sum of products, against the dense generator and closed forms of one spin."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dense
from husimix import (
    Dissipator,
    Lattice,
    Lindbladian,
    Operator,
    models,
    operator_sum,
    pauli,
    sigmam,
    sigmax,
    sigmaz,
)
from husimix.physics.basis import spin_matrices
from husimix.physics.products import sum_of_products

sevenths = st.integers(-14, 14).map(lambda k: k / 7)
rates = st.integers(0, 14).map(lambda k: k / 7)


@st.composite
def operators(draw, n_sites, letters, coefficients):
    """A sum of up to three products of up to three sites, the identity among them."""
    summands = [Operator({})]
    for _ in range(draw(st.integers(1, 3))):
        sites = draw(st.permutations(range(n_sites)))[: draw(st.integers(0, n_sites))]
        word = "".join(draw(st.sampled_from(letters)) for _ in sites)
        summands.append(draw(coefficients) * (pauli(word, *sites) if word else Operator({(): 1})))
    return operator_sum(summands)


@dataclass
class Parts:
    """A model in its parts, so that a test can change its parameters."""

    hamiltonian: Operator
    jumps: list[tuple[float, Operator]]
    n_sites: int

    def model(self, energy=1.0, decay=1.0):
        channels = [Dissipator(jump, decay * rate) for rate, jump in self.jumps]
        return Lindbladian(energy * self.hamiltonian, channels, self.n_sites)


@st.composite
def parts(draw):
    n_sites = draw(st.integers(1, 3))
    jumps = st.tuples(rates, operators(n_sites, "xyz+-", st.builds(complex, sevenths, sevenths)))
    return Parts(draw(operators(n_sites, "xyz", sevenths)), draw(st.lists(jumps, max_size=2)), n_sites)


def assert_is_the_generator(model):
    expected = dense.dense_generator(model)
    actual = sum_of_products(model).to_dense()
    assert actual.shape == expected.shape and actual.dtype == np.float64
    # The floor is for models whose terms cancel, such as a jump that is a multiple of the identity.
    assert np.abs(actual - expected).max() <= 1e-12 * max(np.abs(expected).max(), 0.1)


@settings(max_examples=30)
@given(parts())
def test_it_is_the_dense_generator(drawn):
    assert_is_the_generator(drawn.model())


def test_a_jump_on_three_sites():
    jump = (0.3 - 0.4j) * pauli("-x+", 2, 0, 1) + 0.7 * pauli("yz", 1, 2) + 0.2j * sigmam(0) + 0.9
    assert_is_the_generator(Lindbladian(pauli("xyz", 0, 1, 2) - pauli("zz", 0, 2), [Dissipator(jump, 1.3)], 3))


def spin_one_model():
    rng = np.random.default_rng(7)
    a, b, c = rng.normal(size=(3, 3, 3)) + 1j * rng.normal(size=(3, 3, 3))
    lowering = spin_matrices(3)[0] - 1j * spin_matrices(3)[1]
    h = Operator.local(a, 0) * Operator.local(b, 1) + Operator.local(c, 1)
    jump = Operator.local(b, 0) * Operator.local(lowering, 1) + 0.5j * Operator.local(lowering, 1) + 0.3
    return Lindbladian(h + h.dag(), [Dissipator(jump, 0.4), Dissipator(Operator.local(c, 0), 1.1)], 2)


def assert_documented(terms, n_sites, size):
    assert terms.one_site.shape == (n_sites, size, size)
    assert terms.matrices.shape[1:] == (size, size)
    assert terms.one_site.dtype == terms.matrices.dtype == np.float64
    lengths = [coupling.sites.shape[1] for coupling in terms.couplings]
    assert lengths == sorted(set(lengths)) and all(q >= 2 for q in lengths)
    used = set()
    for coupling in terms.couplings:
        m, q = coupling.sites.shape
        assert m > 0 and coupling.letters.shape == (m, q) and coupling.weights.shape == (m,)
        assert coupling.weights.dtype == np.float64
        assert coupling.letters.dtype.kind == coupling.sites.dtype.kind == "i"
        assert (coupling.sites >= 0).all() and (coupling.sites < n_sites).all()
        assert all(len(set(row)) == q for row in coupling.sites.tolist())
        rows = [
            tuple(zip(s, a, strict=True))
            for s, a in zip(coupling.sites.tolist(), coupling.letters.tolist(), strict=True)
        ]
        assert len(rows) == len(set(rows))
        used |= set(coupling.letters.ravel().tolist())
    assert used == set(range(len(terms.matrices)))
    # A factor proportional to the identity would be a term of fewer sites in disguise.
    for matrix in terms.matrices:
        assert np.abs(matrix - matrix[0, 0] * np.eye(size)).max() > 0.1


@settings(max_examples=60)
@given(parts())
def test_arrays_are_as_documented_and_the_trace_row_vanishes(drawn):
    terms = sum_of_products(drawn.model())
    assert_documented(terms, drawn.n_sites, 4)
    full = terms.to_dense()
    assert np.abs(full[0]).max() <= 1e-13 * max(np.abs(full).max(), 1.0)


def test_spin_one():
    model = spin_one_model()
    assert_is_the_generator(model)
    terms = sum_of_products(model)
    assert_documented(terms, 2, 9)
    assert sum(len(coupling.weights) for coupling in terms.couplings) > 100


def test_one_site_terms_live_in_one_site_only():
    jumps = [Dissipator(sigmam(0) + 0.5, 1.0), Dissipator(2 * sigmaz(2), 0.3)]
    model = Lindbladian(sigmax(0) - 2 * sigmaz(1), jumps, 3)
    terms = sum_of_products(model)
    assert terms.couplings == () and terms.matrices.shape == (0, 4, 4)
    expected = dense.dense_generator(model)
    eye = np.eye(4)
    a, b, c = terms.one_site
    rebuilt = np.kron(np.kron(a, eye), eye) + np.kron(np.kron(eye, b), eye) + np.kron(np.kron(eye, eye), c)
    np.testing.assert_allclose(rebuilt, expected, atol=1e-14)
    coupled = sum_of_products(Lindbladian(model.hamiltonian + pauli("xy", 0, 2), jumps, 3))
    np.testing.assert_array_equal(coupled.one_site, terms.one_site)
    assert [coupling.sites.shape for coupling in coupled.couplings] == [(2, 2)]


def test_one_decaying_spin():
    rate = 0.7
    expected = [[0, 0, 0, 0], [0, -rate / 2, 0, 0], [0, 0, -rate / 2, 0], [-rate, 0, 0, -rate]]
    terms = sum_of_products(Lindbladian(0, [Dissipator(sigmam(0), rate)], 1))
    np.testing.assert_allclose(terms.one_site, [expected], atol=1e-15)


def test_one_precessing_and_dephasing_spin():
    # H = (ω/2)σz turns x into y; γ D[σz] damps both by 2γ.
    omega, rate = 1.3, 0.2
    expected = [[0, 0, 0, 0], [0, -2 * rate, -omega, 0], [0, omega, -2 * rate, 0], [0, 0, 0, 0]]
    terms = sum_of_products(Lindbladian(omega / 2 * sigmaz(0), [Dissipator(sigmaz(0), rate)], 1))
    np.testing.assert_allclose(terms.one_site, [expected], atol=1e-15)


def test_nothing_moves_without_terms():
    for model in (
        Lindbladian(0, [], 2),
        Lindbladian(3.0, [Operator({(): 2j})], 2),
        Lindbladian(0, [Dissipator(pauli("zz", 0, 1), 0.0)], 2),
    ):
        terms = sum_of_products(model)
        assert terms.couplings == () and not terms.one_site.any()
        assert terms.one_site.shape == (2, 4, 4) and terms.matrices.shape == (0, 4, 4)


@settings(max_examples=40)
@given(parts(), st.integers(1, 50).map(lambda k: k / 13), st.integers(1, 50).map(lambda k: k / 11))
def test_the_generator_is_linear_in_its_parameters(drawn, energy, decay):
    alone = [sum_of_products(drawn.model(*which)).to_dense() for which in ((1, 0), (0, 1))]
    both = sum_of_products(drawn.model(energy, decay)).to_dense()
    np.testing.assert_allclose(both, energy * alone[0] + decay * alone[1], rtol=0, atol=1e-11)


SCANNED = [
    pytest.param(lambda s: models.dissipative_ising(Lattice.square(2, 3), V=s, g=s, gamma=s), id="ising"),
    pytest.param(lambda s: models.dissipative_xyz(Lattice.chain(4, periodic=True), 0.9 * s, 1.2 * s, s, s), id="xyz"),
    pytest.param(
        lambda s: Lindbladian(s * pauli("xyz", 0, 1, 2), [Dissipator(sigmam(0) + sigmam(1), s)], 3),
        id="collective",
    ),
    pytest.param(
        lambda s: Lindbladian(0, [Dissipator(0.3 * sigmam(0) + 0.7j * sigmam(1) + 0.1 * sigmax(2), s)], 3),
        id="uneven collective",
    ),
]


@pytest.mark.parametrize("family", SCANNED)
def test_a_scan_over_parameters_changes_only_weights(family):
    reference = sum_of_products(family(1.0))
    for scale in (0.1, 0.123, 0.37, 1 / 3, 2.9, 7.7, 1e-3):
        terms = sum_of_products(family(scale))
        np.testing.assert_array_equal(terms.matrices, reference.matrices, strict=True)
        np.testing.assert_allclose(terms.one_site, scale * reference.one_site, atol=1e-14)
        for coupling, other in zip(terms.couplings, reference.couplings, strict=True):
            np.testing.assert_array_equal(coupling.letters, other.letters, strict=True)
            np.testing.assert_array_equal(coupling.sites, other.sites, strict=True)
            np.testing.assert_allclose(coupling.weights, scale * other.weights, rtol=1e-12)


@pytest.mark.parametrize("n_sites", [3, 4, 9])
def test_an_ising_ring_takes_two_matrices_and_two_products_per_bond(n_sites):
    terms = sum_of_products(models.dissipative_ising(Lattice.chain(n_sites, periodic=True), V=2.0))
    assert len(terms.matrices) == 2
    (coupling,) = terms.couplings
    assert coupling.sites.shape == coupling.letters.shape == (2 * n_sites, 2)
    bonds = sorted(tuple(sorted((i, (i + 1) % n_sites))) for i in range(n_sites) for _ in range(2))
    assert sorted(tuple(sorted(row)) for row in coupling.sites.tolist()) == bonds


def test_a_hamiltonian_product_of_q_sites_takes_2_to_the_q_minus_1_products():
    for q in (2, 3, 4, 5):
        model = Lindbladian(pauli("xyzxy"[:q], *range(q)), [], q)
        (coupling,) = sum_of_products(model).couplings
        assert coupling.sites.shape == (2 ** (q - 1), q)
