"""How large tables and tiles are: what memory is bounded by and what estimates are made of."""

from typing import NamedTuple

from husimix.ansatz import Estimate
from husimix.mixture.layout import Layout
from husimix.mixture.manifolds import AbstractManifold
from husimix.physics.products import SumOfProducts

__all__ = [
    "TableSizes",
    "estimate_of",
    "pair_numbers",
    "parameter_count",
    "table_numbers",
    "table_sizes",
    "transfer_numbers",
]


class TableSizes(NamedTuple):
    """How large the tables of a layout are; what memory and time are counted from.

    Attributes:
        contacts: E.
        images: G.
        free_sites: F.
        image_entries: numbers that tell which contacts the images are made of.
        products: factors in all products of all images.
        letters: m, the one-site maps that couplings are made of.
    """

    contacts: int
    images: int
    free_sites: int
    image_entries: int
    products: int
    letters: int


def table_sizes(layout: Layout, generator: SumOfProducts) -> TableSizes:
    """Upper bounds of the sizes that `contacts_of` and `contact_generator` will find, before anything is built."""
    order, n_sites = layout.sources.shape
    contacts = min(order * n_sites, layout.n_free**2 * (len(layout.maps) + 1))
    products = order * sum(c.sites.size for c in generator.couplings)
    return TableSizes(contacts, order, layout.n_free, 3 * order * n_sites, products, len(generator.matrices))


def table_numbers(sizes: TableSizes, size: int) -> int:
    """How many floats one pair of components costs in `overlaps`, for D = size."""
    return sizes.contacts * (size + 5) + 3 * sizes.image_entries


def transfer_numbers(sizes: TableSizes, size: int) -> int:
    """How many floats one pair of components costs in `transfers`, for D = size."""
    return table_numbers(sizes, size) + sizes.contacts * 2 * (sizes.letters + 2) + sizes.products


def pair_numbers(sizes: TableSizes, size: int, p: int) -> int:
    """How many floats one pair of components costs in `gram_and_force`, for D = size and p parameters a site."""
    q = 1 + sizes.free_sites * p
    tables = sizes.contacts * (p * size + 2 * p + p * p)
    rows = 4 * p * sizes.images * sizes.free_sites + 2 * sizes.images * q
    return 3 * transfer_numbers(sizes, size) + table_numbers(sizes, size) + tables + rows + 3 * q**2


def parameter_count(n_components: int, n_free: int, n_parameters: int) -> int:
    """P = K (1 + F p), the rows of the Gram matrix."""
    return n_components * (1 + n_free * n_parameters)


# Seconds per number handled by the pair kernels and per operation of matrix products and factorisations, on two
# cores of a server processor of 2020 (benchmarks/results/kernels.md). Right to a factor of about four.
_SECONDS_PER_NUMBER = 1.5e-9
_SECONDS_PER_OPERATION = 5e-11
# Velocities of a step of the default integrator.
_STAGES = 6
_GIB = 2**30
# Seconds a step from which on an estimate gives advice.
_LONG = 3.0


def estimate_of(
    layout: Layout, generator: SumOfProducts, manifold: AbstractManifold, n_components: int, memory_limit: float
) -> Estimate:
    """What a run of K components will need.

    Args:
        layout: of a component.
        generator: 𝓛.
        manifold: where the components live.
        n_components: K.
        memory_limit: in GiB.

    Returns:
        The estimate; memory is that of tiles of one pair, the least that will do.
    """
    sizes, per_site, size = table_sizes(layout, generator), manifold.n_parameters, manifold.basis.size
    n_parameters = parameter_count(n_components, sizes.free_sites, per_site)
    operations = n_components**2 * sizes.images * (n_parameters / n_components) ** 2 + n_parameters**3 / 3
    pair = pair_numbers(sizes, size, per_site)
    # The matrix, its blocks while they are assembled, the damped copy and its factor.
    gram = 4 * 8 * n_parameters**2
    tables = 4 * (4 * sizes.contacts + sizes.image_entries) + 16 * sizes.products
    memory = (gram + 8 * pair + tables) / _GIB
    seconds = _STAGES * (_SECONDS_PER_NUMBER * n_components**2 * pair + _SECONDS_PER_OPERATION * operations)
    advice = ["Use fewer components, or clusters."] if memory > memory_limit or seconds > _LONG else []
    if memory > memory_limit:
        advice.append("Raise memory_limit of the mixture if the machine has more.")
    parts: dict[str, int | float | str] = {
        "components": n_components,
        "free sites": sizes.free_sites,
        "images": sizes.images,
        "GiB for the Gram matrix": round(gram / _GIB, 6),
    }
    return Estimate(n_parameters, memory, memory_limit, seconds, parts, tuple(advice))
