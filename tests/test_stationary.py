"""Newton's method and relaxation modes of clusters, against dense Liouvillians and closed forms."""

import warnings

import numpy as np
import pytest

import husimix as hx
from husimix.ansatz import Problem
from husimix.physics.products import sum_of_products
from husimix.solve import stationary

QUIET = {"progress": False}
NOTHING = 0.0 * hx.sigmax(0)


def ising(lattice, V=2.0, g=1.0):
    return hx.models.dissipative_ising(lattice, V=V, g=g)


def liouvillian_modes(model):
    """The eigenvalues of the dense generator but that of the steady state, by falling real part."""
    values = np.linalg.eigvals(sum_of_products(model).to_dense())
    values = values[np.argsort(np.abs(values))[1:]]
    return stationary._ordered(values)


@pytest.mark.parametrize("periodic", [False, True])
def test_all_modes_are_those_of_the_liouvillian(periodic):
    model = ising(hx.Lattice.chain(3, periodic=periodic))
    found = hx.steadystate(model, ansatz=hx.Clusters(size=3), symmetry=None, starts=1, **QUIET)
    exact = liouvillian_modes(model)
    np.testing.assert_allclose(found.spectrum(8), exact[:8], rtol=0, atol=1e-8)
    assert found.gap == pytest.approx(-exact[0].real, abs=1e-9)
    np.testing.assert_allclose(found.bloch, hx.exact.steadystate(model).bloch[0], rtol=0, atol=1e-7)
    assert found.completed and found.is_stable and found.drift < 1e-10


def test_modes_with_symmetry_are_some_of_the_liouvillian():
    """Moments that break the symmetry are no modes, though the numbers of a symmetric support could hold them."""
    model = ising(hx.Lattice.chain(4, periodic=True), V=5.0, g=5.0)
    found = hx.steadystate(model, ansatz=hx.Clusters(size=4), starts=1, **QUIET)
    exact = liouvillian_modes(model)
    assert len(found.eigenvalues) == 8
    for value in found.spectrum(8):
        assert np.abs(exact - value).min() < 1e-8


def test_products_with_the_jacobian_do_what_the_matrix_does(monkeypatch):
    model = ising(hx.Lattice.chain(6, periodic=True), g=1.5)
    ends = []
    for limit in (stationary._DENSE, 0):
        monkeypatch.setattr(stationary, "_DENSE", limit)
        ends.append(hx.steadystate(model, ansatz=hx.Clusters(size=3), starts=1, **QUIET))
    np.testing.assert_allclose(ends[1].bloch, ends[0].bloch, rtol=0, atol=1e-9)
    np.testing.assert_allclose(ends[1].spectrum(8), ends[0].spectrum(8), rtol=0, atol=1e-4)


def test_far_from_any_stationary_point_newtons_method_gives_up():
    model = ising(hx.Lattice.square(4, 4, periodic=True), V=5.0, g=5.0)
    prepared = hx.Clusters(size=2).prepare(Problem(model, hx.product_state(16, "+x"), "auto", {}, 0, 1.0))
    assert stationary.newton(prepared.motion, prepared.point, 1.0, 1e-10) is None


@pytest.mark.parametrize(("symmetry", "gap"), [("auto", 3.0), (None, 1.5)])
def test_the_gap_of_a_pumped_spin_is_known(symmetry, gap):
    """Populations relax at the sum of both rates, coherences, which a rotation about z forbids, at half of it."""
    model = hx.Lindbladian(NOTHING, [hx.Dissipator(hx.sigmap(0), 2.0), hx.Dissipator(hx.sigmam(0), 1.0)], n_sites=1)
    found = hx.steadystate(model, ansatz=hx.Clusters(size=1), symmetry=symmetry, **QUIET)
    assert found.gap == pytest.approx(gap, abs=1e-12)
    np.testing.assert_allclose(found.bloch, [[0, 0, 1 / 3]], rtol=0, atol=1e-12)


def test_coherences_of_the_start_are_modes():
    model = hx.Lindbladian(NOTHING, [hx.Dissipator(hx.sigmam(0), 1.0)], n_sites=1)
    found = hx.steadystate(model, hx.product_state(1, "+x"), ansatz=hx.Clusters(size=1), starts=1, **QUIET)
    assert found.gap == pytest.approx(0.5, abs=1e-12)


def test_the_slowest_rate_counts_however_fast_the_others_are():
    jumps = [hx.Dissipator(hx.sigmam(0), 1e3), hx.Dissipator(hx.sigmap(1), 0.05)]
    model = hx.Lindbladian(0.1 * hx.pauli("zz", 0, 1), jumps, n_sites=2)
    found = hx.steadystate(model, ansatz=hx.Clusters(size=2), starts=1, **QUIET)
    np.testing.assert_allclose(found.bloch[:, 2], [-1, 1], rtol=0, atol=1e-9)
    assert found.gap == pytest.approx(0.05, rel=1e-6)
    jumps = [hx.Dissipator(hx.sigmaz(0), 100.0), hx.Dissipator(hx.sigmam(0), 0.01), hx.Dissipator(hx.sigmap(0), 0.03)]
    found = hx.steadystate(hx.Lindbladian(NOTHING, jumps, n_sites=1), ansatz=hx.Clusters(size=1), starts=1, **QUIET)
    assert found.bloch[0, 2] == pytest.approx(0.5, abs=1e-9)
    assert found.gap == pytest.approx(0.04, rel=1e-6)


def test_a_small_current_has_all_its_digits():
    """XXZ chain of 4, driven weakly at its ends."""
    n, mu = 4, 0.02
    h = hx.operator_sum(
        [hx.pauli(a, i, i + 1) * f for i in range(n - 1) for a, f in (("xx", 1.0), ("yy", 1.0), ("zz", 1.5))]
    )
    jumps = [
        hx.Dissipator(jump(i), 1 + sign * mu)
        for i, first in ((0, 1), (n - 1, -1))
        for jump, sign in ((hx.sigmap, first), (hx.sigmam, -first))
    ]
    model = hx.Lindbladian(h, jumps, n_sites=n)
    current = {"current": 2 * (hx.pauli("xy", 1, 2) - hx.pauli("yx", 1, 2))}
    found = hx.steadystate(model, ansatz=hx.Clusters(size=n), observables=current, starts=1, **QUIET)
    exact = hx.exact.steadystate(model, observables=current).expect["current"][0]
    assert abs(exact) > 1e-3
    assert found.expect["current"] == pytest.approx(exact.real, rel=1e-5)


def test_conserved_quantities_are_told_and_kept():
    """One collective jump: ⟨σzσz⟩ of its limit is half of what it was, see the sum of the rates of both rotations."""
    collective = hx.operator_sum([hx.sigmax(i) for i in range(3)])
    model = hx.Lindbladian(0.0 * collective, [hx.Dissipator(collective, 0.3)], n_sites=3)
    with pytest.warns(hx.HusimixWarning, match="modes do not relax: something is conserved"):
        found = hx.steadystate(
            model, ansatz=hx.Clusters(size=3), observables={"zz": hx.pauli("zz", 0, 1)}, starts=1, **QUIET
        )
    assert found.expect["zz"] == pytest.approx(0.5, abs=1e-4)
    assert found.gap == pytest.approx(0.0, abs=1e-9)


def test_modes_are_saved_and_loaded(tmp_path):
    found = hx.steadystate(ising(hx.Lattice.chain(2)), ansatz=hx.Clusters(size=1), starts=1, **QUIET)
    loaded = hx.load(found.save(tmp_path / "steady.nc"))
    assert 0 < len(found.eigenvalues) < 8
    np.testing.assert_array_equal(loaded.eigenvalues, found.eigenvalues)
    with pytest.raises(ValueError, match="Argument `k` must be at most"):
        found.spectrum(8)


def test_a_mixture_has_no_modes():
    found = hx.steadystate(ising(hx.Lattice.chain(2)), ansatz=hx.Mixture(components=1), starts=1, **QUIET)
    with pytest.raises(ValueError, match=r"`k` must be at most 0, .* search with ansatz=hx\.Clusters"):
        found.spectrum()


def test_states_of_a_scan_share_compiled_programs():
    """However often a search goes on from a state, the numbers that move stay the same."""
    lattice, state = hx.Lattice.square(4, 4, periodic=True), hx.product_state(16)
    motions = []
    for g in (0.5, 0.6, 0.7):
        prepared = hx.Clusters(size=2).prepare(Problem(ising(lattice, g=g), state, "auto", {}, 0, 1.0))
        motions.append(prepared.motion)
        state = prepared.motion.state(prepared.point, state.history)
    assert motions[0].layout == motions[1].layout == motions[2].layout


def test_the_infinite_lattice_takes_no_warning():
    """Seventeen drives across the crossover; nothing is left to change, every state is stable."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        line = hx.scan(
            lambda g: ising(hx.Lattice.square(8, 8, periodic=True), g=g),
            np.linspace(0, 4, 17),
            ansatz=hx.Clusters(size=2),
            **QUIET,
        )
    assert all(s.completed and s.is_stable and s.drift < 1e-8 for s in line.forward)
