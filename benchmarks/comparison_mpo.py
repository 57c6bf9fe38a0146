"""Tensor networks, a peer of the comparison: the density matrix as a matrix product state of quimb, moved by TEBD.

The tensor R of docs/theory.md, eq. 1, is real and has four entries a site: a matrix product state of local dimension 4,
on which all gates are real.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg

import husimix as hx
from husimix.physics.operators import Operator
from husimix.physics.products import sum_of_products

CUTOFF = 1e-10
"""Singular values below this fraction of the largest are dropped whatever the bond dimension."""


@dataclass(frozen=True)
class Evolution:
    """What a run gives.

    Attributes:
        values: (O, T) expectation values, nan at times that were not reached.
        reached: the last time that was reached.
        bond: the largest bond dimension at the end.
    """

    values: np.ndarray
    reached: float
    bond: int


class Chain:
    """The generator of one model on sites in a line, as gates.

    Args:
        model: a Lindbladian of spins ½ with terms on two sites at most.
        order: (N,) the sites in the order in which they stand in the line; as they are if None.
    """

    def __init__(self, model: hx.Lindbladian, order: Sequence[int] | None = None):
        products = sum_of_products(model)
        self.n_sites = model.n_sites
        self.order = np.arange(self.n_sites) if order is None else np.asarray(order)
        self.place = np.argsort(self.order)
        self.one_site = products.one_site[self.order]
        self.pairs: dict[tuple[int, int], np.ndarray] = {}
        for coupling in products.couplings:
            for sites, letters, weight in zip(coupling.sites, coupling.letters, coupling.weights, strict=True):
                i, j = self.place[sites].tolist()
                a, b = products.matrices[letters]
                term = weight * (np.kron(a, b) if i < j else np.kron(b, a))
                pair = (min(i, j), max(i, j))
                self.pairs[pair] = self.pairs.get(pair, 0) + term

    @property
    def is_chain(self) -> bool:
        return all(j == i + 1 for i, j in self.pairs)

    def start(self, bloch: np.ndarray):
        import quimb.tensor as qtn

        return qtn.MPS_product_state([np.array([1.0, *bloch[site]]) for site in self.order])

    def measure(self, state, observables: Sequence[Operator]) -> np.ndarray:
        """(O,) expectation values: entries of R over R_{0...0}."""
        state.permute_arrays("lrp")
        tensors = [state[n].data for n in range(self.n_sites)]
        # The ends have one bond.
        tensors[0], tensors[-1] = tensors[0][None], tensors[-1][:, None]
        left, right = [np.ones(1)], [np.ones(1)]
        for tensor in tensors:
            left.append(left[-1] @ tensor[:, :, 0])
        for tensor in tensors[::-1]:
            right.append(tensor[:, :, 0] @ right[-1])
        right.reverse()

        def entry(product) -> float:
            letters = dict(sorted((int(self.place[site]), a) for site, a in product))
            if not letters:
                return left[-1][0]
            first, last = min(letters), max(letters)
            row = left[first]
            for n in range(first, last + 1):
                row = row @ tensors[n][:, :, letters.get(n, 0)]
            return row @ right[last + 1]

        return np.array([sum(f.real * entry(p) for p, f in o.terms.items()) for o in observables]) / left[-1][0]


def evolve(
    chain: Chain,
    bloch: np.ndarray,
    times: np.ndarray,
    observables: Sequence[Operator],
    bond: int,
    steps: int = 1,
    order: int = 2,
    patience: float = np.inf,
) -> Evolution:
    """Evolve a product state by TEBD, all two-site terms between neighbours in the line.

    Args:
        chain: the generator.
        bloch: (N, 3) Bloch vectors of the initial state.
        times: (T,) equally spaced save times.
        observables: what to measure.
        bond: the largest bond dimension.
        steps: time steps between save times.
        order: of the Trotter decomposition, 2 or 4.
        patience: seconds after which the run is given up.

    Returns:
        An `Evolution`.
    """
    import quimb.tensor as qtn

    # In imaginary time, exp(-H dt) with H = -𝓛. It normalises the state, which dividing by the trace undoes.
    pairs = {pair: -term for pair, term in chain.pairs.items()}
    generator = qtn.LocalHam1D(chain.n_sites, H2=pairs, H1={i: -a for i, a in enumerate(chain.one_site)})
    options = {"max_bond": bond, "cutoff": CUTOFF, "cutoff_mode": "rel"}
    dt = (times[1] - times[0]) / steps
    tebd = qtn.TEBD(chain.start(bloch), generator, dt=dt, split_opts=options, progbar=False, imag=True)

    def advance():
        for n in range(steps):
            # A queued sweep is joined with the equal one that begins the next step.
            tebd.step(order=order, queue=n < steps - 1)
        return tebd.pt

    return _record(chain, advance, chain.start(bloch), times, observables, patience)


def evolve_folded(
    chain: Chain,
    bloch: np.ndarray,
    times: np.ndarray,
    observables: Sequence[Operator],
    bond: int,
    steps: int = 1,
    patience: float = np.inf,
) -> Evolution:
    """As `evolve`, for terms between any two sites of the line: the second one is swapped next to the first and back.

    One pass over the couplings between two half steps of the one-site terms. This is of second order where couplings
    commute with each other, as in the Ising model.
    """
    dt = (times[1] - times[0]) / steps
    halves = [scipy.linalg.expm(0.5 * dt * a) for a in chain.one_site]
    gates = {pair: scipy.linalg.expm(dt * term) for pair, term in sorted(chain.pairs.items())}
    state, info = chain.start(bloch), {"cur_orthog": (0, 0)}
    options = {"max_bond": bond, "cutoff": CUTOFF, "cutoff_mode": "rel", "info": info}

    def one_site():
        for i, gate in enumerate(halves):
            state.gate_(gate, i, contract=True)
        # These maps are no unitary ones: nothing is orthogonal after them.
        info["cur_orthog"] = (0, chain.n_sites - 1)
        state.canonicalize_(0, info=info)

    def advance():
        for _ in range(steps):
            one_site()
            for pair, gate in gates.items():
                state.gate_with_auto_swap(gate, pair, inplace=True, **options)
            one_site()
            state[0].modify(data=state[0].data / state[0].norm())
        return state

    return _record(chain, advance, state, times, observables, patience)


def _record(chain: Chain, advance, state, times, observables, patience: float) -> Evolution:
    began = time.perf_counter()
    values = np.full((len(observables), len(times)), np.nan)
    values[:, 0], reached = chain.measure(state, observables), 0
    for n in range(1, len(times)):
        if time.perf_counter() - began > patience:
            break
        state = advance()
        values[:, n], reached = chain.measure(state, observables), n
    return Evolution(values, float(times[reached]), state.max_bond())
