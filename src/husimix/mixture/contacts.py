"""Which sites of two components meet when the images of one are laid over the other.

A pair kernel is a sum over group elements of products over sites (docs/theory.md, eq. 15). Each factor depends
only on the *contact*: a free site of the bra, a free site of the ket, and the local map between them. Contacts
repeat from one group element to the next, so factors are computed once for each contact, and a group element is
a row of a table that says which contacts it is made of, how often. The tables are built once for a run, in NumPy.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from husimix.mixture.contraction import contracted
from husimix.mixture.layout import Layout
from husimix.mixture.sizes import TableSizes
from husimix.physics.products import Coupling, SumOfProducts

__all__ = [
    "Choices",
    "ContactCoupling",
    "Contacts",
    "Counts",
    "Generator",
    "contact_generator",
    "contacts_of",
    "numbered",
]


# Numbers of the largest matrix of images × contacts: 64 MiB.
_LARGEST_MATRIX = 1 << 23


class Contacts(eqx.Module):
    """The contacts of a layout and the images that are made of them.

    Attributes:
        bra_sites: (E,) int, the free site of the bra.
        ket_sites: (E,) int, the free site of the ket.
        labels: (E,) int, the local map applied to the ket: 0 for none, l for maps[l - 1].
        maps: (L, D, D) float.
        sizes: (F,) float, how many lattice sites carry the vector of each free site.
        share: (G,) float, the weight of each image.
        images: which contacts make up an image, how often.
        complete: whether the contacts are all (bra site, ket site, label) in row-major order, so that tables
            over contacts are outer products and need no gathering.
    """

    bra_sites: Int[Array, " contact"]
    ket_sites: Int[Array, " contact"]
    labels: Int[Array, " contact"]
    maps: Float[Array, "map operator operator"]
    sizes: Float[Array, " site"]
    share: Float[Array, " image"]
    images: "Counts | Choices"
    complete: bool = eqx.field(static=True)

    @property
    def n_contacts(self) -> int:
        """E, the number of contacts."""
        return self.bra_sites.shape[0]

    @property
    def n_free(self) -> int:
        """F, the number of free sites of a component."""
        return self.sizes.shape[0]

    def table_sizes(self, generator: "Generator | None") -> TableSizes:
        """The sizes of the tables, with those of a generator or without."""
        couplings, letters = (generator.couplings, len(generator.matrices)) if generator else ((), 0)
        products = sum(c.factors.size for c in couplings)
        order = len(self.share)
        return TableSizes(self.n_contacts, order, self.n_free, self.images.size, products, letters)

    def contracted(
        self, bra: Float[Array, "operator *more site pair"], ket: Float[Array, "operator *more contact pair"]
    ) -> Float[Array, "*more contact pair"]:
        """Σ_a v_a v'_a at every contact, from v at the bra's free sites and v' at the contacts."""
        if not self.complete:
            return contracted(jnp.take(bra, self.bra_sites, axis=-2), ket)
        split = ket.reshape(*ket.shape[:-2], self.n_free, -1, ket.shape[-1])
        return _outer_contraction(bra[..., :, None, :], split).reshape(*bra.shape[1:-2], -1, bra.shape[-1])

    def at_ket(self, vectors: Float[Array, "operator site pair"]) -> Float[Array, "operator contact pair"]:
        """Vectors of the ket's free sites, mapped and spread over the contacts."""
        images = vectors[:, :, None]
        if len(self.maps):
            mapped = jnp.einsum("lab,bjq->ajlq", self.maps, vectors)
            images = jnp.concatenate([images, mapped], axis=2)
        size, n_free, n_labels, n_pairs = images.shape
        if not self.complete:
            return images.reshape(size, -1, n_pairs)[:, self.ket_sites * n_labels + self.labels]
        spread = (size, n_free, n_free, n_labels, n_pairs)
        return jnp.broadcast_to(images[:, None], spread).reshape(size, -1, n_pairs)


@jax.custom_vjp
def _outer_contraction(
    bra: Float[Array, "operator *more site 1 pair"], ket: Float[Array, "operator *more site other pair"]
) -> Float[Array, "*more site other pair"]:
    """Σ_a v_a v'_a for bras that are equal along the axis of length 1, differentiated in the bras only.

    The rule replaces the one that the compiler would derive: a multiplication by every v'_a and a sum over an inner
    axis, thirty times as slow as the contraction itself.
    """
    return contracted(bra, ket)


def _outer_forward(bra: Array, ket: Array) -> tuple[Array, tuple[Array, tuple[int, ...]]]:
    return contracted(bra, ket), (ket, bra.shape)


def _outer_backward(kept: tuple[Array, tuple[int, ...]], cotangent: Array) -> tuple[Array, None]:
    ket, shape = kept
    if ket.ndim < len(shape) or ket.shape[1:-3] != shape[1:-3]:
        ket = jnp.broadcast_to(ket, (*shape[:-3], *ket.shape[-3:]))
    return jnp.einsum("...xbq,a...xbq->a...xq", cotangent, ket)[..., None, :], None


_outer_contraction.defvjp(_outer_forward, _outer_backward)


class Counts(eqx.Module):
    """The contacts of every image as a matrix: for few contacts, where sums are best done as matrix products.

    Attributes:
        counts: (G, E) float, how many lattice sites meet in a contact under an image.
        n_free: F.
    """

    counts: Float[Array, "image contact"]
    n_free: int = eqx.field(static=True)

    @property
    def size(self) -> int:
        """How many numbers tell the contacts of all images."""
        return self.counts.size

    def sums(self, table: Float[Array, "contact entry pair"]) -> Float[Array, "image entry pair"]:
        """The sum of a table over the contacts of each image."""
        return jnp.tensordot(self.counts, table, 1)

    def totals(self, amounts: Float[Array, "image pair"]) -> Float[Array, "contact pair"]:
        """The sum of image amounts over all images of which a contact is part."""
        return self.counts.T @ amounts

    def rows(self, table: Float[Array, "parameter contact pair"]) -> Float[Array, "pair image site parameter"]:
        """The sum of a table over the contacts of each free site of the bra, for contacts in row-major order."""
        counts, split = self._split(table)
        return jnp.einsum("gabl,pablq->qgap", counts, split)

    def columns(self, table: Float[Array, "parameter contact pair"]) -> Float[Array, "pair image site parameter"]:
        """The sum of a table over the contacts of each free site of the ket, for contacts in row-major order."""
        counts, split = self._split(table)
        return jnp.einsum("gabl,pablq->qgbp", counts, split)

    def _split(self, table: Array) -> tuple[Array, Array]:
        shape = (self.n_free, self.n_free, self.counts.shape[1] // self.n_free**2)
        return self.counts.reshape(-1, *shape), table.reshape(len(table), *shape, table.shape[-1])


class Choices(eqx.Module):
    """The contacts of every image as lists: for many contacts, few of them in an image.

    Attributes:
        by_bra: (G, F, Z) int, the contacts of each free site of the bra under an image.
        bra_counts: (G, F, Z) float, how many lattice sites each of them stands for; 0 fills up.
        by_ket: (G, F, Z') int, the same seen from the free sites of the ket.
        ket_counts: (G, F, Z') float.
        n_contacts: E.
    """

    by_bra: Int[Array, "image site choice"]
    bra_counts: Float[Array, "image site choice"]
    by_ket: Int[Array, "image site other_choice"]
    ket_counts: Float[Array, "image site other_choice"]
    n_contacts: int = eqx.field(static=True)

    @property
    def size(self) -> int:
        """How many numbers tell the contacts of all images."""
        return 3 * self.by_bra.size

    def sums(self, table: Float[Array, "contact entry pair"]) -> Float[Array, "image entry pair"]:
        """The sum of a table over the contacts of each image."""
        return jnp.einsum("giz,gizcq->gcq", self.bra_counts, table[self.by_bra])

    def totals(self, amounts: Float[Array, "image pair"]) -> Float[Array, "contact pair"]:
        """The sum of image amounts over all images of which a contact is part."""
        weighted = self.bra_counts[..., None] * amounts[:, None, None, :]
        n_pairs = amounts.shape[1]
        return jnp.zeros((self.n_contacts, n_pairs)).at[self.by_bra.ravel()].add(weighted.reshape(-1, n_pairs))

    def rows(self, table: Float[Array, "parameter contact pair"]) -> Float[Array, "pair image site parameter"]:
        """The sum of a table over the contacts of each free site of the bra."""
        return jnp.einsum("giz,pgizq->qgip", self.bra_counts, table[:, self.by_bra])

    def columns(self, table: Float[Array, "parameter contact pair"]) -> Float[Array, "pair image site parameter"]:
        """The sum of a table over the contacts of each free site of the ket."""
        return jnp.einsum("giz,pgizq->qgip", self.ket_counts, table[:, self.by_ket])


class ContactCoupling(eqx.Module):
    """The products of q >= 2 one-site maps of all images: Σ_t w_t Π_n α[factors[t, n]] adds to image[t].

    Attributes:
        factors: (M, q) int, letter · E + contact.
        images: (M,) int, ascending.
        weights: (M,) float.
    """

    factors: Int[Array, "product q"]
    images: Int[Array, " product"]
    weights: Float[Array, " product"]


class Generator(eqx.Module):
    """𝓛 as the contacts see it.

    Attributes:
        one_site: (F, D, D) float, the map of a free site's own terms.
        matrices: (m, D, D) float, the one-site maps that couplings are made of.
        couplings: the products of two and more sites.
    """

    one_site: Float[Array, "site operator operator"]
    matrices: Float[Array, "letter operator operator"]
    couplings: tuple[ContactCoupling, ...]


def contacts_of(layout: Layout) -> Contacts:
    """The contacts of a layout. Cost: G n log(G n), once."""
    codes, numbers, complete = numbered(layout)
    n_labels = len(layout.maps) + 1
    bra_sites, ket_sites = np.divmod(numbers // n_labels, layout.n_free)
    # Everything goes to the device in one call: one conversion each would be compiled for every shape.
    placed = jax.device_put(
        {
            "bra_sites": bra_sites.astype(np.int32),
            "ket_sites": ket_sites.astype(np.int32),
            "labels": (numbers % n_labels).astype(np.int32),
            "maps": layout.maps,
            "sizes": np.bincount(layout.free_sites).astype(float),
            "share": layout.share,
        }
    )
    return Contacts(**placed, images=_images(layout, codes, bra_sites, ket_sites, complete), complete=complete)


def contact_generator(generator: SumOfProducts, layout: Layout) -> Generator:
    """𝓛 in terms of a layout's contacts; the layout must leave 𝓛 in place.

    Products of an image that have all factors in common are one product with their summed weights.

    Args:
        generator: 𝓛 on the layout's sites.
        layout: the layout.

    Returns:
        The generator; its weights are linear in those of 𝓛, its shapes depend on which terms there are.
    """
    codes, numbers, _ = numbered(layout)
    # The maps of sites that share a vector are equal, but for multiples of the identity, which count by their sum.
    total = np.zeros((layout.n_free, *generator.one_site.shape[1:]))
    np.add.at(total, layout.free_sites, generator.one_site)
    one_site = total / np.bincount(layout.free_sites).astype(float)[:, None, None]
    couplings = tuple(_contact_coupling(c, codes, len(numbers), layout.is_plain) for c in generator.couplings)
    one_site, matrices = jax.device_put((one_site, generator.matrices))
    return Generator(one_site, matrices, couplings)


def numbered(layout: Layout) -> tuple[np.ndarray, np.ndarray, bool]:
    """(G, n) contact of each site under each image, (E,) what each contact is, and whether all occur.

    A contact is (bra site · F + ket site) · labels + label.
    """
    n_free, n_labels = layout.n_free, len(layout.maps) + 1
    bra, ket = layout.free_sites[None, :].astype(np.int64), layout.free_sites[layout.sources]
    full = (bra * n_free + ket) * n_labels + layout.labels
    n_possible = n_free * n_free * n_labels
    present = np.unique(full)
    # Contacts that never occur cost less than gathering does, unless they are many.
    if 2 * len(present) >= n_possible:
        return full, np.arange(n_possible), True
    return np.searchsorted(present, full), present, False


def _images(
    layout: Layout, codes: np.ndarray, bra_sites: np.ndarray, ket_sites: np.ndarray, complete: bool
) -> Counts | Choices:
    order, n_contacts = len(codes), len(bra_sites)
    counts = np.ones(codes.shape)
    if complete and not layout.is_plain and order * n_contacts <= _LARGEST_MATRIX:
        places = np.arange(order)[:, None] * n_contacts + codes
        matrix = np.bincount(places.ravel(), counts.ravel(), minlength=order * n_contacts)
        return Counts(jax.device_put(matrix.reshape(order, n_contacts)), layout.n_free)
    by_bra, bra_counts = _choices(codes, counts, bra_sites, order, layout.n_free)
    by_ket, ket_counts = _choices(codes, counts, ket_sites, order, layout.n_free)
    return Choices(by_bra, bra_counts, by_ket, ket_counts, n_contacts)


def _choices(
    codes: np.ndarray, counts: np.ndarray, site_of: np.ndarray, order: int, n_free: int
) -> tuple[Array, Array]:
    """The distinct contacts of every (image, free site) and their summed counts, filled up to equal number."""
    images = np.broadcast_to(np.arange(order)[:, None], codes.shape)
    key = ((images * n_free + site_of[codes]) * len(site_of) + codes).ravel()
    distinct, inverse = np.unique(key, return_inverse=True)
    totals = np.bincount(inverse, counts.ravel())
    slot, contact = np.divmod(distinct, len(site_of))
    begins = np.searchsorted(slot, np.arange(order * n_free))
    position = np.arange(len(slot)) - begins[slot]
    chosen = np.zeros((order * n_free, int(position.max()) + 1), dtype=np.int32)
    amount = np.zeros(chosen.shape)
    chosen[slot, position], amount[slot, position] = contact, totals
    return jax.device_put((chosen.reshape(order, n_free, -1), amount.reshape(order, n_free, -1)))


def _contact_coupling(coupling: Coupling, codes: np.ndarray, n_contacts: int, is_plain: bool) -> ContactCoupling:
    order, n_products, q = len(codes), *coupling.sites.shape
    factors = coupling.letters[None].astype(np.int64) * n_contacts + codes[:, coupling.sites]
    factors = factors.reshape(-1, q)
    images = np.repeat(np.arange(order), n_products)
    weights = np.tile(coupling.weights, order)
    base = int(factors.max(initial=0)) + 1
    # In a plain layout no two sites of an image have a contact in common, so nothing can be merged.
    if not is_plain and order * float(base) ** q < 2**62:
        key = images.astype(np.int64)
        for column in np.sort(factors, axis=1).T:
            key = key * base + column
        distinct, inverse = np.unique(key, return_inverse=True)
        weights = np.bincount(inverse, weights)
        merged = np.empty((len(distinct), q), dtype=np.int64)
        for n in reversed(range(q)):
            distinct, merged[:, n] = np.divmod(distinct, base)
        images, factors = distinct, merged
    placed = jax.device_put((factors.astype(np.int32), images.astype(np.int32), weights.astype(float)))
    return ContactCoupling(*placed)
