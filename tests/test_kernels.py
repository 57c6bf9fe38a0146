"""The pair kernels against their dense renderings, entry by entry."""

import dataclasses
import itertools
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dense
from husimix import Dissipator, Lattice, Lindbladian, Operator, SymmetryGroup, Transformation, models, operator_sum
from husimix.mixture import contacts as contacts_module
from husimix.mixture import kernels, pair
from husimix.mixture.contacts import Choices, Counts
from husimix.mixture.flow import flow_overlaps, squared_flow
from husimix.mixture.gram import gram_and_force, gram_matrix
from husimix.mixture.layout import Layout, tied
from husimix.mixture.manifolds import Bloch, Coherent
from husimix.mixture.metric import site_metric
from husimix.physics.basis import site_basis, spin_matrices
from husimix.physics.products import sum_of_products
from motions import scene_of


def random_matrix(rng, d):
    return rng.normal(size=(d, d)) + 1j * rng.normal(size=(d, d))


def symmetric_model(permutations, d, seed):
    """Random one-, two- and three-site terms and jumps near sites 0 to 2, and all that permutations make of them."""
    rng = np.random.default_rng(seed)
    n = len(permutations[0])
    fields, left, right, third, jump, partner = (random_matrix(rng, d) for _ in range(6))
    a = Operator.local(fields, 0) + Operator.local(left, 0) * Operator.local(right, 1)
    if n > 2:
        a = a + Operator.local(left, 0) * Operator.local(right, 1) * Operator.local(third, 2)
    if n > 3:
        a = a + Operator.local(left, 2) * Operator.local(right, 0) + Operator.local(fields, 1)
    b = Operator.local(jump, 0) + 0.3 * Operator.local(partner, 1)
    moves = [Transformation(p) for p in permutations]
    hamiltonian = operator_sum([(a + a.dag()).transformed(t) for t in moves])
    return Lindbladian(hamiltonian, [Dissipator(b.transformed(t), 0.7) for t in moves], n_sites=n)


def random_mixture(key, manifold, group, n_components):
    return dense.mixture_state(*random_components(key, manifold, group.n_sites, n_components), manifold, group)


def random_components(key, manifold, n_free, n_components):
    k1, k2 = jax.random.split(key)
    coordinates = manifold.restored(jax.random.normal(k1, (n_components, n_free, manifold.n_coordinates)))
    return jax.random.normal(k2, (n_components,)), coordinates


def frame(mixture):
    tangents = mixture.manifold.tangents(mixture.coordinates)
    return kernels.Frame(mixture.weights, mixture.vectors, tangents)


def assert_entries(actual, expected):
    """Agreement to 1e-10 of the largest entry, entry by entry."""
    expected = np.asarray(expected)
    np.testing.assert_allclose(np.asarray(actual), expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())


def turn(dimension, axis, angle):
    """The local map of the rotation of a spin about an axis."""
    generator = np.tensordot(np.array(axis) / np.linalg.norm(axis), np.array(spin_matrices(dimension)), 1)
    values, vectors = np.linalg.eigh(generator)
    unitary = (vectors * np.exp(-1j * angle * values)) @ vectors.conj().T
    return dense.local_map(unitary, site_basis(dimension))


class Setting(NamedTuple):
    """What components are averaged over, what leaves each of them in place, and the largest matrix of counts."""

    group: SymmetryGroup
    point: np.ndarray
    largest_matrix: int | None = None


STEP = [1, 2, 0]
RING = np.array([[0, 1, 2], STEP, [2, 0, 1]])
REFLECTION = np.array([[0, 1, 2], [0, 2, 1]])
FLIPS = [Transformation(rotation=letter, n_sites=3) for letter in "xy"]
# Rotations that permute the axes: their maps are no diagonal matrices and not their own inverse.
CYCLE = Transformation(STEP, np.stack([turn(2, [1, 1, 1], 2 * np.pi / 3), np.eye(4), turn(2, [0, 0, 1], np.pi)]))
QUARTER = Transformation(rotation=turn(3, [0, 1, 0], np.pi / 2), n_sites=2)

SETTINGS = {
    (2, "plain"): Setting(SymmetryGroup.identity(3), RING[:1]),
    (2, "ring"): Setting(SymmetryGroup.of_elements(RING, np.array([1])), RING[:1]),
    (2, "flips"): Setting(SymmetryGroup.generated(FLIPS), RING[:1]),
    (2, "sitewise"): Setting(SymmetryGroup.generated([Transformation(STEP, "x1y")]), RING[:1]),
    (2, "cycle"): Setting(SymmetryGroup.generated([CYCLE]), RING[:1]),
    (2, "tied"): Setting(SymmetryGroup.of_elements(RING, np.array([1])), REFLECTION),
    (2, "tied-flips"): Setting(SymmetryGroup.generated([Transformation(STEP), *FLIPS]), REFLECTION),
    (2, "tied-lists"): Setting(SymmetryGroup.generated([Transformation(STEP), *FLIPS]), REFLECTION, 0),
    (2, "tied-few"): Setting(SymmetryGroup.identity(4), np.array([[0, 1, 2, 3], [0, 1, 3, 2]])),
    (3, "plain"): Setting(SymmetryGroup.identity(2), np.array([[0, 1]])),
    (3, "ring"): Setting(SymmetryGroup.generated([[1, 0]]), np.array([[0, 1]])),
    (3, "sitewise"): Setting(SymmetryGroup.generated([Transformation([1, 0], "x1", dimension=3)]), np.array([[0, 1]])),
    (3, "quarter"): Setting(SymmetryGroup.generated([QUARTER]), np.array([[0, 1]])),
    (3, "tied-flips"): Setting(
        SymmetryGroup.generated([Transformation(rotation="z", n_sites=2, dimension=3)]), np.array([[0, 1], [1, 0]])
    ),
}

# Compilation takes most of the time, so that only some cases of the full table are run by default.
QUICK = {
    (2, "plain"): Bloch,
    (2, "ring"): Coherent,
    (2, "flips"): Coherent,
    (2, "cycle"): Bloch,
    (2, "tied"): Bloch,
    (2, "tied-flips"): Coherent,
    (2, "tied-lists"): Bloch,
    (2, "tied-few"): Bloch,
    (3, "quarter"): Coherent,
}
QUICK_TOGETHER = {key: QUICK[key] for key in ((2, "plain"), (2, "tied-flips"), (3, "quarter"))}
QUICK_FLOW = {key: QUICK[key] for key in ((2, "plain"), (2, "cycle"), (2, "tied-lists"), (3, "quarter"))}


def cases_of(quick):
    return [
        pytest.param(
            d,
            manifold,
            kind,
            metric,
            id=f"D{d * d}-{manifold.__name__}-{kind}-{metric}",
            marks=[] if quick.get((d, kind)) is manifold else pytest.mark.slow,
        )
        for d, kind in SETTINGS
        for manifold in (Bloch, Coherent)
        for metric in ("husimi", "hilbert-schmidt")
    ]


class Dense:
    """One case with its library objects and its dense truth, bra ≠ ket."""

    def __init__(self, d, manifold, kind, metric):
        setting = SETTINGS[d, kind]
        group, n = setting.group, setting.group.n_sites
        basis, size = site_basis(d), d * d
        self.layout = tied(Layout.of_group(group), setting.point)
        # Bras are not averaged, so that the kernels are exact for a model without the symmetry of the kets, too.
        self.model = symmetric_model(setting.point, d, seed=d)
        self.g = jnp.asarray(site_metric(metric, basis))
        with pytest.MonkeyPatch.context() as patch:
            if setting.largest_matrix is not None:
                patch.setattr(contacts_module, "_LARGEST_MATRIX", setting.largest_matrix)
            self.scene = scene_of(sum_of_products(self.model), self.layout, self.g)
        self.contacts = self.scene.contacts
        self.log_scale = jnp.asarray(0.7)
        self.metric = dense.metric_diagonal(np.asarray(self.g), n) * np.exp(-0.7)
        frames, full, tangents = [], [], []
        for key, count in zip(jax.random.split(jax.random.key(d)), (2, 3), strict=True):
            weights, coordinates = random_components(key, manifold(basis), self.layout.n_free, count)
            free = dense.mixture_state(weights, coordinates, manifold(basis), group)
            frames.append(frame(free))
            full.append(dense.mixture_state(weights, coordinates[:, self.layout.free_sites], manifold(basis), group))
            tangents.append(dense.tied_tensors(full[-1], self.layout.free_sites))
        self.bra, self.ket = frames
        self.bra_tangents, self.ket_tangents = tangents
        self.bra_products, kets = (np.array([dense.product_tensor(v) for v in m.vectors]) for m in full)
        average = dense.averaged_tensor(np.eye(size**n), group, size) if len(group.maps) else None

        def averaged(tensors):
            if average is not None:
                return tensors @ average.T
            return np.stack([dense.averaged_tensor(t, group, size) for t in tensors])

        self.ket_images, self.tangent_images = averaged(kets), averaged(self.ket_tangents)


@pytest.fixture(scope="module")
def cases():
    return {}


def get(cases, *key):
    if key not in cases:
        cases[key] = Dense(*key)
    return cases[key]


@eqx.filter_jit
def all_of_two(bra, ket, scene, log_scale):
    return {
        "overlaps": kernels.overlaps(bra.vectors, ket.vectors, scene, log_scale),
        "transfers": kernels.transfers(bra.vectors, ket.vectors, scene, log_scale),
        "force": kernels.force(bra, ket, scene, log_scale),
        "gram": gram_matrix(bra, ket, scene, log_scale),
    }


together = eqx.filter_jit(gram_and_force)


def limited(scene, memory_limit):
    return dataclasses.replace(scene, memory_limit=memory_limit)


@pytest.mark.parametrize(
    ("d", "manifold", "kind", "metric"), cases_of({k: m for k, m in QUICK.items() if k != (2, "tied-lists")})
)
def test_kernels_of_two_mixtures_equal_their_dense_renderings(cases, d, manifold, kind, metric):
    c = get(cases, d, manifold, kind, metric)
    actual = all_of_two(c.bra, c.ket, c.scene, c.log_scale)
    generator = dense.dense_generator(c.model)
    ket = np.asarray(c.ket.weights) @ c.ket_images
    images = c.ket_images.T
    assert_entries(actual["overlaps"], c.bra_products @ (c.metric[:, None] * images))
    assert_entries(actual["transfers"], c.bra_products @ (c.metric[:, None] * (generator @ images)))
    assert_entries(actual["force"], c.bra_tangents @ (c.metric * (generator @ ket)))
    assert_entries(actual["gram"], c.bra_tangents @ (c.metric[:, None] * c.tangent_images.T))


flows = eqx.filter_jit(flow_overlaps)
norm_of_flow = eqx.filter_jit(squared_flow)


@pytest.mark.parametrize(("d", "manifold", "kind", "metric"), cases_of(QUICK_FLOW))
def test_overlaps_of_moved_components_equal_their_dense_rendering(cases, d, manifold, kind, metric):
    """Terms of up to three sites and jumps of two, which share one, two or three sites with each other."""
    c = get(cases, d, manifold, kind, metric)
    generator = dense.dense_generator(c.model)
    expected = (c.bra_products @ generator.T) @ (c.metric[:, None] * (generator @ c.ket_images.T))
    assert_entries(flows(c.bra.vectors, c.ket.vectors, c.scene, c.log_scale), expected)
    assert_entries(flows(c.bra.vectors, c.ket.vectors, limited(c.scene, 1), c.log_scale), expected)


@pytest.mark.parametrize(("d", "manifold", "kind", "metric"), cases_of(QUICK_TOGETHER))
def test_gram_and_force_of_one_mixture_equal_their_dense_renderings(cases, d, manifold, kind, metric):
    c = get(cases, d, manifold, kind, metric)
    gram, force = together(c.ket, c.scene, c.log_scale)
    assert_entries(gram, c.ket_tangents @ (c.metric[:, None] * c.tangent_images.T))
    ket = np.asarray(c.ket.weights) @ c.ket_images
    assert_entries(force, c.ket_tangents @ (c.metric * (dense.dense_generator(c.model) @ ket)))
    np.testing.assert_allclose(gram, gram.T, atol=1e-12 * np.abs(gram).max())


@pytest.mark.parametrize(("d", "manifold", "metric"), [(2, Coherent, "husimi"), (3, Bloch, "hilbert-schmidt")])
def test_kernels_are_the_physics_of_one_pair(d, manifold, metric):
    """Without symmetry every entry is that of `husimix.mixture.pair`, which knows no tables."""
    n, basis = 3 if d == 2 else 2, site_basis(d)
    model = symmetric_model(np.arange(n)[None], d, seed=7)
    products, g = sum_of_products(model), np.asarray(site_metric(metric, basis))
    scene = scene_of(products, Layout.of_group(SymmetryGroup.identity(n)), g)
    bra, ket = (frame(random_mixture(jax.random.key(s), manifold(basis), SymmetryGroup.identity(n), 2)) for s in (1, 2))
    actual = all_of_two(bra, ket, scene, jnp.zeros(()))
    rows = [[np.asarray(x) for x in (f.vectors, f.tangents)] for f in (bra, ket)]
    bras, kets = (list(enumerate(zip(*row, strict=True))) for row in rows)
    q = bra.parameters_of_component
    scales = [np.asarray(kernels.component_scales(f)) for f in (bra, ket)]
    for (k, (v, t)), (m, (w, u)) in itertools.product(bras, kets):
        assert_entries(actual["overlaps"][k, m], pair.overlap(v, w, g))
        assert_entries(actual["transfers"][k, m], pair.transfer(v, w, g, products))
        block = pair.gram_block(v, t, w, u, g) * scales[0][k][:, None] * scales[1][m][None]
        assert_entries(actual["gram"][k * q : (k + 1) * q, m * q : (m + 1) * q], block)


def test_the_cases_cover_all_forms_of_contacts(cases):
    met = {(d, kind): get(cases, d, manifold, kind, "husimi") for (d, kind), manifold in QUICK.items()}
    forms = {(type(c.contacts.images), c.contacts.complete, c.layout.is_plain) for c in met.values()}
    assert forms == {
        (Counts, True, False),
        (Choices, True, False),
        (Choices, True, True),
        (Choices, False, False),
        (Choices, False, True),
    }
    for complete, images in ((True, Counts), (True, Choices), (False, Choices)):
        for mapped in (True, False):
            found = [
                c
                for c in met.values()
                if (c.contacts.complete, type(c.contacts.images), len(c.contacts.maps) > 0)
                == (complete, images, mapped)
            ]
            assert found
    # Images of tied sites meet several contacts, and some of them more than once.
    lists = met[2, "tied-lists"].contacts.images
    assert lists.by_bra.shape[-1] > 1 and lists.bra_counts.max() > 1
    assert any(np.abs(m - m.T).max() > 0.1 for m in met[2, "cycle"].contacts.maps)


CHUNKED = [
    pytest.param(Coherent, "tied-flips", 40_000),
    pytest.param(Coherent, "flips", 1, marks=pytest.mark.slow),
    pytest.param(Bloch, "tied", 40_000, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("manifold", "kind", "limit"), CHUNKED)
def test_chunks_change_nothing(cases, manifold, kind, limit):
    """A limit that allows one pair at a time, and one that cuts the pairs of some kernels into uneven tiles."""
    c = get(cases, 2, manifold, kind, "husimi")
    tiled = limited(c.scene, limit)
    both = (all_of_two(c.bra, c.ket, scene, c.log_scale) for scene in (tiled, c.scene))
    jax.tree.map(assert_entries, *both)
    jax.tree.map(assert_entries, *(together(c.ket, scene, c.log_scale) for scene in (tiled, c.scene)))


def test_full_permutation_group_of_a_tensor_average():
    """A group whose elements fix some sites and move others, larger than the number of sites."""
    basis = site_basis(2)
    group = SymmetryGroup.generated(np.array([[1, 0, 2], [0, 2, 1]]))
    assert group.order == 6
    bra, ket = (random_mixture(jax.random.key(s), Bloch(basis), group, 2) for s in (1, 2))
    g = jnp.asarray(site_metric("husimi", basis))
    averaged = np.stack([dense.averaged_tensor(t, group, 4) for t in np.asarray(dense.tangent_tensors(ket))])
    metric = dense.metric_diagonal(np.asarray(g), 3)
    expected = np.asarray(dense.tangent_tensors(bra)) @ (metric[:, None] * averaged.T)
    products = sum_of_products(symmetric_model(np.arange(3)[None], 2, seed=1))
    scene = scene_of(products, Layout.of_group(group), g)
    assert_entries(eqx.filter_jit(gram_matrix)(frame(bra), frame(ket), scene, jnp.zeros(())), expected)
    # A group that leaves everything in place is the same average with a single image.
    swapped = tied(Layout.of_group(group), group.permutations)
    assert swapped.n_free == 1


overlaps, transfers, force_of = map(eqx.filter_jit, (kernels.overlaps, kernels.transfers, kernels.force))


def test_thousands_of_sites_neither_overflow_nor_underflow():
    """Overlap, transfer and force of 4096 sites against sums of logarithms in extended precision."""
    lattice = Lattice.square(64, 64)
    layout = Layout.of_group(SymmetryGroup.identity(4096))
    products = sum_of_products(models.dissipative_ising(lattice, V=5.0, g=5.0))
    basis = site_basis(2)
    manifold = Bloch(basis)
    group = SymmetryGroup.identity(4096)
    directions = np.random.default_rng(3).normal(size=(2, 4096, 3))
    coordinates = jnp.asarray(0.9 * directions / np.linalg.norm(directions, axis=-1, keepdims=True))
    mixture = dense.mixture_state(jnp.array([0.6, 0.4]), coordinates, manifold, group)
    for metric in ("husimi", "hilbert-schmidt"):
        g = jnp.asarray(site_metric(metric, basis))
        scene = scene_of(products, layout, g)
        scale = scene.log_scale(mixture.vectors)
        assert scale > 400  # far beyond what exp could hold twice
        actual = overlaps(mixture.vectors, mixture.vectors, scene, scale)
        v = np.asarray(mixture.vectors, dtype=np.longdouble)
        sites = np.einsum("kia,a,lia->kli", v, np.asarray(g, dtype=np.longdouble), v)
        exponent = np.log(np.abs(sites)).sum(axis=-1) - np.longdouble(float(scale))
        expected = np.prod(np.sign(sites), axis=-1) * np.exp(exponent)
        np.testing.assert_allclose(actual, expected.astype(float), rtol=1e-9)
        assert np.max(actual) == pytest.approx(1.0)
        force = force_of(frame(mixture), frame(mixture), scene, scale)
        assert np.isfinite(force).all()
        # One component alone moves by its mean field, whatever the size of the product.
        alone = dense.mixture_state(jnp.ones(1), coordinates[:1], manifold, group)
        scale = scene.log_scale(alone.vectors)
        one = force_of(frame(alone), frame(alone), scene, scale)
        assert np.isfinite(one).all() and np.abs(one).max() > 1e-3


def test_antipodal_spins_in_the_hilbert_schmidt_metric():
    """Site overlaps that vanish exactly must give the same limit as the dense rendering, not nan."""
    basis = site_basis(2)
    g = jnp.asarray(site_metric("hilbert-schmidt", basis))
    manifold = Coherent(basis)
    layout = Layout.of_group(SymmetryGroup.identity(2))
    model = symmetric_model(np.array([[0, 1], [1, 0]]), 2, seed=5)
    up, x = jnp.array([0.0, 0.0, 1.0]), jnp.array([1.0, 0.0, 0.0])
    bra = manifold.vectors(jnp.stack([up, x]))
    ket = manifold.vectors(jnp.stack([-up, x]))
    scene, zero = scene_of(sum_of_products(model), layout, g), jnp.zeros(())
    assert float(overlaps(bra[None], ket[None], scene, zero)[0, 0]) == pytest.approx(0.0, abs=1e-7)
    transfer = transfers(bra[None], ket[None], scene, zero)
    metric = dense.metric_diagonal(g, 2)
    expected = dense.product_tensor(bra) @ (metric * (dense.dense_generator(model) @ dense.product_tensor(ket)))
    assert abs(expected) > 1e-2
    np.testing.assert_allclose(transfer, [[expected]], rtol=1e-6)
