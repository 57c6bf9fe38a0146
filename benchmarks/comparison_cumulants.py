"""Mean field and second-order cumulants for spins ½, two peers of the comparison: closed equations for short products.

d⟨P⟩/dt = ⟨𝓛†P⟩ for every product P of at most `order` Pauli matrices. Longer products on the right are closed: order 1
is mean field, ⟨AB⟩ = ⟨A⟩⟨B⟩; order 2 sets the third cumulant to zero,
⟨ABC⟩ = ⟨AB⟩⟨C⟩ + ⟨AC⟩⟨B⟩ + ⟨BC⟩⟨A⟩ - 2⟨A⟩⟨B⟩⟨C⟩.
"""

import itertools
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import scipy.integrate
import scipy.sparse

import husimix as hx
from husimix.physics.operators import Operator, Product

RTOL, ATOL = 1e-6, 1e-8
UNPHYSICAL = 2.0
"""No product of Pauli matrices is expected beyond 1; at this value the expansion has left all physics."""

Polynomial = dict[tuple[int, ...], float]


class CumulantExpansion:
    """The closed equations of one model.

    Args:
        model: the Lindbladian of N spins ½, terms on two sites at most.
        order: 1 or 2, the longest products that have a variable of their own.
        permutations: (G, N) site permutations under which model and initial state do not change: one variable then
            stands for all images of a product.
    """

    def __init__(self, model: hx.Lindbladian, order: int, permutations: np.ndarray | None = None):
        images = np.arange(model.n_sites)[None] if permutations is None else np.asarray(permutations)
        self.order, self._known = order, {}
        # A product is renamed so that one of its sites is the first of its orbit; the least name is the variable's.
        self._homes = [images[images[:, i] == images[:, i].min()].tolist() for i in range(model.n_sites)]
        self._hamiltonian, self._channels = defaultdict(dict), defaultdict(list)
        for product, f in model.hamiltonian.terms.items():
            for site, _ in product:
                self._hamiltonian[site][product] = f
        for channel in model.dissipators:
            jump = channel.operator
            parts = channel.rate, jump, jump.dag(), jump.dag() * jump
            for site in jump.sites:
                self._channels[site].append(parts)
        sites, letters = range(model.n_sites), (1, 2, 3)
        every = [((i, a),) for i in sites for a in letters]
        if order == 2:
            pairs = itertools.combinations(sites, 2)
            every += [((i, a), (j, b)) for i, j in pairs for a in letters for b in letters]
        self.products = list(dict.fromkeys(self._name(p) for p in every))
        # Variable 0 is the expectation value of the identity, 1, which also fills monomials of lower degree.
        self._index = {(): 0} | {p: n for n, p in enumerate(self.products, 1)}
        self._factors, self._matrix = self._compile([self._adjoint(p) for p in self.products])

    def solve(self, bloch: np.ndarray, times: np.ndarray, observables: Sequence[Operator]) -> tuple[np.ndarray, float]:
        """Expectation values from a product state on.

        Args:
            bloch: (N, 3) Bloch vectors of the initial state.
            times: (T,) save times.
            observables: what to measure.

        Returns:
            (O, T) values, nan from where the expansion leaves all physics, and the time when it does, or infinity.
        """
        start = [np.prod([bloch[i, a - 1] for i, a in p]) for p in self.products]

        def leaves(_, y):
            return UNPHYSICAL - np.abs(y).max()

        leaves.terminal = True
        solved = scipy.integrate.solve_ivp(
            self._velocity, (times[0], times[-1]), start, t_eval=times, rtol=RTOL, atol=ATOL, events=leaves
        )
        if solved.status < 0:
            raise RuntimeError(f"The cumulant equations could not be integrated: {solved.message}")
        factors, matrix = self._compile(observables)
        values = np.full((len(observables), len(times)), np.nan)
        values[:, : len(solved.t)] = matrix @ _monomials(factors, solved.y)
        return values, solved.t_events[0][0] if solved.status == 1 else np.inf

    def _velocity(self, _, y):
        return self._matrix @ _monomials(self._factors, y)

    def _name(self, product: Product) -> Product:
        if product not in self._known:
            choices = [image for site, _ in product for image in self._homes[site]]
            renamed = (tuple(sorted((image[i], a) for i, a in product)) for image in choices)
            self._known[product] = min(renamed, default=())
        return self._known[product]

    def _adjoint(self, product: Product) -> Operator:
        """𝓛†P = i[H, P] + Σ γ (L†PL - ½{L†L, P}), of the terms of H and the jumps that share a site with P."""
        p, sites = Operator({product: 1.0}), [site for site, _ in product]
        h = Operator({q: f for site in sites for q, f in self._hamiltonian[site].items()})
        parts = [1j * (h * p - p * h)]
        # A jump on both sites is in both lists, and counts once.
        for rate, jump, dagger, decay in {id(c): c for site in sites for c in self._channels[site]}.values():
            parts.append(rate * (dagger * p * jump - 0.5 * (decay * p + p * decay)))
        return hx.operator_sum(parts)

    def _close(self, product: Product) -> Polynomial:
        """⟨P⟩ as a polynomial in the variables."""
        if len(product) <= self.order:
            return {(self._index[self._name(product)],): 1.0}

        def of(*members: int) -> int:
            return self._index[self._name(tuple(product[m] for m in members))]

        if (self.order, len(product)) == (1, 2):
            return {(of(0), of(1)): 1.0}
        if (self.order, len(product)) == (2, 3):
            rest: Polynomial = defaultdict(float, {(of(0), of(1), of(2)): -2.0})
            for one, pair in ((2, (0, 1)), (1, (0, 2)), (0, (1, 2))):
                rest[of(*pair), of(one)] += 1.0
            return rest
        raise ValueError(f"Order {self.order} has no rule for a product of {len(product)} Pauli matrices")

    def _compile(self, operators: Sequence[Operator]):
        """Expectation values of operators: (m, 3) factors of all monomials, and the matrix of their coefficients."""
        columns: dict[tuple[int, ...], int] = {}
        rows, where, values = [], [], []
        for row, operator in enumerate(operators):
            for product, f in operator.terms.items():
                for monomial, c in self._close(product).items():
                    factors = (0,) * (3 - len(monomial)) + tuple(sorted(monomial))
                    rows.append(row)
                    where.append(columns.setdefault(factors, len(columns)))
                    values.append(c * f.real)
        matrix = scipy.sparse.csr_array((values, (rows, where)), shape=(len(operators), len(columns)))
        return np.array(list(columns)).reshape(-1, 3), matrix


def _monomials(factors: np.ndarray, y: np.ndarray) -> np.ndarray:
    extended = np.concatenate([np.ones_like(y[:1]), y])
    return extended[factors[:, 0]] * extended[factors[:, 1]] * extended[factors[:, 2]]
