"""Symmetry operations against matrix exponentials and dense unitaries, and what their constructor refuses."""

from functools import reduce

import numpy as np
import pytest
import scipy.linalg
import scipy.stats

from dense import basis_products, local_map, operation_matrix, tensor_of
from husimix import Operator, pauli, sigmam, sigmax
from husimix.physics.basis import site_basis, spin_matrices
from husimix.physics.lindbladian import dense_operator
from husimix.physics.symmetry.transformation import Transformation, pi_rotation


def unitary(d, seed):
    return scipy.stats.unitary_group.rvs(d, random_state=seed)


def dense_unitary(permutation, unitaries):
    """U of the whole lattice: sites are moved first, then rotated where they arrive."""
    n, d = len(permutation), len(unitaries[0])
    moved = np.eye(d**n).reshape(*(d,) * n, -1).transpose(*np.argsort(permutation), n).reshape(d**n, -1)
    return reduce(np.kron, unitaries) @ moved


def random_operator(d, n_sites, seed):
    rng = np.random.default_rng(seed)
    basis = site_basis(d)
    terms = {(): 0.3}
    for _ in range(6):
        sites = np.sort(rng.permutation(n_sites)[: rng.integers(1, n_sites + 1)])
        product = tuple((int(i), int(rng.integers(1, basis.size))) for i in sites)
        terms[product] = complex(rng.normal(), rng.normal())
    return Operator(terms, basis)


def maps_of(t, size):
    return np.tile(np.eye(size), (t.n_sites, 1, 1)) if t.rotations is None else t.rotations


def same(a, b):
    """Whether two operations are equal."""
    maps = (a.rotations is None and b.rotations is None) or np.allclose(a.rotations, b.rotations, atol=1e-13)
    return np.array_equal(a.permutation, b.permutation) and maps


@pytest.mark.parametrize("d", [2, 3, 4, 5])
@pytest.mark.parametrize(("axis", "letter"), [(0, "x"), (1, "y"), (2, "z")])
def test_pi_rotations_are_the_exponentials(d, axis, letter):
    u = scipy.linalg.expm(-1j * np.pi * spin_matrices(d)[axis])
    expected = local_map(u, site_basis(d))
    np.testing.assert_allclose(pi_rotation(letter, d), expected, rtol=0, atol=1e-12)
    t = Transformation(rotation=letter, n_sites=3, dimension=d)
    np.testing.assert_allclose(t.rotations, np.tile(expected, (3, 1, 1)), rtol=0, atol=1e-12)
    assert np.array_equal(pi_rotation(letter, d), np.diag(np.diag(pi_rotation(letter, d))))


def test_pi_rotations_of_spin_one_half_keep_their_own_axis():
    assert np.diag(pi_rotation("x", 2)).tolist() == [1, 1, -1, -1]
    assert np.diag(pi_rotation("y", 2)).tolist() == [1, -1, 1, -1]
    assert np.diag(pi_rotation("z", 2)).tolist() == [1, -1, -1, 1]


@pytest.mark.parametrize(("d", "n_sites"), [(2, 3), (3, 2)])
@pytest.mark.parametrize("seed", range(4))
def test_transformed_is_conjugation_by_the_unitary(d, n_sites, seed):
    permutation = np.random.default_rng(seed).permutation(n_sites)
    unitaries = [unitary(d, 10 * seed + i) for i in range(n_sites)]
    t = Transformation(permutation, np.array([local_map(u, site_basis(d)) for u in unitaries]))
    operator, u = random_operator(d, n_sites, seed), dense_unitary(permutation, unitaries)
    expected = u @ dense_operator(operator, n_sites) @ u.conj().T
    np.testing.assert_allclose(dense_operator(operator.transformed(t), n_sites), expected, rtol=0, atol=1e-12)
    # The same operation on the tensor of a state.
    rho = expected + expected.conj().T
    moved = operation_matrix(t.permutation, t.rotations) @ tensor_of(u.conj().T @ rho @ u, site_basis(d), n_sites)
    np.testing.assert_allclose(moved, tensor_of(rho, site_basis(d), n_sites), rtol=0, atol=1e-11)


@pytest.mark.parametrize("letters", ["x", "1y", "xz1", ["", "y", "1"], ("x", "x", "x")])
def test_letters_rotate_the_site_that_is_reached(letters):
    n = 3 if len(letters) == 1 else len(letters)
    shift = np.roll(np.arange(n), -1)
    t = Transformation(shift, letters)
    each = list(letters) * (n if len(letters) == 1 else 1)
    turns = {"": np.eye(2), "1": np.eye(2)}
    turns |= {a: scipy.linalg.expm(-1j * np.pi * s) for a, s in zip("xyz", spin_matrices(2), strict=True)}
    u = dense_unitary(shift, [turns[a] for a in each])
    operator = random_operator(2, n, 7)
    expected = u @ dense_operator(operator, n) @ u.conj().T
    np.testing.assert_allclose(dense_operator(operator.transformed(t), n), expected, rtol=0, atol=1e-13)


def test_what_does_nothing_has_no_rotations():
    for t in (
        Transformation(n_sites=3),
        Transformation([0, 1, 2]),
        Transformation(rotation="1", n_sites=3),
        Transformation(rotation="", n_sites=3),
        Transformation(rotation="111"),
        Transformation(rotation=["1", "", "1"], dimension=3),
        Transformation(rotation=np.eye(4), n_sites=3),
        Transformation(rotation="x", n_sites=3) @ Transformation(rotation="x", n_sites=3),
    ):
        assert t.n_sites == 3 and t.rotations is None
        assert t.permutation.tolist() == [0, 1, 2] and t.permutation.dtype == np.int32


def random_transformation(n, d, seed):
    maps = np.array([local_map(unitary(d, 100 * seed + i), site_basis(d)) for i in range(n)])
    return Transformation(np.random.default_rng(seed).permutation(n), maps)


@pytest.mark.parametrize("d", [2, 3])
def test_composition_and_inverse(d):
    size, n = d * d, 3 if d == 2 else 2
    rows = [random_transformation(n, d, seed) for seed in range(3)]
    rows += [Transformation(np.roll(np.arange(n), 1)), Transformation(rotation="x", n_sites=n, dimension=d)]
    for g in rows:
        assert g.sources[g.permutation].tolist() == list(range(n))
        for product in (g @ g.inverse(), g.inverse() @ g):
            np.testing.assert_allclose(maps_of(product, size), np.tile(np.eye(size), (n, 1, 1)), atol=1e-12)
            assert product.permutation.tolist() == list(range(n))
        for h in rows:
            dense = operation_matrix(g.permutation, maps_of(g, size)) @ operation_matrix(
                h.permutation, maps_of(h, size)
            )
            product = g @ h
            found = operation_matrix(product.permutation, maps_of(product, size))
            np.testing.assert_allclose(found, dense, rtol=0, atol=1e-12)
    a, b, c = rows[:3]
    assert same((a @ b) @ c, a @ (b @ c))


def test_composition_rotates_where_the_inner_operation_left_off():
    g, h = Transformation([1, 2, 0], "z11"), Transformation([1, 2, 0], "x11")
    # What h rotated on site 0 moves to site 1.
    assert same(g @ h, Transformation([2, 0, 1], "zx1"))


def test_images_are_sorted_and_count_their_rows():
    t = Transformation([2, 0, 1], local_map(scipy.linalg.expm(-0.3j * spin_matrices(2)[2]), site_basis(2)))
    rows, sites, members, factors = t.images(np.array([[0, 1], [1, 2]]), np.array([[1, 3], [3, 3]]))
    assert sites.tolist() == [[0, 2], [0, 2], [0, 1]] and rows.tolist() == [0, 0, 1]
    assert members.tolist() == [[3, 1], [3, 2], [3, 3]]
    np.testing.assert_allclose(factors, [np.cos(0.3), np.sin(0.3), 1.0], rtol=0, atol=1e-15)


def test_a_rotation_can_turn_a_term_away():
    quarter = local_map(scipy.linalg.expm(-0.5j * np.pi * spin_matrices(2)[2]), site_basis(2))
    t = Transformation(rotation=quarter, n_sites=2)
    moved = (pauli("xx", 0, 1) - pauli("yy", 0, 1)).transformed(t)
    assert dense_operator(moved - (pauli("yy", 0, 1) - pauli("xx", 0, 1)), 2) == pytest.approx(0, abs=1e-15)
    heisenberg = pauli("xx", 0, 1) + pauli("yy", 0, 1)
    third = local_map(scipy.linalg.expm(-1j * spin_matrices(2)[2]), site_basis(2))
    # No xy terms survive as rounding.
    assert set(heisenberg.transformed(Transformation(rotation=third, n_sites=2)).terms) == set(heisenberg.terms)


def test_repr():
    assert repr(Transformation([1, 0, 2], "1x1")) == "Transformation(3 sites, 2 moved, 1 rotated)"


REFLECTION = np.diag([1.0, -1.0, 1.0, 1.0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (Transformation, "`n_sites` must be given"),
        (lambda: Transformation(rotation="x"), "`n_sites` must be given"),
        (lambda: Transformation(rotation=np.eye(4)), "`n_sites` must be given"),
        (lambda: Transformation(n_sites=0), "`n_sites` must be an integer of at least 1"),
        (lambda: Transformation([0, 0, 1]), r"`permutation` must be a permutation of 0 ... 2.*\[0, 0, 1\]"),
        (lambda: Transformation([1, 0], n_sites=3), "`permutation` must be a permutation of 0 ... 2"),
        (lambda: Transformation([]), "`permutation` must be a row of integers"),
        (lambda: Transformation([0.0, 1.0]), "`permutation` must be a row of integers"),
        (lambda: Transformation([[0, 1], [1, 0]]), "`permutation` must be a row of integers"),
        (lambda: Transformation([[0, 1], [1]]), "`permutation` must be a row of integers"),
        (lambda: Transformation([0, 1], "w"), "`rotation` must hold the letters x y z, or 1 for none, but got 'w'"),
        (lambda: Transformation([0, 1], 3), "`rotation` must hold the letters"),
        (lambda: Transformation([0, 1], ["x", 1]), "`rotation` must hold the letters"),
        (lambda: Transformation([0, 1], "xyz"), "`rotation` must be one letter, or one for each site, but got 3 l"),
        (lambda: Transformation(rotation=[]), "`rotation` must be one letter, or one for each site, but got 0 l"),
        (lambda: Transformation([0, 1], "x", dimension=1), "`dimension` must be an integer of at least 2"),
        (lambda: Transformation([0, 1], REFLECTION), "`rotation` must be the local map of a unitary"),
        (lambda: Transformation([0, 1], np.eye(3)), "`rotation` must be the local map of a unitary"),
        (lambda: Transformation([0, 1], 2 * np.eye(4)), "`rotation` must be the local map of a unitary"),
        (lambda: Transformation([0, 1], np.full((4, 4), np.nan)), "`rotation` must be the local map of a unitary"),
        (lambda: Transformation([0, 1], np.ones((3, 4, 4))), r"`rotation` must be real and of shape .* \(2, D, D\)"),
        (lambda: Transformation([0, 1], 1j * np.eye(4)), "`rotation` must be real"),
        (lambda: Transformation(n_sites=2) @ Transformation(n_sites=3), "`other` must permute 2 sites, but got 3"),
    ],
)
def test_bad_operations_are_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_dimensions_cannot_be_mixed():
    spin_one = Transformation(rotation="x", n_sites=2, dimension=3)
    with pytest.raises(ValueError, match="must rotate sites of dimension 3, but got 2"):
        Transformation(rotation="x", n_sites=2) @ spin_one
    with pytest.raises(TypeError):
        spin_one @ np.eye(2)


def test_basis_products_agree_with_the_rotated_ones():
    # U B_b U† = Σ_a O_ab B_a for each letter, written out for one site.
    b = basis_products(site_basis(2), 1)
    u = unitary(2, 3)
    o = local_map(u, site_basis(2))
    np.testing.assert_allclose(u @ b @ u.conj().T, np.einsum("ab,aij->bij", o, b), atol=1e-14)


def test_ladder_operators_exchange_under_x():
    t = Transformation(rotation="x", n_sites=2)
    assert sigmam(1).transformed(t) == pauli("+", 1)
    assert sigmax(1).transformed(t) == sigmax(1)
