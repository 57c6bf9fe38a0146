"""How a run lays out its components: what they are averaged over, and which sites share a vector."""

from typing import NamedTuple

import jax
import numpy as np

from husimix._errors import refusal
from husimix.ansatz import Problem
from husimix.mixture.layout import Layout, tied
from husimix.mixture.manifolds import AbstractManifold, Bloch
from husimix.mixture.state import MixtureState
from husimix.physics.lattice import Lattice
from husimix.physics.lindbladian import Lindbladian
from husimix.physics.products import SumOfProducts, sum_of_products
from husimix.physics.symmetry.choice import SymmetryChoice, choose_symmetry
from husimix.physics.symmetry.group import SymmetryGroup
from husimix.physics.symmetry.transformation import Transformation
from husimix.state import AbstractState

__all__ = ["Arrangement", "arrange", "is_worth_tying", "mixture_of", "same_elements"]

# From so many sites on the point group ties sites. Below, a component with all its sites free is cheap, and a tied one
# would converge in K to a wrong answer (`benchmarks/tying.py`).
_TYING_PAYS = 25


class Arrangement(NamedTuple):
    """What components look like in a run.

    Attributes:
        state: the initial state on the manifold of the run, averaged over `group`.
        group: what components are averaged over.
        layout: how free sites become a state.
        generator: 𝓛.
        symmetry: what to pass as `symmetry` to ask for this again.
    """

    state: MixtureState
    group: SymmetryGroup
    layout: Layout
    generator: SumOfProducts
    symmetry: str | None

    def free_coordinates(self) -> np.ndarray:
        """(K, F, A), the coordinates of the free sites of the initial state."""
        coordinates = np.asarray(self.state.coordinates)
        return coordinates[:, np.unique(self.layout.free_sites, return_index=True)[1]]


def arrange(problem: Problem, manifold: str | AbstractManifold) -> Arrangement:
    """The arrangement of a run.

    Components are averaged over translations, rotations and operations that combine both with the point group. The
    point group itself is used in one of three ways. Where translations do not join all cells, components are averaged
    over it, too: it is small. Where they do and each cell has one site, it *ties* the sites that it exchanges about
    site 0 on lattices of 25 sites and more, where that makes a component several times smaller. Else it is left out: a
    tied component loses what no number of components gives back, and an average over the whole space group costs more
    than it brings.

    Args:
        problem: model, state and symmetry.
        manifold: where components live.

    Returns:
        The arrangement.

    Raises:
        ValueError: for a symmetry that does not hold, or a state that is no sum of products or not on the manifold.
    """
    state = mixture_of(problem.state).on_manifold(manifold)
    choice = choose_symmetry(problem.symmetry, problem.model, state)
    joins = _joins_cells(choice, problem.model)
    group = choice.group(with_point=not joins)
    if not same_elements(group, state.group):
        state = state.expanded()
    point = choice.point[:1]
    if joins and is_worth_tying(problem.model.lattice):
        point = np.array([p for p in choice.point if state.leaves_components(Transformation(p))])
    layout = tied(Layout.of_group(group), point)
    state = MixtureState(
        weights=state.weights,
        coordinates=state.coordinates,
        manifold=state.manifold,
        group=group,
        history=state.history,
    )
    return Arrangement(state, group, layout, sum_of_products(problem.model), choice.name)


def mixture_of(state: AbstractState) -> MixtureState:
    """A state as a mixture. Raises ValueError for one that is no sum of products."""
    if isinstance(state, MixtureState):
        return state
    products = state.as_products()
    if products is None:
        fix = "Start the mixture from hx.product_state(...), or go on with the ansatz that the state is of."
        raise refusal("state", "be a sum of products to start a mixture", repr(state), fix)
    weights, coordinates = jax.device_put((products.weights, products.vectors[..., 1:]))
    identity = SymmetryGroup.identity(state.n_sites)
    return MixtureState(
        weights=weights,
        coordinates=coordinates,
        manifold=Bloch(state.basis),
        group=identity,
        history=state.history,
    )


def same_elements(first: SymmetryGroup, second: SymmetryGroup) -> bool:
    """Whether two groups have the same elements, in whatever order."""
    if first.order != second.order or not np.array_equal(first.maps, second.maps):
        return False
    elements = (
        {moved.tobytes() + maps.tobytes() for moved, maps in zip(group.permutations, group.labels, strict=True)}
        for group in (first, second)
    )
    return next(elements) == next(elements)


def is_worth_tying(lattice: Lattice | None) -> bool:
    """Whether a component that the point group leaves in place gains more than it loses."""
    return lattice is not None and len(lattice.basis) == 1 and lattice.n_sites >= _TYING_PAYS


def _joins_cells(choice: SymmetryChoice, model: Lindbladian) -> bool:
    """Whether the operations carry each cell of the lattice into every other, so that each is as good a centre."""
    lattice = model.lattice
    if lattice is None or not len(lattice.basis):
        return False
    permutations = [t.permutation for t in choice.generators]
    reached, frontier = {0}, [0]
    while frontier:
        found = {int(p[site]) for p in permutations for site in frontier} - reached
        reached |= found
        frontier = list(found)
    return len(reached) * len(lattice.basis) >= lattice.n_sites
