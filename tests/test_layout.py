"""Layouts: tied sites against the same components with a vector on every site."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import husimix as hx
from husimix.mixture import kernels
from husimix.mixture.flow import flow_overlaps
from husimix.mixture.gram import gram_matrix
from husimix.mixture.layout import Layout, tied
from husimix.mixture.metric import site_metric
from husimix.physics.basis import site_basis
from husimix.physics.products import sum_of_products
from husimix.physics.symmetry.invariance import broken_term
from husimix.physics.symmetry.point_group import point_group
from motions import scene_of

BASIS = site_basis(2)
MANIFOLD = hx.Bloch(BASIS)
METRIC = jnp.asarray(site_metric("husimi", BASIS))


def symmetric_model(lattice):
    """A model with all symmetries of its lattice: neighbours, second neighbours, jumps of two sites."""
    h = [hx.pauli("xx", *b) + 0.7 * hx.pauli("yy", *b) + 0.4 * hx.pauli("zz", *b) for b in lattice.bonds().tolist()]
    h += [0.3 * hx.pauli("zz", *b) for b in lattice.bonds(2).tolist()]
    channels = [hx.Dissipator(hx.sigmam(i), 0.8) for i in range(lattice.n_sites)]
    channels += [hx.Dissipator(hx.sigmaz(i) + hx.sigmaz(j), 0.2) for i, j in lattice.bonds().tolist()]
    return hx.Lindbladian(hx.operator_sum(h), channels, lattice=lattice)


def components(n_free, n_components=2, seed=0):
    """A frame of random components."""
    k1, k2 = jax.random.split(jax.random.key(seed))
    coordinates = 0.6 * jax.random.normal(k1, (n_components, n_free, 3))
    weights = jax.random.normal(k2, (n_components,))
    return kernels.Frame(weights, MANIFOLD.vectors(coordinates), MANIFOLD.tangents(coordinates))


@eqx.filter_jit
def everything(bra, ket, scene):
    scale = scene.log_scale(bra.vectors)
    return {
        "log_scale": scale,
        "overlaps": kernels.overlaps(bra.vectors, ket.vectors, scene, scale),
        "force": kernels.force(bra, ket, scene, scale),
        "gram": gram_matrix(bra, ket, scene, scale),
        "flow": flow_overlaps(bra.vectors, ket.vectors, scene, scale),
    }


def spread(frame, free_sites):
    """The same components with a vector on every site."""
    return kernels.Frame(frame.weights, frame.vectors[:, free_sites], frame.tangents[:, free_sites])


def projection(n_components, coarse, p=3):
    """The matrix that sums the parameters of the free sites which are one free site of a coarser layout."""
    ones = np.zeros((len(coarse), max(coarse) + 1))
    ones[np.arange(len(coarse)), coarse] = 1
    sites = np.kron(ones, np.eye(p))
    block = np.block([[np.ones((1, 1)), np.zeros((1, sites.shape[1]))], [np.zeros((len(sites), 1)), sites]])
    return np.kron(np.eye(n_components), block)


def assert_same(actual, expected):
    for name, value in expected.items():
        tolerance = 1e-12 * float(np.abs(value).max())
        np.testing.assert_allclose(actual[name], value, rtol=1e-11, atol=tolerance, err_msg=name)


def kernels_on(layout, generator, bra, ket):
    return everything(bra, ket, scene_of(generator, layout, METRIC))


def assert_ties_change_nothing(group, point, model):
    """Kernels of tied components, and those of the same with all sites free, projected on the tied parameters."""
    for operation in [group.element(g) for g in group.generators] + [hx.Transformation(p) for p in point]:
        assert broken_term(model, operation) is None
    generator, plain = sum_of_products(model), Layout.of_group(group)
    layout = tied(plain, point)
    assert layout.n_free < plain.n_free
    assert layout.share.sum() == pytest.approx(1.0, abs=1e-14)
    assert (layout.free_sites[point] == layout.free_sites).all()
    bra, ket = components(layout.n_free, seed=1), components(layout.n_free, seed=2)
    actual = kernels_on(layout, generator, bra, ket)
    expected = kernels_on(plain, generator, *(spread(f, layout.free_sites) for f in (bra, ket)))
    onto = projection(len(bra.weights), layout.free_sites)
    expected["force"] = onto.T @ np.asarray(expected["force"])
    expected["gram"] = onto.T @ np.asarray(expected["gram"]) @ onto
    assert_same(actual, expected)
    return layout


LATTICES = [
    pytest.param(hx.Lattice.chain(6, periodic=True), id="chain"),
    pytest.param(hx.Lattice.square(3, 3, periodic=True), id="square-3", marks=pytest.mark.slow),
    pytest.param(hx.Lattice.square(4, 4, periodic=True), id="square-4"),
    pytest.param(hx.Lattice.triangular(3, 3, periodic=True), id="triangular"),
]


@pytest.mark.parametrize("lattice", LATTICES)
def test_tied_layouts_equal_plain_ones_on_tied_parameters(lattice):
    group, point = hx.SymmetryGroup.translations(lattice), point_group(lattice)
    assert len(point) > 1
    layout = assert_ties_change_nothing(group, point, symmetric_model(lattice))
    # Images that the point group exchanges are one.
    assert len(layout.share) < group.order


def test_tied_layouts_of_groups_with_a_global_rotation():
    lattice = hx.Lattice.square(3, 3, periodic=True)
    moves = [hx.Transformation(p) for p in lattice.translations()]
    group = hx.SymmetryGroup.generated([*moves, hx.Transformation(rotation="z", n_sites=9)])
    assert group.order == 18
    layout = assert_ties_change_nothing(group, point_group(lattice), hx.models.dissipative_xyz(lattice))
    assert len(layout.share) < group.order


def test_tied_layouts_of_groups_that_rotate_some_sites_only():
    """Every pattern of flips is a symmetry, and the point group moves the patterns."""
    lattice = hx.Lattice.chain(4, periodic=True)
    h = hx.operator_sum([hx.pauli("xx", *b) for b in lattice.bonds().tolist()] + [hx.sigmax(i) for i in range(4)])
    model = hx.Lindbladian(h, [hx.Dissipator(hx.sigmaz(i), 0.4) for i in range(4)], lattice=lattice)
    moves = [hx.Transformation(p) for p in lattice.translations()]
    group = hx.SymmetryGroup.generated([*moves, hx.Transformation(rotation="x111")])
    assert group.order == 4 * 2**4
    layout = assert_ties_change_nothing(group, point_group(lattice), model)
    assert len(layout.share) < group.order


def test_ties_of_an_open_chain_without_averages():
    lattice = hx.Lattice.chain(5)
    layout = assert_ties_change_nothing(hx.SymmetryGroup.identity(5), point_group(lattice), symmetric_model(lattice))
    np.testing.assert_array_equal(layout.free_sites, [0, 1, 2, 1, 0])


def test_nothing_is_tied_by_the_identity():
    layout = Layout.of_group(hx.SymmetryGroup.identity(4))
    assert tied(layout, np.arange(4)[None]) is layout
    assert layout.is_plain
