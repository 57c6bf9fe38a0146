"""The state: a mixture of product states in phase space, whose weights may be negative.

R = Σ_k c_k · mean over the group of g·⊗_i v_i^k     (docs/theory.md, eqs. 9 and 15).
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from husimix._errors import argument_error, check_choice, check_integer
from husimix.mixture.densities import log_purity, reduced_tensor
from husimix.mixture.manifolds import MANIFOLDS, AbstractManifold, Bloch, named_manifold
from husimix.mixture.observables import Components, Measurement, SiteAverage, pair_correlations
from husimix.physics.basis import SiteBasis, site_basis
from husimix.physics.operators import Operator
from husimix.physics.symmetry.group import SymmetryGroup
from husimix.physics.symmetry.transformation import Transformation
from husimix.state import AbstractState, History, Products, check_operator, check_sites, register_state

__all__ = ["NAMED_SPINS", "MixtureState", "product_state"]

NAMED_SPINS: dict[str, tuple[float, float, float]] = {
    "up": (0.0, 0.0, 1.0),
    "down": (0.0, 0.0, -1.0),
    "mixed": (0.0, 0.0, 0.0),
    **{f"{sign}{'xyz'[a]}": tuple(np.eye(3)[a] * (1 if sign == "+" else -1)) for sign in "+-" for a in range(3)},
}
"""The Bloch vectors that have a name."""

_GROUP_ARRAYS = ("permutations", "generators", "labels", "maps")


@register_state
class MixtureState(AbstractState):
    """A density matrix as a signed mixture of product states.

    Attributes:
        weights: (K,) float, c_k; they sum to the trace.
        coordinates: (K, N, A) float, the sites' points on the manifold (A = 3 for spin ½).
        manifold: which one-site vectors the components may have.
        group: each component stands for its average over this group; the identity alone by default.
        history: time and accrued errors.
    """

    kind: ClassVar[str] = "mixture"

    weights: Float[Array, " component"]
    coordinates: Float[Array, "component site coordinate"]
    manifold: AbstractManifold
    group: SymmetryGroup
    history: History = History()

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

    @property
    def components(self) -> Components:
        """Weights, vectors and group, as expectation values see them."""
        return Components(self.weights, self.vectors, self.group)

    def trace(self) -> float:
        """Tr ρ = Σ_k c_k; 1 for a normalised state."""
        return float(np.sum(np.asarray(self.weights)))

    def local_values(self) -> np.ndarray:
        """(N, D) float, ⟨B_a⟩ of each site."""
        return np.asarray(_site_values(SiteAverage(self.group), self.weights, self.vectors))

    def tensor(self, sites: tuple[int, ...]) -> np.ndarray:
        """⟨B_a1 ⊗ … ⊗ B_an⟩ of a few different sites, (D, …, D) float. Cost: K |G| D^n."""
        return reduced_tensor(self.components, np.array(sites))

    def expect(self, operator: Operator) -> float | complex:
        """⟨O⟩ = Tr ρO: a float for Hermitian O, else complex.

        Args:
            operator: O; sites must lie in the state.

        Returns:
            The expectation value.

        Raises:
            ValueError: if O is no operator or acts outside the state.
        """
        checked = check_operator("operator", operator, self)
        value = complex(Measurement(checked, self.group).value(self.components))
        return value.real if checked.is_hermitian else value

    def correlation(self, first: str, second: str, *, connected: bool = False) -> np.ndarray:
        """All-pairs correlations ½⟨{B_a,i, B_b,j}⟩ in one call, real for every pair.

        For i ≠ j this is ⟨B_a,i B_b,j⟩; on the diagonal of spin ½ it is δ_ab.

        Args:
            first: a, one of x, y, z.
            second: b, likewise.
            connected: subtract ⟨B_a,i⟩⟨B_b,j⟩.

        Returns:
            (N, N) float. Cost: 2 K |G| N² operations.

        Raises:
            ValueError: for a letter other than x, y, z.
        """
        a, b = (1 + "xyz".index(check_choice(n, x, "xyz")) for n, x in (("first", first), ("second", second)))
        same_site = 0.5 * (self.basis.product[a, b] + self.basis.product[b, a]).real
        matrix, local = np.array(pair_correlations(self.components, a, b)), self.local_values()
        np.fill_diagonal(matrix, local @ same_site)
        return matrix - np.outer(local[:, a], local[:, b]) if connected else matrix

    def purity(self) -> float:
        """Tr ρ² = d^-N Σ_a R_a².

        Returns:
            The purity; between d^-N and 1 for a physical state. Values above 1 or below d^-N mean that K is too
            small or the damping too strong. Cost: 2 K² |G| N D.
        """
        value, log_scale = log_purity(self.components, np.arange(self.n_sites))
        return float(value * np.exp(log_scale - self.n_sites * np.log(self.basis.dimension)))

    def renyi2(self, sites: Iterable[int] | int) -> float:
        """The Rényi-2 entropy S₂ = -ln Tr ρ_A² of the reduced state of some sites, in nats.

        Args:
            sites: the sites of A, all different; any number of them.

        Returns:
            S₂, between 0 and |A| ln d for a physical state; nan if Tr ρ_A² is not positive. Cost:
            2 (K|G|)² |A| D.

        Raises:
            ValueError: for sites out of range or repeated.
        """
        chosen = check_sites(self, sites)
        value, log_scale = log_purity(self.components, np.array(chosen))
        return len(chosen) * float(np.log(self.basis.dimension)) - log_scale - np.log(value) if value > 0 else np.nan

    def symmetries(self) -> tuple[Transformation, ...]:
        """Generators of the group that components are averaged over."""
        return tuple(self.group.element(g) for g in self.group.generators)

    def is_invariant(self, operation: Transformation) -> bool:
        """Whether an operation leaves every component in place, or is one of the group's elements."""
        return self.leaves_components(operation) or self.group.contains(operation)

    def leaves_components(self, operation: Transformation) -> bool:
        """Whether an operation leaves every component in place."""
        vectors = np.asarray(self.vectors)
        moved = vectors[:, operation.sources]
        if operation.rotations is not None:
            moved = np.einsum("iab,kib->kia", operation.rotations, moved)
        return bool(np.abs(moved - vectors).max() < 1e-12)

    def as_products(self) -> Products:
        """The group average written out: K·|G| weights and their vectors."""
        weights, vectors = _images(self.components)
        return Products(np.asarray(weights), np.asarray(vectors))

    def with_history(self, history: History) -> "MixtureState":
        """The same state with another history."""
        return MixtureState(
            weights=self.weights,
            coordinates=self.coordinates,
            manifold=self.manifold,
            group=self.group,
            history=history,
        )

    def on_manifold(self, manifold: str | AbstractManifold) -> "MixtureState":
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
        coordinates = jnp.asarray(target.coordinates_of(np.asarray(self.vectors)))
        return MixtureState(
            weights=self.weights, coordinates=coordinates, manifold=target, group=self.group, history=self.history
        )

    def expanded(self) -> "MixtureState":
        """The same state without a group: each component written out as its |G| images."""
        if self.group.order == 1:
            return self
        products = self.as_products()
        coordinates = jnp.asarray(self.manifold.coordinates_of(products.vectors))
        identity = SymmetryGroup.identity(self.n_sites)
        return MixtureState(
            weights=jnp.asarray(products.weights),
            coordinates=coordinates,
            manifold=self.manifold,
            group=identity,
            history=self.history,
        )

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
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], data: Mapping[str, Any]) -> "MixtureState":
        """The mixture that `to_arrays` and `to_dict` described.

        Raises:
            ValueError: for a manifold that is not one of husimix's own.
        """
        name = check_choice("manifold", data["manifold"], MANIFOLDS)
        manifold = MANIFOLDS[name](site_basis(data["dimension"]))
        group = SymmetryGroup.of_elements(**{name: np.asarray(arrays[name]) for name in _GROUP_ARRAYS})
        weights, coordinates = jax.device_put((np.asarray(arrays["weights"]), np.asarray(arrays["coordinates"])))
        return cls(weights=weights, coordinates=coordinates, manifold=manifold, group=group)

    def __repr__(self) -> str:
        return (
            f"mixture of {self.n_components} components on {self.n_sites} sites "
            f"({type(self.manifold).__name__}, group of order {self.group.order})"
        )


def product_state(n_sites: int, spins: str | np.ndarray = "down") -> MixtureState:
    """A product state of N spins ½: a mixture of one component, which every ansatz can start from.

    Args:
        n_sites: N.
        spins: "up" (+z), "down", "+x", "-x", "+y", "-y", "+z", "-z", "mixed", a list of such names, one for
            each site, or Bloch vectors ⟨σ⟩ of length at most 1: shape (3,) for all sites alike or (N, 3).

    Returns:
        The state, on the `Bloch` manifold.

    Raises:
        ValueError: for an unknown name, a wrong shape, entries that are not finite, or |⟨σ⟩| > 1.
    """
    count = check_integer("n_sites", n_sites, 1)
    vectors = _bloch_vectors(spins)
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
    return MixtureState(
        weights=weights, coordinates=coordinates, manifold=Bloch(site_basis(2)), group=SymmetryGroup.identity(count)
    )


def _bloch_vectors(spins: Any) -> np.ndarray:
    """Names, or one for each site, or vectors, as an array of Bloch vectors."""
    if isinstance(spins, str):
        return np.asarray(NAMED_SPINS[check_choice("spins", spins, NAMED_SPINS)])
    if isinstance(spins, list | tuple) and spins and all(isinstance(name, str) for name in spins):
        return np.array([NAMED_SPINS[check_choice(f"spins[{i}]", name, NAMED_SPINS)] for i, name in enumerate(spins)])
    must, fix = "be a name, names by site, or real Bloch vectors", "Try hx.product_state(4, 'down')."
    try:
        vectors = np.asarray(spins)
    except ValueError:  # rows of different lengths
        raise argument_error("spins", must, repr(spins), fix) from None
    if vectors.dtype.kind not in "fiu":
        raise argument_error("spins", must, repr(spins), fix)
    return vectors


@eqx.filter_jit
def _vectors(manifold: AbstractManifold, coordinates: Float[Array, "component site axis"]) -> Array:
    """Compiled, since outside of compiled code each of its operations would be compiled for itself."""
    return manifold.vectors(coordinates)


@eqx.filter_jit
def _site_values(average: SiteAverage, weights: Array, vectors: Array) -> Array:
    return average(weights, vectors)


@eqx.filter_jit
def _images(components: Components) -> tuple[Array, Array]:
    return components.images(np.arange(components.vectors.shape[1]))
