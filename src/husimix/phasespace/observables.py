"""Expectation values of a mixture: entries of the tensor R, exact and linear in the weights."""

from functools import partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from husimix._errors import argument_error, check_choice
from husimix.physics.operators import Operator

if TYPE_CHECKING:
    from husimix.phasespace.mixture import Mixture

__all__ = ["Measurement", "bloch", "check_operator", "correlation", "expect"]

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


class Measurement:
    """An operator made ready to be measured on many states of the same shape.

    Args:
        operator: O = Σ_s f_s ⊗ B_a.
    """

    def __init__(self, operator: Operator):
        self.is_hermitian = operator.is_hermitian
        self._groups = list(operator.products())

    def __call__(self, state: "Mixture") -> float | complex:
        """⟨O⟩, a float for Hermitian O, else complex. Cost: K |G| q for each product of q sites."""
        total = 0j
        for sites, members, coefficients in self._groups:
            total += complex(_expect_products(state, sites, members, coefficients))
        return total.real if self.is_hermitian else total


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
    return Measurement(check_operator("operator", operator, state))(state)


@jax.jit
def bloch_vectors(state: "Mixture") -> Float[Array, "site 3"]:
    """⟨σ⟩ of every site as a JAX array, the compiled core of `bloch`."""
    rank_one = jnp.einsum("k,kia->ia", state.weights, state.vectors[..., 1:4])
    return jnp.mean(rank_one[jnp.asarray(state.group.sources)], axis=0)


def bloch(state: "Mixture") -> np.ndarray:
    """The Bloch vectors ⟨σx⟩, ⟨σy⟩, ⟨σz⟩ of all sites, (N, 3).

    For spin S > ½ the three rank-1 members of the basis, √(3/(S(S+1))) times ⟨S_x⟩, ⟨S_y⟩, ⟨S_z⟩.

    Args:
        state: the mixture.

    Returns:
        (N, 3) float.
    """
    return np.asarray(bloch_vectors(state))


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


@jax.jit
def _one_site(state: "Mixture") -> Float[Array, "site operator"]:
    summed = jnp.einsum("k,kia->ia", state.weights, state.vectors)
    return jnp.mean(summed[jnp.asarray(state.group.sources)], axis=0)


@partial(jax.jit, static_argnums=(1, 2))
def _pair_correlations(state: "Mixture", a: int, b: int) -> Float[Array, "site site"]:
    vectors = state.vectors
    summed = jnp.einsum("k,ki,kj->ij", state.weights, vectors[..., a], vectors[..., b])

    def image(sources: Int[Array, " site"]) -> Float[Array, "site site"]:
        return summed[sources[:, None], sources[None, :]]

    order, n_sites = state.group.sources.shape
    batch = max(1, min(order, _CHUNK // n_sites**2))
    total = jnp.zeros((n_sites, n_sites))
    if batch == order:
        return jnp.mean(jax.vmap(image)(jnp.asarray(state.group.sources)), axis=0)
    return jax.lax.scan(lambda t, s: (t + image(s), None), total, jnp.asarray(state.group.sources))[0] / order


@jax.jit
def _expect_products(
    state: "Mixture",
    sites: Int[Array, "product q"],
    members: Int[Array, "product q"],
    coefficients: Complex[Array, " product"],
) -> Complex[Array, ""]:
    vectors, sources = state.vectors, jnp.asarray(state.group.sources)

    def one_product(product: tuple[Array, Array]) -> Array:
        where, which = product
        factors = vectors[:, sources[:, where], which]
        return jnp.dot(state.weights, jnp.mean(jnp.prod(factors, axis=-1), axis=-1))

    size = state.n_components * state.group.order * max(1, sites.shape[1])
    batch = max(1, min(len(sites), _CHUNK // size))
    values = jax.lax.map(one_product, (sites, members), batch_size=batch)
    return jnp.dot(coefficients, values.astype(complex))
