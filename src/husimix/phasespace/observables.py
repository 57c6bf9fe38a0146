"""Expectation values of a mixture: entries of the tensor R, exact and linear in the weights."""

from functools import partial
from typing import TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from husimix._errors import argument_error, check_choice
from husimix.physics.operators import Operator
from husimix.physics.symmetry.group import SymmetryGroup
from husimix.physics.symmetry.transformation import Transformation

if TYPE_CHECKING:
    from husimix.phasespace.mixture import Mixture

__all__ = ["Measurement", "SiteAverage", "bloch", "check_operator", "correlation", "expect", "group_image"]

# Floats that one step of a loop over products or rows may hold at a time: 64 MiB.
_CHUNK = 1 << 23


def check_operator(name: str, operator: object, state: "Mixture") -> Operator:
    """`operator`, refused unless it is an operator on the sites of the state."""
    if not isinstance(operator, Operator):
        raise argument_error(name, "be an operator", repr(operator), "Build it from hx.sigmaz(i), hx.pauli(...).")
    if operator.basis is not state.basis:
        raise argument_error(name, f"act on sites of dimension {state.basis.dimension}", operator.basis.dimension)
    if operator.sites and operator.sites[-1] >= state.n_sites:
        raise argument_error(name, f"act on sites 0 to {state.n_sites - 1}", f"site {operator.sites[-1]}")
    return operator


def group_image(
    vectors: Float[Array, "*batch site operator"],
    maps: Float[Array, "map operator operator"] | Float[np.ndarray, "map operator operator"],
    sources: Int[Array, "*image"],
    labels: Int[Array, "*image"],
) -> Array:
    """What arrives at sites under elements of a group with these local maps, (*batch, *image, D)."""
    arrived = vectors[..., sources, :]
    if not len(maps):
        return arrived
    every = jnp.concatenate([jnp.eye(vectors.shape[-1])[None], jnp.asarray(maps)])
    return jnp.einsum("...ab,...b->...a", every[labels], arrived)


class Measurement(eqx.Module):
    """An operator made ready to be measured on many states with the same symmetry group.

    Args:
        operator: O = Σ_s f_s ⊗ B_a.
        group: the symmetry group of the states. If it leaves O in place, so does the average over it, which then
            need not be taken.
    """

    products: tuple[tuple[Int[Array, "product q"], Int[Array, "product q"], Complex[Array, " product"]], ...]
    is_hermitian: bool = eqx.field(static=True)
    is_symmetric: bool = eqx.field(static=True)

    def __init__(self, operator: Operator, group: SymmetryGroup):
        self.products = jax.device_put(tuple(operator.products()))
        self.is_hermitian = operator.is_hermitian
        self.is_symmetric = all(_is_unchanged(operator, group.element(g)) for g in group.generators)

    def value(self, state: "Mixture") -> Complex[Array, ""]:
        """⟨O⟩ as a complex array.

        Cost: K q for each product of q sites if O is symmetric, |G| times as much if not.
        """
        if self.is_symmetric:
            state = state.one_image()
        values = [_expect_products(state, *products) for products in self.products]
        return jnp.sum(jnp.array(values, dtype=complex))

    def number(self, value: complex) -> float | complex:
        """A value as a float for Hermitian O, else complex."""
        return float(np.real(value)) if self.is_hermitian else complex(value)

    def __call__(self, state: "Mixture") -> float | complex:
        """⟨O⟩, a float for Hermitian O, else complex."""
        return self.number(complex(self.value(state)))


class SiteAverage(eqx.Module):
    """The mean of one-site expectation values over a symmetry group, made ready once.

    Args:
        group: the group. Of pure permutations it is the mean over the sites that it carries into each other.
    """

    orbits: Int[np.ndarray, " site"] | None
    group: SymmetryGroup | None

    def __init__(self, group: SymmetryGroup):
        self.orbits = None if len(group.maps) else group.permutations.min(axis=0)
        self.group = group if len(group.maps) else None

    def __call__(self, values: Float[Array, "site operator"]) -> Float[Array, "site operator"]:
        """The average of Σ_k c_k v_i^k, (N, D)."""
        if self.group is None:
            orbits = jnp.asarray(self.orbits)
            totals = jnp.zeros_like(values).at[orbits].add(values)
            return (totals / jnp.zeros(len(values)).at[orbits].add(1.0)[:, None])[orbits]
        group = self.group

        def add(total: Array, element: tuple[Array, Array]) -> tuple[Array, None]:
            return total + group_image(values, group.maps, *element), None

        elements = jnp.asarray(group.sources), jnp.asarray(group.labels)
        return jax.lax.scan(add, jnp.zeros_like(values), elements)[0] / group.order


def expect(state: "Mixture", operator: Operator) -> float | complex:
    """⟨O⟩ = Tr ρO.

    Args:
        state: the mixture.
        operator: O; sites must lie in the state.

    Returns:
        A float for Hermitian O, a complex number otherwise.

    Raises:
        ValueError: if O is no operator or acts outside the state.
    """
    return Measurement(check_operator("operator", operator, state), state.group)(state)


def _is_unchanged(operator: Operator, transformation: Transformation) -> bool:
    moved = operator.transformed(transformation).terms
    scale = max((abs(f) for f in operator.terms.values()), default=0.0)
    products = operator.terms.keys() | moved.keys()
    return all(abs(moved.get(p, 0.0) - operator.terms.get(p, 0.0)) <= 1e-12 * scale for p in products)


def bloch(state: "Mixture") -> np.ndarray:
    """The Bloch vectors ⟨σx⟩, ⟨σy⟩, ⟨σz⟩ of all sites, (N, 3).

    For spin S > ½ the three rank-1 members of the basis, √(3/(S(S+1))) times ⟨S_x⟩, ⟨S_y⟩, ⟨S_z⟩.

    Args:
        state: the mixture.

    Returns:
        (N, 3) float.
    """
    return np.asarray(_one_site(state))[:, 1:4]


def correlation(state: "Mixture", first: str, second: str, *, connected: bool = False) -> np.ndarray:
    """All-pairs correlations ½⟨{σ_a,i, σ_b,j}⟩ in one call, real for every pair.

    For i ≠ j this is ⟨σ_a,i σ_b,j⟩; on the diagonal of spin ½ it is δ_ab.

    Args:
        state: the mixture.
        first: a, one of x, y, z.
        second: b, likewise.
        connected: subtract ⟨σ_a,i⟩⟨σ_b,j⟩.

    Returns:
        (N, N) float. Cost: 2 K |G| N² operations.

    Raises:
        ValueError: for a letter other than x, y, z.
    """
    a, b = (1 + "xyz".index(check_choice(n, x, "xyz")) for n, x in (("first", first), ("second", second)))
    basis = state.basis
    same_site = 0.5 * (basis.product[a, b] + basis.product[b, a]).real
    matrix = np.array(_pair_correlations(state, a, b))
    one_site = np.asarray(_one_site(state))
    np.fill_diagonal(matrix, one_site @ same_site)
    return matrix - np.outer(one_site[:, a], one_site[:, b]) if connected else matrix


def _one_site(state: "Mixture") -> Float[Array, "site operator"]:
    return _averaged(SiteAverage(state.group), state.one_image())


@eqx.filter_jit
def _averaged(average: SiteAverage, image: "Mixture") -> Float[Array, "site operator"]:
    return average(image.site_values())


@partial(jax.jit, static_argnums=(1, 2))
def _pair_correlations(state: "Mixture", a: int, b: int) -> Float[Array, "site site"]:
    vectors = state.vectors

    def add(total: Array, element: tuple[Array, Array]) -> tuple[Array, None]:
        image = group_image(vectors, state.group.maps, *element)
        return total + jnp.einsum("k,ki,kj->ij", state.weights, image[..., a], image[..., b]), None

    elements = jnp.asarray(state.group.sources), jnp.asarray(state.group.labels)
    total = jnp.zeros((state.n_sites, state.n_sites))
    return jax.lax.scan(add, total, elements)[0] / state.group.order


@jax.jit
def _expect_products(
    state: "Mixture",
    sites: Int[Array, "product q"],
    members: Int[Array, "product q"],
    coefficients: Complex[Array, " product"],
) -> Complex[Array, ""]:
    vectors = state.vectors
    sources, labels = jnp.asarray(state.group.sources), jnp.asarray(state.group.labels)

    def one_product(product: tuple[Array, Array]) -> Array:
        where, which = product
        images = group_image(vectors, state.group.maps, sources[:, where], labels[:, where])
        factors = jnp.take_along_axis(images, which[None, None, :, None], axis=-1)
        return jnp.dot(state.weights, jnp.mean(jnp.prod(factors[..., 0], axis=-1), axis=-1))

    size = state.n_components * state.group.order * state.basis.size * max(1, sites.shape[1])
    batch = max(1, min(len(sites), _CHUNK // size))
    values = jax.lax.map(one_product, (sites, members), batch_size=batch)
    return jnp.dot(coefficients, values.astype(complex))
