"""Layouts: tied sites and windows against the same components with a vector on every site."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import husimix as hx
from husimix.phasespace import kernels
from husimix.phasespace.clusters import clusters_of, contact_clusters
from husimix.phasespace.contacts import contact_generator, contacts_of
from husimix.phasespace.flow import flow_overlaps
from husimix.phasespace.gram import gram_matrix
from husimix.phasespace.layout import Layout, tied, windowed
from husimix.phasespace.metric import site_metric
from husimix.physics.basis import site_basis
from husimix.physics.products import sum_of_products
from husimix.physics.symmetry.invariance import broken_term
from husimix.physics.symmetry.point_group import point_group

BASIS = site_basis(2)
MANIFOLD = hx.Bloch(BASIS)
METRIC = jnp.asarray(site_metric("husimi", BASIS))


def chiral_model(lattice):
    """A model with no more than translations: couplings up to the second neighbours, jumps of two sites."""
    ends = np.eye(len(lattice.shape), dtype=int)[[0, 0, -1]] * [[1], [2], [1]]
    near, far, aside = (int(np.ravel_multi_index(tuple(e), lattice.shape)) * len(lattice.basis) for e in ends)
    h = 0.7 * hx.pauli("xy", 0, near) + 0.4 * hx.pauli("zxy", 0, near, far) + hx.sigmaz(0) + 0.3 * hx.sigmax(near)
    h = h + 0.5 * hx.pauli("zy", 0, aside + len(lattice.basis) - 1)
    jump = hx.sigmam(0) * hx.sigmaz(near) + 0.4 * hx.sigmap(near) + 0.2j * hx.sigmam(far)
    moves = [hx.Transformation(p) for p in lattice.translations()]
    channels = [hx.Dissipator(jump.transformed(t), 0.6) for t in moves]
    return hx.Lindbladian(hx.operator_sum([h.transformed(t) for t in moves]), channels, lattice=lattice)


def symmetric_model(lattice):
    """A model with all symmetries of its lattice: neighbours, second neighbours, jumps of two sites."""
    h = [hx.pauli("xx", *b) + 0.7 * hx.pauli("yy", *b) + 0.4 * hx.pauli("zz", *b) for b in lattice.bonds().tolist()]
    h += [0.3 * hx.pauli("zz", *b) for b in lattice.bonds(2).tolist()]
    channels = [hx.Dissipator(hx.sigmam(i), 0.8) for i in range(lattice.n_sites)]
    channels += [hx.Dissipator(hx.sigmaz(i) + hx.sigmaz(j), 0.2) for i, j in lattice.bonds().tolist()]
    return hx.Lindbladian(hx.operator_sum(h), channels, lattice=lattice)


def decaying(lattice):
    return hx.models.dissipative_ising(lattice, V=1.7, g=0.9)


def components(n_free, n_components=2, seed=0):
    """A frame of random components."""
    k1, k2 = jax.random.split(jax.random.key(seed))
    coordinates = 0.6 * jax.random.normal(k1, (n_components, n_free, 3))
    weights = jax.random.normal(k2, (n_components,))
    return kernels.Frame(weights, MANIFOLD.vectors(coordinates), MANIFOLD.tangents(coordinates))


@jax.jit
def everything(bra, ket, contacts, generator):
    scale = kernels.log_norm(bra.vectors, METRIC, contacts.sizes)
    return {
        "log_norm": scale,
        "overlaps": kernels.overlaps(bra.vectors, ket.vectors, METRIC, contacts, scale),
        "force": kernels.force(bra, ket, METRIC, contacts, generator, scale),
        "gram": gram_matrix(bra, ket, METRIC, contacts, scale),
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
    return everything(bra, ket, contacts_of(layout), contact_generator(generator, layout))


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


def full_layout(lattice, sites):
    """All translations, and components with a vector for each of the given free sites."""
    return Layout.of_group(hx.SymmetryGroup.translations(lattice))._replace(free_sites=sites)


def assert_same_on_the_lattice(layout, generator, model, sites, seed=0):
    """Kernels of a layout on a patch against those of all translations on the whole lattice."""
    assert layout.n_free == sites.max() + 1
    assert layout.share.sum() == pytest.approx(1.0, abs=1e-14)
    bra, ket = components(layout.n_free, seed=seed + 3), components(layout.n_free, seed=seed + 4)
    expected = kernels_on(full_layout(model.lattice, sites), sum_of_products(model), bra, ket)
    assert_same(kernels_on(layout, generator, bra, ket), expected)


# Lattice, model, radius, cells of the patch, cells of the window.
WINDOWS = [
    pytest.param(hx.Lattice.chain(14, periodic=True), decaying, 0, 6, 1, id="chain-0", marks=pytest.mark.slow),
    pytest.param(hx.Lattice.chain(14, periodic=True), decaying, 1, 10, 3, id="chain-1"),
    pytest.param(
        hx.Lattice.chain(13, periodic=True), chiral_model, 0, 10, 1, id="chiral-chain-0", marks=pytest.mark.slow
    ),
    pytest.param(hx.Lattice.chain(17, periodic=True), chiral_model, 1, 14, 3, id="chiral-chain-1"),
    pytest.param(
        hx.Lattice.chain(17, periodic=True),
        symmetric_model,
        1,
        14,
        3,
        id="next-nearest-chain-1",
        marks=pytest.mark.slow,
    ),
    pytest.param(hx.Lattice.square(11, 11, periodic=True), decaying, 1, 100, 9, id="square-1"),
    pytest.param(
        hx.Lattice.rectangle(11, 4, periodic=True),
        decaying,
        1,
        40,
        9,
        id="cut-along-one-direction",
        marks=pytest.mark.slow,
    ),
    pytest.param(hx.Lattice.rectangle(12, 3, periodic=True), chiral_model, 0, 30, 1, id="chiral-rectangle-0"),
    pytest.param(hx.Lattice.honeycomb(7, 7, periodic=True), decaying, 0, 36, 1, id="honeycomb-0"),
    pytest.param(
        hx.Lattice.honeycomb(11, 3, periodic=True),
        chiral_model,
        0,
        30,
        1,
        id="chiral-honeycomb-0",
        marks=pytest.mark.slow,
    ),
    # Nothing lies beyond the patch, but the window is smaller.
    pytest.param(hx.Lattice.chain(8, periodic=True), decaying, 1, 8, 3, id="whole-chain", marks=pytest.mark.slow),
    pytest.param(hx.Lattice.chain(5, periodic=True), chiral_model, 0, 5, 1, id="whole-chiral-chain"),
    # The window covers one direction, or everything.
    pytest.param(hx.Lattice.rectangle(11, 3, periodic=True), decaying, 1, 30, 9, id="covered-direction"),
    pytest.param(hx.Lattice.chain(6, periodic=True), decaying, 3, 6, 6, id="covered-chain", marks=pytest.mark.slow),
    pytest.param(hx.Lattice.chain(5, periodic=True), chiral_model, 2, 5, 5, id="covered-chiral-chain"),
    pytest.param(
        hx.Lattice.square(4, 4, periodic=True), decaying, 2, 16, 16, id="covered-square", marks=pytest.mark.slow
    ),
]


@pytest.mark.parametrize(("lattice", "build", "radius", "patch_cells", "window_cells"), WINDOWS)
def test_windows_equal_all_translations_of_the_lattice(lattice, build, radius, patch_cells, window_cells):
    model = build(lattice)
    window = windowed(sum_of_products(model), lattice.shape, radius)
    kinds, n_cells = len(lattice.basis), int(np.prod(lattice.shape))
    has_background = window_cells < n_cells
    assert len(window.layout.free_sites) == (patch_cells + (patch_cells < n_cells)) * kinds
    assert window.layout.n_free == (window_cells + has_background) * kinds
    assert window.layout.multiplicity.sum() == lattice.n_sites
    np.testing.assert_array_equal(
        window.background, np.arange(window_cells * kinds, (window_cells + has_background) * kinds)
    )
    counts = np.bincount(window.layout.free_sites, window.layout.multiplicity)
    np.testing.assert_array_equal(counts, np.bincount(window.lattice_sites))
    assert_same_on_the_lattice(window.layout, window.generator, model, window.lattice_sites)


@pytest.mark.parametrize(
    ("lattice", "build", "radius"),
    [
        pytest.param(hx.Lattice.chain(14, periodic=True), decaying, 1, id="chain"),
        pytest.param(hx.Lattice.chain(17, periodic=True), chiral_model, 0, id="chiral-chain"),
        pytest.param(hx.Lattice.square(8, 8, periodic=True), decaying, 0, id="square"),
        pytest.param(hx.Lattice.honeycomb(7, 7, periodic=True), decaying, 0, id="honeycomb", marks=pytest.mark.slow),
        pytest.param(hx.Lattice.chain(6, periodic=True), decaying, 2, id="covered-chain"),
    ],
)
def test_the_flow_of_windows_is_that_of_all_translations(lattice, build, radius):
    model = build(lattice)
    products = sum_of_products(model)
    window = windowed(products, lattice.shape, radius)
    layout, sites = tied_window(window, point_group(lattice)) if build is decaying else (window.layout, None)
    sites = window.lattice_sites if sites is None else sites
    bra = components(layout.n_free, seed=7)
    near = tuple(c.touching(window.cell).repeated(*window.repeats()) for c in clusters_of(products))
    whole = full_layout(lattice, sites)
    expected = flow_on(whole, products, clusters_of(products), bra)
    assert_same({"flow": flow_on(layout, window.generator, near, bra)}, {"flow": expected})


def flow_on(layout, products, clusters, bra):
    contacts, generator = contacts_of(layout), contact_generator(products, layout)
    scale = kernels.log_norm(bra.vectors, METRIC, contacts.sizes)
    placed = contact_clusters(clusters, len(products.matrices) + 1, layout)
    return jax.jit(flow_overlaps)(bra.vectors, bra.vectors, METRIC, contacts, generator, placed, scale)


def test_sizes_do_not_depend_on_the_lattice():
    shapes = []
    for n in (20, 2000):
        lattice = hx.Lattice.chain(n, periodic=True)
        window = windowed(sum_of_products(decaying(lattice)), lattice.shape, 1)
        built = contacts_of(window.layout), contact_generator(window.generator, window.layout)
        shapes.append([x.shape for x in jax.tree.leaves(built)])
        assert len(window.lattice_sites) == n
    assert shapes[0] == shapes[1]


def tied_window(window, point):
    """A window tied by a point group, and the free site of each lattice site, numbered anew."""
    layout = tied(window.layout, window.on_patch(point))
    renumbered = np.zeros(window.layout.n_free, dtype=int)
    renumbered[window.layout.free_sites] = layout.free_sites
    return layout, renumbered[window.lattice_sites]


@pytest.mark.parametrize(
    ("lattice", "build", "radius", "kept"),
    [
        pytest.param(hx.Lattice.chain(14, periodic=True), decaying, 1, 2, id="chain"),
        pytest.param(hx.Lattice.chain(8, periodic=True), decaying, 1, 2, id="whole-chain"),
        pytest.param(
            hx.Lattice.chain(11, periodic=True),
            decaying,
            1,
            2,
            id="chain-just-beyond-the-patch",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            hx.Lattice.chain(17, periodic=True), symmetric_model, 1, 2, id="next-nearest", marks=pytest.mark.slow
        ),
        pytest.param(hx.Lattice.square(11, 11, periodic=True), decaying, 1, 8, id="square"),
        pytest.param(hx.Lattice.square(8, 8, periodic=True), decaying, 1, 8, id="whole-square"),
        pytest.param(
            hx.Lattice.square(5, 5, periodic=True), decaying, 1, 8, id="whole-odd-square", marks=pytest.mark.slow
        ),
        # Of the twelve isometries of the triangular lattice, four keep a rhombus of cells in its place.
        pytest.param(hx.Lattice.triangular(5, 5, periodic=True), decaying, 1, 4, id="rhombus", marks=pytest.mark.slow),
        pytest.param(hx.Lattice.triangular(13, 13, periodic=True), decaying, 0, 12, id="triangular"),
    ],
)
def test_point_groups_tie_the_sites_of_windows(lattice, build, radius, kept):
    model = build(lattice)
    window = windowed(sum_of_products(model), lattice.shape, radius)
    point = window.on_patch(point_group(lattice))
    assert len(point) == kept
    # A group: closed, and all elements differ.
    rows = {tuple(p) for p in point}
    assert len(rows) == kept
    assert {tuple(p[q]) for p in point for q in point} == rows
    layout, sites = tied_window(window, point_group(lattice))
    assert_same_on_the_lattice(layout, window.generator, model, sites)


def test_point_groups_about_another_centre_keep_windows_exact():
    """The hexagon's middle is no site: what does not leave the window in its place must be left out."""
    lattice = hx.Lattice.honeycomb(5, 5, periodic=True)
    model = decaying(lattice)
    window = windowed(sum_of_products(model), lattice.shape, 0)
    layout, sites = tied_window(window, point_group(lattice))
    assert_same_on_the_lattice(layout, window.generator, model, sites)


def test_what_the_generator_does_not_have_ties_no_sites():
    """A reflection leaves the window in its place, but not a model with a handedness."""
    lattice = hx.Lattice.chain(9, periodic=True)
    window = windowed(sum_of_products(chiral_model(lattice)), lattice.shape, 0)
    np.testing.assert_array_equal(window.on_patch(point_group(lattice)), [np.arange(len(window.layout.free_sites))])
