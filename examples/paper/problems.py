"""The problems of the paper, and the ladders of ansätze that climb until an error is met.

All are the transverse-field Ising model with decay on periodic lattices, H = (V/4) Σ σzσz + (g/2) Σ σx, jumps σ⁻ at
rate γ = 1, V = 2γ. A problem is a transient from all spins down, or the steady states over a scan of the drive; what
is compared are the site averages of ⟨σx⟩, ⟨σy⟩, ⟨σz⟩ and the bond average of ⟨σzσz⟩.
"""

import abc
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from common import EXCELLENT, NAMES, site_averages

import husimix as hx
from husimix.ansatz import AbstractAnsatz
from husimix.state import AbstractState

V = 2.0
TIMES = np.linspace(0, 5, 51)
LATE = 20.0
SYMMETRY = "auto"
"""All that lattice and state have: translations, point group. How the paper treats symmetries is not assumed."""

MAX_STEPS = 1500
"""Attempted steps after which a run gives up; most take 50 to 300."""


def torus(length: int) -> hx.Lattice:
    """The periodic square."""
    return hx.Lattice.square(length, periodic=True)


def name_of(lattice: hx.Lattice) -> str:
    """The name of a periodic square: 3×3."""
    length = round(lattice.n_sites**0.5)
    return f"{length}×{length}"


def paper_ansatz(components: int) -> hx.Mixture:
    """The paper's ansatz: K spin-coherent components with signed weights, moved in the Husimi metric.

    The damping of the Gram matrix is one for all K and lattices; that of husimix by default falls with K, and makes
    spin-coherent components take thousands of tiny steps.
    """
    damping = hx.Tikhonov(1e-6)
    return hx.Mixture(components=components, manifold="coherent", metric="husimi", metric_solver=damping)


MIXTURES = tuple(paper_ansatz(count) for count in (4, 8, 16, 32, 48, 64))
CLUSTERS = tuple(hx.Clusters(size=size) for size in (2, 3, 4, 5))


class AbstractProblem(abc.ABC):
    """What an ansatz and a reference both compute.

    Attributes:
        lattice: where the spins sit.
        axis: (T,) times or drives.
        symbol: of the axis, t or g.
        label: what tells it from the other problems of a claim.
    """

    lattice: hx.Lattice
    axis: np.ndarray
    symbol: ClassVar[str]
    label: str

    def model(self, g: float) -> hx.Lindbladian:
        """The Lindbladian at a drive."""
        return hx.models.dissipative_ising(self.lattice, V=V, g=g)

    @property
    def state(self) -> AbstractState:
        """All spins down."""
        return hx.product_state(self.lattice.n_sites, "down")

    @property
    def measured(self) -> dict[str, Any]:
        """The observables, as all doors of husimix take them."""
        return {"observables": site_averages(self.lattice)}

    def run(self, g: float, times: np.ndarray, ansatz: AbstractAnsatz, symmetry: str | None) -> dict[str, np.ndarray]:
        """The four averages from all spins down, (T,) each, nan from where the run gave up; warnings are for users."""
        settings = {"ansatz": ansatz, "symmetry": symmetry, "method": hx.Stepping(max_steps=MAX_STEPS)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", hx.HusimixWarning)
            found = hx.mesolve(self.model(g), self.state, times, progress=False, **settings, **self.measured)
        missing = np.full(len(times) - len(found.times), np.nan)
        return {name: np.concatenate([values, missing]) for name, values in found.expect.items()}

    @abc.abstractmethod
    def evolve(self, ansatz: AbstractAnsatz, symmetry: str | None) -> Mapping[str, np.ndarray]:
        """The four averages by an ansatz, (T,) each, nan where it gave up."""

    @abc.abstractmethod
    def exact(self) -> Mapping[str, np.ndarray]:
        """The four averages by QuTiP, (T,) each."""


@dataclass(frozen=True)
class Transient(AbstractProblem):
    """A transient from all spins down at drive g, by default to T = 5/γ."""

    lattice: hx.Lattice
    g: float
    axis: np.ndarray = field(default_factory=lambda: TIMES)
    symbol: ClassVar[str] = "t"

    @property
    def label(self) -> str:
        """The drive."""
        return f"g = {self.g:g}γ"

    def evolve(self, ansatz: AbstractAnsatz, symmetry: str | None) -> Mapping[str, np.ndarray]:
        """See `AbstractProblem.evolve`."""
        return self.run(self.g, self.axis, ansatz, symmetry)

    def exact(self) -> Mapping[str, np.ndarray]:
        """See `AbstractProblem.exact`."""
        found = hx.exact.mesolve(self.model(self.g), self.state, self.axis, **self.measured).expect
        return {name: np.real(values) for name, values in found.items()}


@dataclass(frozen=True)
class Scan(AbstractProblem):
    """The steady states over a scan of the drive: what is left of the transient from all spins down at t = 20/γ."""

    lattice: hx.Lattice
    axis: np.ndarray
    symbol: ClassVar[str] = "g"

    @property
    def label(self) -> str:
        """The range of the drive."""
        return f"g = {self.axis[0]:g} to {self.axis[-1]:g}γ"

    def evolve(self, ansatz: AbstractAnsatz, symmetry: str | None) -> Mapping[str, np.ndarray]:
        """See `AbstractProblem.evolve`."""
        ends = [self.run(g, np.array([0.0, LATE]), ansatz, symmetry) for g in self.axis]
        return {name: np.array([end[name][-1] for end in ends]) for name in NAMES}

    def exact(self) -> Mapping[str, np.ndarray]:
        """See `AbstractProblem.exact`."""
        found = [hx.exact.steadystate(self.model(g), **self.measured).expect for g in self.axis]
        return {name: np.array([np.real(one[name][0]) for one in found]) for name in NAMES}


@dataclass(frozen=True)
class Reference:
    """What an ansatz is compared with.

    Attributes:
        words: what it is.
        values: (T,) arrays by name; averages that are missing are not compared.
        doubt: how far it may itself be off; 0 if it is exact.
    """

    words: str
    values: Mapping[str, np.ndarray]
    doubt: float = 0.0


@dataclass(frozen=True)
class Solution:
    """What one ansatz makes of a problem.

    Attributes:
        ansatz: it.
        values: (T,) arrays by name.
        error: the largest difference from the reference in any average at any time or drive that was reached.
        where: the time or drive of this error.
        met: how many times or drives have an excellent error.
        stopped: the first time or drive that is missing, since a run gave up; None if there is none.
        seconds: of the run, compilation included where its shapes are new to the process.
        parameters: the numbers that move.
    """

    ansatz: AbstractAnsatz
    values: Mapping[str, np.ndarray]
    error: float
    where: str
    met: int
    stopped: float | None
    seconds: float
    parameters: int

    @property
    def knob(self) -> str:
        """The number that controls the accuracy: K of a mixture, m of clusters."""
        return f"m = {self.ansatz.size}" if isinstance(self.ansatz, hx.Clusters) else f"K = {self.ansatz.components}"

    @property
    def is_excellent(self) -> bool:
        """Whether it came to its end with an error that is small enough."""
        return self.stopped is None and self.error <= EXCELLENT

    @property
    def short(self) -> str:
        """The error with the knob, and whether the run gave up."""
        return f"{self.error:.1e} at {self.knob}{'' if self.stopped is None else f', gave up before {self.stopped:g}'}"

    @property
    def words(self) -> str:
        """The error with what it takes."""
        return f"{self.short} ({self.where}, {self.parameters} parameters, {self.seconds:.1f} s)"

    def figures(self) -> dict[str, float | str | None]:
        """The numbers, for the record."""
        keys = ("error", "where", "met", "stopped", "seconds", "parameters")
        return {"ansatz": self.knob} | {key: getattr(self, key) for key in keys}


def solve(
    problem: AbstractProblem, ansatz: AbstractAnsatz, reference: Reference, symmetry: str | None = SYMMETRY
) -> Solution:
    """Run an ansatz on a problem and compare it with a reference."""
    began = time.perf_counter()
    values = problem.evolve(ansatz, symmetry)
    seconds = time.perf_counter() - began
    told = hx.estimate(problem.model(1.0), problem.state, ansatz=ansatz, symmetry=symmetry)
    gaps = gaps_between(values, reference.values)
    missing, worst = np.flatnonzero(np.isnan(gaps)), int(np.argmax(np.nan_to_num(gaps, nan=-1.0)))
    stopped = float(problem.axis[missing[0]]) if len(missing) else None
    where = f"{problem.symbol} = {problem.axis[worst]:g}"
    met = int(np.sum(gaps <= EXCELLENT))
    found = Solution(ansatz, values, float(gaps[worst]), where, met, stopped, seconds, told.n_parameters)
    print(f"{problem.lattice.n_sites} sites, {problem.label}: {found.words}", flush=True)
    return found


def gaps_between(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> np.ndarray:
    """(T,) the largest difference of any average that both have."""
    return np.max([np.abs(one[name] - other[name]) for name in NAMES if name in one and name in other], axis=0)


def climb(problem: AbstractProblem, ladder: Sequence[AbstractAnsatz], reference: Reference) -> Solution:
    """Rung by rung until an error is excellent; else the best of the ladder, runs that came to their end first."""
    found = []
    for ansatz in ladder:
        found.append(solve(problem, ansatz, reference))
        if found[-1].is_excellent:
            break
    return min(found, key=lambda one: (one.stopped is not None, one.error))


def larger_clusters(problem: AbstractProblem, size: int) -> tuple[Reference, Solution]:
    """Clusters of size m as a reference where nothing exact is known, in doubt by what m - 1 differ from them.

    Returns:
        The reference, and the clusters of m - 1 beside it.
    """
    values = problem.evolve(hx.Clusters(size=size), SYMMETRY)
    words = f"clusters, m = {size}"
    smaller = solve(problem, hx.Clusters(size=size - 1), Reference(words, values))
    return Reference(words, values, smaller.error), smaller


def verdict(found: Mapping[str, Solution], references: Mapping[str, Reference]) -> str:
    """Whether every problem of a claim, by its label, is met by its solution.

    A reference that is itself in doubt by more than what is asked for shows nothing.
    """
    missed = [
        f"{label}: error {one.short}, excellent at {one.met} of {len(one.values['z'])} points"
        for label, one in found.items()
        if not one.is_excellent
    ]
    missed += [
        f"{label}: the reference is in doubt by {one.doubt:.1e}"
        for label, one in references.items()
        if one.doubt > EXCELLENT and found[label].is_excellent
    ]
    if not missed:
        return "reproduced"
    met = [label for label in found if not any(words.startswith(f"{label}:") for words in missed)]
    return f"{'reproduced at ' + ', '.join(met) + '; ' if met else ''}not reproduced: {'; '.join(missed)}"


def in_words(found: Mapping[str, Solution]) -> str:
    """The errors of all problems of a claim."""
    return "; ".join(f"{label}: {one.words}" for label, one in found.items())
