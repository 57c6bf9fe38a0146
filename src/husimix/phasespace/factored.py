"""The Gram matrix as the factors it is made of.

S is a sum over images of outer products, one for each pair of components, and of blocks that join the two sites of a
contact (docs/theory.md, eq. 11). Without symmetry there is one image and every site meets only itself, so that S takes
P K (2 + p) numbers instead of P², and its product with a vector twice as many operations.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

__all__ = ["FactoredGram"]


class FactoredGram(eqx.Module):
    """S of one mixture, in the order of parameters of `husimix.phasespace.kernels.force`.

    Rows are grouped as (component, parameter of the component), P = K q with q = 1 + F p.

    Attributes:
        left, right: (K, K, G, q), the outer products Σ_g left[k, l, g] right[k, l, g]ᵀ in block (k, l).
        sites: (E, K p, K p), what a contact adds to the block of its bra site and its ket site.
        bra_sites, ket_sites: (E,) int.
    """

    left: Float[Array, "bra ket image parameter"]
    right: Float[Array, "bra ket image parameter"]
    sites: Float[Array, "contact row column"]
    bra_sites: Int[Array, " contact"]
    ket_sites: Int[Array, " contact"]

    def __len__(self) -> int:
        return self.left.shape[0] * self.left.shape[3]

    def __matmul__(self, columns: Float[Array, "parameter ..."]) -> Float[Array, "parameter ..."]:
        """S times columns. Cost: 4 K² G q + 2 E (K p)² for each."""
        n_components, _, _, q = self.left.shape
        x = columns.reshape(n_components, q, -1)
        sums = jnp.einsum("klgy,lyn->klgn", self.right, x)
        result = jnp.einsum("klgx,klgn->kxn", self.left, sums)
        by_site = self.by_site(x)
        gathered = jnp.zeros_like(by_site).at[self.bra_sites].add(self.sites @ by_site[self.ket_sites])
        return (result + self.by_component(jnp.zeros_like(x[:, :1]), gathered)).reshape(columns.shape)

    def by_site(self, x: Float[Array, "component parameter column"]) -> Float[Array, "site parameter column"]:
        """(F, K p, n), the site parameters of columns given by component."""
        n_components, _, n = x.shape
        p = self.sites.shape[1] // n_components
        return jnp.transpose(x[:, 1:].reshape(n_components, -1, p, n), (1, 0, 2, 3)).reshape(-1, n_components * p, n)

    def by_component(
        self, weights: Float[Array, "component 1 column"], sites: Float[Array, "site parameter column"]
    ) -> Float[Array, "component parameter column"]:
        """(K, q, n), columns by component from their weights and site parameters; undoes `by_site`."""
        n_components, _, n = weights.shape
        split = sites.reshape(len(sites), n_components, -1, n)
        return jnp.concatenate([weights, jnp.moveaxis(split, 0, 1).reshape(n_components, -1, n)], axis=1)

    def trace(self) -> Float[Array, ""]:
        """Tr S."""
        weights, blocks = self.diagonal_blocks()
        return jnp.trace(weights) + jnp.sum(jnp.trace(blocks, axis1=1, axis2=2))

    def diagonal_blocks(self) -> tuple[Float[Array, "component component"], Float[Array, "site parameter parameter"]]:
        """S among the weights, (K, K), and among all parameters of each free site, (F, K p, K p)."""
        n_components, _, order, _ = self.left.shape
        size = self.sites.shape[1]
        p = size // n_components
        weights = jnp.einsum("klg,klg->kl", self.left[..., 0], self.right[..., 0])
        left, right = (x[..., 1:].reshape(n_components, n_components, order, -1, p) for x in (self.left, self.right))
        blocks = jnp.einsum("klgix,klgiy->ikxly", left, right).reshape(-1, size, size)
        own = jnp.where((self.bra_sites == self.ket_sites)[:, None, None], self.sites, 0.0)
        return weights, blocks.at[self.bra_sites].add(own)

    def mean_rows(self) -> Float[Array, "component parameter component"]:
        """(K, q, K), the left factors summed over images: what couples the sites of a component to one another."""
        return jnp.transpose(jnp.sum(self.left, axis=2), (0, 2, 1))
