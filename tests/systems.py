"""Systems with a known answer: closed forms for non-interacting spins, mean-field equations, exact results."""

from dataclasses import dataclass

import numpy as np
import scipy.integrate

import husimix as hx


def mean_bond(lattice: hx.Lattice, letters: str) -> hx.Operator:
    """The average over nearest-neighbour bonds of a product of two Pauli operators."""
    bonds = lattice.bonds()
    return hx.operator_sum([hx.pauli(letters, i, j) for i, j in bonds]) / len(bonds)


@dataclass(frozen=True)
class Decay:
    """Independent spins with loss γ, pumping κ, dephasing γ_φ and a field along z: solved in closed form."""

    gamma: float = 0.7
    pump: float = 0.2
    dephasing: float = 0.3
    field: float = 1.3

    def model(self, n_sites: int) -> hx.Lindbladian:
        channels = []
        for i in range(n_sites):
            channels += [hx.Dissipator(hx.sigmam(i), self.gamma), hx.Dissipator(hx.sigmap(i), self.pump)]
            channels.append(hx.Dissipator(hx.sigmaz(i), self.dephasing))
        h = hx.operator_sum([self.field / 2 * hx.sigmaz(i) for i in range(n_sites)])
        return hx.Lindbladian(h, channels, n_sites)

    def bloch(self, start: np.ndarray, times: np.ndarray) -> np.ndarray:
        """(T, N, 3) from (N, 3)."""
        total = self.gamma + self.pump
        still = (self.pump - self.gamma) / total
        transverse = (start[:, 0] + 1j * start[:, 1])[None] * np.exp(
            (1j * self.field - total / 2 - 2 * self.dephasing) * times[:, None]
        )
        z = still + (start[:, 2] - still)[None] * np.exp(-total * times[:, None])
        return np.stack([transverse.real, transverse.imag, z], axis=-1)


def ising_mean_field(lattice: hx.Lattice, V: float, g: float, gamma: float, times: np.ndarray) -> np.ndarray:
    """(T, N, 3): the mean-field equations of the dissipative Ising model from all spins down, by SciPy.

    Each spin precesses in the field (g, 0, (V/2) Σ z of its neighbours) and decays at rate γ.
    """
    neighbours = np.zeros((lattice.n_sites,) * 2)
    for i, j in lattice.bonds():
        neighbours[i, j] = neighbours[j, i] = 1

    def rates(_, flat):
        r = flat.reshape(-1, 3)
        field = np.stack([np.full(len(r), g), np.zeros(len(r)), V / 2 * neighbours @ r[:, 2]], axis=1)
        decay = np.stack([-gamma / 2 * r[:, 0], -gamma / 2 * r[:, 1], -gamma * (1 + r[:, 2])], axis=1)
        return (np.cross(field, r) + decay).reshape(-1)

    start = np.tile([0.0, 0.0, -1.0], lattice.n_sites)
    solved = scipy.integrate.solve_ivp(rates, times[[0, -1]], start, t_eval=times, rtol=1e-10, atol=1e-12)
    return solved.y.T.reshape(len(times), -1, 3)


def deviations(result, exact, name: str) -> tuple[float, float]:
    """Worst error of ⟨σ⟩ and of one observable, and the rms error over their site averages."""
    sites = result.bloch - exact.bloch
    bond = result.expect[name] - exact.expect[name]
    averages = np.concatenate([sites.mean(axis=1), bond[:, None]], axis=1)
    return max(np.abs(sites).max(), np.abs(bond).max()), float(np.sqrt(np.mean(averages**2)))
