"""The Lindbladian and its views, against Liouvillians built here from QuTiP's own operators."""

import json
import math

import numpy as np
import pytest
import qutip
from hypothesis import given, settings
from hypothesis import strategies as st

import husimix as hx
from husimix import (
    Dissipator,
    Lattice,
    Lindbladian,
    Operator,
    operator_sum,
    pauli,
    sigmam,
    sigmap,
    sigmax,
    sigmaz,
)
from husimix.physics.basis import site_basis
from husimix.physics.lindbladian import dense_operator

QUTIP = {
    "x": qutip.sigmax(),
    "y": qutip.sigmay(),
    "z": qutip.sigmaz(),
    "+": qutip.sigmap(),
    "-": qutip.sigmam(),
}


def qutip_product(factors, n_sites, d=2):
    """⊗ of the QuTiP operators in {site: operator}."""
    return qutip.tensor([factors.get(i, qutip.qeye(d)) for i in range(n_sites)])


def qutip_liouvillian(hamiltonian, channels):
    """-i[H, .] + Σ γ D[L] with every term written out, from [(rate, L)]."""
    total = -1j * (qutip.spre(hamiltonian) - qutip.spost(hamiltonian))
    for rate, jump in channels:
        decay = 0.5 * jump.dag() * jump
        total = total + rate * (qutip.sprepost(jump, jump.dag()) - qutip.spre(decay) - qutip.spost(decay))
    return total.full()


def assert_close(actual, expected):
    # The floor is for models whose terms cancel, such as a jump that is a multiple of the identity.
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= 1e-12 * max(np.abs(expected).max(), 0.1)


# Sevenths: rounding takes part, yet no coefficient is so small that relative errors lose their meaning.
sevenths = st.integers(-14, 14).map(lambda k: k / 7)


@st.composite
def sums(draw, n_sites, letters, coefficients, max_terms=4):
    """A sum of products as rows (coefficient, letters, sites); no letters is the identity."""
    rows = []
    for _ in range(draw(st.integers(1, max_terms))):
        sites = draw(st.permutations(range(n_sites)))[: draw(st.integers(0, n_sites))]
        rows.append((draw(coefficients), "".join(draw(st.sampled_from(letters)) for _ in sites), sites))
    return rows


@st.composite
def models(draw):
    """(number of sites, H as rows, [(rate, jump as rows)]) with terms and jumps of up to three sites."""
    n_sites = draw(st.integers(1, 3))
    hamiltonian = draw(sums(n_sites, "xyz", sevenths))
    jumps = st.tuples(st.integers(0, 14).map(lambda k: k / 7), sums(n_sites, "xyz+-", complex_sevenths))
    return n_sites, hamiltonian, draw(st.lists(jumps, max_size=3))


complex_sevenths = st.builds(complex, sevenths, sevenths)


def in_husimix(rows):
    return operator_sum([Operator({}), *(f * (pauli(a, *s) if a else Operator({(): 1})) for f, a, s in rows)])


def in_qutip(rows, n_sites):
    factors = [(f, {i: QUTIP[a] for i, a in zip(s, letters, strict=True)}) for f, letters, s in rows]
    return sum(f * qutip_product(local, n_sites) for f, local in factors)


def built(description):
    n_sites, hamiltonian, jumps = description
    return Lindbladian(in_husimix(hamiltonian), [Dissipator(in_husimix(j), rate) for rate, j in jumps], n_sites)


@settings(max_examples=40)
@given(models())
def test_all_views_are_the_liouvillian_written_with_qutip(description):
    n_sites, hamiltonian, jumps = description
    model = built(description)
    expected = qutip_liouvillian(in_qutip(hamiltonian, n_sites), [(r, in_qutip(j, n_sites)) for r, j in jumps])
    dense = model.to_dense()
    assert_close(dense, expected)
    h, c_ops = model.to_qutip()
    assert_close(qutip.liouvillian(h, c_ops).full(), expected)
    assert_close(model.hamiltonian_matrix(), in_qutip(hamiltonian, n_sites).full())
    assert h.dims == [[2] * n_sites] * 2
    assert len(c_ops) == sum(rate > 0 for rate, _ in jumps)


@settings(max_examples=40)
@given(models())
def test_trace_and_hermiticity_are_conserved(description):
    dense = built(description).to_dense()
    size = math.isqrt(len(dense))
    scale = 1e-12 * max(np.abs(dense).max(), 0.1)
    assert np.abs(np.eye(size).reshape(-1) @ dense).max() <= scale
    # L(ρ†) = L(ρ)†: swapping row and column of ρ on both sides conjugates the matrix.
    swapped = dense.reshape((size,) * 4).transpose(1, 0, 3, 2).reshape(dense.shape)
    assert np.abs(swapped - dense.conj()).max() <= scale


@settings(max_examples=25)
@given(models(), st.booleans())
def test_a_model_survives_json_exactly(description, with_lattice):
    n_sites, hamiltonian, jumps = description
    lattice = Lattice.chain(n_sites, periodic=True) if with_lattice else None
    channels = [Dissipator(in_husimix(j), rate) for rate, j in jumps]
    model = Lindbladian(in_husimix(hamiltonian), channels, n_sites, lattice=lattice, label="any")
    again = Lindbladian.from_dict(json.loads(json.dumps(model.to_dict())))
    np.testing.assert_array_equal(again.to_dense(), model.to_dense(), strict=True)
    assert again.hamiltonian == model.hamiltonian
    assert again.dissipators == model.dissipators
    assert (again.n_sites, again.label, repr(again)) == (n_sites, "any", repr(model))
    if with_lattice:
        assert again.lattice.to_dict() == lattice.to_dict()
    else:
        assert again.lattice is None


def spin_one():
    """(model, QuTiP H, [(rate, QuTiP jump)]) of two spins 1 with interaction, anisotropy and decay."""
    sx, sy, sz = (qutip.jmat(1, axis) for axis in "xyz")

    def at(matrix, i):
        return Operator.local(matrix.full(), i)

    h = 0.7 * (at(sx, 0) * at(sx, 1) + at(sy, 0) * at(sy, 1)) - 1.3 * at(sz, 0) * at(sz, 1)
    h = h + 0.4 * at(sz, 0) * at(sz, 0) + 0.9 * at(sx, 1)
    lowering, collective = sx - 1j * sy, at(sz, 0) + 1j * at(sx, 1) + 0.3
    model = Lindbladian(h, [Dissipator(at(lowering, 1), 0.6), Dissipator(collective, 1.7)], 2)

    def here(matrix, i):
        return qutip_product({i: matrix}, 2, 3)

    exact = 0.7 * (qutip.tensor(sx, sx) + qutip.tensor(sy, sy)) - 1.3 * qutip.tensor(sz, sz)
    exact = exact + 0.4 * here(sz * sz, 0) + 0.9 * here(sx, 1)
    return model, exact, [(0.6, here(lowering, 1)), (1.7, here(sz, 0) + 1j * here(sx, 1) + 0.3)]


def test_spin_one_agrees_with_qutip():
    model, h, channels = spin_one()
    assert_close(model.to_dense(), qutip_liouvillian(h, channels))
    ours, c_ops = model.to_qutip()
    assert_close(qutip.liouvillian(ours, c_ops).full(), qutip_liouvillian(h, channels))
    assert ours.dims == h.dims == [[3, 3], [3, 3]]
    again = Lindbladian.from_dict(json.loads(json.dumps(model.to_dict())))
    np.testing.assert_array_equal(again.to_dense(), model.to_dense())


def test_one_decaying_spin():
    # vec(ρ) = (ρ00, ρ10, ρ01, ρ11) with 0 = up: that population decays, the coherence at half the rate.
    expected = np.array([[-2, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, 0], [2, 0, 0, 0]])
    np.testing.assert_allclose(Lindbladian(0, [Dissipator(sigmam(0), 2.0)], 1).to_dense(), expected, atol=1e-15)


def test_site_0_is_the_slowest_index():
    h = Lindbladian(sigmaz(0) + 10 * sigmaz(1), [], 2).hamiltonian_matrix()
    np.testing.assert_array_equal(np.diag(h), [11, -9, 9, -11])
    np.testing.assert_array_equal(dense_operator(sigmap(1), 2), np.kron(np.eye(2), [[0, 1], [0, 0]]))


def test_sites_that_no_term_names_are_left_alone():
    model = Lindbladian(pauli("xz", 0, 2), [sigmam(2)], 4)
    factors = {0: qutip.sigmax(), 2: qutip.sigmaz()}
    expected = qutip_liouvillian(qutip_product(factors, 4), [(1, qutip_product({2: qutip.sigmam()}, 4))])
    assert_close(model.to_dense(), expected)


def test_no_hamiltonian():
    model = Lindbladian(0, [sigmam(0)], 1)
    assert model.hamiltonian == Operator({})
    assert_close(model.to_dense(), Lindbladian(Operator({}), [sigmam(0)], 1).to_dense())
    assert not Lindbladian(0, [], 1).to_dense().any()
    assert not Lindbladian(2.5, n_sites=2).to_dense().any()


def test_no_hamiltonian_takes_the_dimension_of_the_jumps():
    model = Lindbladian(0, [Operator.local(np.diag([1.0, 0, -1]), 1)], 2)
    assert model.basis is model.hamiltonian.basis is site_basis(3)
    again = Lindbladian.from_dict(json.loads(json.dumps(model.to_dict())))
    assert again.basis is site_basis(3)


def test_a_bare_jump_operator_has_rate_one():
    model = Lindbladian(sigmax(0), [2 * sigmam(0)], 1)
    assert model.dissipators == (Dissipator(2 * sigmam(0), 1.0),)
    np.testing.assert_allclose(
        model.to_dense(), Lindbladian(sigmax(0), [Dissipator(sigmam(0), 4)], 1).to_dense(), atol=1e-15
    )


def test_rate_zero_is_no_decay():
    model = Lindbladian(sigmax(0), [Dissipator(sigmam(0), 0)], 1)
    np.testing.assert_array_equal(model.to_dense(), Lindbladian(sigmax(0), [], 1).to_dense())
    assert model.to_qutip()[1] == []


def test_dissipators_may_be_any_iterable_and_sites_may_come_from_the_lattice():
    lattice = Lattice.chain(3)
    model = Lindbladian(0, (sigmam(i) for i in range(3)), lattice=lattice)
    assert model.n_sites == 3 and len(model.dissipators) == 3 and model.lattice is lattice
    assert Lindbladian(0, (), 3, lattice=lattice).n_sites == 3


def test_rounding_in_the_hamiltonian_is_dropped():
    model = Lindbladian(sigmax(0) + 1e-14j * sigmaz(0), [], 1)
    assert model.hamiltonian == sigmax(0)


def test_repr_shows_the_pauli_sum():
    model = Lindbladian(0.5 * pauli("zz", 0, 1) - sigmax(0), [Dissipator(sigmam(0), 0.25)], 2, label="mine")
    assert repr(model) == ("Lindbladian on 2 sites: mine\n  H = 0.5 z0 z1 - 1 x0\n  + 0.25 D[0.5 x0 + (0-0.5j) y0]")
    many = repr(Lindbladian(0, [sigmaz(i) for i in range(6)], 6))
    assert many.splitlines()[:3] == ["Lindbladian on 6 sites", "  H = 0", "  + 1 D[1 z0]"]
    assert many.splitlines()[-2:] == ["  + 1 D[1 z3]", "  + ... (2 more dissipators)"]


SPIN_1 = Operator.local(np.diag([1.0, 0.0, -1.0]), 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: Dissipator(sigmam(0), -0.3),
            "`rate` must be finite and non-negative, but got -0.3. A rate is",
        ),
        (lambda: Dissipator(sigmam(0), math.nan), "`rate` must be .* but got nan"),
        (lambda: Dissipator(sigmam(0), math.inf), "`rate` must be .* but got inf"),
        (lambda: Dissipator(sigmam(0), True), "`rate` must be .* but got True"),
        (lambda: Dissipator(sigmam(0), "1"), "`rate` must be .* but got '1'"),
        (lambda: Dissipator(sigmam(0), 1j), "`rate` must be .* but got 1j"),
        (lambda: Dissipator("decay"), "`operator` must be an operator, but got 'decay'. Build it"),
        (lambda: Dissipator(math.nan * sigmam(0)), "`operator` must have finite coefficients"),
        (lambda: Dissipator(math.inf * sigmaz(0)), "`operator` must have finite coefficients"),
        (lambda: Lindbladian(0, ["decay"], 1), "`operator` must be an operator, but got 'decay'"),
        (
            lambda: Lindbladian(0, [Dissipator(sigmam(2))], 2),
            "`dissipators` must act on sites 0 to 1, .*site 2",
        ),
        (lambda: Lindbladian(pauli("zz", 0, 3), [], 3), "`hamiltonian` must act on sites 0 to 2, .*site 3"),
        (
            lambda: Lindbladian(sigmaz(0) + 2j * pauli("xy", 0, 1), [], 2),
            r"`hamiltonian` must be Hermitian, but got the term \(0\+2j\) x0 y1. Add the adjoint",
        ),
        (lambda: Lindbladian(sigmap(0), [], 1), r"`hamiltonian` must be Hermitian.*\(0\+0.5j\) y0"),
        (lambda: Lindbladian("H", [], 1), "`hamiltonian` must be .* but got 'H'. Build H from"),
        (lambda: Lindbladian(None, [], 1), "`hamiltonian` must be .* but got None"),
        (lambda: Lindbladian(1j, [], 1), "`hamiltonian` must be .* but got 1j"),
        (lambda: Lindbladian(math.nan, [], 1), "`hamiltonian` must be .* but got nan"),
        (lambda: Lindbladian(math.nan * sigmax(0) + sigmaz(0), [], 1), "`hamiltonian` must have finite"),
        (lambda: Lindbladian(math.inf * sigmax(0), [], 1), "`hamiltonian` must have finite"),
        (lambda: Lindbladian(sigmax(0), []), "`n_sites` must be given when there is no lattice"),
        (lambda: Lindbladian(0, [], 0), "`n_sites` must be an integer of at least 1, but got 0"),
        (lambda: Lindbladian(0, [], 2.0), "`n_sites` must be an integer of at least 1, but got 2.0"),
        (lambda: Lindbladian(0, [], True), "`n_sites` must be an integer of at least 1, but got True"),
        (
            lambda: Lindbladian(0, [], 3, lattice=Lattice.chain(4)),
            "`lattice` must have n_sites = 3 sites, but got 4",
        ),
        (
            lambda: Lindbladian(sigmax(0), [SPIN_1], 1),
            "`dissipators` must act on sites of dimension 2 .* got 3",
        ),
        (
            lambda: Lindbladian(SPIN_1, [sigmam(0)], 1),
            "`dissipators` must act on sites of dimension 3 .* got 2",
        ),
        (
            lambda: Lindbladian(0, [], 7).to_dense(),
            "`n_sites` must give at most 4096 rows .* Use fewer sites",
        ),
        (lambda: Lindbladian(SPIN_1, [], 4).to_dense(), "`n_sites` must give at most 4096 rows"),
    ],
)
def test_bad_input_is_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_an_infinite_coefficient_beside_a_finite_one_is_refused():
    with pytest.raises(ValueError, match="`hamiltonian` must have finite coefficients"):
        Lindbladian(math.inf * sigmax(0) + sigmaz(0), [], 1)


def test_numpy_numbers_are_welcome():
    model = Lindbladian(np.float64(0), [Dissipator(sigmam(np.int64(1)), np.float32(0.5))], np.int64(2))
    assert json.loads(json.dumps(model.to_dict()))["dissipators"][0][0] == 0.5


def test_public_names():
    assert hx.Lindbladian is Lindbladian and hx.Dissipator is Dissipator
