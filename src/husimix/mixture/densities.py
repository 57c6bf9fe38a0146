"""Purities and reduced tensors of a mixture, from the overlaps of its images."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from husimix.mixture.contraction import contracted
from husimix.mixture.kernels import away_from_zero, from_logarithms
from husimix.mixture.observables import Components, group_image

__all__ = ["log_purity", "reduced_tensor"]

# Floats that one step of a loop over components may hold: 16 MiB.
_CHUNK = 1 << 21


def log_purity(components: Components, sites: np.ndarray) -> tuple[float, float]:
    """d^|A| Tr ρ_A² = Σ_a R_a² over the operators of some sites A, as a number and the logarithm of its unit.

    Thousands of sites would overflow it. Cost: 2 (K|G|)² |A| D, and of the whole lattice 2 K² |G| N D.

    Args:
        components: the mixture.
        sites: (n,) int, A, all different.
    """
    value, log_scale = jax.device_get(_squared_tensor(components, sites))
    return value.item(), log_scale.item()


@eqx.filter_jit
def _squared_tensor(components: Components, sites: np.ndarray) -> tuple[Float[Array, ""], Float[Array, ""]]:
    group, vectors = components.group, components.vectors
    # The group leaves what it is averaged over in place: on the whole lattice one average of the two is enough.
    is_whole = len(sites) == vectors.shape[1]
    weights, bras = (components.as_they_stand() if is_whole else components).images(sites)
    log_scale = jnp.max(jnp.sum(jnp.log(jnp.sum(bras**2, axis=-1)), axis=-1))
    bras = jnp.transpose(bras, (2, 1, 0))
    batch = max(1, min(len(vectors), _CHUNK // bras.size))

    def with_ket(ket: Float[Array, "site operator"]) -> Float[Array, ""]:
        s = away_from_zero(contracted(bras, jnp.transpose(ket)[:, :, None]))
        n_negative = jnp.sum((s < 0).astype(s.dtype), axis=0)
        return jnp.dot(weights, from_logarithms(jnp.sum(jnp.log(jnp.abs(s)), axis=0), n_negative, log_scale))

    def add(total: Array, element: tuple[Array, Array]) -> tuple[Array, None]:
        images = group_image(vectors, group.maps, *element)
        return total + jnp.dot(components.weights, jax.lax.map(with_ket, images, batch_size=batch)), None

    elements = jnp.asarray(group.sources)[:, sites], jnp.asarray(group.labels)[:, sites]
    total, _ = jax.lax.scan(add, jnp.zeros(()), elements)
    return total / group.order, log_scale


def reduced_tensor(components: Components, sites: np.ndarray) -> np.ndarray:
    """⟨B_a1 ⊗ … ⊗ B_an⟩ on some sites, (D, …, D). Cost: K |G| D^n."""
    weights, vectors = (np.asarray(x) for x in components.images(sites))
    size = vectors.shape[-1]
    total = np.zeros(size ** len(sites))
    block = max(1, _CHUNK // size ** len(sites))
    for start in range(0, len(weights), block):
        rows = weights[start : start + block, None]
        for i in range(len(sites) - 1):
            rows = (rows[:, :, None] * vectors[start : start + block, i, None, :]).reshape(len(rows), -1)
        total += np.ravel(rows.T @ vectors[start : start + block, -1])
    return total.reshape((size,) * len(sites))
