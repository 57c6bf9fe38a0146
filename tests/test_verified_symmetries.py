"""What symmetries are found in models whose symmetry is known, and that all of it holds densely."""

import networkx as nx
import numpy as np
import pytest

import husimix as hx
from dense import operation_matrix
from husimix import Dissipator, Lattice, Lindbladian, SymmetryGroup, models, operator_sum, pauli, sigmam, sigmax, sigmaz
from husimix.physics.basis import spin_matrices
from husimix.physics.products import sum_of_products
from husimix.physics.symmetry.transformation import Transformation, pi_rotation
from husimix.physics.symmetry.verified import verified_symmetries


def ring(n):
    return Lattice.chain(n, periodic=True)


def all_operations(found):
    return [*found.translations, *map(Transformation, found.point), *found.rotations, *found.combined]


def letters(t, dimension=2):
    """The letters of an operation whose local maps are π rotations."""
    if t.rotations is None:
        return "1" * t.n_sites
    table = {pi_rotation(a, dimension).tobytes(): a for a in "xyz"} | {np.eye(dimension**2).tobytes(): "1"}
    return "".join(table[matrix.tobytes()] for matrix in t.rotations)


def same_permutation(t, row):
    return t.permutation.tolist() == list(row)


def shift(n, step=1):
    return np.roll(np.arange(n), -step).tolist()


def with_pattern(lattice, pattern, letters="zz", decay=True):
    """A field Σ pattern_i σx_i on top of couplings of neighbours."""
    h = [pauli(letters, i, j) for i, j in lattice.bonds()] + [f * sigmax(i) for i, f in enumerate(pattern)]
    jumps = [sigmam(i) for i in range(lattice.n_sites)] if decay else []
    return Lindbladian(operator_sum(h), jumps, lattice=lattice)


def staggered_xy(lattice):
    """Σ σxσx with loss and an alternating field along z."""
    n = lattice.n_sites
    h = [pauli("xx", i, j) for i, j in lattice.bonds()] + [(-1) ** i * sigmaz(i) for i in range(n)]
    return Lindbladian(operator_sum(h), [hx.sigmaz(i) for i in range(n)], lattice=lattice)


SMALL = [
    models.dissipative_ising(ring(4)),
    models.dissipative_ising(Lattice.square(2)),
    models.dissipative_xyz(ring(3)),
    models.dissipative_xyz(ring(4), gamma=0),
    models.lossy_xx(Lattice.chain(4), omega=0.3),
    models.boundary_driven_heisenberg(Lattice.chain(4)),
    models.boundary_driven_heisenberg(Lattice.square(2), mu=0.4),
    with_pattern(ring(4), [1, 2, 1, 2]),
    with_pattern(ring(4), [1, -1, 1, -1]),
    staggered_xy(ring(4)),
    staggered_xy(Lattice.chain(4)),
    with_pattern(Lattice.from_graph(nx.path_graph(3)), [1, 1, 1]),
    Lindbladian(sigmax(0), [sigmam(1)], 2),
]


@pytest.mark.parametrize("model", SMALL, ids=lambda m: f"{m.label or 'custom'} {m.lattice}")
def test_all_that_is_found_holds_densely(model):
    generator = sum_of_products(model).to_dense()
    for t in all_operations(verified_symmetries(model)):
        maps = np.tile(np.eye(4), (t.n_sites, 1, 1)) if t.rotations is None else t.rotations
        g = operation_matrix(t.permutation, maps)
        np.testing.assert_allclose(g @ generator, generator @ g, rtol=0, atol=1e-11)


def test_a_translation_invariant_model_has_the_space_group():
    lattice = Lattice.square(4, periodic=True)
    found = verified_symmetries(models.dissipative_ising(lattice))
    assert len(found.translations) == 2 and len(found.point) == 8
    assert found.rotations == found.combined == ()
    assert SymmetryGroup.generated([*found.translations, *found.point]).order == 128
    assert {tuple(t.permutation) for t in found.translations} == {
        tuple(np.roll(np.arange(16).reshape(4, 4), -1, axis).ravel()) for axis in (0, 1)
    }


def test_a_cylinder_is_translated_along_its_periodic_direction_alone():
    found = verified_symmetries(models.lossy_xx(Lattice.rectangle(3, 4, (True, False))))
    assert len(found.translations) == 1 and len(found.point) == 4 and len(found.rotations) == 1


@pytest.mark.parametrize(("gamma", "expected"), [(1.0, ["z"]), (0.0, ["x", "y"])])
def test_the_xyz_model_has_two_pi_rotations_and_decay_leaves_one(gamma, expected):
    found = verified_symmetries(models.dissipative_xyz(ring(4), gamma=gamma))
    assert [letters(t)[0] for t in found.rotations] == expected
    assert all(set(letters(t)) == {a} for t, a in zip(found.rotations, expected, strict=True))


def test_the_decaying_ising_model_with_a_transverse_field_has_no_rotation():
    assert verified_symmetries(models.dissipative_ising(ring(4))).rotations == ()


def test_dephasing_keeps_both_rotations():
    lattice = ring(4)
    h = operator_sum([pauli(2 * a, i, j) for i, j in lattice.bonds() for a in "xyz"])
    found = verified_symmetries(Lindbladian(h, [sigmaz(i) for i in range(4)], lattice=lattice))
    assert len(found.rotations) == 2 and found.combined == ()


def test_a_driven_chain_is_reflected_together_with_a_rotation():
    found = verified_symmetries(models.boundary_driven_heisenberg(Lattice.chain(5), mu=0.5))
    assert found.translations == () and len(found.point) == 1
    assert [letters(t) for t in found.rotations] == ["zzzzz"]
    (mirror,) = found.combined
    assert same_permutation(mirror, [4, 3, 2, 1, 0]) and letters(mirror) == "xxxxx"


def test_unequal_rates_break_the_reflection():
    lattice = Lattice.chain(4)
    h = operator_sum([pauli(2 * a, i, j) for i, j in lattice.bonds() for a in "xyz"])
    model = Lindbladian(h, [Dissipator(hx.sigmap(0), 1.0), Dissipator(sigmam(3), 1.1)], lattice=lattice)
    assert verified_symmetries(model).combined == ()


@pytest.mark.parametrize(("period", "length"), [(2, 8), (3, 9), (4, 8)])
def test_a_pattern_is_translated_by_its_period(period, length):
    pattern = [1.0 + i % period for i in range(length)]
    found = verified_symmetries(with_pattern(ring(length), pattern))
    assert [t.permutation.tolist() for t in found.translations] == [shift(length, period)]


def test_a_pattern_that_does_not_fit_has_no_translation():
    found = verified_symmetries(with_pattern(ring(7), [1, 2, 1, 2, 1, 2, 1]))
    assert found.translations == () and found.combined == ()


def test_a_staggered_field_is_translated_together_with_a_rotation():
    found = verified_symmetries(with_pattern(ring(6), [1, -1, 1, -1, 1, -1]))
    assert [t.permutation.tolist() for t in found.translations] == [shift(6, 2)]
    (step,) = found.combined
    assert same_permutation(step, shift(6)) and letters(step) == "zzzzzz"
    # Together they are generated by the unit step alone.
    assert SymmetryGroup.generated(found.combined).order == 6


def test_rotations_on_one_sublattice():
    lattice = ring(4)
    # Exchange of alternating sign in x and y: a shift changes the sign, and a rotation of every other site mends it.
    signs = [1, -1, 1, -1]
    xy = [f * pauli(2 * a, i, (i + 1) % 4) for i, f in enumerate(signs) for a in "xy"]
    zz = [pauli("zz", i, (i + 1) % 4) for i in range(4)]
    found = verified_symmetries(Lindbladian(operator_sum([*xy, *zz]), [], lattice=lattice))
    assert [t.permutation.tolist() for t in found.translations] == [shift(4, 2)]
    assert len(found.rotations) == 2
    assert any(same_permutation(t, shift(4)) and set(letters(t)) == {"1", "z"} for t in found.combined)


def test_a_checkerboard_is_translated_along_its_diagonal():
    lattice = Lattice.square(4, periodic=True)
    pattern = (1 + np.indices((4, 4)).sum(axis=0) % 2).ravel()
    found = verified_symmetries(with_pattern(lattice, pattern))
    assert SymmetryGroup.generated(found.translations).order == 8
    assert len(found.point) == 8


def test_a_field_on_one_edge_leaves_one_mirror():
    lattice = Lattice.rectangle(3, 4)
    pattern = np.zeros((3, 4))
    pattern[0] = 1.0
    found = verified_symmetries(with_pattern(lattice, pattern.ravel()))
    mirror = np.arange(12).reshape(3, 4)[:, ::-1].ravel()
    assert found.point.tolist() == [list(range(12)), mirror.tolist()]


def test_a_frustrated_lattice_tries_global_rotations_alone():
    lattice = Lattice.triangular(3, 3)
    h = operator_sum([pauli("zz", i, j) for i, j in lattice.bonds()] + [sigmax(0), -sigmax(8)])
    found = verified_symmetries(Lindbladian(h, [], lattice=lattice))
    assert len(found.point) == 2 and len(found.combined) == 1
    assert [letters(t) for t in found.rotations] == [9 * "x"]
    assert letters(found.combined[0]) == 9 * "z"


def test_spin_one():
    lattice = ring(3)
    spins = [[hx.Operator.local(s, i) for s in spin_matrices(3)] for i in range(3)]
    h = operator_sum([a * b for i, j in lattice.bonds() for a, b in zip(spins[i], spins[j], strict=True)])
    model = Lindbladian(h, [s[0] - 1j * s[1] for s in spins], lattice=lattice)
    found = verified_symmetries(model)
    assert [letters(t, 3) for t in found.rotations] == ["zzz"]
    assert len(found.translations) == 1 and len(found.point) == 2


def test_without_a_lattice_there_are_rotations_alone():
    found = verified_symmetries(Lindbladian(pauli("xx", 0, 1), [sigmam(0), sigmam(1)], 2))
    assert found.translations == found.combined == () and found.point.tolist() == [[0, 1]]
    assert [letters(t) for t in found.rotations] == ["zz"]


def test_a_driven_corner_is_reflected_on_a_square():
    """A model with fewer point operations than its lattice keeps those that hold and finds the rest combined."""
    found = verified_symmetries(models.boundary_driven_heisenberg(Lattice.square(3)))
    assert len(found.point) == 2 and len(found.combined) == 1
    group = SymmetryGroup.generated([*found.point, *found.rotations, *found.combined])
    assert group.order == 8 and len(set(map(tuple, group.permutations))) == 4
