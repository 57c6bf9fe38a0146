"""Tensor networks, a peer of the comparison: the density matrix as a matrix product state of quimb, moved by TEBD.

The tensor R of docs/theory.md, eq. 1, is real and has four entries a site: a matrix product state of local dimension 4,
on which all gates are real.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from common import Problem
from threadpoolctl import threadpool_limits

import husimix as hx
from husimix.physics.operators import Operator
from husimix.physics.products import sum_of_products

CUTOFF = 1e-10
"""Singular values below this fraction of the largest are dropped whatever the bond dimension."""


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


@dataclass(frozen=True)
class Tebd:
    """Evolution of a chain by TEBD, all two-site terms between neighbours.

    Args:
        bond: χ, the largest bond dimension.
        step: of time, at most; what divides the save times is taken.
    """

    bond: int
    step: float

    @property
    def settings(self) -> str:
        """As tables tell it."""
        return f"χ = {self.bond}, step {self.step:g}"

    def solve(self, problem: Problem) -> np.ndarray:
        """(O, T) expectation values."""
        import quimb.tensor as qtn

        chain = Chain(problem.model)
        # In imaginary time, exp(-H dt) with H = -𝓛. It normalises the state, which dividing by the trace undoes.
        pairs = {pair: -term for pair, term in chain.pairs.items()}
        generator = qtn.LocalHam1D(chain.n_sites, H2=pairs, H1={i: -a for i, a in enumerate(chain.one_site)})
        options = {"max_bond": self.bond, "cutoff": CUTOFF, "cutoff_mode": "rel"}
        steps, dt = steps_between(problem.times, self.step)
        start = chain.start(problem.bloch)
        tebd = qtn.TEBD(start, generator, dt=dt, split_opts=options, progbar=False, imag=True)

        def advance():
            for n in range(steps):
                # A queued sweep is joined with the equal one that begins the next step.
                tebd.step(order=2, queue=n < steps - 1)
            return tebd.pt

        return _record(chain, advance, start, problem)


@dataclass(frozen=True)
class FoldedTebd:
    """As `Tebd`, on an L×L torus: the line goes back and forth over folded rows and columns, and the second site of a
    term is swapped next to the first and back.

    One pass over the couplings between two half steps of the one-site terms. This is of second order where couplings
    commute with each other, as in the Ising model.

    Args:
        bond, step: as in `Tebd`.
        length: L.
        patience: seconds after which the run is given up; what it has not reached is nan.
    """

    bond: int
    step: float
    length: int
    patience: float = np.inf

    @property
    def settings(self) -> str:
        return f"χ = {self.bond}, step {self.step:g}"

    def solve(self, problem: Problem) -> np.ndarray:
        chain = Chain(problem.model, folded_order(self.length))
        steps, dt = steps_between(problem.times, self.step)
        halves = [scipy.linalg.expm(0.5 * dt * a) for a in chain.one_site]
        gates = {pair: scipy.linalg.expm(dt * term) for pair, term in sorted(chain.pairs.items())}
        state, info = chain.start(problem.bloch), {"cur_orthog": (0, 0)}
        options = {"max_bond": self.bond, "cutoff": CUTOFF, "cutoff_mode": "rel", "info": info}

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

        return _record(chain, advance, state, problem, self.patience)


def folded_order(length: int) -> np.ndarray:
    """The sites of an L×L torus in a line that goes back and forth, with rows and columns folded.

    Folding (0, L-1, 1, L-2, ...) keeps neighbours across the periodic boundary within two rows or two columns.
    """
    ends = [n // 2 if n % 2 == 0 else length - 1 - n // 2 for n in range(length)]
    rows = [[row * length + column for column in ends] for row in ends]
    return np.concatenate([row[::-1] if n % 2 else row for n, row in enumerate(rows)])


def steps_between(times: np.ndarray, step: float) -> tuple[int, float]:
    """How many steps lie between two save times, and how long they are."""
    apart = times[1] - times[0]
    steps = max(1, round(apart / step))
    return steps, apart / steps


def _record(chain: Chain, advance, state, problem: Problem, patience: float = np.inf) -> np.ndarray:
    began, observables = time.perf_counter(), list(problem.observables.values())
    values = np.full((len(observables), len(problem.times)), np.nan)
    values[:, 0] = chain.measure(state, observables)
    # Matrices as small as these gain nothing from several threads of the BLAS, which wait for each other.
    with threadpool_limits(1, user_api="blas"):
        for n in range(1, len(problem.times)):
            if time.perf_counter() - began > patience:
                break
            values[:, n] = chain.measure(advance(), observables)
    return values
