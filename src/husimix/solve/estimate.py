"""What a run will need, told before it starts: memory, time, and what to change if that is too much."""

import dataclasses

from husimix._errors import argument_error, check_integer
from husimix.phasespace.manifolds import AbstractManifold
from husimix.phasespace.mixture import Mixture, product_state
from husimix.phasespace.sizes import TableSizes, pair_numbers, parameter_count, table_sizes
from husimix.physics.lindbladian import Lindbladian
from husimix.solve.arrangement import Arrangement, arrange
from husimix.solve.settings import TDVP
from husimix.solve.symmetries import Symmetry

__all__ = ["Estimate", "estimate", "estimated"]

_GIB = 2**30
# Seconds per number handled by the pair kernels and per operation of matrix products and factorisations, on two
# cores of a server processor of 2020 (benchmarks/results/kernels.md). Right to a factor of about three.
_SECONDS_PER_NUMBER = 1.5e-9
_SECONDS_PER_OPERATION = 5e-11
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
        memory_limit: GiB that it is allowed to take.
        seconds_per_step: of one time step on two cores, right to a factor of about three; most runs to T = 5/γ take
            100 to 300 steps. Compilation, 5 to 10 s the first time, comes on top.
        advice: what to change if the run does not fit or takes long; empty if it is small.
    """

    n_components: int
    n_parameters: int
    n_free_sites: int
    n_images: int
    memory: float
    memory_limit: float
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
        return int(self.memory_limit * _GIB) - _gram_bytes(self.n_parameters)

    def __str__(self) -> str:
        lines = [
            f"parameters    {self.n_parameters} ({self.n_components} components, {self.n_free_sites} free sites, "
            f"{self.n_images} images)",
            f"memory        {self.memory:.2g} GiB of {self.memory_limit:g} GiB allowed",
            f"time          about {self.seconds_per_step:.2g} s a step, "
            f"{100 * self.seconds_per_step:.2g} s to {300 * self.seconds_per_step:.2g} s for 100 to 300 steps",
        ]
        return "\n".join([*lines, *(f"advice        {line}" for line in self.advice)])


def estimate(
    model: Lindbladian,
    state: Mixture | None = None,
    *,
    components: int = 8,
    manifold: str = "bloch",
    symmetry: Symmetry = "auto",
    window: int | None = None,
    method: TDVP | None = None,
) -> Estimate:
    """What `mesolve` with the same arguments will need, without running it.

    Args:
        model: the Lindbladian.
        state: the initial state; all spins down if None.
        components: K.
        manifold: see `mesolve`.
        symmetry: see `mesolve`.
        window: see `mesolve`.
        method: see `mesolve`; its memory limit counts here.

    Returns:
        The estimate.

    Raises:
        ValueError: for arguments that `mesolve` would refuse as well, except for want of memory.
    """
    count = check_integer("components", components, 1)
    start = (product_state(model.n_sites) if state is None else state).on_manifold(manifold)
    arrangement = arrange(model, start, symmetry, window)
    return estimated(arrangement, count, start.manifold, (method or TDVP()).memory_limit)


def estimated(arrangement: Arrangement, n_components: int, manifold: AbstractManifold, memory_limit: float) -> Estimate:
    """The estimate of a run whose arrangement is settled; `memory_limit` in GiB."""
    sizes = table_sizes(arrangement.layout, arrangement.generator)
    n_parameters = parameter_count(n_components, sizes.free_sites, manifold.n_parameters)
    numbers = pair_numbers(sizes, manifold.basis.size, manifold.n_parameters)
    tables = 4 * (4 * sizes.contacts + sizes.image_entries) + 16 * sizes.products
    memory = (_gram_bytes(n_parameters) + tables + 8 * numbers) / _GIB
    seconds = _STAGES * _seconds_per_velocity(sizes, numbers, n_components, n_parameters)
    fits = memory <= memory_limit
    return Estimate(
        n_components=n_components,
        n_parameters=n_parameters,
        n_free_sites=sizes.free_sites,
        n_images=sizes.images,
        memory=memory,
        memory_limit=memory_limit,
        seconds_per_step=seconds,
        advice=() if fits and seconds < 3 else _advice(arrangement, fits),
    )


def _gram_bytes(n_parameters: int) -> int:
    """The Gram matrix, its blocks while they are assembled, the damped copy and its factor."""
    return 4 * 8 * n_parameters**2


def _seconds_per_velocity(sizes: TableSizes, numbers: int, n_components: int, n_parameters: int) -> float:
    q = n_parameters / n_components
    operations = n_components**2 * sizes.images * q**2 + n_parameters**3 / 3
    return _SECONDS_PER_NUMBER * n_components**2 * numbers + _SECONDS_PER_OPERATION * operations


def _advice(arrangement: Arrangement, fits: bool) -> tuple[str, ...]:
    lines = ["Use fewer components."]
    if arrangement.group.order > 1 and not len(arrangement.background):
        lines.append("Pass window=2, whose cost does not grow with the lattice.")
    if arrangement.symmetry == "translations":
        lines.append('Pass symmetry="full", which uses the point group too.')
    if not fits:
        lines.append("Raise TDVP(memory_limit=...) if the machine has more.")
    return tuple(lines)
