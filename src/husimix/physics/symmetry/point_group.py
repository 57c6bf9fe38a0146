"""The isometries of a lattice that keep a point fixed, as permutations of its sites.

All of them act on lattice coordinates x, which count primitive vectors: x → (x - c) M + c with a matrix M of
integers that keeps the lengths of the primitive vectors and the angles between them.
"""

import itertools

import numpy as np
from numpy.typing import NDArray

from husimix.physics.lattice import Lattice

__all__ = ["point_group"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_TOLERANCE = 1e-9
# Fixed points with the site symmetries of all lattices of `Lattice` lie at multiples of 1/12 of a primitive vector:
# thirds are the centres of hexagons, quarters the mirror lines of skew cylinders.
_CENTRES = 12


def point_group(lattice: Lattice) -> Integers:
    """The isometries of a lattice that keep one point fixed, as site permutations.

    Along open directions the point is the centre of the cluster. Along periodic directions it is the point about
    which there are most isometries: site 0, unless the middle of a hexagon has more.

    Args:
        lattice: the lattice.

    Returns:
        (H, N) int array: element h moves site i to row h, entry i. All rows are different, row 0 is the identity,
        and products of rows are rows. A graph has the identity alone.
    """
    if len(lattice.primitive) == 0:
        return np.arange(lattice.n_sites)[None]
    shape, periodic = np.array(lattice.shape), np.array(lattice.periodic)
    fractions = lattice.basis @ np.linalg.inv(lattice.primitive)
    matrices = _isometries_of_the_torus(lattice.primitive, shape, periodic)
    middle = (shape - 1) / 2 + fractions.mean(axis=0)
    # A linear image of the box of cells lies inside the box if the images of its corners do.
    corners = _sites(np.array(list(itertools.product(*({0, length - 1} for length in lattice.shape)))), fractions)
    best, centre = np.zeros(len(matrices), dtype=bool), middle
    for twelfths in itertools.product(*(range(_CENTRES) if closed else (0,) for closed in lattice.periodic)):
        point = np.where(periodic, np.array(twelfths) / _CENTRES, middle)
        found = _landing(corners, matrices, point, fractions, shape, periodic)[1].all(axis=1)
        if found.sum() > best.sum():
            best, centre = found, point
        if best.all():
            break
    sites = _sites(np.indices(lattice.shape).reshape(len(shape), -1).T, fractions)
    landed = (_landing(sites, m[None], centre, fractions, shape, periodic)[0][0] for m in matrices[best])
    # Few long rows: Python sorts them a hundred times faster than `np.unique`.
    return np.array(sorted({tuple(row.tolist()) for row in landed}))


def _isometries_of_the_torus(primitive: Floats, shape: Integers, periodic: NDArray[np.bool_]) -> Integers:
    """All integer matrices M (H, dim, dim) with a_i → Σ_j M_ij a_j an isometry that respects the periods."""
    dim = len(primitive)
    # The primitive vectors are the shortest that there are, so that images have no larger coordinates.
    entries = np.array(list(itertools.product((-1, 0, 1), repeat=dim * dim))).reshape(-1, dim, dim)
    lengths = primitive @ primitive.T
    isometric = np.abs(entries @ lengths @ entries.transpose(0, 2, 1) - lengths).max(axis=(1, 2)) < _TOLERANCE
    matrices = entries[isometric]
    # A period L_i a_i must land on periods: on none of an open direction, on whole ones of the periodic.
    image = shape[:, None] * matrices
    whole = np.where(periodic, image % shape == 0, image == 0) | ~periodic[:, None]
    return matrices[whole.all(axis=(1, 2))]


def _sites(cells: Integers, fractions: Floats) -> Floats:
    """(cells · B, dim) coordinates of the sites of some cells, those of one cell next to each other."""
    return (cells[:, None] + fractions).reshape(-1, fractions.shape[1])


def _landing(
    points: Floats,
    matrices: Integers,
    centre: Floats,
    fractions: Floats,
    shape: Integers,
    periodic: NDArray[np.bool_],
) -> tuple[Integers, NDArray[np.bool_]]:
    """The site that each map x → (x - c) M + c takes each of P points to, and whether there is one: both (H, P)."""
    images = (points - centre) @ matrices + centre
    cells = images[:, :, None] - fractions
    nearest = np.rint(cells)
    whole = np.abs(cells - nearest).max(axis=-1) < _TOLERANCE
    member = np.argmax(whole, axis=-1)
    cell = np.take_along_axis(nearest, member[..., None, None], axis=2)[:, :, 0].astype(np.int64)
    inside = (periodic | ((cell >= 0) & (cell < shape))).all(axis=-1)
    index = np.ravel_multi_index(tuple(np.moveaxis(cell % shape, -1, 0)), tuple(shape))
    return index * len(fractions) + member, whole.any(axis=-1) & inside
