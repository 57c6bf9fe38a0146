"""Which symmetries a run uses: what was asked for, verified on the model and on the initial state."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from husimix._errors import argument_error
from husimix.physics.lindbladian import Lindbladian
from husimix.physics.symmetry.group import SymmetryGroup
from husimix.physics.symmetry.invariance import Invariance
from husimix.physics.symmetry.transformation import Transformation
from husimix.physics.symmetry.verified import verified_symmetries

__all__ = ["SYMMETRIES", "Symmetry", "SymmetryChoice", "choose_symmetry"]

SYMMETRIES = ("auto", "full", "translations", "none")
"""The choices that have a name."""

Symmetry = str | SymmetryGroup | Sequence[Transformation] | None


class _Symmetric(Protocol):
    """What the choice asks of a state."""

    def symmetries(self) -> tuple[Transformation, ...]:
        """Generators of the group that the state is averaged over by construction."""
        ...

    def is_invariant(self, operation: Transformation) -> bool:
        """Whether an operation leaves the state in place."""
        ...


class SymmetryChoice(NamedTuple):
    """The symmetries of a run, each of which leaves model and initial state in place.

    Attributes:
        generators: translations, rotations, and operations that combine both with the point group; or what was given.
        point: (H, N) int, the elements of the point group that hold as plain site permutations, the identity first.
        name: what to pass as `symmetry` to ask for it again; "custom" for a group or generators, None for none.
    """

    generators: tuple[Transformation, ...]
    point: np.ndarray
    name: str | None

    @property
    def all_generators(self) -> tuple[Transformation, ...]:
        """The generators of the whole group, point group included, each once: a state's own may hold those already."""
        point = (Transformation(p) for p in self.point[1:])
        return (*self.generators, *(p for p in point if not any(p.is_same_as(own) for own in self.generators)))

    def group(self, *, with_point: bool) -> SymmetryGroup:
        """All elements of the group that the generators make, with those of the point group or without."""
        chosen = self.all_generators if with_point else self.generators
        return SymmetryGroup.generated(chosen) if chosen else SymmetryGroup.identity(self.point.shape[1])


def choose_symmetry(symmetry: Symmetry, model: Lindbladian, state: _Symmetric) -> SymmetryChoice:
    """The symmetries that a run uses.

    Args:
        symmetry: "full" or "auto" (the state's own group if it has one that holds; else all that is found and holds
            for model and state), "translations", None or "none", or a group, or its generators.
        model: the Lindbladian; each generator must leave its table of terms in place.
        state: the initial state; each generator must leave it in place.

    Returns:
        The symmetries. For "auto" and "full" they may be none.

    Raises:
        ValueError: for a symmetry that was asked for and does not hold, with the term that breaks it.
    """
    if symmetry is None or (isinstance(symmetry, str) and symmetry == "none"):
        return _plain((), model, None)
    if not isinstance(symmetry, str):
        return _plain(_required(_given(symmetry, model), model, state), model, "custom")
    if symmetry == "translations":
        return _plain(_required(_translations(model), model, state), model, "translations")
    if symmetry not in SYMMETRIES:
        raise argument_error(
            "symmetry", 'be "auto", "full", "translations", None, a SymmetryGroup or generators', repr(symmetry)
        )
    found = verified_symmetries(model)
    own = state.symmetries()
    if own and _broken_term(own, model) is None:
        generators = own
    else:
        candidates = (*found.translations, *found.rotations, *found.combined)
        generators = tuple(t for t in candidates if state.is_invariant(t))
    point = np.array([p for p in found.point if state.is_invariant(Transformation(p))])
    return SymmetryChoice(generators, point, "full" if generators or len(point) > 1 else None)


def _plain(generators: tuple[Transformation, ...], model: Lindbladian, name: str | None) -> SymmetryChoice:
    return SymmetryChoice(generators, np.arange(model.n_sites)[None], name)


def _given(symmetry: SymmetryGroup | Sequence[Transformation], model: Lindbladian) -> tuple[Transformation, ...]:
    group = symmetry if isinstance(symmetry, SymmetryGroup) else SymmetryGroup.generated(symmetry)
    if group.n_sites != model.n_sites:
        raise argument_error("symmetry", f"permute {model.n_sites} sites", group.n_sites)
    return tuple(group.element(g) for g in group.generators)


def _translations(model: Lindbladian) -> tuple[Transformation, ...]:
    if model.lattice is None:
        fix = "Pass lattice=... to the Lindbladian, or symmetry=None."
        raise argument_error("symmetry", "be None for a model without a lattice", "'translations'", fix)
    if not any(model.lattice.periodic):
        fix = "Build the lattice with periodic=True, or use symmetry=None."
        raise argument_error("symmetry", "be one that the lattice has", f"'translations' of {model.lattice}", fix)
    return tuple(Transformation(p) for p in model.lattice.unit_translations())


def _required(
    generators: tuple[Transformation, ...], model: Lindbladian, state: _Symmetric
) -> tuple[Transformation, ...]:
    obstacle = _broken_term(generators, model)
    if obstacle is None and not all(state.is_invariant(g) for g in generators):
        obstacle = "an initial state that is not symmetric"
    if obstacle is not None:
        fix = 'Use symmetry="auto" or symmetry=None.'
        raise argument_error("symmetry", "hold for the model and the initial state", obstacle, fix)
    return generators


def _broken_term(generators: Sequence[Transformation], model: Lindbladian) -> str | None:
    """The first term that one of the generators does not leave in place, as words, or None."""
    broken: Callable[[Transformation], str | None] = Invariance(model).broken_term
    term = next((t for t in map(broken, generators) if t is not None), None)
    return None if term is None else f"the term {term} that is not repeated elsewhere"
