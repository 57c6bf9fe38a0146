"""How large tables and tiles are: what memory is bounded by and what estimates are made of."""

from typing import NamedTuple

from husimix.phasespace.layout import Layout
from husimix.physics.products import SumOfProducts

__all__ = [
    "TableSizes",
    "factored_numbers",
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


def factored_numbers(sizes: TableSizes, size: int, p: int) -> int:
    """How many floats one pair of components costs in `factored_gram`, for D = size and p parameters a site."""
    tables = sizes.contacts * (p * size + 2 * p + 2 * p * p)
    rows = 4 * p * sizes.images * sizes.free_sites + 4 * sizes.images * (1 + sizes.free_sites * p)
    return table_numbers(sizes, size) + tables + rows
