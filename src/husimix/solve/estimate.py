"""What a run will need, told before it starts: memory, time, and what to change if that is too much."""

import dataclasses
from typing import Literal, NamedTuple

from husimix._errors import argument_error, check_integer
from husimix.phasespace.manifolds import AbstractManifold
from husimix.phasespace.mixture import Mixture, product_state
from husimix.phasespace.sizes import (
    TableSizes,
    factored_numbers,
    pair_numbers,
    parameter_count,
    table_sizes,
    transfer_numbers,
)
from husimix.physics.lindbladian import Lindbladian
from husimix.solve.arrangement import Arrangement, arrange
from husimix.solve.settings import TDVP
from husimix.solve.symmetries import Symmetry

__all__ = ["Estimate", "estimate", "estimated"]

_GIB = 2**30
# Seconds per number handled by the pair kernels and per operation of matrix products and factorisations, on two
# cores of a server processor of 2020 (benchmarks/results/kernels.md). Right to a factor of about four.
_SECONDS_PER_NUMBER = 1.5e-9
_SECONDS_PER_OPERATION = 5e-11
# Conjugate gradients: how many, and what each costs beside its numbers.
_ITERATIONS = 25
_SECONDS_PER_ITERATION = 3e-5
# Velocities of a step of the default integrator.
_STAGES = 3


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What a run needs.

    Attributes:
        n_components: K.
        n_parameters: P, the rows of the Gram matrix.
        n_free_sites: F, the sites of a component that move independently.
        n_images: G, the images of a component that are summed over.
        memory: GiB that the run will take beside Python and its libraries, about 0.5 GiB.
        gram_memory: GiB of it for the Gram matrix and its inversion.
        memory_limit: GiB that it is allowed to take.
        gram: whether the Gram matrix is kept as a "matrix" or as its "factors", for conjugate gradients.
        seconds_per_step: of one time step on two cores, right to a factor of about four; most runs to T = 5/γ take
            100 to 300 steps. Compilation, 5 to 10 s the first time, comes on top.
        advice: what to change if the run does not fit or takes long; empty if it is small.
    """

    n_components: int
    n_parameters: int
    n_free_sites: int
    n_images: int
    memory: float
    gram_memory: float
    memory_limit: float
    gram: str
    seconds_per_step: float
    advice: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether the run stays within its memory limit."""
        return self.memory <= self.memory_limit

    def kernel_bytes(self) -> int:
        """The bytes left for tiles of pairs. Raises ValueError if the run does not fit."""
        if not self.fits:
            raise argument_error(
                "components",
                f"fit into memory_limit = {self.memory_limit:g} GiB",
                f"{self.n_components} components of {self.n_free_sites} free sites and {self.n_images} images: "
                f"{self.n_parameters} parameters, {self.memory:.1f} GiB",
                " ".join(self.advice),
            )
        return int((self.memory_limit - self.gram_memory) * _GIB)

    def __str__(self) -> str:
        lines = [
            f"parameters    {self.n_parameters} ({self.n_components} components, {self.n_free_sites} free sites, "
            f"{self.n_images} images), Gram matrix as {'a matrix' if self.gram == 'matrix' else 'factors'}",
            f"memory        {self.memory:.2g} GiB of {self.memory_limit:g} GiB allowed",
            f"time          about {self.seconds_per_step:.2g} s a step, "
            f"{100 * self.seconds_per_step:.2g} s to {300 * self.seconds_per_step:.2g} s for 100 to 300 steps, "
            "and some 10 s to compile the first time",
        ]
        return "\n".join([*lines, *(f"advice        {line}" for line in self.advice)])


def estimate(
    model: Lindbladian,
    state: Mixture | None = None,
    *,
    components: int | tuple[int, int] | Literal["auto"] = 8,
    manifold: str = "bloch",
    symmetry: Symmetry = "auto",
    window: int | None = None,
    method: TDVP | None = None,
) -> Estimate:
    """What `mesolve` will need with these of its arguments, without running it.

    Args:
        model: the Lindbladian.
        state: the initial state; all spins down if None.
        components: K; of a pair the greater, for "auto" the most that the method allows.
        manifold: see `mesolve`.
        symmetry: see `mesolve`.
        window: see `mesolve`.
        method: see `mesolve`; its memory limit counts here.

    Returns:
        The estimate.

    Raises:
        ValueError: for arguments that `mesolve` would refuse as well, except for want of memory.
    """
    settled = method or TDVP()
    most = settled.max_components if components == "auto" else components
    count = check_integer("components", most[-1] if isinstance(most, tuple | list) and most else most, 1)
    start = (product_state(model.n_sites) if state is None else state).on_manifold(manifold)
    arrangement = arrange(model, start, symmetry, window)
    found = estimated(arrangement, count, start.manifold, settled)
    if isinstance(components, int):
        return found
    worst = f"This is the worst case: {count} components are taken only as long as fewer do not do."
    return dataclasses.replace(found, advice=(worst, *found.advice))


def estimated(arrangement: Arrangement, n_components: int, manifold: AbstractManifold, method: TDVP) -> Estimate:
    """The estimate of a run whose arrangement is settled, with the form of the Gram matrix that it should use."""
    sizes = table_sizes(arrangement.layout, arrangement.generator)
    per_site = manifold.n_parameters
    n_parameters = parameter_count(n_components, sizes.free_sites, per_site)
    size = manifold.basis.size
    forms = [_as_matrix(sizes, n_components, size, per_site)]
    if method.metric_solver_of(arrangement.group.n_sites, n_components).takes_factors:
        forms.append(_as_factors(sizes, n_components, size, per_site))
    wanted = [form for form in forms if method.gram in ("auto", form.name)]
    tables = 4 * (4 * sizes.contacts + sizes.image_entries) + 16 * sizes.products
    limit = method.memory_limit * _GIB - tables
    form = min(wanted, key=lambda f: (f.bytes > limit, f.seconds if f.bytes <= limit else f.bytes))
    memory = (form.bytes + tables) / _GIB
    seconds = _STAGES * form.seconds
    fits = memory <= method.memory_limit
    return Estimate(
        n_components=n_components,
        n_parameters=n_parameters,
        n_free_sites=sizes.free_sites,
        n_images=sizes.images,
        memory=memory,
        gram_memory=form.gram_bytes / _GIB,
        memory_limit=method.memory_limit,
        gram=form.name,
        seconds_per_step=seconds,
        advice=() if fits and seconds < 3 else _advice(arrangement, fits),
    )


class _Form(NamedTuple):
    """What one way of keeping and inverting the Gram matrix needs.

    Attributes:
        name: "matrix" or "factors".
        gram_bytes: for the Gram matrix and its inversion.
        pair_bytes: for the kernels of one pair of components.
        seconds: of one velocity.
    """

    name: str
    gram_bytes: float
    pair_bytes: float
    seconds: float

    @property
    def bytes(self) -> float:
        """The least that will do: tiles of one pair."""
        return self.gram_bytes + self.pair_bytes


def _as_matrix(sizes: TableSizes, n_components: int, size: int, per_site: int) -> _Form:
    n_parameters = parameter_count(n_components, sizes.free_sites, per_site)
    q = n_parameters / n_components
    operations = n_components**2 * sizes.images * q**2 + n_parameters**3 / 3
    pair = pair_numbers(sizes, size, per_site)
    seconds = _SECONDS_PER_NUMBER * n_components**2 * pair + _SECONDS_PER_OPERATION * operations
    # The matrix, its blocks while they are assembled, the damped copy and its factor.
    return _Form("matrix", 4 * 8 * n_parameters**2, 8 * pair, seconds)


def _as_factors(sizes: TableSizes, n_components: int, size: int, per_site: int) -> _Form:
    q, space = 1 + sizes.free_sites * per_site, n_components**2
    factors = n_components**2 * (2 * sizes.images * q + sizes.contacts * per_site**2)
    inverse = n_components * q * space + sizes.free_sites * (n_components * per_site) ** 2
    operations = 2 * space * factors + space**3 / 3 + sizes.free_sites * (n_components * per_site) ** 3
    iteration = _SECONDS_PER_ITERATION + _SECONDS_PER_NUMBER * 2 * (factors + inverse)
    pair = 3 * transfer_numbers(sizes, size) + factored_numbers(sizes, size, per_site)
    seconds = _SECONDS_PER_NUMBER * n_components**2 * pair + _SECONDS_PER_OPERATION * operations
    gram_bytes = 8 * (2 * factors + 3 * inverse + 2 * space**2)
    return _Form("factors", gram_bytes, 8 * pair, seconds + _ITERATIONS * iteration)


def _advice(arrangement: Arrangement, fits: bool) -> tuple[str, ...]:
    lines = ["Use fewer components."]
    if arrangement.takes_window:
        lines.append("Pass window=2, whose cost does not grow with the lattice.")
    if arrangement.symmetry == "translations":
        lines.append('Pass symmetry="full", which uses the point group too.')
    if not fits:
        lines.append("Raise TDVP(memory_limit=...) if the machine has more.")
    return tuple(lines)
