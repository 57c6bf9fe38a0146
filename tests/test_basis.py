"""The operator basis of one site, against QuTiP's spin matrices and plain matrix products."""

import numpy as np
import pytest
import qutip
import scipy.linalg
from scipy.spatial.transform import Rotation

import husimix as hx
from husimix.physics.basis import site_basis, spin_matrices

each_dimension = pytest.mark.parametrize("d", [2, 3, 4, 5])


def qutip_spins(d):
    return np.array([qutip.jmat((d - 1) / 2, axis).full() for axis in "xyz"])


def random_matrix(rng, d):
    return rng.normal(size=(d, d)) + 1j * rng.normal(size=(d, d))


def random_density(rng, d):
    a = random_matrix(rng, d)
    rho = a @ a.conj().T
    return rho / np.trace(rho)


def traces(matrices, rho):
    """Tr(B_a ρ) for each a."""
    return np.array([np.trace(b @ rho) for b in matrices])


def commutator(a, b):
    return a @ b - b @ a


@each_dimension
class TestEveryDimension:
    def test_spin_matrices_are_those_of_qutip(self, d):
        np.testing.assert_allclose(spin_matrices(d), qutip_spins(d), atol=1e-14)

    def test_spin_matrices_obey_their_commutation_relations(self, d):
        sx, sy, sz = spin_matrices(d)
        for a, b, c in ((sx, sy, sz), (sy, sz, sx), (sz, sx, sy)):
            np.testing.assert_allclose(commutator(a, b), 1j * c, atol=1e-14)
        spin = (d - 1) / 2
        np.testing.assert_allclose(sx @ sx + sy @ sy + sz @ sz, spin * (spin + 1) * np.eye(d), atol=1e-13)
        assert sz[0, 0] == spin

    def test_members_are_hermitian_and_orthogonal(self, d):
        basis = site_basis(d)
        assert basis.matrices.shape == (d**2, d, d)
        np.testing.assert_array_equal(basis.matrices[0], np.eye(d))
        for a, left in enumerate(basis.matrices):
            np.testing.assert_allclose(left, left.conj().T, atol=1e-14)
            for b, right in enumerate(basis.matrices):
                assert np.trace(left @ right) == pytest.approx(d * (a == b), abs=1e-13)

    def test_multiplication_table_reproduces_matrix_products(self, d):
        basis = site_basis(d)
        assert basis.product.shape == (d**2,) * 3
        for a, left in enumerate(basis.matrices):
            for b, right in enumerate(basis.matrices):
                rebuilt = np.tensordot(basis.product[a, b], basis.matrices, axes=1)
                np.testing.assert_allclose(rebuilt, left @ right, atol=1e-12)

    def test_rank_l_has_2l_plus_1_members_in_increasing_order(self, d):
        expected = [rank for rank in range(d) for _ in range(2 * rank + 1)]
        assert site_basis(d).ranks.tolist() == expected

    def test_ranks_are_eigenvalues_of_the_total_angular_momentum(self, d):
        spins, basis = qutip_spins(d), site_basis(d)
        for rank, member in zip(basis.ranks, basis.matrices, strict=True):
            casimir = sum(commutator(s, commutator(s, member)) for s in spins)
            np.testing.assert_allclose(casimir, rank * (rank + 1) * member, atol=1e-11)

    def test_rank_one_is_the_spin(self, d):
        # Tr(Sx²) = d S(S+1)/3 fixes the factor.
        factor = np.sqrt(12 / (d**2 - 1))
        np.testing.assert_allclose(site_basis(d).matrices[1:4], factor * qutip_spins(d), atol=1e-14)

    def test_within_a_rank_come_cosine_and_sine_pairs_and_then_the_diagonal(self, d):
        basis, sz = site_basis(d), qutip_spins(d)[2]
        for rank in range(1, d):
            members = basis.matrices[rank**2 : (rank + 1) ** 2]
            for n, m in enumerate(range(rank, 0, -1)):
                cosine, sine = members[2 * n], members[2 * n + 1]
                np.testing.assert_allclose(commutator(sz, cosine), 1j * m * sine, atol=1e-12)
                np.testing.assert_allclose(commutator(sz, sine), -1j * m * cosine, atol=1e-12)
            diagonal = np.diag(members[-1])
            np.testing.assert_allclose(members[-1], np.diag(diagonal), atol=1e-13)
            assert diagonal[0].real > 0

    def test_rotations_do_not_mix_ranks(self, d):
        basis, spins = site_basis(d), qutip_spins(d)
        rng = np.random.default_rng(d)
        for vector in rng.normal(size=(5, 3)):
            rotation = scipy.linalg.expm(-1j * np.tensordot(vector, spins, axes=1))
            moved = [rotation @ b @ rotation.conj().T for b in basis.matrices]
            mixing = np.array([traces(basis.matrices, b) for b in moved]).T / d
            np.testing.assert_allclose(mixing.imag, 0, atol=1e-12)
            np.testing.assert_allclose(mixing.T @ mixing, np.eye(d**2), atol=1e-12)
            same_rank = basis.ranks[:, None] == basis.ranks[None, :]
            np.testing.assert_allclose(mixing[~same_rank], 0, atol=1e-12)
            np.testing.assert_allclose(mixing[1:4, 1:4].real, Rotation.from_rotvec(vector).as_matrix(), atol=1e-12)

    def test_left_and_sandwich_are_products_with_the_density_matrix(self, d):
        basis, rng = site_basis(d), np.random.default_rng(d)
        rho = random_density(rng, d)
        r = traces(basis.matrices, rho)
        for a, left in enumerate(basis.matrices):
            np.testing.assert_allclose(basis.left(a) @ r, traces(basis.matrices, left @ rho), atol=1e-12)
        for a, b in rng.integers(d**2, size=(40, 2)):
            direct = traces(basis.matrices, basis.matrices[a] @ rho @ basis.matrices[b])
            np.testing.assert_allclose(basis.sandwich(a, b) @ r, direct, atol=1e-12)

    def test_components_rebuild_any_matrix(self, d):
        basis, m = site_basis(d), random_matrix(np.random.default_rng(d), d)
        components = basis.components(m)
        assert components.shape == (d**2,)
        np.testing.assert_allclose(np.tensordot(components, basis.matrices, axes=1), m, atol=1e-12)

    def test_names_and_sizes(self, d):
        basis = site_basis(d)
        assert (basis.dimension, basis.size, basis.spin) == (d, d**2, (d - 1) / 2)
        assert basis.labels[:4] == ("1", "x", "y", "z")
        assert len(basis.labels) == len(set(basis.labels)) == d**2
        assert repr(basis) == f"SiteBasis(spin {(d - 1) / 2:g}, D = {d**2})"

    def test_there_is_one_read_only_object_for_each_dimension(self, d):
        basis = site_basis(d)
        assert site_basis(d) is basis
        for array in (basis.matrices, basis.product):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 0


def test_spin_half_is_the_pauli_matrices():
    paulis = [qutip.qeye(2), qutip.sigmax(), qutip.sigmay(), qutip.sigmaz()]
    np.testing.assert_allclose(site_basis(2).matrices, [p.full() for p in paulis], atol=1e-15)


# Bases are compared by identity, so an operator on another copy could not be combined with sigmax(0).
@pytest.mark.parametrize(
    "same",
    [
        pytest.param(lambda: site_basis(), id="default"),
        pytest.param(lambda: site_basis(dimension=2), id="keyword"),
        pytest.param(lambda: site_basis(np.int64(2)), id="numpy integer"),
    ],
)
def test_the_basis_does_not_depend_on_how_it_is_asked_for(same):
    assert same() is site_basis(2)
    assert hx.Operator({((0, 1),): 1.0}, same()) == hx.sigmax(0)


@pytest.mark.parametrize("dimension", [1, 0, -2])
def test_dimensions_below_two_are_refused(dimension):
    with pytest.raises(ValueError, match=f"`dimension` must be .*at least 2, but got {dimension}"):
        site_basis(dimension)


@pytest.mark.parametrize("dimension", [2.5, "2"])
def test_dimensions_that_are_no_integer_are_refused(dimension):
    with pytest.raises(ValueError, match="`dimension` must be an integer of at least 2, but got"):
        site_basis(dimension)
