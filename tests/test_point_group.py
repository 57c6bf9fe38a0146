"""The point groups of lattices against brute force over all isometries, and by their known orders."""

import itertools

import networkx as nx
import numpy as np
import pytest

from husimix import Lattice, SymmetryGroup
from husimix.physics.symmetry.point_group import point_group

OPEN, CLOSED = False, True

ORDERS = [
    (Lattice.chain(1), 1),
    (Lattice.chain(2), 2),
    (Lattice.chain(7), 2),
    (Lattice.chain(2, CLOSED), 1),
    (Lattice.chain(7, CLOSED), 2),
    (Lattice.chain(8, CLOSED), 2),
    (Lattice.square(8, periodic=CLOSED), 8),
    (Lattice.square(3, periodic=CLOSED), 8),
    (Lattice.square(2, periodic=CLOSED), 2),
    (Lattice.square(1, periodic=CLOSED), 1),
    (Lattice.rectangle(4, 6, CLOSED), 4),
    (Lattice.rectangle(2, 6, CLOSED), 2),
    (Lattice.rectangle(1, 6, CLOSED), 2),
    (Lattice.square(4), 8),
    (Lattice.rectangle(3, 4), 4),
    (Lattice.rectangle(1, 4), 2),
    (Lattice.rectangle(4, 5, (CLOSED, OPEN)), 4),
    (Lattice.square(4, periodic=(OPEN, CLOSED)), 4),
    (Lattice.triangular(6, 6, CLOSED), 12),
    (Lattice.triangular(3, 3, CLOSED), 12),
    (Lattice.triangular(4, 6, CLOSED), 2),
    (Lattice.triangular(3, 3), 4),
    (Lattice.triangular(3, 4), 2),
    (Lattice.triangular(4, 3, (CLOSED, OPEN)), 4),
    (Lattice.triangular(4, 4, (CLOSED, OPEN)), 2),
    (Lattice.honeycomb(4, 4, CLOSED), 12),
    (Lattice.honeycomb(3, 3), 4),
    (Lattice.kagome(4, 4, CLOSED), 12),
    (Lattice.kagome(3, 3), 2),
    (Lattice.kagome(1, 1), 6),
    (Lattice.cubic(3, 3, 3, CLOSED), 48),
    (Lattice.cubic(3, 3, 4, CLOSED), 16),
    (Lattice.cubic(3, 4, 5, CLOSED), 8),
    (Lattice.cubic(3, 3, 3), 48),
    (Lattice.cubic(3, 3, 3, (CLOSED, CLOSED, OPEN)), 16),
    (Lattice.from_graph(nx.petersen_graph()), 1),
]


@pytest.mark.parametrize(("lattice", "order"), ORDERS, ids=lambda value: str(value))
class TestEveryLattice:
    def test_order(self, lattice, order):
        rows = point_group(lattice)
        assert rows.shape == (order, lattice.n_sites) and rows.dtype.kind == "i"
        assert len({tuple(row) for row in rows.tolist()}) == order
        assert rows[0].tolist() == list(range(lattice.n_sites))

    def test_rows_are_a_group_of_permutations(self, lattice, order):
        rows = point_group(lattice)
        assert all(np.array_equal(np.sort(row), np.arange(lattice.n_sites)) for row in rows)
        known = {tuple(row) for row in rows.tolist()}
        assert {tuple(p[q].tolist()) for p, q in itertools.product(rows, repeat=2)} == known

    def test_bonds_of_three_shells_are_kept(self, lattice, order):
        for shell in (1, 2, 3):
            bonds = lattice.bonds(shell)
            for row in point_group(lattice):
                moved = np.sort(row[bonds], axis=1)
                assert np.array_equal(moved[np.lexsort(moved.T[::-1])], bonds)


@pytest.mark.parametrize(
    "lattice",
    [
        Lattice.chain(5),
        Lattice.square(3),
        Lattice.rectangle(2, 4),
        Lattice.triangular(3, 3),
        Lattice.triangular(2, 3),
        Lattice.honeycomb(2, 2),
        Lattice.honeycomb(1, 3),
        Lattice.kagome(2, 2),
        Lattice.kagome(1, 2),
        Lattice.cubic(2, 2, 3),
    ],
    ids=str,
)
def test_open_clusters_have_all_their_isometries(lattice):
    """Distances alone decide: every permutation that keeps all of them is an isometry of the cluster."""
    x = lattice.positions
    far = np.round(np.linalg.norm(x[:, None] - x[None], axis=-1), 9)
    found = [[]]
    for site in range(lattice.n_sites):
        found = [
            [*images, image]
            for images in found
            for image in range(lattice.n_sites)
            if image not in images and np.array_equal(far[site, :site], far[image, images])
        ]
    assert {tuple(row) for row in found} == {tuple(row) for row in point_group(lattice).tolist()}


def test_a_square_torus_is_turned_about_site_0():
    def moved(f):
        return tuple(5 * (f(x, y)[0] % 5) + f(x, y)[1] % 5 for x in range(5) for y in range(5))

    maps = [(1, 0, 0, 1), (-1, 0, 0, 1), (1, 0, 0, -1), (-1, 0, 0, -1)]
    maps += [(0, 1, 1, 0), (0, -1, 1, 0), (0, 1, -1, 0), (0, -1, -1, 0)]
    expected = {moved(lambda x, y, m=m: (m[0] * x + m[1] * y, m[2] * x + m[3] * y)) for m in maps}
    assert {tuple(row) for row in point_group(Lattice.square(5, periodic=CLOSED)).tolist()} == expected


@pytest.mark.parametrize(
    ("lattice", "per_cell"),
    [
        (Lattice.chain(5, CLOSED), 2),
        (Lattice.square(3, periodic=CLOSED), 8),
        (Lattice.triangular(3, 3, CLOSED), 12),
        (Lattice.honeycomb(3, 3, CLOSED), 12),
        (Lattice.kagome(3, 3, CLOSED), 12),
        (Lattice.rectangle(3, 4, (CLOSED, OPEN)), 4),
    ],
    ids=str,
)
def test_with_the_translations_it_makes_the_space_group(lattice, per_cell):
    translations = SymmetryGroup.translations(lattice)
    steps = translations.permutations[translations.generators]
    group = SymmetryGroup.generated([*steps, *point_group(lattice)])
    assert group.order == per_cell * translations.order
