"""The contract between the machine and what it moves: an ansatz and its motion.

`husimix.solve` and `husimix.results` know an ansatz only by the classes of this file and of `husimix.state`. A new
ansatz is a new room beside `clusters` and `mixture`: three final classes, an entry in the registry below, and nothing
else changes.
"""

import abc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, TypeVar

import equinox as eqx
import numpy as np
from jaxtyping import Array, Complex, Float, PyTree

from husimix._errors import argument_error, check_choice
from husimix.physics.basis import SiteBasis
from husimix.physics.lindbladian import Lindbladian
from husimix.physics.operators import Operator
from husimix.physics.symmetry.choice import Symmetry
from husimix.state import AbstractState, History

__all__ = [
    "AbstractAnsatz",
    "AbstractMotion",
    "Adapted",
    "Certificate",
    "Estimate",
    "LocalValues",
    "Prepared",
    "Problem",
    "chosen_ansatze",
    "register_ansatz",
]

Point = PyTree[Array]
"""What moves: a pytree of float arrays, of which only its motion knows the meaning. Also its rates of change."""


class LocalValues(NamedTuple):
    """What every run watches.

    Attributes:
        sites: (N, D), ⟨B_a⟩ of each site.
        pairs: (M, D, D), ⟨B_a B_b⟩ of the pairs of neighbours that `AbstractMotion.pairs` names.
    """

    sites: Float[Array, "site operator"]
    pairs: Float[Array, "pair operator operator"]


class Certificate(NamedTuple):
    """How far the velocity of an ansatz is from 𝓛R, in its metric. Also used for integrals over time.

    Attributes:
        relative: ‖𝓛R - Ṙ‖ / ‖R‖, in 1/time.
        absolute: ‖𝓛R - Ṙ‖, in 1/time.
        share: ‖𝓛R - Ṙ‖ / ‖𝓛R‖, the part of the flow that the tangent space does not hold.
        speed: ‖Ṙ‖ / ‖R‖, in 1/time.
        flow: ‖𝓛R‖ / ‖R‖, in 1/time.
        sites: (N,) how much of `absolute` belongs to each site, in 1/time: the squares add up to its square. Of shape
            (0,) where an ansatz does not tell.
    """

    relative: Float[Array, ""]
    absolute: Float[Array, ""]
    share: Float[Array, ""]
    speed: Float[Array, ""]
    flow: Float[Array, ""]
    sites: Float[Array, " site"]

    @classmethod
    def zeros(cls, n_certified: int) -> "Certificate":
        """Nothing missed, on the host."""
        return cls(*(np.zeros(()) for _ in cls._fields[:-1]), sites=np.zeros(n_certified))  # type: ignore[arg-type]


class Adapted(NamedTuple):
    """A run that goes on with another motion.

    Attributes:
        motion: the equations from here on.
        point: the state in their terms.
        relative: ‖R - T‖/‖T‖ between the state after and before, which counts as accumulated error.
        absolute: ‖R - T‖.
    """

    motion: "AbstractMotion"
    point: Point
    relative: float
    absolute: float


class AbstractMotion(eqx.Module):
    """The equations of motion of an ansatz: a pytree of arrays with pure functions of time and a point.

    Whatever takes a point may be traced by JAX, unless it says that it is called on the host.

    Attributes:
        pairs: (M, 2) int, the pairs of neighbouring sites that are watched, one of each kind; a NumPy array.
        has_coordinates: whether the numbers of a point are coordinates of the state: points that `restored` leaves as
            they are differ in the state, and it is a projection. Stationary points are then found by Newton's method,
            and the eigenvalues of the linearised velocity are rates at which states relax.
    """

    pairs: eqx.AbstractVar[np.ndarray]
    has_coordinates: ClassVar[bool]

    @property
    @abc.abstractmethod
    def n_certified(self) -> int:
        """How many sites its certificates tell apart: N, or 0."""

    @abc.abstractmethod
    def velocity(self, time: Float[Array, ""], point: Point) -> tuple[Point, PyTree]:
        """The rates of change of a point, and a report: a pytree of scalars that are averaged over time."""

    @abc.abstractmethod
    def certificate(self, time: Float[Array, ""], point: Point, rates: Point, report: PyTree) -> Certificate:
        """The projection error of a velocity."""

    @abc.abstractmethod
    def restored(self, point: Point) -> Point:
        """The point put back where the ansatz allows it, after rounding and steps of finite length."""

    @abc.abstractmethod
    def local_values(self, point: Point) -> LocalValues:
        """Expectation values of all sites and of the watched pairs, linear or not in the point."""

    @abc.abstractmethod
    def observables(self, point: Point) -> dict[str, Complex[Array, ""]]:
        """The values of the observables that the problem named."""

    @abc.abstractmethod
    def is_running_away(self, point: Point) -> Array:
        """Scalar bool: whether the point has left what any state allows, so that going on has no sense."""

    @abc.abstractmethod
    def numbers(self, point: Point) -> dict[str, Array]:
        """Scalars of a point that results keep as diagnostics, by the names of `AbstractAnsatz.diagnostics`."""

    @abc.abstractmethod
    def named(self, report: PyTree) -> dict[str, float]:
        """On the host: the entries of a time-averaged report that results keep, by name."""

    def implicit_step(self, point: Point, length: Float[Array, ""], unit: Float[Array, ""]) -> Point:
        """One implicit step of pseudo-time towards a stationary point: short ones follow the motion, long ones are
        Newton's. `unit` is the length below which nothing is damped beyond what the motion damps itself. Asked only of
        motions whose points are no coordinates."""
        raise TypeError(f"{type(self).__name__} takes no implicit steps.")

    def jacobian(self, point: Point) -> tuple[Any, Any] | None:
        """On the host: the derivatives of the velocity and of `restored` by the P numbers of the flat point, both
        (P, P) `scipy.sparse.csr_array`; None where products with them cost less than they do. Asked only of motions
        whose points are coordinates."""
        return None

    @abc.abstractmethod
    def adapted(self, time: float, point: Point, certificate: Certificate) -> Adapted | None:
        """On the host, between steps: another motion to go on with, or None to go on with this one."""

    @abc.abstractmethod
    def state(self, point: Point, history: History) -> AbstractState:
        """On the host: the state at a point."""


@dataclass(frozen=True)
class Problem:
    """What a run is about, checked: what an ansatz is told to prepare a motion for.

    Attributes:
        model: the Lindbladian.
        state: the initial state, of the model's sites.
        symmetry: as the user chose it.
        observables: operators by name, all on the model's sites.
        seed: of whatever is random.
        rate: the rate at which the system forgets, in 1/time: the mean dissipation rate, or the inverse length of the
            run if that is greater.
    """

    model: Lindbladian
    state: AbstractState
    symmetry: Symmetry
    observables: Mapping[str, Operator]
    seed: int
    rate: float


class Prepared(NamedTuple):
    """What a run starts from.

    Attributes:
        motion: the equations.
        point: the initial state in their terms.
        symmetry: what to pass as `symmetry` to ask for the same again.
        settings: every setting of the ansatz after defaults were filled in, JSON-ready; its name is among them.
        is_exact: whether the ansatz holds every state, so that time steps are the only source of error.
        left_out: the relative and absolute distance of the start from the initial state, which count as accumulated
            errors.
    """

    motion: AbstractMotion
    point: Point
    symmetry: str | None
    settings: dict[str, Any]
    is_exact: bool = False
    left_out: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Estimate:
    """What a run needs.

    Attributes:
        n_parameters: the numbers that move.
        memory: GiB that the run will take beside Python and its libraries, about 0.5 GiB.
        memory_limit: GiB that it is allowed to take.
        seconds_per_step: of one time step on two cores, right to a factor of about four. Compilation comes on top.
        parts: what the numbers are made of, by name.
        advice: what to change if the run does not fit or takes long; empty if it is small.
    """

    n_parameters: int
    memory: float
    memory_limit: float
    seconds_per_step: float
    parts: dict[str, int | float | str] = field(default_factory=dict)
    advice: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether the run stays within its memory limit."""
        return self.memory <= self.memory_limit

    def __str__(self) -> str:
        made_of = ", ".join(f"{value} {name}" for name, value in self.parts.items())
        lines = [
            f"parameters    {self.n_parameters}" + (f" ({made_of})" if made_of else ""),
            f"memory        {self.memory:.2g} GiB of {self.memory_limit:g} GiB allowed",
            f"time          about {self.seconds_per_step:.2g} s a step, "
            f"{100 * self.seconds_per_step:.2g} s to {300 * self.seconds_per_step:.2g} s for 100 to 300 steps, "
            "and some 10 s to compile the first time",
        ]
        return "\n".join([*lines, *(f"advice        {line}" for line in self.advice)])


class AbstractAnsatz(abc.ABC):
    """How a state is approximated, as plain data: what the user passes as `ansatz`.

    Attributes:
        name: of the ansatz in files and run files.
        diagnostics: the meaning of each diagnostic that its motion adds to results, by name.
        remedies: what to change when a run ends in a status, by the status's name.
    """

    name: ClassVar[str]
    diagnostics: ClassVar[Mapping[str, str]]
    remedies: ClassVar[Mapping[str, str]]

    @property
    @abc.abstractmethod
    def label(self) -> str:
        """A few words for progress and tables, such as "8 components"."""

    @abc.abstractmethod
    def prepare(self, problem: Problem) -> Prepared:
        """The motion and the start of a run. Raises ValueError for what does not fit, before it computes anything."""

    @abc.abstractmethod
    def first_rung(self, problem: Problem) -> "AbstractAnsatz":
        """Where the ladder to a tolerance begins: this ansatz, or the least of its kind if it leaves that open."""

    @abc.abstractmethod
    def next_rung(self, problem: Problem) -> "AbstractAnsatz | None":
        """The next more accurate ansatz, or None if there is none that is allowed and fits into memory."""

    @abc.abstractmethod
    def estimate(self, problem: Problem) -> Estimate:
        """What a run will need, without running it."""

    @abc.abstractmethod
    def product_state(self, values: np.ndarray, basis: SiteBasis) -> AbstractState:
        """The product state with the (N, D) one-site expectation values `values`."""

    @abc.abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """The settings as the user chose them, JSON-ready."""


_ANSATZE: dict[str, Callable[[], AbstractAnsatz]] = {}
_TRIED_BY_AUTO = ("clusters", "mixture")

AnsatzClass = TypeVar("AnsatzClass", bound=type[AbstractAnsatz])


def register_ansatz(cls: AnsatzClass) -> AnsatzClass:
    """Make an ansatz known by its name; its defaults are what the name alone stands for."""
    _ANSATZE[cls.name] = cls
    return cls


def chosen_ansatze(ansatz: AbstractAnsatz | str) -> tuple[AbstractAnsatz, ...]:
    """What to try, in this order.

    Args:
        ansatz: an ansatz; the name of one, for its defaults; or "auto", for clusters and then a mixture.

    Raises:
        ValueError: for anything else.
    """
    if isinstance(ansatz, AbstractAnsatz):
        return (ansatz,)
    if not isinstance(ansatz, str):
        names = ", ".join(f'"{name}"' for name in ("auto", *_ANSATZE))
        raise argument_error("ansatz", f"be an ansatz or one of {names}", repr(ansatz))
    name = check_choice("ansatz", ansatz, ("auto", *_ANSATZE))
    return tuple(_ANSATZE[each]() for each in (_TRIED_BY_AUTO if name == "auto" else (name,)))
