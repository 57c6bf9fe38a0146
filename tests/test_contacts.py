"""Contacts: their tables against loops over images and sites."""

import itertools
from collections import defaultdict

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import husimix as hx
from husimix.mixture import contacts as contacts_module
from husimix.mixture.contacts import Choices, Counts, contact_generator, contacts_of
from husimix.mixture.layout import Layout, tied
from husimix.physics.products import sum_of_products
from husimix.physics.symmetry.point_group import point_group

CHAIN = hx.Lattice.chain(5, periodic=True)
MODEL = hx.models.dissipative_xyz(CHAIN)


def with_flips(lattice):
    moves = [hx.Transformation(p) for p in lattice.translations()]
    return hx.SymmetryGroup.generated([*moves, hx.Transformation(rotation="z", n_sites=lattice.n_sites)])


PLAIN = Layout.of_group(hx.SymmetryGroup.translations(CHAIN))
FLIPS = Layout.of_group(with_flips(CHAIN))
SINGLE = Layout.of_group(hx.SymmetryGroup.identity(5))
TIED = tied(FLIPS, point_group(CHAIN))
# Layout, generator, the form of the images, whether all contacts occur.
CASES = {
    "translations": (PLAIN, MODEL, Choices, True),
    "flips": (FLIPS, MODEL, Choices, True),
    "no-group": (SINGLE, MODEL, Choices, False),
    "tied": (TIED, MODEL, Counts, True),
}

ALL_SUMS = jax.jit(lambda i, x, y, z: (i.sums(x), i.totals(y), i.rows(z), i.columns(z)))


def built(name):
    layout, model, form, complete = CASES[name]
    contacts = contacts_of(layout)
    assert isinstance(contacts.images, form) and contacts.complete is complete
    return layout, contacts, sum_of_products(model)


def met(layout, contacts):
    """The contact of each site under each image, from the attributes of the contacts alone."""
    triples = np.stack([contacts.bra_sites, contacts.ket_sites, contacts.labels], axis=1).tolist()
    number = {tuple(triple): e for e, triple in enumerate(triples)}
    assert len(number) == contacts.n_contacts
    free = layout.free_sites
    return np.array(
        [
            [number[int(free[i]), int(free[s]), int(m)] for i, (s, m) in enumerate(zip(*image, strict=True))]
            for image in zip(layout.sources, layout.labels, strict=True)
        ]
    )


@pytest.mark.parametrize("name", CASES)
def test_sums_over_images_are_loops_over_sites(name):
    layout, contacts, _ = built(name)
    codes, images = met(layout, contacts), contacts.images
    rng = np.random.default_rng(0)
    order, n_contacts, n_free = len(layout.share), contacts.n_contacts, layout.n_free
    table, amounts = rng.normal(size=(n_contacts, 2, 3)), rng.normal(size=(order, 3))
    several = rng.normal(size=(2, n_contacts, 3))
    by_image = [sum(table[e] for e in row) for row in codes]
    actual = ALL_SUMS(images, table, amounts, several)
    np.testing.assert_allclose(actual[0], by_image, rtol=1e-12, atol=1e-12)
    totals, (rows, columns) = np.zeros((n_contacts, 3)), np.zeros((2, 3, order, n_free, 2))
    for g, i in itertools.product(range(order), range(len(layout.free_sites))):
        e, m = codes[g, i], 1.0
        totals[e] += m * amounts[g]
        rows[:, g, layout.free_sites[i]] += m * several[:, e].T
        columns[:, g, layout.free_sites[layout.sources[g, i]]] += m * several[:, e].T
    np.testing.assert_allclose(actual[1], totals, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(actual[2], rows, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(actual[3], columns, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(contacts.sizes, np.bincount(layout.free_sites))
    np.testing.assert_allclose(contacts.share.sum(), 1.0)


def test_both_forms_of_images_give_equal_sums(monkeypatch):
    counts = contacts_of(TIED)
    monkeypatch.setattr(contacts_module, "_LARGEST_MATRIX", 0)
    lists = contacts_of(TIED)
    assert isinstance(counts.images, Counts) and isinstance(lists.images, Choices)
    rng = np.random.default_rng(1)
    shapes = (counts.n_contacts, 2, 3), (len(TIED.share), 3), (2, counts.n_contacts, 3)
    tables = [rng.normal(size=shape) for shape in shapes]

    for first, second in zip(*(ALL_SUMS(c.images, *tables) for c in (counts, lists)), strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_vectors_at_contacts(name):
    layout, contacts, _ = built(name)
    size = layout.maps.shape[-1] if len(layout.maps) else 4
    rng = np.random.default_rng(2)
    bra, ket = (rng.normal(size=(size, *more, layout.n_free, 3)) for more in ((2,), ()))
    maps = np.concatenate([np.eye(size)[None], layout.maps]) if len(layout.maps) else np.eye(size)[None]
    where = [np.asarray(x) for x in (contacts.bra_sites, contacts.ket_sites, contacts.labels)]
    images = np.stack([maps[m] @ ket[:, j] for _, j, m in zip(*where, strict=True)], axis=1)
    expected = np.einsum("ameq,aeq->meq", bra[:, :, where[0]], images)

    @jax.jit
    def actual(contacts, bra, ket):
        images = contacts.at_ket(ket)
        # Several bras meet the same kets at once, or one does.
        return images, contacts.contracted(bra, images[:, None]), contacts.contracted(bra[:, 0], images)

    for value, truth in zip(actual(contacts, bra, ket), (images, expected, expected[0]), strict=True):
        np.testing.assert_allclose(value, truth, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("more", [(), (2,)], ids=["one-bra", "several-bras"])
def test_the_rule_for_the_gradient_of_contractions_is_that_of_the_plain_formula(more):
    rng = np.random.default_rng(4)
    bra, ket = rng.normal(size=(4, *more, 3, 1, 5)), jnp.asarray(rng.normal(size=(4, *(1 for _ in more), 3, 6, 5)))
    cotangent = jnp.asarray(rng.normal(size=(*more, 3, 6, 5)))

    def plain(bra):
        return jnp.sum(cotangent * jnp.sum(bra * ket, axis=0))

    def ruled(bra):
        return jnp.sum(cotangent * contacts_module._outer_contraction(bra, ket))

    (value, actual), (truth, expected) = (jax.jit(jax.value_and_grad(f))(bra) for f in (ruled, plain))
    assert value == pytest.approx(float(truth), rel=1e-12) and actual.shape == bra.shape
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_merged_products_sum_to_the_same_rate(name):
    """Σ_t w_t Π α of every image, from the merged products and from a loop over all of them."""
    layout, contacts, generator = built(name)
    codes, merged = met(layout, contacts), contact_generator(generator, layout)
    order = len(layout.share)
    alpha = np.random.default_rng(5).normal(size=(len(generator.matrices), contacts.n_contacts))
    assert len(merged.couplings) == len(generator.couplings) > 0
    for coupling, mine in zip(generator.couplings, merged.couplings, strict=True):
        expected, weight = np.zeros(order), np.zeros(order)
        for g in range(order):
            for letters, sites, w in zip(coupling.letters, coupling.sites, coupling.weights, strict=True):
                expected[g] += w * np.prod(alpha[letters, codes[g, sites]])
                weight[g] += w
        images, factors = np.asarray(mine.images), np.asarray(mine.factors)
        products = np.asarray(mine.weights) * alpha.ravel()[factors].prod(axis=1)
        np.testing.assert_allclose(np.bincount(images, products, order), expected, rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(np.bincount(images, mine.weights, order), weight, rtol=1e-11, atol=1e-12)
        assert (np.diff(images) >= 0).all()
        distinct = defaultdict(int)
        for g, row in zip(images.tolist(), np.sort(factors, axis=1).tolist(), strict=True):
            distinct[g, *row] += 1
        assert max(distinct.values()) == 1
        n_written = order * len(coupling.weights)
        assert len(images) == n_written if layout.is_plain else len(images) < n_written
    first = np.unique(layout.free_sites, return_index=True)[1]
    np.testing.assert_array_equal(merged.one_site, generator.one_site[first])
