"""Density matrices of a mixture: dense, reduced, their purity and entropy, and the Husimi function of a site."""

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from husimix._errors import argument_error, check_integer
from husimix.phasespace import kernels, pair
from husimix.phasespace.contacts import Contacts, contacts_of
from husimix.phasespace.layout import Layout
from husimix.phasespace.manifolds import Coherent

if TYPE_CHECKING:
    from husimix.phasespace.mixture import Mixture

__all__ = ["husimi", "purity", "reduced", "renyi2", "to_dense"]

# Bytes of the largest dense density matrix handed out: 4096² complex numbers, 12 spins ½.
_DENSE_BYTES = 16 * 4096**2
# Image weights times vectors that a reduced density matrix is summed from at a time.
_BLOCK = 1 << 12


def purity(state: "Mixture") -> float:
    """Tr ρ² = d^-N Σ_a R_a², through the closed-form overlaps in the Hilbert-Schmidt metric.

    Args:
        state: the mixture.

    Returns:
        The purity; between d^-N and 1 for a physical state. Values above 1 or below d^-N mean that K is too
        small or the damping too strong. Cost: 2 K² |G| N D.
    """
    return float(_purity(state, contacts_of(Layout.of_group(state.group))))


@eqx.filter_jit
def _purity(state: "Mixture", contacts: Contacts) -> Float[Array, ""]:
    g = jnp.ones(state.basis.size)
    scale = state.n_sites * jnp.log(float(state.basis.dimension))
    p = kernels.overlaps(state.vectors, state.vectors, g, contacts, scale)
    return state.weights @ p @ state.weights


def renyi2(state: "Mixture", sites: Iterable[int] | int) -> float:
    """The Rényi-2 entropy S₂ = -ln Tr ρ_A² of the reduced state of some sites, in nats.

    Args:
        state: the mixture.
        sites: the sites of A, all different; any number of them.

    Returns:
        S₂, between 0 and |A| ln d for a physical state; nan if Tr ρ_A² is not positive. Cost:
        2 (K|G|)² |A| D.

    Raises:
        ValueError: for sites out of range or repeated.
    """
    chosen = _check_sites(state, sites)
    value, log_scale = (float(x) for x in _reduced_purity(state, chosen))
    return len(chosen) * float(np.log(state.basis.dimension)) - log_scale - np.log(value) if value > 0 else np.nan


@partial(jax.jit, static_argnums=1)
def _reduced_purity(state: "Mixture", sites: tuple[int, ...]) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """d^|A| Tr ρ_A² as a number and the logarithm of its scale, which thousands of sites would overflow."""
    weights, vectors = state.images(np.array(sites))
    g = jnp.ones(state.basis.size)
    log_scale = kernels.log_norm(vectors, g, jnp.ones(vectors.shape[1]))
    kets = jnp.transpose(vectors, (2, 1, 0))

    def with_bra(bra: Float[Array, "site operator"]) -> Float[Array, ""]:
        s = pair.away_from_zero(pair.contracted(jnp.transpose(bra)[:, :, None], kets))
        n_negative = jnp.sum((s < 0).astype(s.dtype), axis=0)
        return jnp.dot(weights, pair.overlap(jnp.sum(jnp.log(jnp.abs(s)), axis=0), n_negative, log_scale))

    batch = max(1, min(len(weights), kernels.DEFAULT_MEMORY_LIMIT // (64 * vectors.size)))
    return jnp.dot(weights, jax.lax.map(with_bra, vectors, batch_size=batch)), log_scale


def reduced(state: "Mixture", sites: Iterable[int] | int) -> np.ndarray:
    """The reduced density matrix of a few sites, ρ_A = Tr_{not A} ρ.

    Args:
        state: the mixture.
        sites: the sites of A, all different; the matrix's tensor factors come in this order.

    Returns:
        (d^n, d^n) complex Hermitian matrix, first site the slowest index as in QuTiP's `ptrace`.

    Raises:
        ValueError: for sites out of range or repeated, or a matrix beyond 4096 rows.
    """
    chosen = _check_sites(state, sites)
    size = state.basis.dimension ** len(chosen)
    if 16 * size**2 > _DENSE_BYTES:
        raise argument_error(
            "sites",
            "give a matrix of at most 4096 rows",
            f"{size} rows",
            "Choose fewer sites, or use renyi2.",
        )
    weights, vectors = (np.asarray(x) for x in state.images(np.array(chosen)))
    # |i⟩⟨j| elements of each one-site factor, ρ_site = Σ_a v_a B_a / d.
    local = np.einsum("nia,aef->nief", vectors, state.basis.matrices) / state.basis.dimension
    rho = np.zeros((size, size), dtype=complex)
    block = max(1, _BLOCK * 64 // size**2)
    for start in range(0, len(weights), block):
        part = weights[start : start + block, None, None].astype(complex)
        for i in range(len(chosen)):
            factor = local[start : start + block, i]
            grown = np.einsum("nab,nef->naebf", part, factor)
            part = grown.reshape(len(grown), part.shape[1] * factor.shape[1], -1)
        rho += part.sum(axis=0)
    return rho


def to_dense(state: "Mixture") -> np.ndarray:
    """ρ as a dense matrix with site 0 the slowest index, for few sites.

    Args:
        state: the mixture.

    Returns:
        (d^N, d^N) complex Hermitian matrix.

    Raises:
        ValueError: beyond 4096 rows (12 spins ½).
    """
    return reduced(state, range(state.n_sites))


def husimi(state: "Mixture", site: int, theta: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """The Husimi function of one site, Q(θ, φ) = ⟨θφ|ρ_site|θφ⟩.

    Normalised as QuTiP's `spin_q_function`: (2S+1)/4π ∫Q dΩ = 1.

    Args:
        state: the mixture.
        site: which site.
        theta: polar angles in radians, 0 at +z; broadcast against `phi`.
        phi: azimuthal angles in radians.

    Returns:
        Q at each pair of angles, in the shape of theta and phi broadcast together.

    Raises:
        ValueError: if the site is out of range or the angles do not broadcast.
    """
    (chosen,) = _check_sites(state, site)
    try:
        t, p = np.broadcast_arrays(np.asarray(theta, dtype=float), np.asarray(phi, dtype=float))
    except ValueError:
        shapes = f"shapes {np.shape(theta)} and {np.shape(phi)}"
        raise argument_error("theta", "broadcast against phi", shapes, "Try theta[:, None].") from None
    directions = np.stack([np.sin(t) * np.cos(p), np.sin(t) * np.sin(p), np.cos(t)], axis=-1)
    weights, vectors = state.images(np.array([chosen]))
    mean = jnp.einsum("n,na->a", weights, vectors[:, 0])
    probe = Coherent(state.basis).vectors(jnp.asarray(directions))
    return np.asarray(probe @ mean) / state.basis.dimension


def _check_sites(state: "Mixture", sites: Iterable[int] | int) -> tuple[int, ...]:
    given = list(sites) if isinstance(sites, Iterable) else [sites]
    chosen = tuple(check_integer("sites", i, 0) for i in given)
    if not chosen or len(set(chosen)) != len(chosen) or max(chosen) >= state.n_sites:
        raise argument_error("sites", f"be different sites from 0 to {state.n_sites - 1}", given)
    return chosen
