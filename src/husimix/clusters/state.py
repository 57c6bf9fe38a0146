"""The state: a product background and the central moments of kept supports, of which all others are made."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array

from husimix._errors import argument_error, check_choice
from husimix.clusters.measurements import Measurement, looked_up, reduced_tensor
from husimix.clusters.moments import MomentLayout, Point, Sites
from husimix.clusters.orbits import Orbits
from husimix.clusters.supports import Family, Neighbours
from husimix.physics.basis import SiteBasis, site_basis
from husimix.physics.lattice import Lattice
from husimix.physics.operators import Operator
from husimix.physics.symmetry.transformation import Transformation
from husimix.state import AbstractState, History, Products, check_operator, check_sites, register_state

__all__ = ["ClusterState"]

# Sites of the largest tensor that purities are taken of: 4^12 numbers for spin ½ are 128 MiB.
_LARGEST_TENSOR = 4**12
# Pairs of sites that are looked up at a time.
_PAIRS = 1 << 18


@register_state
class ClusterState(AbstractState):
    """A density matrix by its background and its central moments, one support of each orbit.

    A central moment outside of the kept supports is the product of those of the parts of its sites that no bond joins,
    and counts as 0 if there is one part only, or a part is a single site.

    Attributes:
        background: (U, D - 1) float, local expectation values of one site of each orbit.
        moments: by number of sites n, (S_n, (D - 1)^n) float.
        layout: which sites and supports these are of.
        history: time and accrued errors.
    """

    kind: ClassVar[str] = "clusters"

    background: np.ndarray
    moments: dict[int, np.ndarray]
    layout: MomentLayout = eqx.field(static=True)
    history: History = History()

    @property
    def n_sites(self) -> int:
        """N, the number of sites."""
        return self.layout.orbits.n_sites

    @property
    def basis(self) -> SiteBasis:
        """The operator basis of a site."""
        return site_basis(math.isqrt(self.layout.letters + 1))

    @property
    def size(self) -> int:
        """The number of sites of the largest kept support; 1 without any."""
        return max(self.moments, default=1)

    def local_values(self) -> np.ndarray:
        """(N, D) float, ⟨B_a⟩ of each site."""
        found = self.layout.orbits.canonical(np.arange(self.n_sites)[:, None])
        values = self.background[np.searchsorted(self.layout.sites, found.sites[:, 0])]
        turned = np.einsum("iab,ib->ia", self.layout.orbits.maps[found.labels[:, 0]], values)
        return np.concatenate([np.ones((self.n_sites, 1)), turned], axis=1)

    def tensor(self, sites: tuple[int, ...]) -> np.ndarray:
        """⟨B_a1 ⊗ … ⊗ B_an⟩ of a few different sites, (D, …, D) float. Cost: 2^n look-ups and n D^n."""
        return reduced_tensor(self.layout, self.local_values()[:, 1:], self.moments, np.array(sites))

    def expect(self, operator: Operator) -> float | complex:
        """⟨O⟩ = Tr ρO: a float for Hermitian O, else complex.

        Central moments outside of the kept supports count as 0.

        Args:
            operator: O; sites must lie in the state.

        Returns:
            The expectation value.

        Raises:
            ValueError: if O is no operator or acts outside the state.
        """
        checked = check_operator("operator", operator, self)
        measurement = Measurement.of(checked, self.layout)
        point = Point(*jax.device_put((self.background, self.moments)))
        maps = jax.device_put(self.layout.orbits.maps)
        value = complex(_measured(measurement, point, self.layout.all_sites(), maps))
        return value.real if checked.is_hermitian else value

    def correlation(self, first: str, second: str, *, connected: bool = False) -> np.ndarray:
        """All-pairs correlations ½⟨{B_a,i, B_b,j}⟩ in one call, real for every pair.

        For i ≠ j this is ⟨B_a,i B_b,j⟩, connected only where the pair is kept; on the diagonal of spin ½ it is δ_ab.

        Args:
            first: a, one of x, y, z.
            second: b, likewise.
            connected: subtract ⟨B_a,i⟩⟨B_b,j⟩.

        Returns:
            (N, N) float.

        Raises:
            ValueError: for a letter other than x, y, z.
        """
        a, b = (1 + "xyz".index(check_choice(n, x, "xyz")) for n, x in (("first", first), ("second", second)))
        local, basis = self.local_values(), self.basis
        matrix = np.zeros((self.n_sites, self.n_sites))
        ends = np.stack(np.triu_indices(self.n_sites, 1), axis=1)
        for start in range(0, len(ends) if 2 in self.moments else 0, _PAIRS):
            some = ends[start : start + _PAIRS]
            values = looked_up(self.layout, self.moments, some).reshape(-1, *(self.layout.letters,) * 2)
            matrix[some[:, 0], some[:, 1]] = values[:, a - 1, b - 1]
            matrix[some[:, 1], some[:, 0]] = values[:, b - 1, a - 1]
        product = np.outer(local[:, a], local[:, b])
        same_site = local @ (0.5 * (basis.product[a, b] + basis.product[b, a]).real)
        np.fill_diagonal(matrix, same_site - np.diagonal(product))
        return matrix if connected else matrix + product

    def trace(self) -> float:
        """1: the trace is kept exactly."""
        return 1.0

    def purity(self) -> float:
        """Tr ρ² of the whole state.

        Raises:
            ValueError: unless the state is a product, or has few sites and keeps all of their moments: what is left out
                has no closed form, and is not small.
        """
        if self._is_product():
            return float(np.prod(np.sum(self.local_values() ** 2, axis=1) / self.basis.dimension))
        if self.size < self.n_sites:
            fix = "Take renyi2 of some sites."
            got = f"clusters of at most {self.size} of {self.n_sites} sites"
            raise argument_error("state", "keep all moments for the purity of the whole", got, fix)
        return math.exp(-self.renyi2(range(self.n_sites)))

    def renyi2(self, sites: Iterable[int] | int) -> float:
        """The Rényi-2 entropy S₂ = -ln Tr ρ_A² of the reduced state of a few sites, in nats.

        Args:
            sites: the sites of A, all different.

        Returns:
            S₂, between 0 and |A| ln d for a physical state.

        Raises:
            ValueError: for sites out of range or repeated, or more than 12 spins ½.
        """
        chosen = check_sites(self, sites)
        if self.basis.size ** len(chosen) > _LARGEST_TENSOR:
            raise argument_error("sites", f"have at most {_LARGEST_TENSOR} expectation values", f"{len(chosen)} sites")
        squared = float(np.sum(np.square(self.tensor(chosen))))
        return len(chosen) * math.log(self.basis.dimension) - math.log(squared)

    def symmetries(self) -> tuple[Transformation, ...]:
        """Generators of the group whose orbits are kept."""
        return self.layout.orbits.generators

    def is_invariant(self, operation: Transformation) -> bool:
        """Whether an operation is one of the group's, or leaves background and moments in place."""
        if self.layout.orbits.holds(operation):
            return True
        if not self.layout.orbits.is_trivial and not self._is_product():
            return False
        turned = operation.rotations
        local = self.local_values()
        moved = local if turned is None else np.einsum("iab,ib->ia", turned[operation.permutation], local)
        if np.abs(local[operation.permutation] - moved).max() > 1e-12:
            return False
        return all(self._leaves_moments(operation, n) for n in self.moments)

    def as_products(self) -> Products | None:
        """The product of the background if all moments are 0, else None."""
        return Products(np.ones(1), self.local_values()[None]) if self._is_product() else None

    def with_history(self, history: History) -> "ClusterState":
        """The same state with another history."""
        return ClusterState(background=self.background, moments=self.moments, layout=self.layout, history=history)

    def central_moments(self, sets: np.ndarray) -> np.ndarray:
        """The central moments of (R, n) sets of different sites, (R, (D - 1)^n), kept or made of kept ones."""
        return looked_up(self.layout, self.moments, sets)

    def bonds(self) -> np.ndarray:
        """(M, 2) int, the bonds of the graph that the state's clusters grew on; none for a product."""
        return np.zeros((0, 2), dtype=int) if self._is_product() else self.layout.family.neighbours.pairs

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The arrays that a file needs to hold; `from_arrays` is the way back."""
        family = self.layout.family
        arrays = {"background": np.asarray(self.background), "neighbours": family.neighbours.pairs}
        for n, values in self.moments.items():
            arrays |= {f"moments_{n}": np.asarray(values), f"supports_{n}": family.by_size[n]}
        generators = self.symmetries()
        if generators:
            arrays["permutations"] = np.array([g.permutation for g in generators])
            identity = np.broadcast_to(np.eye(self.basis.size), (self.n_sites, self.basis.size, self.basis.size))
            turned = [g.rotations is not None for g in generators]
            if any(turned):
                arrays["rotations"] = np.array([identity if g.rotations is None else g.rotations for g in generators])
        return arrays

    def to_dict(self) -> dict[str, Any]:
        """What a file needs beside the arrays."""
        lattice = self.layout.orbits.lattice
        return {
            "dimension": self.basis.dimension,
            "n_sites": self.n_sites,
            "lattice": None if lattice is None else lattice.to_dict(),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], data: Mapping[str, Any]) -> "ClusterState":
        """The state that `to_arrays` and `to_dict` described."""
        size = site_basis(data["dimension"]).size
        lattice = None if data["lattice"] is None else Lattice.from_dict(data["lattice"])
        permutations = np.asarray(arrays.get("permutations", np.zeros((0, data["n_sites"]), dtype=int)))
        rotations = arrays.get("rotations")
        generators = tuple(
            Transformation(p, None if rotations is None else np.asarray(rotations[n]))
            for n, p in enumerate(permutations)
        )
        sizes = sorted(int(name.removeprefix("moments_")) for name in arrays if name.startswith("moments_"))
        neighbours = Neighbours.of_pairs(np.asarray(arrays["neighbours"]), data["n_sites"])
        family = Family({n: np.asarray(arrays[f"supports_{n}"]) for n in sizes}, neighbours)
        layout = MomentLayout.of(Orbits(generators, lattice, data["n_sites"], size), family, size - 1)
        moments = {n: np.asarray(arrays[f"moments_{n}"]) for n in sizes}
        return cls(background=np.asarray(arrays["background"]), moments=moments, layout=layout)

    def _is_product(self) -> bool:
        return not any(np.any(values) for values in self.moments.values())

    def _leaves_moments(self, operation: Transformation, n: int) -> bool:
        rows, letters = self.layout.family.by_size[n], self.layout.letters
        images = operation.permutation[rows]
        tensor = np.asarray(self.moments[n]).reshape(-1, *(letters,) * n)
        if operation.rotations is not None:
            for j in range(n):
                maps = operation.rotations[images[:, j]][:, 1:, 1:]
                moved = np.moveaxis(tensor, 1 + j, -1)
                tensor = np.moveaxis(np.einsum("r...b,rab->r...a", moved, maps), -1, 1 + j)
        return bool(np.abs(self.central_moments(images) - tensor.reshape(len(rows), -1)).max(initial=0) < 1e-12)

    def __repr__(self) -> str:
        count = sum(values.size for values in (self.background, *self.moments.values()))
        return (
            f"clusters of at most {self.size} of {self.n_sites} sites "
            f"({count} numbers, group of order {self.layout.orbits.order})"
        )


@eqx.filter_jit
def _measured(measurement: Measurement, point: Point, sites: Sites, maps: Array) -> Array:
    return measurement.value(point, sites, maps)
