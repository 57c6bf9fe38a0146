"""Layouts: which sites of a component are free, and which images of it make up the state.

A component need not have a vector of its own on every site: those that the point group exchanges may share one
(`tied`). What a run moves are the *free sites*.
"""

from typing import NamedTuple

import numpy as np
import scipy.sparse.csgraph

from husimix.physics.symmetry.group import SymmetryGroup

__all__ = ["Layout", "tied"]


class Layout(NamedTuple):
    """How free sites become a lattice state.

    Attributes:
        free_sites: (n,) int, the free site whose vector each site carries; every free site occurs.
        share: (G,) float, the weight of each image; they sum to 1.
        sources: (G, n) int, the site whose vector arrives at each site under an image.
        labels: (G, n) int, the local map applied to what arrives: 0 for none, l for maps[l - 1].
        maps: (L, D, D) float, the local maps.
    """

    free_sites: np.ndarray
    share: np.ndarray
    sources: np.ndarray
    labels: np.ndarray
    maps: np.ndarray

    @classmethod
    def of_group(cls, group: SymmetryGroup) -> "Layout":
        """Every site is free, and the images are those of a group."""
        share = np.full(group.order, 1.0 / group.order)
        sites = np.arange(group.n_sites)
        return cls(sites, share, group.sources, group.labels, group.maps)

    @property
    def n_free(self) -> int:
        """F, the number of free sites."""
        return int(self.free_sites.max()) + 1

    @property
    def is_plain(self) -> bool:
        """Whether every site is a free site of its own."""
        return self.n_free == len(self.free_sites)


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
