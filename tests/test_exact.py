"""The exact twin against closed forms, and against itself."""

import numpy as np
import pytest

import husimix as hx
import systems


def test_evolution_of_independent_spins():
    system, times = systems.Decay(), np.linspace(0, 3, 7)
    start = np.array([[0.6, 0.0, 0.8], [0.1, 0.2, -0.3]])
    exact = hx.exact.mesolve(
        system.model(2), hx.product_state(2, start), times, observables={"xy": hx.pauli("xy", 0, 1)}
    )
    expected = system.bloch(start, times)
    np.testing.assert_allclose(exact.bloch, expected, atol=1e-6)
    np.testing.assert_allclose(exact.expect["xy"], expected[:, 0, 0] * expected[:, 1, 1], atol=1e-6)
    np.testing.assert_allclose(exact.final_state.ptrace(0).full()[0, 0], (1 + expected[-1, 0, 2]) / 2, atol=1e-6)


def test_steady_state_is_where_evolution_ends():
    model = hx.models.dissipative_ising(hx.Lattice.chain(4), V=2.0, g=1.5)
    zz = {"zz": hx.pauli("zz", 1, 2)}
    late = hx.exact.mesolve(model, hx.product_state(4, "up"), [0.0, 60.0], observables=zz)
    steady = hx.exact.steadystate(model, observables=zz)
    assert steady.times[0] == np.inf
    np.testing.assert_allclose(steady.bloch[0], late.bloch[-1], atol=1e-6)
    np.testing.assert_allclose(steady.expect["zz"][0], late.expect["zz"][-1], atol=1e-6)
    assert steady.final_state.tr() == pytest.approx(1.0)


def test_steady_state_of_one_driven_spin():
    """Optical Bloch equations: ⟨σz⟩ = -1/(1 + 2 (g/γ)²) for H = (g/2) σx."""
    model = hx.Lindbladian(0.6 * hx.sigmax(0), [hx.Dissipator(hx.sigmam(0), 0.8)], n_sites=1)
    z = hx.exact.steadystate(model).bloch[0, 0, 2]
    assert z == pytest.approx(-1 / (1 + 2 * (1.2 / 0.8) ** 2), abs=1e-9)


def test_exact_twin_refuses():
    ising = hx.models.dissipative_ising
    with pytest.raises(ValueError, match="`tsave` must be increasing"):
        hx.exact.mesolve(ising(hx.Lattice.chain(2)), hx.product_state(2), [0, 1, 0.5])
    with pytest.raises(ValueError, match="at most 1024 dimensions, but got 2048"):
        hx.exact.mesolve(ising(hx.Lattice.chain(11)), hx.product_state(11), [0, 1])
    with pytest.raises(ValueError, match="`model` must have a dissipator of positive rate"):
        hx.exact.steadystate(ising(hx.Lattice.chain(2), gamma=0.0))
    for n in (2, 5):  # by dense and by sparse linear algebra
        conserved = hx.Lindbladian(hx.sigmax(0), [*map(hx.sigmam, range(n - 1)), hx.sigmaz(n - 1)], n_sites=n)
        with pytest.raises(ValueError, match="`model` must have a unique steady state"):
            hx.exact.steadystate(conserved)
