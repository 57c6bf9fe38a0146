"""How a run lays out its components: the symmetries it uses, the window, and which sites are free."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from husimix._errors import argument_error, check_integer
from husimix.phasespace.clusters import Clusters, clusters_of
from husimix.phasespace.layout import Layout, tied, windowed
from husimix.phasespace.mixture import Mixture
from husimix.physics.lindbladian import Lindbladian
from husimix.physics.products import SumOfProducts, sum_of_products
from husimix.physics.symmetry.group import SymmetryGroup
from husimix.solve.symmetries import Symmetry, choose_symmetry, same_elements

__all__ = ["Arrangement", "arrange"]

# Cells along a direction that a window of two cells to each side would fill.
_SMALLEST = 5


class Arrangement(NamedTuple):
    """What components look like in a run.

    Attributes:
        group: what components are averaged over.
        layout: how free sites become a state.
        generator: 𝓛 on the layout's sites.
        clusters: where terms of 𝓛 overlap on the layout's sites; made when it is asked for.
        lattice_sites: (N,) int, the free site whose vector each site of the lattice carries.
        background: (B,) int, free sites that lie outside the window; none without a window.
        symmetry: what to pass as `symmetry` to ask for this again.
        takes_window: whether a window could be asked for instead.
    """

    group: SymmetryGroup
    layout: Layout
    generator: SumOfProducts
    clusters: Callable[[], tuple[Clusters, ...]]
    lattice_sites: np.ndarray
    background: np.ndarray
    symmetry: str | None
    takes_window: bool

    def free_coordinates(self, state: Mixture) -> np.ndarray:
        """(K, F, A), the coordinates of the free sites of a state that fits the arrangement."""
        coordinates = np.asarray(state.coordinates)
        free = coordinates[:, np.unique(self.lattice_sites, return_index=True)[1]]
        if np.abs(free[:, self.lattice_sites] - coordinates).max() > 1e-12:
            fix = "Use a larger window, window=None, or the final state of a run with the same window."
            raise argument_error("state", "be uniform outside the window", "a state that is not", fix)
        return free


def arrange(model: Lindbladian, state: Mixture, symmetry: Symmetry, window: int | None) -> Arrangement:
    """The arrangement of a run.

    Args:
        model: the Lindbladian.
        state: the initial state.
        symmetry: see `choose_symmetry`.
        window: how many cells around a centre components may differ from a uniform background; None for all.

    Returns:
        The arrangement.

    Raises:
        ValueError: for a symmetry that does not hold, or a window without all translations.
    """
    use = choose_symmetry(symmetry, model, state, windowed=window is not None)
    generator = sum_of_products(model)
    none = np.arange(0)
    if window is None:
        layout = tied(Layout.of_group(use.group), use.point)
        clusters, could = partial(clusters_of, generator), _has_room_for_windows(use.group, model)
        return Arrangement(use.group, layout, generator, clusters, layout.free_sites, none, use.name, could)
    radius = check_integer("window", window, 0)
    if model.lattice is None or not same_elements(use.group, SymmetryGroup.translations(model.lattice)):
        raise argument_error(
            "window",
            "be None unless components are averaged over all translations and nothing else",
            radius,
            'Model and state must be translation-invariant on a periodic lattice; try symmetry="translations".',
        )
    found = windowed(generator, model.lattice.shape, radius)
    layout = tied(found.layout, found.on_patch(use.point))
    renumbered = np.zeros(found.layout.n_free, dtype=int)
    renumbered[found.layout.free_sites] = layout.free_sites
    sites, background = renumbered[found.lattice_sites], np.unique(renumbered[found.background])

    def repeated() -> tuple[Clusters, ...]:
        near = (c.touching(found.cell) for c in clusters_of(generator))
        return tuple(c.repeated(*found.repeats()) for c in near)

    return Arrangement(use.group, layout, found.generator, repeated, sites, background, use.name, False)


def _has_room_for_windows(group: SymmetryGroup, model: Lindbladian) -> bool:
    """Whether a group has at least the size of all translations of a periodic lattice that a window leaves room in."""
    lattice = model.lattice
    if lattice is None or not all(lattice.periodic) or min(lattice.shape) <= _SMALLEST:
        return False
    return group.order * len(lattice.basis) >= lattice.n_sites
