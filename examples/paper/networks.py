"""Neural density matrices fitted to exact states: how many parameters a network needs for how small an error.

The network is NetKet's `NDM`, a density matrix of restricted Boltzmann machines (Torlai and Melko, PRL 120, 240503
(2018); steady states by Vicentini et al., PRL 122, 250503 (2019)): positive by construction, with α hidden and β = α
ancillary units a site. No equation of motion and no sampling enters: the weights minimise the Hilbert-Schmidt distance
‖ρ_network - ρ‖/‖ρ‖ over all entries, by L-BFGS from several random starts. So its error is what the network can hold,
which no simulation with it would exceed.

A network can be as symmetric as a mixture: hidden and ancillary units then come in sets with one unit at each site,
and weights of pairs (site, unit) that translations map into each other are one parameter.
"""

import importlib.util
import itertools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize

SPREADS = (0.1, 0.1, 0.3)
"""Standard deviation of the random weights of each start."""

IS_INSTALLED = importlib.util.find_spec("netket") is not None


def translations(shape: tuple[int, ...]) -> np.ndarray:
    """(G, N) the translations of a periodic lattice as permutations of its sites."""
    sites = np.arange(np.prod(shape)).reshape(shape)
    steps = itertools.product(*(range(length) for length in shape))
    return np.array([np.roll(sites, step, axis=tuple(range(len(shape)))).ravel() for step in steps])


def identity(n_sites: int) -> np.ndarray:
    """(1, N) no symmetry."""
    return np.arange(n_sites)[None]


@dataclass(frozen=True)
class Fit:
    """A fitted network.

    Attributes:
        state: (D, D) its density matrix.
        distance: ‖state - ρ‖/‖ρ‖ from what it was fitted to.
        iterations: of L-BFGS.
    """

    state: np.ndarray
    distance: float
    iterations: int


class Network:
    """NetKet's `NDM` with weights tied by a group.

    Args:
        density: α = β, hidden and ancillary units a site; whole numbers where there is a symmetry.
        permutations: (G, N) of the sites, a group: the identity alone, or translations.

    Attributes:
        n_parameters: the independent weights and biases.
    """

    def __init__(self, density: float, permutations: np.ndarray):
        import netket

        self._n_sites = permutations.shape[1]
        self._module = netket.models.NDM(alpha=density, beta=density)
        drawn = self._module.init(jax.random.key(0), jnp.ones((1, 2 * self._n_sites)))
        leaves, self._tree = jax.tree.flatten(drawn)
        self._index, self.n_parameters = _tied(leaves, permutations)
        spins = np.array(list(itertools.product((1.0, -1.0), repeat=self._n_sites)))
        self._rows, self._columns = np.divmod(np.arange(len(spins) ** 2), len(spins))
        self._inputs = np.concatenate([spins[self._rows], spins[self._columns]], axis=1)
        self._first, self._counts = _independent_entries(spins, permutations)

    def fit(self, target: np.ndarray, seed: int, iterations: int) -> Fit:
        """Minimise the distance from a density matrix.

        Args:
            target: (D, D), as symmetric as the network.
            seed: of the start; selects its spread, too.
            iterations: the most that L-BFGS takes.
        """
        first, counts = self._first, self._counts
        chosen, inputs = target.ravel()[first], self._inputs[first]
        on_diagonal = counts * (self._rows[first] == self._columns[first])
        norm = np.sum(counts * np.abs(chosen) ** 2)

        def loss(weights: jax.Array) -> jax.Array:
            entries = self._entries_of(weights, inputs)
            entries = entries / jnp.sum(on_diagonal * entries.real)
            return jnp.log(jnp.sum(counts * jnp.abs(entries - chosen) ** 2) / norm)

        gradient = jax.jit(jax.value_and_grad(loss))
        start = np.random.default_rng(seed).normal(size=self.n_parameters) * SPREADS[seed % len(SPREADS)]
        settings = {"maxiter": iterations, "maxfun": 2 * iterations, "maxcor": 30}
        found = scipy.optimize.minimize(
            lambda x: tuple(np.asarray(part, dtype=float) for part in gradient(x)),
            start,
            jac=True,
            method="L-BFGS-B",
            options=settings,
        )
        state = np.asarray(self._entries_of(found.x, self._inputs)).reshape(target.shape)
        return Fit(state / np.trace(state).real, float(np.exp(found.fun / 2)), int(found.nit))

    def _entries_of(self, weights: jax.Array, inputs: np.ndarray) -> jax.Array:
        """(M,) entries of the density matrix, up to a common factor."""
        parameters = jax.tree.unflatten(self._tree, [weights[index] for index in self._index])
        logarithms = self._module.apply(parameters, jnp.asarray(inputs))
        return jnp.exp(logarithms - jnp.max(logarithms.real))


def _tied(leaves: list[Any], permutations: np.ndarray) -> tuple[list[np.ndarray], int]:
    """For each leaf of NetKet's parameters which of the independent ones it holds, and how many there are.

    Kernels are (N, αN), biases (αN,) or (N,); unit f N + t is unit t of set f.
    """
    n_sites, index, total = permutations.shape[1], [], 0
    orbits = np.min([p[:, None] * n_sites + p for p in permutations], axis=0)
    pairs = np.unique(orbits, return_inverse=True)[1].reshape(n_sites, n_sites)
    for leaf in leaves:
        if len(permutations) == 1:
            own = np.arange(leaf.size).reshape(leaf.shape)
        elif leaf.ndim == 2:
            sets = [pairs + number * (pairs.max() + 1) for number in range(leaf.shape[1] // n_sites)]
            own = np.concatenate(sets, axis=1)
        else:
            own = np.arange(leaf.size) // n_sites
        index.append(own + total)
        total += int(own.max()) + 1
    return index, total


def _independent_entries(spins: np.ndarray, permutations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One entry of a density matrix for each orbit of the group and of the adjoint.

    Args:
        spins: (D, N) the configurations, ±1.
        permutations: (G, N) of the sites.

    Returns:
        (M,) flat positions of the entries, and (M,) how many entries each stands for.
    """
    place = 2 ** np.arange(spins.shape[1])[::-1]
    moved = np.array([(spins[:, p] < 0) @ place for p in permutations])
    orbits = np.full((len(spins), len(spins)), len(spins) ** 2)
    for one in moved:
        orbits = np.minimum(orbits, one[:, None] * len(spins) + one)
    orbits = np.minimum(orbits, orbits.T)
    _, first, counts = np.unique(orbits.ravel(), return_index=True, return_counts=True)
    return first, counts.astype(float)
