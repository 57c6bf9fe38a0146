"""A third ansatz, of which the library knows nothing: every entry of R, moved by the dense generator.

It is what the machine is tested with: where the ansatz is exact, whatever is wrong is the machine's fault. A
`perturbation` of the generator makes it inexact; each rung of its ladder halves it.
"""

import math
from dataclasses import asdict, dataclass
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from husimix.ansatz import (
    AbstractAnsatz,
    AbstractMotion,
    Adapted,
    Certificate,
    Estimate,
    LocalValues,
    Prepared,
    register_ansatz,
)
from husimix.physics.basis import SiteBasis, site_basis
from husimix.physics.products import sum_of_products
from husimix.state import AbstractState, History, check_operator, check_sites, register_state


@register_state
class DenseState(AbstractState):
    """R itself, (D, …, D)."""

    kind: ClassVar[str] = "dense"
    values: np.ndarray
    history: History = History()

    @property
    def n_sites(self) -> int:
        return self.values.ndim

    @property
    def basis(self) -> SiteBasis:
        return site_basis(math.isqrt(self.values.shape[0]))

    def local_values(self):
        return np.array([self.tensor((i,)) for i in range(self.n_sites)])

    def tensor(self, sites):
        rest = tuple(slice(None) if i in sites else 0 for i in range(self.n_sites))
        order = np.argsort(np.argsort(sites))
        return np.asarray(self.values)[rest].transpose(order)

    def expect(self, operator):
        check_operator("operator", operator, self)
        total = sum(
            f * self.values[tuple(dict(p).get(i, 0) for i in range(self.n_sites))] for p, f in operator.terms.items()
        )
        return float(np.real(total)) if operator.is_hermitian else complex(total)

    def correlation(self, first, second, *, connected=False):
        raise AssertionError("the machine does not ask for it")

    def trace(self):
        return float(self.values[(0,) * self.n_sites])

    def purity(self):
        return float(np.sum(np.square(self.values))) / self.basis.dimension**self.n_sites

    def renyi2(self, sites):
        t = self.tensor(check_sites(self, sites))
        return -math.log(float(np.sum(t**2)) / self.basis.dimension**t.ndim)

    def symmetries(self):
        return ()

    def is_invariant(self, operation):
        return False

    def as_products(self):
        return None

    def with_history(self, history):
        return DenseState(self.values, history)

    def to_arrays(self):
        return {"values": np.asarray(self.values)}

    def to_dict(self):
        return {}

    @classmethod
    def from_arrays(cls, arrays, data):
        return cls(arrays["values"])


class DenseMotion(AbstractMotion):
    """dR/dt = (𝓛 + perturbation) R."""

    generator: jnp.ndarray
    missed: jnp.ndarray
    operators: dict
    limit: float
    n_sites: int = eqx.field(static=True)
    size: int = eqx.field(static=True)
    pairs: np.ndarray
    bonds: tuple = eqx.field(static=True)
    grows_at: float
    has_coordinates: ClassVar = False
    n_certified: ClassVar = 0

    def velocity(self, time, point):
        rates = (self.generator + self.missed) @ point
        return rates, {"norm": jnp.linalg.norm(point)}

    def certificate(self, time, point, rates, report):
        flow, missed = self.generator @ point, self.missed @ point
        norm = jnp.linalg.norm
        return Certificate(
            norm(missed) / norm(point),
            norm(missed),
            norm(missed) / norm(flow),
            norm(rates) / norm(point),
            norm(flow) / norm(point),
            jnp.zeros(0),
        )

    def restored(self, point):
        return point

    def local_values(self, point):
        r = point.reshape((self.size,) * self.n_sites)

        def entries(*sites):
            return r[tuple(slice(None) if i in sites else 0 for i in range(self.n_sites))]

        pairs = jnp.array([entries(i, j) for i, j in self.bonds]).reshape(-1, self.size, self.size)
        return LocalValues(jnp.array([entries(i) for i in range(self.n_sites)]), pairs)

    def observables(self, point):
        return {name: jnp.dot(row, point.astype(complex)) for name, row in self.operators.items()}

    def is_running_away(self, point):
        return jnp.max(jnp.abs(point)) > self.limit

    def numbers(self, point):
        return {"trace": point[0]}

    def named(self, report):
        return {"norm": float(report["norm"])}

    def implicit_step(self, point, length, unit):
        step = jnp.eye(len(point)) - length * (self.generator + self.missed)
        return jnp.linalg.solve(step, point)

    def adapted(self, time, point, certificate):
        if time < self.grows_at:
            return None
        later = eqx.tree_at(lambda m: m.grows_at, self, np.inf)
        return Adapted(later, point, 0.25, 0.5)

    def state(self, point, history):
        return DenseState(np.asarray(point).reshape((self.size,) * self.n_sites), history)


@register_ansatz
@dataclass(frozen=True)
class Dense(AbstractAnsatz):
    """See the module."""

    perturbation: float = 0.0
    rungs: int = 8
    limit: float = 1e6
    grows_at: float = np.inf

    name: ClassVar[str] = "dense"
    diagnostics: ClassVar = {"trace": "Tr ρ", "norm": "‖R‖"}
    remedies: ClassVar = {"RUN_AWAY": "Raise the limit."}

    @property
    def label(self):
        return f"perturbation {self.perturbation:g}"

    def prepare(self, problem):
        model, size, n = problem.model, problem.model.basis.size, problem.model.n_sites
        operators = {}
        for name, operator in problem.observables.items():
            row = np.zeros((size,) * n, dtype=complex)
            for product, f in operator.terms.items():
                row[tuple(dict(product).get(i, 0) for i in range(n))] += f
            operators[name] = row.reshape(-1)
        dense = sum_of_products(model).to_dense()
        noise = np.random.default_rng(0).normal(size=dense.shape) / len(dense)
        noise[0] = 0.0
        bonds = [] if model.lattice is None else model.lattice.bonds()
        motion = DenseMotion(
            jnp.asarray(dense),
            jnp.asarray(self.perturbation * noise),
            {k: jnp.asarray(v) for k, v in operators.items()},
            jnp.asarray(self.limit),
            n,
            size,
            np.asarray(bonds, dtype=int).reshape(-1, 2),
            tuple(map(tuple, np.asarray(bonds).tolist())),
            self.grows_at,
        )
        products = problem.state.as_products()
        if products is None:
            point = np.asarray(problem.state.values).reshape(-1)
        else:
            point = sum(w * np.asarray(_outer(v)) for w, v in zip(products.weights, products.vectors, strict=True))
        return Prepared(motion, jnp.asarray(point), None, self.to_dict(), self.perturbation == 0.0)

    def first_rung(self, problem):
        return self

    def next_rung(self, problem):
        if self.rungs == 1:
            return None
        return Dense(self.perturbation / 2, self.rungs - 1, self.limit, self.grows_at)

    def estimate(self, problem):
        count = problem.model.basis.size**problem.model.n_sites
        return Estimate(count, 8 * count**2 / 2**30, 1.0, 1e-3, {"entries": count})

    def product_state(self, values, basis):
        return DenseState(_outer(values).reshape((basis.size,) * len(values)))

    def to_dict(self):
        return {"name": self.name} | asdict(self)


def _outer(vectors):
    result = np.ones(1)
    for v in vectors:
        result = np.outer(result, v).reshape(-1)
    return result
