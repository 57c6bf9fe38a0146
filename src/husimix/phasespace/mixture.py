"""The state: a mixture of product states in phase space, whose weights may be negative.

R = Σ_k c_k · mean over the group of g·⊗_i v_i^k     (docs/theory.md, eqs. 7 and 13).
"""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from husimix._errors import argument_error, check_choice, check_integer
from husimix.phasespace import densities, observables
from husimix.phasespace.manifolds import MANIFOLDS, AbstractManifold, Bloch, named_manifold
from husimix.physics.basis import SiteBasis, site_basis
from husimix.physics.operators import Operator
from husimix.physics.symmetry.group import SymmetryGroup

__all__ = ["NAMED_SPINS", "Mixture", "product_state"]

NAMED_SPINS: dict[str, tuple[float, float, float]] = {
    "up": (0.0, 0.0, 1.0),
    "down": (0.0, 0.0, -1.0),
    "mixed": (0.0, 0.0, 0.0),
    **{f"{sign}{'xyz'[a]}": tuple(np.eye(3)[a] * (1 if sign == "+" else -1)) for sign in "+-" for a in range(3)},
}
"""The Bloch vectors that have a name."""


_GROUP_ARRAYS = ("permutations", "generators", "labels", "maps")


class Mixture(eqx.Module):
    """A density matrix as a signed mixture of product states, with its observables.

    Attributes:
        weights: (K,) float, c_k; they sum to the trace.
        coordinates: (K, N, A) float, the sites' points on the manifold (A = 3 for spin ½).
        manifold: which one-site vectors the components may have.
        group: each component stands for its average over this group; the identity alone by default.
    """

    weights: Float[Array, " component"]
    coordinates: Float[Array, "component site coordinate"]
    manifold: AbstractManifold
    group: SymmetryGroup

    @property
    def n_components(self) -> int:
        """K, the number of components."""
        return self.weights.shape[0]

    @property
    def n_sites(self) -> int:
        """N, the number of sites."""
        return self.coordinates.shape[1]

    @property
    def basis(self) -> SiteBasis:
        """The operator basis of a site."""
        return self.manifold.basis

    @property
    def vectors(self) -> Float[Array, "component site operator"]:
        """(K, N, D), the vectors v_i^k."""
        return _vectors(self.manifold, self.coordinates)

    def site_values(self) -> Float[Array, "site operator"]:
        """(N, D), Σ_k c_k v_i^k: the one-site expectation values of the components as they stand."""
        return jnp.einsum("k,kia->ia", self.weights, self.vectors)

    def images(self, sites: Any = slice(None)) -> tuple[Float[Array, " image"], Float[Array, "image site operator"]]:
        """The group average written out: K·|G| weights and their vectors on some sites.

        Args:
            sites: which sites, in this order; all by default.

        Returns:
            ((K|G|,) weights, (K|G|, n, D) vectors).
        """
        sources, labels = (jnp.asarray(table)[:, sites] for table in (self.group.sources, self.group.labels))
        vectors = observables.group_image(self.vectors, self.group.maps, sources, labels)
        weights = jnp.repeat(self.weights / self.group.order, self.group.order)
        return weights, vectors.reshape(-1, *vectors.shape[2:])

    def trace(self) -> float:
        """Tr ρ = Σ_k c_k; 1 for a normalised state."""
        return float(jnp.sum(self.weights))

    def expect(self, operator: Operator) -> float | complex:
        """⟨O⟩ = Tr ρO; see `husimix.phasespace.observables.expect`."""
        return observables.expect(self, operator)

    def bloch(self) -> np.ndarray:
        """(N, 3) Bloch vectors; see `husimix.phasespace.observables.bloch`."""
        return observables.bloch(self)

    def correlation(self, first: str, second: str, *, connected: bool = False) -> np.ndarray:
        """(N, N) matrix of ½⟨{σ_first,i, σ_second,j}⟩; see `husimix.phasespace.observables.correlation`."""
        return observables.correlation(self, first, second, connected=connected)

    def purity(self) -> float:
        """Tr ρ²; see `husimix.phasespace.densities.purity`."""
        return densities.purity(self)

    def renyi2(self, sites: Any) -> float:
        """-ln Tr ρ_A² of the sites A; see `husimix.phasespace.densities.renyi2`."""
        return densities.renyi2(self, sites)

    def reduced(self, sites: Any) -> np.ndarray:
        """The reduced density matrix of a few sites; see `husimix.phasespace.densities.reduced`."""
        return densities.reduced(self, sites)

    def to_dense(self) -> np.ndarray:
        """ρ as a dense matrix, for few sites; see `husimix.phasespace.densities.to_dense`."""
        return densities.to_dense(self)

    def husimi(self, site: int, theta: Any, phi: Any) -> np.ndarray:
        """Q(θ, φ) of one site; see `husimix.phasespace.densities.husimi`."""
        return densities.husimi(self, site, theta, phi)

    def on_manifold(self, manifold: str | AbstractManifold) -> "Mixture":
        """The same state with its components on another manifold.

        Args:
            manifold: "bloch", "coherent" or a manifold.

        Returns:
            The mixture.

        Raises:
            ValueError: if the manifold cannot hold the components.
        """
        target = named_manifold(manifold, self.basis)
        if target == self.manifold:
            return self
        coordinates = target.coordinates_of(np.asarray(self.vectors))
        return Mixture(self.weights, jnp.asarray(coordinates), target, self.group)

    def expanded(self) -> "Mixture":
        """The same state without a group: each component written out as its |G| images."""
        if self.group.order == 1:
            return self
        weights, vectors = self.images()
        coordinates = jnp.asarray(self.manifold.coordinates_of(np.asarray(vectors)))
        return Mixture(weights, coordinates, self.manifold, SymmetryGroup.identity(self.n_sites))

    def one_image(self) -> "Mixture":
        """The components as they stand, without the average: equal to the state for what is symmetric."""
        return Mixture(self.weights, self.coordinates, self.manifold, SymmetryGroup.identity(self.n_sites))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The arrays that a file needs to hold; `from_arrays` is the way back."""
        return {
            "weights": np.asarray(self.weights),
            "coordinates": np.asarray(self.coordinates),
            **{name: np.asarray(getattr(self.group, name)) for name in _GROUP_ARRAYS},
        }

    def to_dict(self) -> dict[str, Any]:
        """What a file needs beside the arrays: the names of manifold and local dimension."""
        return {"manifold": type(self.manifold).__name__.lower(), "dimension": self.basis.dimension}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], kind: Mapping[str, Any]) -> "Mixture":
        """The mixture that `to_arrays` and `to_dict` described.

        Raises:
            ValueError: for a manifold that is not one of husimix's own.
        """
        name = check_choice("manifold", kind["manifold"], MANIFOLDS)
        manifold = MANIFOLDS[name](site_basis(kind["dimension"]))
        group = SymmetryGroup.of_elements(**{name: np.asarray(arrays[name]) for name in _GROUP_ARRAYS})
        return cls(jnp.asarray(arrays["weights"]), jnp.asarray(arrays["coordinates"]), manifold, group)

    def __repr__(self) -> str:
        return (
            f"Mixture of {self.n_components} components on {self.n_sites} sites "
            f"({type(self.manifold).__name__}, group of order {self.group.order})"
        )


def product_state(n_sites: int, spins: str | np.ndarray = "down") -> Mixture:
    """A product state of N spins ½: one component, weight 1.

    Args:
        n_sites: N.
        spins: "up" (+z), "down", "+x", "-x", "+y", "-y", "+z", "-z", "mixed", or Bloch vectors ⟨σ⟩ of length at
            most 1: shape (3,) for all sites alike or (N, 3).

    Returns:
        The state, on the `Bloch` manifold.

    Raises:
        ValueError: for an unknown name, a wrong shape, entries that are not finite, or |⟨σ⟩| > 1.
    """
    count = check_integer("n_sites", n_sites, 1)
    if isinstance(spins, str):
        vectors = np.asarray(NAMED_SPINS[check_choice("spins", spins, NAMED_SPINS)])
    else:
        vectors = np.asarray(spins)
        if vectors.dtype.kind not in "fiu":
            raise argument_error("spins", "be a name or real Bloch vectors", repr(spins))
    if vectors.shape not in ((3,), (count, 3)):
        raise argument_error("spins", f"have shape (3,) or ({count}, 3)", f"shape {vectors.shape}")
    if not np.isfinite(vectors).all():
        raise argument_error("spins", "be finite", "an entry that is not")
    lengths = np.linalg.norm(np.atleast_2d(vectors), axis=1)
    if lengths.max() > 1 + 1e-9:
        raise argument_error(
            "spins",
            "have length at most 1",
            f"length {lengths.max():.6g} on site {int(lengths.argmax())}",
            "Bloch vectors are ⟨σx⟩, ⟨σy⟩, ⟨σz⟩, not spin components with factors ½ or 2.",
        )
    coordinates = np.broadcast_to(vectors, (count, 3))[None].astype(float)
    weights, coordinates = jax.device_put((np.ones(1), coordinates))
    return Mixture(weights, coordinates, Bloch(site_basis(2)), SymmetryGroup.identity(count))


@eqx.filter_jit
def _vectors(manifold: AbstractManifold, coordinates: Float[Array, "component site axis"]) -> Array:
    """Compiled, since outside of compiled code each of its operations would be compiled for itself."""
    return manifold.vectors(coordinates)
