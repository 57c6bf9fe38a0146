"""The named models, against their Hamiltonians and jumps written out with QuTiP bond by bond."""

import inspect
import math

import numpy as np
import pytest
import qutip

import husimix as hx
from husimix import Lattice, models

X, Y, Z, UP, DOWN = qutip.sigmax(), qutip.sigmay(), qutip.sigmaz(), qutip.sigmap(), qutip.sigmam()

LATTICES = [
    pytest.param(Lattice.chain(3), [(0, 1), (1, 2)], id="open chain"),
    pytest.param(Lattice.chain(3, periodic=True), [(0, 1), (1, 2), (2, 0)], id="ring"),
    pytest.param(Lattice.chain(2, periodic=True), [(0, 1)], id="ring of two"),
    pytest.param(Lattice.square(2, periodic=True), [(0, 1), (0, 2), (1, 3), (2, 3)], id="2x2 torus"),
    pytest.param(Lattice.rectangle(2, 1, periodic=True), [(0, 1)], id="2x1 torus"),
]
each_lattice = pytest.mark.parametrize(("lattice", "bonds"), LATTICES)


def at(operator, site, n):
    return qutip.tensor([operator if i == site else qutip.qeye(2) for i in range(n)])


def on_bonds(operator, bonds, n):
    return sum(at(operator, i, n) * at(operator, j, n) for i, j in bonds)


def on_sites(operator, n):
    return sum(at(operator, i, n) for i in range(n))


def assert_model(model, hamiltonian, channels):
    """Hamiltonian and the list of γ, L agree, entry by entry and in the order of the sites."""
    n = model.n_sites
    h, _ = model.to_qutip()
    np.testing.assert_allclose(h.full(), hamiltonian.full(), atol=1e-14)
    assert len(model.dissipators) == len(channels)
    for channel, (rate, jump) in zip(model.dissipators, channels, strict=True):
        assert channel.rate == pytest.approx(rate, rel=1e-14)
        alone = hx.Lindbladian(0, [hx.Dissipator(channel.operator, 1)], n).to_qutip()[1][0]
        np.testing.assert_allclose(alone.full(), jump.full(), atol=1e-15)


@each_lattice
def test_dissipative_ising(lattice, bonds):
    n = lattice.n_sites
    model = models.dissipative_ising(lattice, V=1.7, g=-0.6, gamma=0.3)
    assert_model(
        model,
        1.7 / 4 * on_bonds(Z, bonds, n) - 0.6 / 2 * on_sites(X, n),
        [(0.3, at(DOWN, i, n)) for i in range(n)],
    )
    assert model.lattice is lattice
    assert model.label == "dissipative_ising(V=1.7, g=-0.6, gamma=0.3)"


@each_lattice
def test_dissipative_xyz(lattice, bonds):
    n = lattice.n_sites
    model = models.dissipative_xyz(lattice, Jx=0.8, Jy=-1.3, Jz=0.45, gamma=0.7)
    assert_model(
        model,
        0.8 * on_bonds(X, bonds, n) - 1.3 * on_bonds(Y, bonds, n) + 0.45 * on_bonds(Z, bonds, n),
        [(0.7, at(DOWN, i, n)) for i in range(n)],
    )
    assert model.lattice is lattice
    assert model.label == "dissipative_xyz(Jx=0.8, Jy=-1.3, Jz=0.45, gamma=0.7)"


@each_lattice
def test_lossy_xx(lattice, bonds):
    n = lattice.n_sites
    model = models.lossy_xx(lattice, J=1.1, omega=0.4, gamma=0.9)
    hopping = sum(at(UP, i, n) * at(DOWN, j, n) + at(DOWN, i, n) * at(UP, j, n) for i, j in bonds)
    assert_model(model, 1.1 * hopping + 0.4 / 2 * on_sites(X, n), [(0.9, at(DOWN, i, n)) for i in range(n)])
    assert model.lattice is lattice
    assert model.label == "lossy_xx(J=1.1, omega=0.4, gamma=0.9)"


@each_lattice
def test_boundary_driven_heisenberg(lattice, bonds):
    n, last = lattice.n_sites, lattice.n_sites - 1
    model = models.boundary_driven_heisenberg(lattice, J=0.9, delta=-0.5, gamma=0.8, mu=0.25)
    assert_model(
        model,
        0.9 * (on_bonds(X, bonds, n) + on_bonds(Y, bonds, n) - 0.5 * on_bonds(Z, bonds, n)),
        [
            (0.8 * 1.25 / 2, at(UP, 0, n)),
            (0.8 * 0.75 / 2, at(DOWN, 0, n)),
            (0.8 * 0.75 / 2, at(UP, last, n)),
            (0.8 * 1.25 / 2, at(DOWN, last, n)),
        ],
    )
    assert model.lattice is lattice
    assert model.label == "boundary_driven_heisenberg(J=0.9, delta=-0.5, gamma=0.8, mu=0.25)"


def test_full_bias_pumps_the_first_site_up_and_the_last_site_down():
    model = models.boundary_driven_heisenberg(Lattice.chain(2), mu=1.0)
    steady = qutip.steadystate(*models.boundary_driven_heisenberg(Lattice.chain(2), J=0.0, mu=1.0).to_qutip())
    assert qutip.expect(at(Z, 0, 2), steady) == pytest.approx(1)
    assert qutip.expect(at(Z, 1, 2), steady) == pytest.approx(-1)
    assert [channel.rate for channel in model.dissipators] == [1, 0, 0, 1]
    mirrored = models.boundary_driven_heisenberg(Lattice.chain(2), mu=-1.0)
    assert [channel.rate for channel in mirrored.dissipators] == [0, 1, 1, 0]


def test_defaults():
    defaults = {
        "dissipative_ising": {"V": 2.0, "g": 1.0, "gamma": 1.0},
        "dissipative_xyz": {"Jx": 0.9, "Jy": 1.2, "Jz": 1.0, "gamma": 1.0},
        "lossy_xx": {"J": 1.0, "omega": 0.0, "gamma": 1.0},
        "boundary_driven_heisenberg": {"J": 1.0, "delta": 1.0, "gamma": 1.0, "mu": 1.0},
    }
    lattice = Lattice.chain(3)
    assert set(models.NAMED) == set(defaults)
    for name, build in models.NAMED.items():
        assert build is getattr(models, name)
        model, written = build(lattice), build(lattice, **defaults[name])
        assert list(inspect.signature(build).parameters) == ["lattice", *defaults[name]]
        np.testing.assert_array_equal(model.to_dense(), written.to_dense())
        assert model.label == written.label and model.label.startswith(f"{name}(")
        assert model.n_sites == 3 and f"Lindbladian on 3 sites: {name}(" in repr(model)


def test_couplings_that_vanish_leave_no_terms():
    lattice = Lattice.chain(3)
    assert models.dissipative_xyz(lattice, 0, 0, 0, 0).hamiltonian == hx.Operator({})
    assert models.lossy_xx(lattice, J=0).hamiltonian == hx.Operator({})
    assert models.dissipative_ising(lattice, V=0, g=2).hamiltonian == sum(hx.sigmax(i) for i in range(3))


def test_single_sites_without_bonds():
    site = Lattice.chain(1)
    for build in (models.dissipative_ising, models.dissipative_xyz, models.lossy_xx):
        model = build(site)
        assert model.n_sites == 1 and len(model.dissipators) == 1
    assert models.dissipative_ising(site, g=3.0).hamiltonian == 1.5 * hx.sigmax(0)


PARAMETERS = [
    (name, parameter)
    for name, build in models.NAMED.items()
    for parameter in list(inspect.signature(build).parameters)[1:]
]


@pytest.mark.parametrize(("name", "parameter"), PARAMETERS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "1", True, 1j, None])
def test_parameters_that_are_no_finite_number_are_refused(name, parameter, value):
    with pytest.raises(ValueError, match=f"`{parameter}` must be .*finite.*, but got {value!r}"):
        models.NAMED[name](Lattice.chain(2), **{parameter: value})


@pytest.mark.parametrize("name", sorted(models.NAMED))
def test_negative_rates_are_refused(name):
    with pytest.raises(ValueError, match=r"`gamma` must be finite and non-negative, but got -0\.1"):
        models.NAMED[name](Lattice.chain(2), gamma=-0.1)


@pytest.mark.parametrize("name", sorted(models.NAMED))
@pytest.mark.parametrize("lattice", [4, "square", [(0, 1)], None])
def test_anything_but_a_lattice_is_refused(name, lattice):
    with pytest.raises(ValueError, match=r"`lattice` must be a Lattice, but got .* Try hx\.Lattice\.square"):
        models.NAMED[name](lattice)


@pytest.mark.parametrize("mu", [1.01, -2])
def test_a_bias_beyond_one_is_refused(mu):
    with pytest.raises(ValueError, match=f"`mu` must lie between -1 and 1, but got {mu}"):
        models.boundary_driven_heisenberg(Lattice.chain(3), mu=mu)


def test_boundary_driving_needs_two_ends():
    with pytest.raises(ValueError, match=r"`lattice.n_sites` must be an integer of at least 2, but got 1"):
        models.boundary_driven_heisenberg(Lattice.chain(1))
