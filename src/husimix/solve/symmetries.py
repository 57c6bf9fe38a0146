"""Which symmetries a run uses: chosen, verified on the model and on the initial state.

Two uses of a symmetry are told apart. Components are *averaged* over translations, rotations and operations that
combine both; they are *left in place* by the point group where all cells are equivalent, which costs nothing and
leaves fewer free sites (docs/theory.md, eq. 13 and below it).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from husimix._errors import argument_error
from husimix.phasespace.mixture import Mixture
from husimix.physics.lindbladian import Lindbladian
from husimix.physics.symmetry.group import SymmetryGroup
from husimix.physics.symmetry.invariance import Invariance
from husimix.physics.symmetry.transformation import Transformation
from husimix.physics.symmetry.verified import verified_symmetries

__all__ = ["SYMMETRIES", "Symmetry", "SymmetryUse", "choose_symmetry", "same_elements"]

SYMMETRIES = ("auto", "full", "translations", "none")
"""The choices that have a name."""

Symmetry = str | SymmetryGroup | Sequence[Transformation] | None


class SymmetryUse(NamedTuple):
    """The symmetries of a run.

    Attributes:
        group: what components are averaged over.
        point: (H, N) int, site permutations that leave every component in place, the identity first.
        name: what to pass as `symmetry` to ask for it again; "custom" for a group or generators.
    """

    group: SymmetryGroup
    point: np.ndarray
    name: str | None


def choose_symmetry(symmetry: Symmetry, model: Lindbladian, state: Mixture, windowed: bool = False) -> SymmetryUse:
    """The symmetries that a run uses.

    Args:
        symmetry: "full" or "auto" (the state's own group if it has one that holds; else all that is found and holds
            for model and state), "translations", None or "none", or a group, or its generators.
        model: the Lindbladian; each generator must leave its table of terms in place.
        state: the initial state; each generator must leave it in place.
        windowed: whether "auto" and "full" average over translations alone, since windows allow nothing else.

    Returns:
        The symmetries. For "auto" and "full" they may be none.

    Raises:
        ValueError: for a symmetry that was asked for and does not hold, with the term that breaks it.
    """
    if symmetry is None or (isinstance(symmetry, str) and symmetry == "none"):
        return _averaging(SymmetryGroup.identity(model.n_sites), None)
    if not isinstance(symmetry, str):
        return _averaging(_required(_given(symmetry, model), model, state), "custom")
    if symmetry == "translations":
        return _averaging(_required(_translations(model), model, state), "translations")
    if symmetry not in SYMMETRIES:
        raise argument_error(
            "symmetry", 'be "auto", "full", "translations", None, a SymmetryGroup or generators', repr(symmetry)
        )
    if state.group.order > 1 and _obstacle(state.group, model, state) is None:
        return _with_point_group(state.group, model, state)
    return _found(model, state, windowed)


def _averaging(group: SymmetryGroup, name: str | None) -> SymmetryUse:
    return SymmetryUse(group, np.arange(group.n_sites)[None], name)


def _given(symmetry: SymmetryGroup | Sequence[Transformation], model: Lindbladian) -> SymmetryGroup:
    group = symmetry if isinstance(symmetry, SymmetryGroup) else SymmetryGroup.generated(symmetry)
    if group.n_sites != model.n_sites:
        raise argument_error("symmetry", f"permute {model.n_sites} sites", group.n_sites)
    return group


def _translations(model: Lindbladian) -> SymmetryGroup:
    if model.lattice is None:
        fix = "Pass lattice=... to the Lindbladian, or symmetry=None."
        raise argument_error("symmetry", "be None for a model without a lattice", "'translations'", fix)
    if not any(model.lattice.periodic):
        fix = "Build the lattice with periodic=True, or use symmetry=None."
        raise argument_error("symmetry", "be one that the lattice has", f"'translations' of {model.lattice}", fix)
    return SymmetryGroup.translations(model.lattice)


def _required(group: SymmetryGroup, model: Lindbladian, state: Mixture) -> SymmetryGroup:
    obstacle = _obstacle(group, model, state)
    if obstacle is not None:
        fix = 'Use symmetry="auto" or symmetry=None.'
        raise argument_error("symmetry", "hold for the model and the initial state", obstacle, fix)
    return group


def _found(model: Lindbladian, state: Mixture, windowed: bool) -> SymmetryUse:
    """All that holds for the model and leaves the components of the state in place."""
    symmetries = verified_symmetries(model)
    in_place = _in_place(state.expanded())
    others = () if windowed else (*symmetries.rotations, *symmetries.combined)
    generators = [t for t in (*symmetries.translations, *others) if in_place(t)]
    point = np.array([p for p in symmetries.point if in_place(Transformation(p))])
    if not _joins_cells(generators, model):
        # Symmetric components could not tell one corner from another; their average can.
        generators += [Transformation(p) for p in point[1:]]
        point = point[:1]
    group = SymmetryGroup.generated(generators) if generators else SymmetryGroup.identity(model.n_sites)
    return SymmetryUse(group, point, "full" if group.order > 1 or len(point) > 1 else None)


def _with_point_group(group: SymmetryGroup, model: Lindbladian, state: Mixture) -> SymmetryUse:
    """A state's own group, and what of the point group leaves its components in place."""
    generators = [group.element(g) for g in group.generators]
    if not _joins_cells(generators, model):
        return _averaging(group, "full")
    in_place = _in_place(state)
    point = [p for p in verified_symmetries(model).point if in_place(Transformation(p))]
    return SymmetryUse(group, np.array(point), "full")


def _joins_cells(generators: Sequence[Transformation], model: Lindbladian) -> bool:
    """Whether translations carry each cell of the lattice into every other, so that each is as good a centre."""
    lattice = model.lattice
    if lattice is None or not len(lattice.basis):
        return False
    permutations = [t.permutation for t in generators]
    reached, frontier = {0}, [0]
    while frontier:
        found = {int(p[site]) for p in permutations for site in frontier} - reached
        reached |= found
        frontier = list(found)
    return len(reached) * len(lattice.basis) >= lattice.n_sites


def _in_place(state: Mixture) -> Callable[[Transformation], bool]:
    """A test whether an operation leaves every component of a state in place."""
    vectors = np.asarray(state.vectors)

    def test(operation: Transformation) -> bool:
        moved = vectors[:, operation.sources]
        if operation.rotations is not None:
            moved = np.einsum("iab,kib->kia", operation.rotations, moved)
        return bool(np.abs(moved - vectors).max() < 1e-12)

    return test


def _obstacle(group: SymmetryGroup, model: Lindbladian, state: Mixture) -> str | None:
    """Why a group does not hold, or None."""
    invariance = Invariance(model)
    generators = [group.element(g) for g in group.generators]
    for generator in generators:
        term = invariance.broken_term(generator)
        if term is not None:
            return f"the term {term} that is not repeated elsewhere"
    if same_elements(group, state.group):
        return None
    in_place = _in_place(state)
    if state.group.order > 1 or not all(in_place(g) for g in generators):
        return "an initial state that is not symmetric"
    return None


def same_elements(first: SymmetryGroup, second: SymmetryGroup) -> bool:
    """Whether two groups have the same elements, in whatever order."""
    if first.order != second.order or not np.array_equal(first.maps, second.maps):
        return False
    elements = (
        {moved.tobytes() + maps.tobytes() for moved, maps in zip(group.permutations, group.labels, strict=True)}
        for group in (first, second)
    )
    return next(elements) == next(elements)
