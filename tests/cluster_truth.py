"""Clusters at few sites by dense linear algebra: supports by brute force, moments and their rates as D^N tensors.

Nothing here uses the tables, orbits or local maps of the library, only its models, states and motions from outside.
"""

import itertools
from functools import reduce
from math import factorial

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import scipy.integrate
import scipy.linalg

import husimix as hx
from dense import dense_generator, mixture_state
from husimix.ansatz import Problem
from husimix.physics.basis import site_basis
from husimix.state import History


def prepared(model, state, ansatz, symmetry=None, **observables):
    """The motion and the start of a run."""
    return ansatz.prepare(Problem(model, state, symmetry, observables, 0, 1.0))


@eqx.filter_jit
def velocity(motion, point):
    return motion.velocity(jnp.zeros(()), point)[0]


@eqx.filter_jit
def certificate(motion, point):
    rates, report = motion.velocity(jnp.zeros(()), point)
    return motion.certificate(jnp.zeros(()), point, rates, report)


@eqx.filter_jit
def evolved(motion, point, length, rtol=1e-10, atol=1e-12):
    """The point after a time."""
    solved = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, p, _: motion.velocity(t, p)[0]),
        diffrax.Tsit5(),
        t0=0.0,
        t1=length,
        dt0=None,
        y0=point,
        saveat=diffrax.SaveAt(t1=True),
        stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol),
        max_steps=20_000,
    )
    return jax.tree.map(lambda values: values[0], solved.ys)


def state_after(model, state, ansatz, length, symmetry=None, **tolerances):
    """The state after a time, by the ansatz."""
    start = prepared(model, state, ansatz, symmetry)
    return start.motion.state(evolved(start.motion, start.point, length, **tolerances), History())


def tensor(state):
    """R, flat with site 0 slowest."""
    return state.tensor(tuple(range(state.n_sites))).reshape(-1)


def exactly_evolved(model, start, length):
    """e^(𝓛 t) R."""
    return scipy.linalg.expm(dense_generator(model) * length) @ start


def joined_sites(model):
    """The sets of sites on which single terms of 𝓛 act: products of H, and pairs of products of a jump."""
    found = {tuple(sorted(i for i, _ in product)) for product in model.hamiltonian.terms if product}
    for channel in model.dissipators:
        products = [[i for i, _ in p] for p in channel.operator.terms] if channel.rate else []
        found |= {tuple(sorted({*p, *q})) for p in products for q in products}
    return found - {()}


def family(model, size, extra=(), graph=None):
    """All supports of two and more sites inside connected clusters of at most `size` sites, and in `extra`."""
    if graph is None:
        graph = nx.Graph()
        graph.add_edges_from(pair for sites in joined_sites(model) for pair in itertools.combinations(sites, 2))
    graph.add_nodes_from(range(model.n_sites))
    clusters = [
        c
        for n in range(2, size + 1)
        for c in itertools.combinations(range(model.n_sites), n)
        if nx.is_connected(graph.subgraph(c))
    ]
    return {
        s for c in [*clusters, *map(sorted, extra)] for n in range(2, len(c) + 1) for s in itertools.combinations(c, n)
    }


def reached(model, supports):
    """The sets of two and more sites that single terms of 𝓛 reach from kept supports, or from no site."""
    found = set()
    for t in joined_sites(model):
        rests = {()} | {tuple(sorted(set(s) - set(t))) for s in supports if set(s) & set(t)}
        parts = [e for n in range(len(t) + 1) for e in itertools.combinations(t, n)]
        found |= {tuple(sorted({*rest, *e})) for rest in rests for e in parts if not rest or e}
    return {s for s in found if len(s) >= 2}


def supports_of_strings(n_sites, n_letters):
    """The support of every flat index of R."""
    return [
        tuple(i for i, a in enumerate(string) if a) for string in itertools.product(range(n_letters), repeat=n_sites)
    ]


def frame(background):
    """⊗_i T_i, T = [[1, 0], [-b, 1]], from (N, D - 1)."""

    def site(b):
        matrix = np.eye(len(b) + 1)
        matrix[1:, 0] = -b
        return matrix

    return reduce(np.kron, map(site, background))


def frame_rate(background, drift):
    """d/dt of `frame`."""
    total = 0.0
    for i in range(len(background)):
        factors = [frame(b[None]) for b in background]
        factors[i] = np.zeros_like(factors[i])
        factors[i][1:, 0] = -drift[i]
        total = total + reduce(np.kron, factors)
    return total


class DenseClusters:
    """The equations of clusters for a family of supports, all moments in one D^N tensor."""

    def __init__(self, model, supports, edge_damping=0.0, edge=1):
        self.n, self.size = model.n_sites, model.basis.size
        self.generator = dense_generator(model)
        self.supports = supports_of_strings(self.n, self.size)
        self.kept = np.array([s in supports for s in self.supports])
        within = reached(model, supports)
        self.counted = np.array([s in within for s in self.supports])
        self.lengths = np.array([len(s) for s in self.supports])
        self.damping = edge_damping * np.maximum(self.lengths - edge, 0)
        self.letter_weights = husimi_weights(model.basis)
        self.weights = reduce(np.kron, [self.letter_weights] * self.n)

    def tensor_of(self, background, moments):
        """R of central moments, flat (D^N,): what is not kept is 0."""
        values = np.where(self.kept, moments, 0.0)
        values[0] = 1.0
        return np.linalg.solve(frame(background), values)

    def local(self, flat):
        """(N, D - 1), one-site rows of a flat tensor."""
        cube = flat.reshape((self.size,) * self.n)
        return np.array([np.moveaxis(cube, i, 0)[(slice(1, None), *(0,) * (self.n - 1))] for i in range(self.n)])

    def rates(self, r):
        """ḃ, and Ṁ of every string before anything is dropped, at a tensor R."""
        background = self.local(r)
        moved = self.generator @ r
        drift = self.local(moved)
        return drift, frame(background) @ moved + frame_rate(background, drift) @ r

    def split(self, r):
        """ḃ, kept rates and dropped rates at a tensor R: of what terms reach, not of kept supports and a site apart."""
        drift, rows = self.rates(r)
        moments = frame(self.local(r)) @ r
        kept = np.where(self.kept, rows - self.damping * moments, 0.0)
        return drift, kept, np.where(self.kept, self.damping * moments, np.where(self.counted, rows, 0.0))

    def moments_of(self, state):
        """All central moments of a state."""
        r = tensor(state)
        return np.where(self.lengths >= 2, frame(self.local(r)) @ r, 0.0)

    def kept_tensor(self, state):
        """R of a state without the products that it makes of moments which are not kept: equations count those as 0."""
        return self.tensor_of(self.local(tensor(state)), self.moments_of(state))

    def drift_square(self, drift):
        """Σ g ḃ² over all sites."""
        return np.sum(drift**2 @ self.letter_weights[1:])

    def after(self, r, length):
        """The tensor R after a time, from one whose moments are kept."""
        background = self.local(r)
        moments = np.where(self.kept, frame(background) @ r, 0.0)
        n = background.size

        def rates(_, flat):
            b = flat[:n].reshape(background.shape)
            drift, kept, _ = self.split(self.tensor_of(b, flat[n:]))
            return np.concatenate([drift.reshape(-1), kept])

        start = np.concatenate([background.reshape(-1), moments])
        solved = scipy.integrate.solve_ivp(rates, (0, length), start, method="DOP853", rtol=1e-11, atol=1e-12)
        return self.tensor_of(solved.y[:n, -1].reshape(background.shape), solved.y[n:, -1])


def husimi_weights(basis):
    """g of every letter by its rank l: (2S+1) (2S)!² / ((2S-l)! (2S+l+1)!)."""
    two_s = basis.dimension - 1
    return np.array(
        [(two_s + 1) * factorial(two_s) ** 2 / (factorial(two_s - k) * factorial(two_s + k + 1)) for k in basis.ranks]
    )


def random_operator(rng, basis, n_sites, n_products, most, hermitian):
    """A sum of random products on up to `most` sites."""
    terms = {}
    for _ in range(n_products):
        q = rng.integers(1, most + 1)
        sites = np.sort(rng.choice(n_sites, q, replace=False))
        letters = rng.integers(1, basis.size, q)
        phase = 0.0 if hermitian else rng.normal() * 1j
        terms[tuple(zip(sites.tolist(), letters.tolist(), strict=True))] = rng.normal() + phase
    return hx.Operator(terms, basis)


def random_model(seed, n_sites=4, dimension=2, most=3, n_products=6):
    """Random H and collective jumps of several products, one of them with a multiple of the identity."""
    rng, basis = np.random.default_rng(seed), site_basis(dimension)
    most = min(most, n_sites)
    h = random_operator(rng, basis, n_sites, n_products, most, True)
    jumps = [random_operator(rng, basis, n_sites, k, min(k, most), False) for k in (1, 2, 3)]
    jumps[1] = jumps[1] + complex(0.3, -0.4)
    return hx.Lindbladian(h, [hx.Dissipator(j, 0.2 + rng.random()) for j in jumps], n_sites)


def random_start(seed, model):
    """A product of random mixed one-site states."""
    rng, d = np.random.default_rng(seed), model.basis.dimension
    a = rng.normal(size=(model.n_sites, d, d)) + 1j * rng.normal(size=(model.n_sites, d, d))
    rho = a @ a.conj().transpose(0, 2, 1)
    rho /= np.trace(rho, axis1=1, axis2=2)[:, None, None]
    values = np.einsum("aij,nji->na", model.basis.matrices, rho).real
    return hx.Clusters().product_state(values, model.basis)


def correlated_mixture(n_sites):
    """A classical mixture of three products, which is correlated."""
    vectors = np.random.default_rng(7).normal(size=(3, n_sites, 3))
    vectors /= 1.1 * np.linalg.norm(vectors, axis=-1, keepdims=True)
    return mixture_state(
        np.array([0.5, 0.3, 0.2]), vectors, hx.Bloch(site_basis(2)), hx.SymmetryGroup.identity(n_sites)
    )


def random_point(rng, point, scale=0.2):
    """A point of the same shapes with random entries."""
    return type(point)(
        jnp.asarray(rng.normal(size=point.background.shape) * scale),
        {n: jnp.asarray(rng.normal(size=m.shape) * scale) for n, m in point.moments.items()},
    )
