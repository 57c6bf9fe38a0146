"""Which symmetries a mixture uses and how: averaged over, tied inside a component, or left out."""

import numpy as np
import pytest

import husimix as hx
from husimix.ansatz import Problem
from husimix.mixture.arrangement import arrange, mixture_of, same_elements
from husimix.physics.neighbours import neighbour_pairs, one_of_each_kind
from husimix.physics.symmetry.point_group import point_group

QUIET = {"progress": False}
SQUARE = hx.Lattice.square(3, 3, periodic=True)
TIMES = np.linspace(0, 3, 16)


def ising(lattice, **parameters):
    return hx.models.dissipative_ising(lattice, **({"V": 2.0, "g": 1.0} | parameters))


def down(model):
    return hx.product_state(model.n_sites, "down")


def arrangement(model, symmetry="auto", state=None):
    return arrange(Problem(model, down(model) if state is None else state, symmetry, {}, 0, 1.0), "bloch")


@pytest.mark.parametrize(
    ("lattice", "order", "n_free", "n_images"),
    [
        # Small: translations with all sites free, as tied sites cost what no number of components gives back.
        (hx.Lattice.chain(6, periodic=True), 6, 6, 6),
        (SQUARE, 9, 9, 9),
        (hx.Lattice.triangular(3, 3, periodic=True), 9, 9, 9),
        (hx.Lattice.square(4, 4, periodic=True), 16, 16, 16),
        # Several sites in a cell: never tied.
        (hx.Lattice.honeycomb(2, 1, periodic=True), 2, 4, 2),
        (hx.Lattice.kagome(3, 3, periodic=True), 9, 27, 9),
        (hx.Lattice.honeycomb(6, 6, periodic=True), 36, 72, 36),
        # Large: one free site for those that the point group exchanges about site 0.
        (hx.Lattice.square(8, 8, periodic=True), 64, 15, 15),
        # Translations do not join all cells: averaged over the point group, too.
        (hx.Lattice.square(2, 3), 4, 6, 4),
    ],
)
def test_auto_ties_sites_of_large_lattices_of_one_site_a_cell_only(lattice, order, n_free, n_images):
    found = arrangement(ising(lattice))
    assert found.symmetry == "full" and found.group.order == order
    assert (found.layout.n_free, len(found.layout.share)) == (n_free, n_images)
    assert found.layout.share.sum() == pytest.approx(1.0)


def test_rotations_and_combined_operations_are_averaged_over():
    xyz = arrangement(hx.models.dissipative_xyz(SQUARE))
    assert xyz.group.order == 18 and len(xyz.group.maps) == 1
    driven = hx.models.boundary_driven_heisenberg(hx.Lattice.chain(4))
    mixed = hx.product_state(4, "mixed")
    assert arrangement(driven, state=mixed).group.order == 4
    result = hx.mesolve(driven, mixed, [0, 1, 2], ansatz=hx.Mixture(4), **QUIET)
    # Reflection with a π rotation about x: ⟨σz⟩ is odd about the middle, ⟨σx⟩ and ⟨σy⟩ vanish by the one about z.
    np.testing.assert_allclose(result.bloch[..., 2], -result.bloch[:, ::-1, 2], atol=1e-14)
    np.testing.assert_allclose(result.bloch[..., :2], 0, atol=1e-14)
    assert np.abs(result.bloch[-1, :, 2]).max() > 0.05


def test_the_initial_state_decides_as_well():
    tilted = hx.product_state(9, [0.6, 0.0, 0.8])
    assert arrangement(hx.models.dissipative_xyz(SQUARE), "full", tilted).group.order == 9
    striped = np.tile([[0, 0, 1.0], [0, 0, -1.0], [0, 0, -1.0]], (3, 1))
    found = arrangement(ising(SQUARE), state=hx.product_state(9, striped))
    # Three translations along the stripes, and the reflections about an up site, averaged over as cells differ.
    assert found.group.order == 12 and found.layout.is_plain
    np.testing.assert_allclose(found.state.bloch(), striped, atol=1e-14)


def test_tied_components_have_the_symmetry_of_the_point_group():
    lattice = hx.Lattice.square(6, 6, periodic=True)
    model, bonds = ising(lattice), lattice.bonds()
    values = {"one": hx.pauli("zz", *bonds[0]), "other": hx.pauli("zz", *bonds[1])}
    run = hx.mesolve(model, down(model), [0, 0.5], ansatz=hx.Mixture(2), observables=values, **QUIET)
    assert np.ptp(run.bloch, axis=1).max() < 1e-13
    np.testing.assert_allclose(run.expect["one"], run.expect["other"], atol=1e-13)
    assert all(run.final_state.leaves_components(hx.Transformation(p)) for p in point_group(lattice))


def test_own_generators_are_taken_or_refused_with_the_term_that_breaks_them():
    ring = ising(hx.Lattice.chain(4, periodic=True))
    shift = np.roll(np.arange(4), -2)
    run = hx.mesolve(ring, down(ring), [0, 0.2], ansatz=hx.Mixture(2), symmetry=[shift], **QUIET)
    assert run.settings["symmetry"] == "custom" and run.final_state.group.order == 2
    with pytest.raises(ValueError, match=r"must hold for the model and the initial state, but got the term .*x"):
        hx.mesolve(ring, down(ring), [0, 0.2], symmetry=[hx.Transformation(rotation="z", n_sites=4)], **QUIET)
    with pytest.raises(ValueError, match=r"`symmetry` must permute 4 sites, but got 3"):
        hx.mesolve(ring, down(ring), [0, 0.2], symmetry=[[1, 2, 0]], **QUIET)


def test_a_state_goes_on_under_another_group():
    """Under a smaller group its average is written out; under its own, named otherwise, it stays as it is."""
    ring = ising(hx.Lattice.chain(4, periodic=True))
    state = hx.mesolve(ring, down(ring), [0, 0.5], ansatz=hx.Mixture(3), **QUIET).final_state
    twice = hx.Transformation(np.roll(np.arange(4), 2))
    assert state.group.order == 4 and state.is_invariant(twice)
    assert not state.is_invariant(hx.Transformation([1, 0, 2, 3]))
    half = arrangement(ring, [twice], state)
    assert half.group.order == 2 and half.state.n_components == 12
    np.testing.assert_allclose(half.state.to_dense(), state.to_dense(), atol=1e-14)
    whole = arrangement(ring, "translations", state)
    assert whole.state.n_components == 3
    np.testing.assert_allclose(whole.state.to_dense(), state.to_dense(), atol=1e-14)


def test_states_of_other_kinds_start_a_mixture_if_they_are_sums_of_products():
    ring = ising(hx.Lattice.chain(4, periodic=True))
    mixture = hx.mesolve(ring, down(ring), [0, 0.5], ansatz=hx.Mixture(3), **QUIET).final_state
    products = mixture.as_products()
    assert len(products.weights) == 12 and products.vectors.shape == (12, 4, 4)
    np.testing.assert_allclose(products.weights @ products.vectors[:, 1], mixture.local_values()[1], atol=1e-14)
    assert mixture_of(mixture) is mixture
    for state, is_mixture in ((OtherState(products), True), (OtherState(None), False)):
        if is_mixture:
            np.testing.assert_allclose(mixture_of(state).to_dense(), mixture.to_dense(), atol=1e-14)
        else:
            with pytest.raises(ValueError, match="`state` must be a sum of products to start a mixture"):
                mixture_of(state)


class OtherState:
    """As much of a state as a mixture looks at."""

    def __init__(self, products):
        self.products = products
        self.n_sites, self.basis, self.history = 4, hx.product_state(1).basis, hx.product_state(1).history

    def as_products(self):
        return self.products


def worst(run, exact):
    bonds = [np.abs(run.expect[name] - exact.expect[name]).max() for name in run.expect]
    return max(np.abs(run.bloch - exact.bloch).max(), *bonds)


def bond_observables(model):
    kinds = one_of_each_kind(neighbour_pairs(model), hx.SymmetryGroup.translations(model.lattice)).tolist()
    return {f"{letter}{pair}": hx.pauli(2 * letter, *pair) for letter in "xyz" for pair in kinds}


HONEYCOMB = hx.Lattice.honeycomb(2, 1, periodic=True)


@pytest.mark.parametrize(
    ("model", "spins"),
    [
        (ising(HONEYCOMB), "down"),
        (hx.models.dissipative_xyz(HONEYCOMB, 2.0, 0.5, 1.0), "+x"),
        (hx.models.lossy_xx(HONEYCOMB, J=2.0, omega=2.0), "down"),
    ],
)
def test_several_sites_in_a_cell_cost_no_accuracy(model, spins):
    """Tied to each other, the sites of this lattice end 0.02 to 0.1 off for every K."""
    state, values = hx.product_state(4, spins), bond_observables(model)
    run = hx.mesolve(model, state, TIMES, ansatz=hx.Mixture(16), observables=values, **QUIET)
    assert worst(run, hx.exact.mesolve(model, state, TIMES, observables=values)) < 2e-3


SMALL = {
    "ring": hx.Lattice.chain(6, periodic=True),
    "square": SQUARE,
    "honeycomb": hx.Lattice.honeycomb(2, 1, periodic=True),
    "honeycomb of 8": hx.Lattice.honeycomb(2, 2, periodic=True),
    "kagome": hx.Lattice.kagome(2, 1, periodic=True),
    "kagome of 9": hx.Lattice.kagome(3, 1, periodic=True),
    "triangular": hx.Lattice.triangular(3, 3, periodic=True),
}
MODELS = {
    "ising": (ising, "down"),
    "isotropic xyz": (lambda lattice: hx.models.dissipative_xyz(lattice, 1.0, 1.0, 1.0), [0.6, 0.0, 0.8]),
    "xyz": (hx.models.dissipative_xyz, "+x"),
    "xx": (lambda lattice: hx.models.lossy_xx(lattice, J=2.0, omega=2.0), "down"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("lattice", SMALL.values(), ids=SMALL.keys())
def test_auto_is_as_accurate_as_translations(lattice, name):
    """Lattices of up to nine sites, four models each, at K = 48; equal arrangements need no run."""
    build, spins = MODELS[name]
    model, state = build(lattice), hx.product_state(lattice.n_sites, spins)
    plain, auto = (arrangement(model, symmetry, state) for symmetry in ("translations", "auto"))
    assert auto.layout.is_plain
    if same_elements(plain.group, auto.group):
        return
    values = bond_observables(model)
    exact = hx.exact.mesolve(model, state, TIMES, observables=values)
    errors = [
        worst(
            hx.mesolve(model, state, TIMES, ansatz=hx.Mixture(48), symmetry=s, observables=values, **QUIET),
            exact,
        )
        for s in ("auto", "translations")
    ]
    assert errors[0] <= 2 * errors[1]
