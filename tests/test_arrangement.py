"""Which symmetries and windows a run uses, and what they do to its observables."""

import numpy as np
import pytest

import husimix as hx
from husimix.phasespace.mixture import Mixture
from husimix.solve.arrangement import arrange
from husimix.solve.symmetries import choose_symmetry

QUIET = {"progress": False}
SQUARE = hx.Lattice.square(3, 3, periodic=True)


def ising(lattice, **parameters):
    return hx.models.dissipative_ising(lattice, **({"V": 2.0, "g": 1.0} | parameters))


def down(model):
    return hx.product_state(model.n_sites, "down")


def arrangement(model, symmetry="auto", window=None, state=None):
    return arrange(model, down(model) if state is None else state, symmetry, window)


@pytest.mark.parametrize(
    ("lattice", "order", "n_free", "n_images"),
    [
        (hx.Lattice.chain(6, periodic=True), 6, 4, 4),
        (SQUARE, 9, 3, 3),
        (hx.Lattice.square(4, 4, periodic=True), 16, 6, 6),
        (hx.Lattice.square(2, 3), 4, 6, 4),
        (hx.Lattice.triangular(3, 3, periodic=True), 9, 3, 3),
    ],
)
def test_auto_averages_over_translations_and_leaves_components_to_the_point_group(lattice, order, n_free, n_images):
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
    result = hx.mesolve(driven, mixed, [0, 1, 2], components=4, **QUIET)
    # Reflection with a π rotation about x: ⟨σz⟩ is odd about the middle, ⟨σx⟩ and ⟨σy⟩ vanish by the one about z.
    np.testing.assert_allclose(result.bloch[..., 2], -result.bloch[:, ::-1, 2], atol=1e-14)
    np.testing.assert_allclose(result.bloch[..., :2], 0, atol=1e-14)
    assert np.abs(result.bloch[-1, :, 2]).max() > 0.05


def test_the_initial_state_decides_as_well():
    model = hx.models.dissipative_xyz(SQUARE)
    tilted = hx.product_state(9, [0.6, 0.0, 0.8])
    assert choose_symmetry("full", model, tilted).group.order == 9
    striped = np.tile([[0, 0, 1.0], [0, 0, -1.0], [0, 0, -1.0]], (3, 1))
    use = choose_symmetry("auto", ising(SQUARE), hx.product_state(9, striped))
    # Three translations along the stripes, and the reflections about an up site, averaged over as cells differ.
    assert use.group.order == 12 and len(use.point) == 1
    mixture = Mixture(np.ones(1), np.broadcast_to(striped, (1, 9, 3)), tilted.manifold, use.group)
    np.testing.assert_allclose(mixture.bloch(), striped, atol=1e-14)


def test_full_symmetry_on_three_by_three_is_accurate_and_exactly_symmetric():
    model, times = ising(SQUARE), np.linspace(0, 2, 9)
    bonds = SQUARE.bonds()
    one, mean = hx.pauli("zz", *bonds[0]), hx.operator_sum([hx.pauli("zz", i, j) for i, j in bonds]) / len(bonds)
    found = hx.mesolve(model, down(model), times, observables={"one": one, "mean": mean}, **QUIET)
    broad = hx.mesolve(model, down(model), times, observables={"mean": mean}, symmetry="translations", **QUIET)
    np.testing.assert_allclose(found.expect["one"], found.expect["mean"], atol=1e-13)
    assert np.ptp(found.bloch, axis=1).max() < 1e-13
    assert np.abs(found.bloch - broad.bloch).max() < 5e-3
    assert np.abs(found.expect["mean"] - broad.expect["mean"]).max() < 5e-3
    later = hx.mesolve(model, found.final_state, times[-1] + times[:2], **QUIET)
    assert later.settings["symmetry"] == "full" and later.final_state.n_components == 8


def test_own_generators_are_taken_or_refused_with_the_term_that_breaks_them():
    ring = ising(hx.Lattice.chain(4, periodic=True))
    shift = np.roll(np.arange(4), -2)
    run = hx.mesolve(ring, down(ring), [0, 0.2], components=2, symmetry=[shift], **QUIET)
    assert run.settings["symmetry"] == "custom" and run.final_state.group.order == 2
    with pytest.raises(ValueError, match=r"must hold for the model and the initial state, but got the term .*x"):
        hx.mesolve(ring, down(ring), [0, 0.2], symmetry=[hx.Transformation(rotation="z", n_sites=4)], **QUIET)
    with pytest.raises(ValueError, match=r"`symmetry` must permute 4 sites, but got 3"):
        hx.mesolve(ring, down(ring), [0, 0.2], symmetry=[[1, 2, 0]], **QUIET)


def test_windowed_runs_do_not_depend_on_the_size_of_the_lattice():
    runs = []
    for n in (30, 60):
        model = ising(hx.Lattice.chain(n, periodic=True), V=1.0)
        found = arrangement(model, window=1)
        assert found.layout.n_free == 3 and len(found.lattice_sites) == n
        runs.append(hx.mesolve(model, down(model), np.linspace(0, 2, 5), window=1, components=6, **QUIET))
        assert np.ptp(runs[-1].bloch, axis=1).max() < 1e-13
    ring = ising(hx.Lattice.chain(6, periodic=True), V=1.0)
    exact = hx.exact.mesolve(ring, down(ring), runs[0].times, progress=False)
    for run in runs:
        np.testing.assert_allclose(run.bloch[:, 0], exact.bloch[:, 0], atol=1e-2)


def test_windows_take_translations_and_point_group_of_a_model_with_more_symmetry():
    """The XYZ model has a π rotation, which a window has no room for."""
    model = hx.models.dissipative_xyz(hx.Lattice.square(8, 8, periodic=True))
    whole, near = arrangement(model), arrangement(model, window=1)
    assert whole.group.order == 128 and whole.takes_window
    assert near.group.order == 64 and not near.takes_window
    # Nine cells around a centre are three kinds under the point group, and the background is one more.
    assert near.layout.n_free == 4
    assert arrangement(model, symmetry="translations", window=1).layout.n_free == 10


def test_the_purity_of_a_lattice_with_windows_is_no_reason_to_warn():
    """Weights 2 and -1 of all up and all down: sites warn, and without a window so does the purity."""
    model = ising(hx.Lattice.chain(12, periodic=True))
    up = np.tile([0.0, 0.0, 1.0], (12, 1))
    start = down(model)
    state = Mixture(np.array([2.0, -1.0]), np.stack([up, -up]), start.manifold, start.group)
    for window, is_told in ((1, False), (None, True)):
        with pytest.warns(hx.HusimixWarning) as caught:
            run = hx.mesolve(model, state, [0, 0.01], window=window, components=2, **QUIET)
        texts = [str(w.message) for w in caught]
        assert run.diagnostics["purity"][0] > 1.1
        assert any("site 0 has a probability" in text for text in texts)
        assert any("purity" in text for text in texts) == is_told


def test_windows_are_refused_where_they_mean_nothing():
    model = ising(hx.Lattice.chain(8))
    with pytest.raises(ValueError, match="`window` must be None unless components are averaged over all translations"):
        hx.mesolve(model, down(model), [0, 1], window=1, **QUIET)
    ring = ising(hx.Lattice.chain(12, periodic=True))
    with pytest.raises(ValueError, match="`window` must be an integer of at least 0, but got -1"):
        hx.mesolve(ring, down(ring), [0, 1], window=-1, **QUIET)
    wide = hx.mesolve(ring, down(ring), [0, 0.5], window=3, components=2, **QUIET).final_state
    with pytest.raises(ValueError, match="`state` must be uniform outside the window"):
        hx.mesolve(ring, wide, [0, 1], window=1, **QUIET)
