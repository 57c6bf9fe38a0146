"""Clusters as the user chooses them, and what they prepare."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from husimix._errors import RefusalError, argument_error, check_choice, check_integer, check_number
from husimix.ansatz import AbstractAnsatz, Estimate, Prepared, Problem, register_ansatz
from husimix.clusters.blocks import BlockRows, FramedMaps
from husimix.clusters.equations import Dropped, Equations, Occurrence
from husimix.clusters.graph import checked_graph, graph_pairs, largest_component
from husimix.clusters.measurements import Measurement
from husimix.clusters.moments import MomentLayout, index_table
from husimix.clusters.motion import ClusterMotion
from husimix.clusters.moves import Moves, moves_into
from husimix.clusters.orbits import Orbits
from husimix.clusters.rows import distinct_rows
from husimix.clusters.sharding import AXIS, everywhere, placed
from husimix.clusters.stabilisers import Symmetrisation
from husimix.clusters.start import start_of
from husimix.clusters.state import ClusterState
from husimix.clusters.supports import Family, Neighbours, bytes_per_number, family_of
from husimix.clusters.touching import Touching, reached_supports
from husimix.physics.basis import SiteBasis, husimi_weights
from husimix.physics.local_maps import LocalMaps, local_maps
from husimix.physics.neighbours import neighbour_pairs
from husimix.physics.symmetry.choice import choose_symmetry

__all__ = ["Clusters"]

_GIB = 2**30
_DEFAULT_SIZE, _FIRST_SIZE = 4, 2
# Seconds for each number kept and each step, on two cores of a server processor of 2020; right to a factor of four.
_SECONDS_PER_NUMBER = 3e-6
_LONG = 3.0
# An estimate enumerates supports up to so many times the memory limit; beyond, it tells how many there are at least.
_ROOMY = 16
# What is left out of a start below this, relative to it, is rounding.
_NOTHING = 1e-9


@register_ansatz
@dataclasses.dataclass(frozen=True)
class Clusters(AbstractAnsatz):
    """One product background and all correlations inside connected clusters of at most m sites.

    See docs/theory.md, eq. 23.

    Args:
        size: m; 1 is mean field, 2 the cumulant equations of second order between neighbours, N exact. None for 4, and
            for the whole ladder from 2 on where a tolerance is asked for.
        edge_damping: κ >= 0, in 1/time: moments of n = m - 1, m, … sites (and n >= 2) decay at the extra rates κ, 2κ, …
            It cures run-aways where a cluster nearly fills the lattice, and costs accuracy elsewhere.
        extra: further supports, each a sequence of two or more sites; their subsets are kept as well.
        pairs: keep correlations between far sites: all supports of two clusters which together have at most m sites and
            are up to so many bonds of the graph apart, or "all". For m = 2 these are pairs, for m = 3 also pairs with a
            neighbour of either.
        neighbours: the graph that clusters grow on, where it is not that of the sites which a term of 𝓛 joins: a
            networkx graph of sites 0 to N - 1, (M, 2) pairs of sites, or a number: pairs whose terms have norms that
            add up to more than this, in 1/time. All images of its bonds under the symmetry that is used are bonds, too,
            and all terms that meet kept supports act in any case.
        certificate: compute the flow out of the kept supports at every step, as dear as a few velocities.
        memory_limit: GiB that numbers and tables may take together; several devices share large tables evenly.

    Raises:
        ValueError: for values out of range.
    """

    size: int | None = None
    edge_damping: float = 0.0
    extra: Sequence[Sequence[int]] = ()
    pairs: int | str = 0
    neighbours: Any = None
    certificate: bool = True
    memory_limit: float = 4.0

    name: ClassVar[str] = "clusters"
    diagnostics: ClassVar[Mapping[str, str]] = {
        "largest_edge_moment": "largest central moment of the supports of most sites",
    }
    remedies: ClassVar[Mapping[str, str]] = {
        "TOLERANCE_MISSED": "Raise memory_limit of the clusters, add `extra` supports, or loosen tol.",
        "STEP_COLLAPSE": "Take a smaller size, some edge_damping, or a mixture.",
        "NON_FINITE": "Take a smaller size, some edge_damping, or a mixture.",
        "NOT_STATIONARY": "Take larger clusters where the residual is high.",
        "RUN_AWAY": "Take a smaller size, some edge_damping, or a mixture.",
        "UNPHYSICAL": "Take larger clusters, and trust nothing before two sizes agree.",
    }

    def __post_init__(self) -> None:
        if self.size is not None:
            check_integer("size", self.size, 1)
        check_number("edge_damping", self.edge_damping, minimum=0)
        check_number("memory_limit", self.memory_limit, above=0)
        object.__setattr__(self, "extra", _checked_supports(self.extra))
        if isinstance(self.pairs, str):
            check_choice("pairs", self.pairs, ("all",))
        else:
            check_integer("pairs", self.pairs, 0, 'Try pairs=8 or pairs="all".')
        object.__setattr__(self, "neighbours", checked_graph(self.neighbours))
        if not isinstance(self.certificate, bool):
            raise argument_error("certificate", "be True or False", repr(self.certificate))

    @property
    def label(self) -> str:
        """The size in words."""
        return "clusters" if self.size is None else f"clusters of {self.size}"

    def prepare(self, problem: Problem) -> Prepared:
        """The motion and the start of a run; see `AbstractAnsatz.prepare`."""
        made = self._layout(problem)
        layout, basis = made.layout, problem.model.basis
        pairs = _pairs_of(problem, layout.orbits)
        measured = {name: Measurement.of(operator, layout) for name, operator in problem.observables.items()}
        motion = ClusterMotion(
            equations=self._equations(made, basis),
            symmetrisation=Symmetrisation.of(layout),
            pair_sites=jax.device_put(pairs.astype(np.int32)),
            pair_moments=layout.lookup(pairs) if len(pairs) and 2 in layout.family.by_size else None,
            measurements=measured,
            norms=jax.device_put(np.linalg.norm(basis.matrices[1:], ord=2, axis=(1, 2))),
            layout=layout,
            pairs=pairs,
        )
        settings = self.to_dict() | {"size": self._size}
        start = start_of(problem.state, layout, husimi_weights(basis)[basis.ranks][1:])
        part = largest_component(layout.family.neighbours.pairs, problem.model.n_sites)
        is_whole = self.neighbours is None and self._size >= part and not self.edge_damping
        motion, point = everywhere((motion, start.point))
        return Prepared(
            motion=motion,
            point=point,
            symmetry=made.symmetry,
            settings=settings,
            is_exact=is_whole and start.relative < _NOTHING,
            left_out=(start.relative, start.absolute),
        )

    def first_rung(self, problem: Problem) -> "Clusters":
        """These clusters, or with `size=None` those of 2 sites, or of as many as the largest term of 𝓛 acts on."""
        largest = max((some.sites.shape[1] for some in local_maps(problem.model)), default=1)
        size = min(max(_FIRST_SIZE, largest), problem.model.n_sites)
        return self if self.size is not None else dataclasses.replace(self, size=size)

    def next_rung(self, problem: Problem) -> "Clusters | None":
        """Clusters of one site more, if there are so many sites and they fit into memory."""
        if self._size >= problem.model.n_sites:
            return None
        larger = dataclasses.replace(self, size=self._size + 1)
        try:
            larger._layout(problem)
        except RefusalError:
            return None
        return larger

    def estimate(self, problem: Problem) -> Estimate:
        """What a run will need, without running it."""
        parts: dict[str, int | float | str] = {}
        try:
            made = dataclasses.replace(self, memory_limit=_ROOMY * self.memory_limit)._layout(problem)
            family, n_numbers = made.layout.family, made.layout.n_numbers
            parts = {"sites": len(made.layout.sites)}
            parts |= {f"supports of {n}": len(rows) for n, rows in family.by_size.items()}
            memory = bytes_per_number(family.neighbours) * n_numbers / _GIB
        except RefusalError as refusal:
            n_numbers, memory = refusal.n_numbers, refusal.memory
        seconds = _SECONDS_PER_NUMBER * n_numbers
        advice = ["Choose a smaller size."] if memory > self.memory_limit or seconds > _LONG else []
        if memory > self.memory_limit:
            advice.append("Raise memory_limit of the clusters if the machine has more.")
        return Estimate(n_numbers, memory, self.memory_limit, seconds, parts, tuple(advice))

    def product_state(self, values: np.ndarray, basis: SiteBasis) -> ClusterState:
        """The background with these one-site expectation values, without moments."""
        family = Family({}, Neighbours.of_pairs(np.zeros((0, 2), dtype=int), len(values)))
        layout = MomentLayout.of(Orbits((), None, len(values), basis.size), family, basis.size - 1)
        return ClusterState(background=np.asarray(values, dtype=float)[:, 1:], moments={}, layout=layout)

    def to_dict(self) -> dict[str, Any]:
        """The settings as they were chosen, JSON-ready."""
        neighbours = self.neighbours
        if isinstance(neighbours, tuple):
            neighbours = [list(pair) for pair in neighbours]
        return {
            "name": self.name,
            "size": self.size,
            "edge_damping": self.edge_damping,
            "extra": [list(support) for support in self.extra],
            "pairs": self.pairs,
            "neighbours": neighbours,
            "certificate": self.certificate,
            "memory_limit": self.memory_limit,
        }

    @property
    def _size(self) -> int:
        return _DEFAULT_SIZE if self.size is None else self.size

    def _layout(self, problem: Problem) -> "_Made":
        """Which numbers there are. Raises ValueError for what does not fit the lattice or memory."""
        model = problem.model
        for support in self.extra:
            if max(support) >= model.n_sites:
                raise argument_error("extra", f"hold sites 0 to {model.n_sites - 1}", list(support))
        choice = choose_symmetry(problem.symmetry, model, problem.state)
        maps, size = local_maps(model), model.basis.size
        generators = choice.all_generators
        pairs = graph_pairs(self.neighbours, maps, model.n_sites, generators)
        if self.neighbours is None and isinstance(problem.state, ClusterState):
            # What the start holds beyond the model's own neighbours is kept.
            pairs = np.concatenate([pairs, problem.state.bonds()])
        orbits = Orbits(generators, model.lattice, model.n_sites, size)
        neighbours = Neighbours.of_pairs(pairs, model.n_sites)
        far = np.inf if isinstance(self.pairs, str) else float(self.pairs)
        largest = min(self._size, model.n_sites)
        family = family_of(neighbours, orbits, largest, self.extra, far, size - 1, self.memory_limit)
        return _Made(MomentLayout.of(orbits, family, size - 1), maps, choice.name)

    def _equations(self, made: "_Made", basis: SiteBasis) -> Equations:
        layout, maps = made.layout, made.maps
        n_sites = layout.orbits.n_sites
        dropped = reached_supports(layout, Touching(maps, n_sites)) if self.certificate else {}
        # Of all maps those that touch a support whose rows are asked for.
        asked = np.zeros(n_sites, dtype=bool)
        for rows in (layout.sites[:, None], *layout.family.by_size.values(), *dropped.values()):
            asked[rows.ravel()] = True
        near = tuple(_restricted(some, asked) for some in maps)
        touching, block_rows = Touching(near, n_sites), BlockRows(near, n_sites)

        def into(rows: np.ndarray) -> Moves:
            return moves_into(rows, layout, touching, block_rows)

        moves = {1: into(layout.sites[:, None])} | {n: into(rows) for n, rows in layout.family.by_size.items()}
        missed = {n: _dropped(layout, rows, into(rows)) for n, rows in dropped.items()}
        all_moves = [*moves.values(), *(d.moves for d in missed.values())]
        shapes = {(1, 0)} | {(group.r, group.c) for some in all_moves for group in some.groups}
        by_rank = husimi_weights(basis)
        return Equations(
            maps=FramedMaps.of(near),
            orbit_maps=jax.device_put(layout.orbits.maps),
            sites=layout.all_sites(),
            moves=moves,
            dropped=missed if self.certificate else None,
            site_multiplicity=_occurrence(layout, layout.sites[:, None]).multiplicity,
            occurrence={n: _occurrence(layout, rows) for n, rows in layout.family.by_size.items()},
            g=jax.device_put(by_rank[basis.ranks][1:]),
            edge_damping=jax.device_put(np.asarray(float(self.edge_damping))),
            edge=max(1, min(self._size, n_sites) - 2),
            shapes=tuple(sorted(shapes)),
        )


class _Made(NamedTuple):
    """The numbers of a problem, the maps that move them, and the name of the symmetry."""

    layout: MomentLayout
    maps: tuple[LocalMaps, ...]
    symmetry: str | None


def _dropped(layout: MomentLayout, rows: np.ndarray, moves: Moves) -> Dropped:
    """Supports that are not kept, filled up and split as the moves into them are."""
    return Dropped(moves, _occurrence(layout, rows, len(moves.slots), moves.mesh))


def _occurrence(
    layout: MomentLayout, rows: np.ndarray, n_rows: int | None = None, mesh: Mesh | None = None
) -> Occurrence:
    """How often supports occur, and where; up to `n_rows` with some that never do."""
    n_rows = len(rows) if n_rows is None else n_rows
    counts, orbits = np.zeros(n_rows), np.zeros((n_rows, rows.shape[1]), dtype=int)
    counts[: len(rows)], orbits[: len(rows)] = layout.orbits.multiplicities(rows), layout.site_orbits[rows]
    split = PartitionSpec(AXIS)
    return Occurrence(*placed((counts, index_table(orbits)), (split, split), mesh))


def _restricted(maps: LocalMaps, asked: np.ndarray) -> LocalMaps:
    """The maps that touch any of the sites that are asked for."""
    kept = asked[maps.sites].any(axis=1)
    return LocalMaps(maps.sites[kept], maps.matrices, maps.kinds[kept])


def _pairs_of(problem: Problem, orbits: Orbits) -> np.ndarray:
    """(M, 2) int: the neighbouring pairs of sites, one of each orbit."""
    pairs = neighbour_pairs(problem.model)
    return distinct_rows(orbits.canonical(pairs).sites) if len(pairs) else pairs


def _checked_supports(extra: object) -> tuple[tuple[int, ...], ...]:
    must, fix = "hold supports of two or more different sites", "Try extra=[(0, 5)]."
    if isinstance(extra, str) or not isinstance(extra, Sequence | np.ndarray):
        raise argument_error("extra", must, repr(extra), fix)
    found = []
    for support in extra:
        if isinstance(support, str) or not isinstance(support, Sequence | np.ndarray):
            raise argument_error("extra", must, repr(support), fix)
        sites = tuple(check_integer("extra", site, 0) for site in support)
        if len(sites) < 2 or len(set(sites)) < len(sites):
            raise argument_error("extra", must, list(sites), fix)
        found.append(tuple(sorted(sites)))
    return tuple(found)
