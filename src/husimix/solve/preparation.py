"""What a run starts from: the symmetry group it may use and the components it begins with."""

import jax
import jax.numpy as jnp
import numpy as np

from husimix._errors import argument_error
from husimix.phasespace.mixture import Mixture
from husimix.physics.lindbladian import Lindbladian
from husimix.physics.symmetry import SymmetryGroup, broken_term

__all__ = ["choose_group", "with_components"]


def choose_group(symmetry: str | SymmetryGroup | None, model: Lindbladian, state: Mixture) -> SymmetryGroup:
    """The group that components are averaged over, verified on the model and the initial state.

    Args:
        symmetry: "auto" (the state's own group, else the lattice's translations, if they hold; else none),
            "translations", None (or "none"), or a group.
        model: the Lindbladian; each generator must leave its table of terms in place.
        state: the initial state; each generator must leave it in place.

    Returns:
        The group.

    Raises:
        ValueError: for a group that was asked for and does not hold, with the term that breaks it.
    """
    identity = SymmetryGroup.identity(model.n_sites)
    if symmetry is None or symmetry == "none":
        return identity
    if isinstance(symmetry, SymmetryGroup):
        candidates, required = [symmetry], True
        if symmetry.n_sites != model.n_sites:
            raise argument_error("symmetry", f"permute {model.n_sites} sites", symmetry.n_sites)
    elif symmetry in ("auto", "translations"):
        required = symmetry == "translations"
        if required and model.lattice is None:
            fix = "Pass lattice=... to the Lindbladian, or symmetry=None."
            raise argument_error("symmetry", "be None for a model without a lattice", repr(symmetry), fix)
        candidates = [] if model.lattice is None else [SymmetryGroup.translations(model.lattice)]
        if required and candidates[0].order == 1:
            fix = "Build the lattice with periodic=True, or use symmetry=None."
            raise argument_error("symmetry", "be one that the lattice has", f"'translations' of {model.lattice}", fix)
        if not required and state.group.order > 1:
            candidates.insert(0, state.group)
    else:
        raise argument_error("symmetry", 'be "auto", "translations", None or a SymmetryGroup', repr(symmetry))
    for group in candidates:
        obstacle = _obstacle(group, model, state)
        if obstacle is None:
            return group
        if required:
            fix = 'Use symmetry="auto" or symmetry=None.'
            raise argument_error("symmetry", "hold for the model and the initial state", obstacle, fix)
    return identity


def _obstacle(group: SymmetryGroup, model: Lindbladian, state: Mixture) -> str | None:
    """Why a group does not hold, or None."""
    for generator in group.generators:
        term = broken_term(model, generator)
        if term is not None:
            return f"the term {term} that is not repeated elsewhere"
    same_group = np.array_equal(state.group.permutations, group.permutations)
    coordinates = np.asarray(state.coordinates)
    moved = max((np.abs(coordinates[:, p] - coordinates).max() for p in group.generators), default=0.0)
    if not same_group and (state.group.order > 1 or moved > 1e-12):
        return "an initial state that is not symmetric"
    return None


def with_components(state: Mixture, n_components: int, spread: float, seed: int) -> Mixture:
    """The same state with more components: copies of weight 0, scattered around those there are.

    Zero weights leave the state unchanged; the scatter gives the extra components directions to grow in.

    Args:
        state: the mixture; its components come first.
        n_components: K, at least what the state has.
        spread: typical distance of a copy from its original, in Bloch vector length.
        seed: of the random directions.

    Returns:
        A mixture of K components with equal R.

    Raises:
        ValueError: if K is below the number of components of the state.
    """
    extra = n_components - state.n_components
    if extra < 0:
        raise argument_error(
            "components",
            f"be at least {state.n_components}, the number in the initial state",
            n_components,
            "Components can be added but not taken away.",
        )
    originals = state.coordinates[np.arange(extra) % state.n_components]
    scattered = state.manifold.scattered(jax.random.key(seed), originals, spread)
    return Mixture(
        jnp.concatenate([state.weights, jnp.zeros(extra)]),
        jnp.concatenate([state.coordinates, scattered]),
        state.manifold,
        state.group,
    )
