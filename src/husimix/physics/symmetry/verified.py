"""The symmetry operations that a model obeys, found among those that its lattice suggests."""

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse.csgraph

from husimix.physics.lattice import Lattice
from husimix.physics.lindbladian import Lindbladian
from husimix.physics.symmetry.group import SymmetryGroup
from husimix.physics.symmetry.invariance import Invariance
from husimix.physics.symmetry.point_group import point_group
from husimix.physics.symmetry.transformation import Transformation

__all__ = ["ModelSymmetries", "verified_symmetries"]

# The π rotations and the identity multiply like numbers under exclusive or: x z = y.
_LETTERS = "1xzy"


@dataclass(frozen=True, eq=False)
class ModelSymmetries:
    """The symmetry operations of a model, each verified on its table of terms.

    Attributes:
        translations: generators of the translations; along a direction whose unit step fails, the shortest step
            that holds and divides the length, and the diagonal of two such directions if it holds.
        point: (H, N) int, the elements of the lattice's point group that hold as they are, the identity first.
        rotations: generators of the global π rotations about the spin axes, at most two.
        combined: site permutations of translations and point group that hold only together with π rotations, on all
            sites or different ones on the two sublattices.
    """

    translations: tuple[Transformation, ...]
    point: np.ndarray
    rotations: tuple[Transformation, ...]
    combined: tuple[Transformation, ...]


@functools.lru_cache(maxsize=4)  # every rung of a ladder asks for those of one model
def verified_symmetries(model: Lindbladian) -> ModelSymmetries:
    """The symmetry operations of a model among translations, point group and π rotations.

    What is returned holds; what is missing need not be broken. Not looked for are rotations by other angles or about
    other axes, rotations with a pattern beyond two sublattices (those of the nearest-neighbour bonds), point
    operations that hold only together with a translation, and permutations of a graph's sites.

    Args:
        model: the Lindbladian; without a lattice, only rotations are looked for.

    Returns:
        The operations that hold.
    """
    test = Invariance(model)
    letters = _global_rotations(test, model)
    rotations = tuple(Transformation(None, a, model.n_sites, model.basis.dimension) for a in letters)
    if model.lattice is None:
        return ModelSymmetries((), np.arange(model.n_sites)[None], rotations, ())
    translations, broken_steps = _translations(test, model.lattice)
    elements = point_group(model.lattice)
    holds = np.array([_holds(test, Transformation(p)) for p in elements])
    combined: list[Transformation] = []
    if broken_steps or not holds.all():
        patterns = _rotation_patterns(model.lattice, letters)
        for steps in broken_steps:
            found = (_with_rotations(test, model, p, patterns) for p in steps)
            combined += [t for t in found if t is not None][:1]
        combined += _combined_point_operations(test, model, elements, holds, patterns)
    return ModelSymmetries(tuple(translations), elements[holds], rotations, tuple(combined))


def _holds(test: Invariance, transformation: Transformation) -> bool:
    return test.broken_term(transformation) is None


def _global_rotations(test: Invariance, model: Lindbladian) -> str:
    """The letters of the global π rotations that hold, without the third, which is the product of two."""
    turned = (Transformation(None, a, model.n_sites, model.basis.dimension) for a in "xyz")
    return "".join(a for a, t in zip("xyz", turned, strict=True) if _holds(test, t))[:2]


def _translations(test: Invariance, lattice: Lattice) -> tuple[list[Transformation], list[list[np.ndarray]]]:
    """Translations that hold, and for each direction with broken steps these steps, from the shortest."""
    found: list[Transformation] = []
    broken: list[list[np.ndarray]] = []
    open_ends: list[int] = []
    for axis, (length, closed) in enumerate(zip(lattice.shape, lattice.periodic, strict=True)):
        failed: list[np.ndarray] = []
        for step in range(1, length // 2 + 1 if closed else 1):
            if length % step == 0:
                shifted = _shifted(lattice, {axis: step})
                if _holds(test, Transformation(shifted)):
                    found.append(Transformation(shifted))
                    break
                failed.append(shifted)
        if failed:
            broken.append(failed)
            open_ends.append(axis)
    for pair in itertools.combinations(open_ends, 2):
        diagonal = Transformation(_shifted(lattice, dict.fromkeys(pair, 1)))
        found += [diagonal] if _holds(test, diagonal) else []
    return found, broken


def _shifted(lattice: Lattice, steps: dict[int, int]) -> np.ndarray:
    """The translation by some cells along some directions, as a site permutation."""
    sites = np.arange(lattice.n_sites).reshape(*lattice.shape, -1)
    return np.roll(sites, [-step for step in steps.values()], tuple(steps)).ravel()


def _rotation_patterns(lattice: Lattice, held: str) -> list[list[str]]:
    """The π rotations to try, a letter for each site: equal ones first, then different ones by sublattice.

    The global rotations that hold by themselves make some of them equivalent; only one of those is kept.
    """
    colours = _sublattices(lattice)
    both = range(2) if any(colours) else range(1)
    generators = [_LETTERS.index(a) for a in held]
    products = {0, *generators, *(a ^ b for a, b in itertools.combinations(generators, 2))}
    patterns, known = [], {(r, r) for r in products}
    for a, b in sorted(itertools.product(range(4), repeat=2), key=lambda pair: pair[0] != pair[1]):
        if (a, b) not in known and (a == b or len(both) == 2):
            known |= {(a ^ r, b ^ r) for r in products}
            patterns.append([_LETTERS[(a, b)[colours[site]]] for site in range(lattice.n_sites)])
    return patterns


def _sublattices(lattice: Lattice) -> list[int]:
    """0 or 1 for each site, different on all neighbours; all 0 where that cannot be."""
    ends = lattice.bonds().T
    links = scipy.sparse.coo_array((np.ones(ends.shape[1]), tuple(ends)), shape=(lattice.n_sites,) * 2)
    parts = scipy.sparse.csgraph.connected_components(links, directed=False)[1]
    first = np.unique(parts, return_index=True)[1]
    distances = scipy.sparse.csgraph.shortest_path(links, directed=False, unweighted=True, indices=first)
    colours = distances.min(axis=0).astype(int) % 2
    return colours.tolist() if (colours[ends[0]] != colours[ends[1]]).all() else [0] * lattice.n_sites


def _with_rotations(
    test: Invariance, model: Lindbladian, permutation: np.ndarray, patterns: Sequence[list[str]]
) -> Transformation | None:
    """A permutation with the first pattern of rotations with which it holds."""
    tried = (Transformation(permutation, letters, dimension=model.basis.dimension) for letters in patterns)
    return next((t for t in tried if _holds(test, t)), None)


def _combined_point_operations(
    test: Invariance, model: Lindbladian, elements: np.ndarray, holds: np.ndarray, patterns: Sequence[list[str]]
) -> Iterator[Transformation]:
    """Generators of the point operations that hold with rotations but not without."""
    reached, out_of_reach = elements[holds], elements[:0]
    for p in elements[~holds]:
        if any((rows == p).all(axis=1).any() for rows in (reached, out_of_reach)):
            continue
        found = _with_rotations(test, model, p, patterns)
        if found is None:
            # The patterns are closed under products and under permutations that keep or exchange the sublattices,
            # so that p after anything that holds is out of reach as well.
            out_of_reach = np.concatenate([out_of_reach, p[reached]])
        else:
            reached = SymmetryGroup.generated([*reached, p]).permutations
            yield found
