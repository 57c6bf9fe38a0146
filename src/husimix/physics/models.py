"""Named models, each as its papers write it; `print(model)` shows the Pauli sum.

Rates and couplings are in units that the user picks; ħ = 1. Bonds are nearest neighbours, each counted once.
"""

from collections.abc import Callable

from husimix._errors import argument_error, check_integer, check_number
from husimix.physics.lattice import Lattice
from husimix.physics.lindbladian import Dissipator, Lindbladian
from husimix.physics.operators import Operator, operator_sum, pauli, sigmam, sigmap, sigmax

__all__ = ["NAMED", "boundary_driven_heisenberg", "dissipative_ising", "dissipative_xyz", "lossy_xx"]


def dissipative_ising(lattice: Lattice, V: float = 2.0, g: float = 1.0, gamma: float = 1.0) -> Lindbladian:
    """Transverse-field Ising model with decay, H = (V/4) Σ_bonds σz σz + (g/2) Σ σx, jumps σ⁻ at rate γ.

    Args:
        lattice: where the spins sit.
        V: coupling of neighbours.
        g: transverse field.
        gamma: decay rate, non-negative.

    Returns:
        The model. Source: arXiv:2604.01165; the same convention as NetKet's example.

    Raises:
        ValueError: for parameters that are not finite or a negative rate.
    """
    _check(lattice, gamma, V=V, g=g)
    zz = _bond_sum(lattice, "zz", V / 4)
    h = operator_sum([*zz, *(g / 2 * sigmax(i) for i in range(lattice.n_sites))])
    return _decaying(lattice, h, gamma, f"dissipative_ising(V={V:g}, g={g:g}, gamma={gamma:g})")


def dissipative_xyz(
    lattice: Lattice, Jx: float = 0.9, Jy: float = 1.2, Jz: float = 1.0, gamma: float = 1.0
) -> Lindbladian:
    """XYZ model with decay, H = Σ_bonds (Jx σxσx + Jy σyσy + Jz σzσz), jumps σ⁻ at rate γ.

    Args:
        lattice: where the spins sit.
        Jx, Jy, Jz: couplings of neighbours, in front of products of Pauli matrices (not of spins).
        gamma: decay rate, non-negative.

    Returns:
        The model. Source: Lee, Gopalakrishnan, Lukin, Phys. Rev. Lett. 110, 257204 (2013). Couplings are not divided by
        the number of neighbours: on the square lattice with Jx = 0.9γ, Jz = γ mean field orders from Jy = 1.039γ on.

    Raises:
        ValueError: for parameters that are not finite or a negative rate.
    """
    _check(lattice, gamma, Jx=Jx, Jy=Jy, Jz=Jz)
    bonds = [*_bond_sum(lattice, "xx", Jx), *_bond_sum(lattice, "yy", Jy), *_bond_sum(lattice, "zz", Jz)]
    label = f"dissipative_xyz(Jx={Jx:g}, Jy={Jy:g}, Jz={Jz:g}, gamma={gamma:g})"
    return _decaying(lattice, operator_sum([Operator({}), *bonds]), gamma, label)


def lossy_xx(lattice: Lattice, J: float = 1.0, omega: float = 0.0, gamma: float = 1.0) -> Lindbladian:
    """Hard-core bosons with loss and an optional drive, H = J Σ_bonds (σ⁺σ⁻ + h.c.) + (ω/2) Σ σx, jumps σ⁻.

    Args:
        lattice: where the spins sit; up is an occupied site.
        J: hopping, J(σ⁺σ⁻ + σ⁻σ⁺) = (J/2)(σxσx + σyσy).
        omega: Rabi frequency of a resonant drive.
        gamma: loss rate, non-negative.

    Returns:
        The model.

    Raises:
        ValueError: for parameters that are not finite or a negative rate.
    """
    _check(lattice, gamma, J=J, omega=omega)
    bonds = [*_bond_sum(lattice, "xx", J / 2), *_bond_sum(lattice, "yy", J / 2)]
    drive = [omega / 2 * sigmax(i) for i in range(lattice.n_sites)]
    h = operator_sum([*bonds, *drive])
    return _decaying(lattice, h, gamma, f"lossy_xx(J={J:g}, omega={omega:g}, gamma={gamma:g})")


def boundary_driven_heisenberg(
    lattice: Lattice, J: float = 1.0, delta: float = 1.0, gamma: float = 1.0, mu: float = 1.0
) -> Lindbladian:
    """Anisotropic Heisenberg model driven at its two ends, H = J Σ_bonds (σxσx + σyσy + Δ σzσz).

    The first site is pumped by γ(1+μ)/2 D[σ⁺] + γ(1-μ)/2 D[σ⁻], the last one the other way round, which
    drives a spin current through the lattice.

    Args:
        lattice: usually an open chain; the first and the last site are driven.
        J: exchange coupling, in front of products of Pauli matrices.
        delta: anisotropy Δ.
        gamma: strength of the driving, non-negative.
        mu: bias between the ends, from -1 to 1.

    Returns:
        The model. Source: Prosen, Phys. Rev. Lett. 107, 137201 (2011).

    Raises:
        ValueError: for parameters that are not finite, a negative rate, |μ| > 1 or a single site.
    """
    _check(lattice, gamma, J=J, delta=delta, mu=mu)
    check_integer("lattice.n_sites", lattice.n_sites, 2)
    if abs(mu) > 1:
        raise argument_error("mu", "lie between -1 and 1", mu)
    bonds = [*_bond_sum(lattice, "xx", J), *_bond_sum(lattice, "yy", J), *_bond_sum(lattice, "zz", J * delta)]
    first, last = 0, lattice.n_sites - 1
    channels = [
        Dissipator(operator(site), gamma * (1 + sign * mu) / 2)
        for site, up in ((first, 1), (last, -1))
        for operator, sign in ((sigmap, up), (sigmam, -up))
    ]
    label = f"boundary_driven_heisenberg(J={J:g}, delta={delta:g}, gamma={gamma:g}, mu={mu:g})"
    return Lindbladian(operator_sum([Operator({}), *bonds]), channels, lattice=lattice, label=label)


NAMED: dict[str, Callable[..., Lindbladian]] = {
    function.__name__: function
    for function in (boundary_driven_heisenberg, dissipative_ising, dissipative_xyz, lossy_xx)
}
"""The models by name, as run files and the command line know them."""


def _check(lattice: Lattice, gamma: float, **parameters: float) -> None:
    if not isinstance(lattice, Lattice):
        raise argument_error("lattice", "be a Lattice", repr(lattice), "Try hx.Lattice.square(3, 3).")
    for name, value in parameters.items():
        check_number(name, value)
    check_number("gamma", gamma, minimum=0)


def _bond_sum(lattice: Lattice, letters: str, strength: float) -> list[Operator]:
    return [strength * pauli(letters, i, j) for i, j in lattice.bonds()]


def _decaying(lattice: Lattice, hamiltonian: Operator, gamma: float, label: str) -> Lindbladian:
    channels = [Dissipator(sigmam(i), gamma) for i in range(lattice.n_sites)]
    return Lindbladian(hamiltonian, channels, lattice=lattice, label=label)
