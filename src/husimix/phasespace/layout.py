"""Layouts: which sites of a component are free, and which images of it make up the state.

A component need not have a vector of its own on every site. Sites may share one: those that the point group
exchanges (`tied`), or all those outside a window (`windowed`). A site may also stand for many alike. What a run
moves are the *free sites*.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.sparse.csgraph

from husimix.physics.products import Coupling, SumOfProducts
from husimix.physics.symmetry.group import SymmetryGroup

__all__ = ["Layout", "Window", "tied", "windowed"]


class Layout(NamedTuple):
    """How free sites become a lattice state.

    Attributes:
        free_sites: (n,) int, the free site whose vector each site carries; every free site occurs.
        multiplicity: (n,) float, how many lattice sites a site stands for.
        share: (G,) float, the weight of each image; they sum to 1.
        sources: (G, n) int, the site whose vector arrives at each site under an image.
        labels: (G, n) int, the local map applied to what arrives: 0 for none, l for maps[l - 1].
        maps: (L, D, D) float, the local maps.
    """

    free_sites: np.ndarray
    multiplicity: np.ndarray
    share: np.ndarray
    sources: np.ndarray
    labels: np.ndarray
    maps: np.ndarray

    @classmethod
    def of_group(cls, group: SymmetryGroup) -> "Layout":
        """Every site is free, and the images are those of a group."""
        share = np.full(group.order, 1.0 / group.order)
        sites = np.arange(group.n_sites)
        return cls(sites, np.ones(group.n_sites), share, group.sources, group.labels, group.maps)

    @property
    def n_free(self) -> int:
        """F, the number of free sites."""
        return int(self.free_sites.max()) + 1

    @property
    def is_plain(self) -> bool:
        """Whether every site is a free site of its own and stands for itself only."""
        return self.n_free == len(self.free_sites) and bool((self.multiplicity == 1).all())


def tied(layout: Layout, point: np.ndarray) -> Layout:
    """A layout whose components are left in place by a group of site permutations, such as a point group.

    Images that a permutation carries into each other overlap equally with every such component, so one of them
    stands for all.

    Args:
        layout: the layout.
        point: (H, n) int, all elements of the group.

    Returns:
        The layout with one free site for each set of sites that the permutations and the layout join.
    """
    if len(point) < 2:
        return layout
    number = {_image_key(*image): n for n, image in enumerate(zip(layout.sources, layout.labels, strict=True))}
    first = np.arange(len(layout.share))
    for element in point:
        inverse = np.argsort(element)
        # Site j receives, under h g h⁻¹, what g brings to h⁻¹ j, moved by h.
        images = zip(element[layout.sources[:, inverse]], layout.labels[:, inverse], strict=True)
        first = np.minimum(first, [number.get(_image_key(*image), n) for n, image in enumerate(images)])
    kept, index = np.unique(first, return_inverse=True)
    return layout._replace(
        free_sites=_joined(np.concatenate([point, _first_of_kind(layout.free_sites)[None]])),
        share=np.bincount(index, layout.share),
        sources=layout.sources[kept],
        labels=layout.labels[kept],
    )


class Window(NamedTuple):
    """A lattice as components see it that differ from a uniform background only near cell 0.

    Attributes:
        layout: on a patch that is just large enough, and one site for each kind of site in the rest.
        generator: 𝓛 on the layout's sites.
        lattice_sites: (N,) int, the free site whose vector each site of the whole lattice carries.
        first_sites: (m,) int, the lattice site around cell 0 that each site of the patch is.
        patch_sites: (N,) int, the patch's site that each lattice site becomes when the patch is repeated.
        background: (B,) int, the free sites outside the window, one for each kind of site.
        patch: (dim,) int, cells of the patch along each direction.
    """

    layout: Layout
    generator: SumOfProducts
    lattice_sites: np.ndarray
    first_sites: np.ndarray
    patch_sites: np.ndarray
    background: np.ndarray
    patch: np.ndarray

    @property
    def cell(self) -> np.ndarray:
        """The sites of cell 0, on the lattice and on the patch."""
        return np.arange(len(self.first_sites) // self.patch.prod())

    def repeats(self) -> tuple[np.ndarray, np.ndarray]:
        """What becomes of the neighbourhood of cell 0 where it is repeated.

        Returns:
            (S, N) int, for each cell of the patch, and for the cell that stands for all others, the layout's site that
            each lattice site is if cell 0 is put there; (S,) float, how many cells of the lattice each stands for.
        """
        kinds = len(self.cell)
        cell, kind = np.divmod(self.patch_sites, kinds)
        places, cells = np.stack(np.unravel_index(cell, tuple(self.patch)), axis=-1), _all_cells(self.patch)
        sites = _cell_number(cells[:, None] + places[None], self.patch) * kinds + kind
        if len(self.layout.multiplicity) == sites.shape[0] * kinds:
            return sites, np.ones(len(sites))
        beyond = len(cells) * kinds + kind
        return np.vstack([sites, beyond]), np.append(np.ones(len(sites)), self.layout.multiplicity[-1])

    def on_patch(self, point: np.ndarray) -> np.ndarray:
        """Permutations of lattice sites as permutations of the layout's sites.

        Args:
            point: (H, N) int, elements of a group.

        Returns:
            (H', n) int, those that leave the window in its place and the generator on the patch as it is; they
            are a group again.
        """
        kept = []
        for element in point:
            moved = np.arange(len(self.layout.free_sites))
            moved[: len(self.first_sites)] = self.patch_sites[element[self.first_sites]]
            if self._is_symmetry(moved):
                kept.append(moved)
        return np.array(kept)

    def _is_symmetry(self, moved: np.ndarray) -> bool:
        if len(np.unique(moved)) < len(moved):
            return False
        outside = np.isin(self.layout.free_sites, self.background)
        if (outside[moved] != outside).any():
            return False
        return all(_same_products(c, Coupling(c.letters, moved[c.sites], c.weights)) for c in self.generator.couplings)


def windowed(generator: SumOfProducts, shape: Sequence[int], radius: int) -> Window:
    """The layout of components that are uniform outside a window around cell 0, averaged over all translations.

    Two components of width w = 2 radius + 1, shifted against each other, fit on a patch of 2 (w + 2R) cells along
    each direction, R the range of 𝓛. All shifts that keep the windows apart and uncoupled give the same
    overlap, also after 𝓛 has acted on both, and so one image stands for them; the cells beyond the patch are one site
    that counts many times. Exact: nothing is neglected. Sizes depend on the window, not on the lattice.

    Args:
        generator: 𝓛 of a model that has all translations of a periodic lattice.
        shape: number of cells along each direction; sites are numbered as in `Lattice`.
        radius: of the window in cells, at least 0.

    Returns:
        The window.
    """
    lengths = np.array(shape)
    n_cells = int(lengths.prod())
    kinds = len(generator.one_site) // n_cells
    anchored = [_anchored(coupling, lengths, kinds) for coupling in generator.couplings]
    reach = np.max([np.abs(a.cells).max(axis=(0, 1)) for a in anchored], axis=0, initial=0)
    patch = np.minimum(lengths, 2 * (2 * radius + 1 + 2 * reach))
    cells = _all_cells(patch)
    n_rest = n_cells - len(cells)
    # Cells beyond the patch are one more cell, which counts n_rest times.
    n_sites = (len(cells) + (n_rest > 0)) * kinds
    couplings = tuple(a.repeated(cells, patch, kinds, n_rest) for a in anchored)
    # Multiples of the identity may sit on one site of a cell or another: only their sum has a meaning.
    cell = generator.one_site.reshape(n_cells, kinds, *generator.one_site.shape[1:]).mean(axis=0)
    one_site = np.tile(cell, (n_sites // kinds, 1, 1))
    # A shift of half the patch along a direction that was cut stands for all that are as far or farther.
    far = ((2 * cells == patch) & (patch < lengths)).any(axis=1)
    images = np.append(np.flatnonzero(~far), np.flatnonzero(far)[:1])
    share = np.full(len(images), 1.0 / n_cells)
    share[-1] += 1.0 - share.sum()
    sources = np.tile(np.arange(n_sites), (len(images), 1))
    origins = _cell_number(cells[None] - cells[images, None], patch)
    sources[:, : len(cells) * kinds] = _sites_of(origins, kinds)
    beyond = np.arange(kinds) + _n_window_cells(lengths, radius) * kinds
    layout = Layout(
        free_sites=np.append(_window_sites(cells, patch, radius, kinds), beyond[: n_sites - len(cells) * kinds]),
        multiplicity=np.repeat([1.0, n_rest], [len(cells) * kinds, n_sites - len(cells) * kinds]),
        share=share,
        sources=sources,
        labels=np.zeros_like(sources),
        maps=np.zeros((0, 1, 1)),
    )
    lattice_cells = _all_cells(lengths)
    sites = _window_sites(lattice_cells, lengths, radius, kinds)
    near = _wrapped(lattice_cells, lengths)
    patch_sites = _sites_of(_cell_number(near, patch), kinds)
    first_sites = np.zeros(len(cells) * kinds, dtype=int)
    # Of the lattice cells that become one cell of the patch, the nearest to cell 0 comes last and stays.
    by_distance = _sites_of(np.argsort(-np.abs(near).max(axis=1), kind="stable"), kinds)
    first_sites[patch_sites[by_distance]] = by_distance
    background = np.arange(_n_window_cells(lengths, radius) * kinds, layout.n_free)
    moved = SumOfProducts(one_site, generator.matrices, couplings)
    return Window(layout, moved, sites, first_sites, patch_sites, background, patch)


class _Anchored(NamedTuple):
    """The products of a coupling that touch cell 0, each with its share 1/q for every factor there.

    Attributes:
        letters: (M, q) int.
        cells: (M, q, dim) int, relative to cell 0.
        kinds: (M, q) int, the site within each cell.
        weights: (M,) float.
    """

    letters: np.ndarray
    cells: np.ndarray
    kinds: np.ndarray
    weights: np.ndarray

    def repeated(self, cells: np.ndarray, patch: np.ndarray, kinds: int, n_rest: int) -> Coupling:
        """The coupling on all cells of a patch, and on the cell that stands for the n_rest others."""
        q = self.letters.shape[1]
        moved = _cell_number(cells[:, None, None] + self.cells[None], patch)
        sites = (moved * kinds + self.kinds).reshape(-1, q)
        letters, weights = np.tile(self.letters, (len(cells), 1)), np.tile(self.weights, len(cells))
        if n_rest:
            sites = np.concatenate([sites, len(cells) * kinds + self.kinds])
            letters = np.concatenate([letters, self.letters])
            weights = np.concatenate([weights, n_rest * self.weights])
        return Coupling(letters, sites.astype(np.int32), weights)


def _anchored(coupling: Coupling, lengths: np.ndarray, kinds: int) -> _Anchored:
    cell, kind = np.divmod(coupling.sites, kinds)
    place = np.stack(np.unravel_index(cell, tuple(lengths)), axis=-1)
    found = [np.flatnonzero(cell[:, n] == 0) for n in range(cell.shape[1])]
    rows = np.concatenate(found)
    weights = coupling.weights[rows] / cell.shape[1]
    return _Anchored(coupling.letters[rows], _wrapped(place[rows], lengths), kind[rows], weights)


def _wrapped(places: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Cells as the shortest way to them from cell 0 on a torus."""
    return (places + (lengths - 1) // 2) % lengths - (lengths - 1) // 2


def _all_cells(lengths: np.ndarray) -> np.ndarray:
    """(C, dim) int, the cells in row-major order."""
    return np.stack(np.unravel_index(np.arange(lengths.prod()), tuple(lengths)), axis=-1)


def _cell_number(places: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    return np.asarray(np.ravel_multi_index(tuple(np.moveaxis(places % lengths, -1, 0)), tuple(lengths)))


def _sites_of(cells: np.ndarray, kinds: int) -> np.ndarray:
    """The sites of given cells, (..., C) to (..., C · kinds)."""
    return (cells[..., None] * kinds + np.arange(kinds)).reshape(*cells.shape[:-1], -1)


def _n_window_cells(lengths: np.ndarray, radius: int) -> int:
    return int(np.minimum(lengths, 2 * radius + 1).prod())


def _window_sites(cells: np.ndarray, lengths: np.ndarray, radius: int, kinds: int) -> np.ndarray:
    """The free site of each site: one of its own within the window, one for each kind of site outside."""
    places = _wrapped(cells, lengths)
    inside = (np.abs(places) <= radius).all(axis=1)
    window = np.where(inside, 0, _n_window_cells(lengths, radius))
    window[inside] = np.unique(places[inside], axis=0, return_inverse=True)[1].reshape(-1)
    return _sites_of(window, kinds)


def _same_products(first: Coupling, second: Coupling) -> bool:
    """Whether two couplings are equal as sums of products, in whatever order."""

    def summed(coupling: Coupling) -> tuple[np.ndarray, np.ndarray]:
        n_sites = int(max(first.sites.max(), second.sites.max())) + 1
        factors = np.sort(coupling.letters.astype(np.int64) * n_sites + coupling.sites, axis=1)
        rows, index = np.unique(factors, axis=0, return_inverse=True)
        return rows, np.bincount(index.reshape(-1), coupling.weights)

    (rows, weights), (others, other_weights) = summed(first), summed(second)
    return np.array_equal(rows, others) and np.allclose(weights, other_weights, rtol=1e-10, atol=0)


def _image_key(sources: np.ndarray, labels: np.ndarray) -> bytes:
    return sources.astype(np.int32).tobytes() + labels.astype(np.int32).tobytes()


def _joined(relations: np.ndarray) -> np.ndarray:
    """(n,) int: the classes of sites that are joined by any of the relations i ~ relations[m, i]."""
    n_sites = relations.shape[1]
    ends = relations.ravel()
    links = scipy.sparse.coo_array((np.ones(len(ends)), (np.tile(np.arange(n_sites), len(relations)), ends)))
    return scipy.sparse.csgraph.connected_components(links, directed=False)[1]


def _first_of_kind(free_sites: np.ndarray) -> np.ndarray:
    return np.unique(free_sites, return_index=True)[1][free_sites]
