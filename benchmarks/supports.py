"""Supports chosen by the flow into them, against the ladder of clusters of m sites, at equal numbers kept.

Writes benchmarks/results/supports.md. Every family of supports is a mask on the rates of one motion that holds all sets
of at most four or five sites, so that a system compiles once: what the mask takes away is the flow into supports that
are not kept. Errors are against exact integration. Takes some minutes on two cores; `--quick` takes the first two
systems and writes nothing.
"""

import itertools
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
from common import in_random_fields

import husimix as hx
from husimix.ansatz import Problem
from husimix.clusters.moments import Point
from husimix.physics.local_maps import local_maps

RESULTS = Path(__file__).parent / "results" / "supports.md"
FLOWS = ("peak", "integral", "discounted")
"""What the flow into a support is valued by: its peak, its integral, or the size of the moment that it drives."""
HINDSIGHT = "hindsight"
"""Valued by the moments that supports turn out to have where all are kept, which no run of fewer numbers knows."""
LETTERS = 3
# A round of choosing keeps at most so many times the numbers of the round before.
GROWTH = 2.0
INTERVALS = 40
Support = tuple[int, ...]
Family = frozenset[Support]


class System(NamedTuple):
    """What is evolved.

    Attributes:
        name: of the row.
        model: of spins ½.
        spins: the start, as `hx.product_state` takes it.
        end: time of the end, in 1/γ.
        bonds: how many of the strongest couplings the ladder's clusters grow on; None for all.
        largest: how many sites a support may have.
    """

    name: str
    model: hx.Lindbladian
    spins: str | np.ndarray = "down"
    end: float = 4.0
    bonds: int | None = None
    largest: int = 5


def power_law(n: int, exponent: float, seed: int) -> hx.Lindbladian:
    """Spins at random places in a square of side √n, H = (V/4) Σ σz σz / r^α + (g/2) Σ σx, V = 3γ, g = 2γ, decay."""
    random, places = np.random.default_rng(seed), []
    while len(places) < n:
        place = random.uniform(0, np.sqrt(n), 2)
        if all(np.linalg.norm(place - other) > 0.7 for other in places):
            places.append(place)
    terms = [1.0 * hx.sigmax(i) for i in range(n)]
    for i, j in itertools.combinations(range(n), 2):
        terms.append(0.75 / np.linalg.norm(places[i] - places[j]) ** exponent * hx.pauli("zz", i, j))
    return hx.Lindbladian(hx.operator_sum(terms), [hx.Dissipator(hx.sigmam(i), 1.0) for i in range(n)], n_sites=n)


def random_bonds(n: int, g: float) -> hx.Lindbladian:
    """A chain in a strong drive whose couplings V are uniform in [1, 6] γ."""
    lattice = hx.Lattice.chain(n)
    random = np.random.default_rng(4)
    terms = [float(random.uniform(1, 6)) / 4 * hx.pauli("zz", i, j) for i, j in lattice.bonds()]
    terms += [g / 2 * hx.sigmax(i) for i in range(n)]
    return hx.Lindbladian(hx.operator_sum(terms), [hx.Dissipator(hx.sigmam(i), 1.0) for i in range(n)], lattice=lattice)


def heisenberg_ladder(length: int) -> hx.Lindbladian:
    """Random exchange in [0.1, 0.9] γ, random fields, dephasing, one end pumped and the other emptied."""
    lattice, random = hx.Lattice.rectangle(2, length), np.random.default_rng(2)
    terms = []
    for i, j in lattice.bonds():
        exchange = random.uniform(0.1, 0.9)
        terms += [exchange * hx.pauli(letters, i, j) for letters in ("xx", "yy", "zz")]
    terms += [random.uniform(-1, 1) * hx.sigmaz(i) for i in range(lattice.n_sites)]
    channels = [hx.Dissipator(hx.sigmaz(i), 0.25) for i in range(lattice.n_sites)]
    channels += [hx.Dissipator(hx.sigmap(0), 1.0), hx.Dissipator(hx.sigmam(lattice.n_sites - 1), 1.0)]
    return hx.Lindbladian(hx.operator_sum(terms), channels, lattice=lattice)


def systems() -> tuple[System, ...]:
    ising = hx.models.dissipative_ising
    checkered = np.array([[0.0, 0.0, (-1.0) ** (i % 4 + i // 4)] for i in range(8)])
    patch = hx.Lattice.rectangle(2, 4)
    return (
        System("open chain of 7, V = g = 5", ising(hx.Lattice.chain(7), V=5.0, g=5.0)),
        System("chain of 7, random couplings, g = 8", random_bonds(7, 8.0)),
        System("7 spins at random, 1/r³", power_law(7, 3, seed=3), bonds=9),
        System("7 spins at other places, 1/r³", power_law(7, 3, seed=5), bonds=9),
        System("7 spins at random, 1/r⁶", power_law(7, 6, seed=3), bonds=9),
        System("7 spins at other places, 1/r⁶", power_law(7, 6, seed=5), bonds=9),
        System("2×4, random fields, V = 2, g = 2.5", in_random_fields(ising(patch, V=2.0, g=2.5), seed=1), largest=4),
        System("Heisenberg ladder 2×4, random", heisenberg_ladder(4), checkered, end=2.0, largest=4),
    )


class Masked:
    """The motion of a system with any family of supports.

    Args:
        system: what is evolved.
    """

    def __init__(self, system: System):
        n = system.model.n_sites
        whole = hx.Clusters(system.largest, neighbours=list(itertools.combinations(range(n), 2)), certificate=False)
        state = hx.product_state(n, system.spins)
        problem = Problem(system.model, state, None, {}, seed=0, rate=1.0)
        self.motion, self.start = whole.prepare(problem)[:2]
        self.times = np.linspace(0, system.end, INTERVALS + 1)
        self.exact = hx.exact.mesolve(system.model, state, self.times).bloch
        self.places = {
            tuple(int(i) for i in row): (size, place)
            for size, rows in self.motion.layout.family.by_size.items()
            for place, row in enumerate(rows)
        }
        loss = np.zeros(n)
        for some in local_maps(system.model):
            if some.sites.shape[1] == 1:
                # The mean over the letters; the Hamiltonian rotates them only and has no part in it.
                np.add.at(loss, some.sites[:, 0], -np.trace(some.matrices[some.kinds][:, 1:, 1:], axis1=1, axis2=2) / 3)
        self.losses = {support: loss[list(support)].sum() for support in self.places}
        self.paths: dict[Family, Point] = {}
        self._evolve = jax.jit(self._evolved)
        self._rates = jax.jit(lambda path: jax.lax.map(lambda point: self.motion.velocity(0.0, point)[0], path))

    def _evolved(self, mask: dict[int, jax.Array]) -> Point:
        def velocity(time, point, mask):
            rates, _ = self.motion.velocity(time, point)
            return rates._replace(moments={n: rate * mask[n] for n, rate in rates.moments.items()})

        return diffrax.diffeqsolve(
            diffrax.ODETerm(velocity),
            diffrax.Tsit5(),
            self.times[0],
            self.times[-1],
            None,
            self.start,
            args=mask,
            saveat=diffrax.SaveAt(ts=jnp.asarray(self.times)),
            stepsize_controller=diffrax.PIDController(rtol=1e-5, atol=1e-6),
        ).ys

    def path(self, family: Family) -> Point:
        """Background and moments at all times, (T, ...) each."""
        if family not in self.paths:
            self.paths[family] = self._evolve(self._mask(family))
        return self.paths[family]

    def _mask(self, family: Family) -> dict[int, np.ndarray]:
        mask = {n: np.zeros((len(rows), 1)) for n, rows in self.motion.layout.family.by_size.items()}
        for support in family:
            size, place = self.places[support]
            mask[size][place] = 1.0
        return mask

    def error(self, path: Point) -> tuple[float, float]:
        """The worst and the root mean square error of one-site values at all times."""
        apart = np.asarray(path.background) - self.exact
        return float(np.abs(apart).max()), float(np.sqrt(np.square(apart).mean()))

    def flows(self, path: Point) -> dict[Support, np.ndarray]:
        """(T,) the norm of the row of every support at all times, dropped ones among them."""
        return self._norms(self._rates(path))

    def moments(self, path: Point) -> dict[Support, np.ndarray]:
        """(T,) the norm of the moments of every support at all times."""
        return self._norms(path)

    def _norms(self, path: Point) -> dict[Support, np.ndarray]:
        by_size = {n: np.sqrt(np.square(x).sum(axis=2) / 3.0**n) for n, x in path.moments.items()}
        return {support: by_size[n][:, place] for support, (n, place) in self.places.items()}

    def worth(self, path: Point, score: str) -> dict[Support, float]:
        """What the flow into each support is valued at."""
        step, worth = self.times[1], {}
        for support, flow in self.flows(path).items():
            if score == "peak":
                value = flow.max()
            elif score == "integral":
                value = np.trapezoid(flow, dx=step)
            else:
                value, driven, fade = 0.0, 0.0, np.exp(-self.losses[support] * step)
                for before, after in itertools.pairwise(flow):
                    driven = fade * (driven + step / 2 * before) + step / 2 * after
                    value = max(value, driven)
            worth[support] = float(value) ** 2
        return worth


def numbers(family: Family, n_sites: int) -> int:
    """How many numbers move."""
    return LETTERS * n_sites + sum(LETTERS ** len(support) for support in family)


def closed(supports: Iterable[Support]) -> Family:
    """Some supports and all their subsets of two sites and more."""
    return frozenset(
        part for s in supports for n in range(2, len(s) + 1) for part in itertools.combinations(sorted(s), n)
    )


def couplings(model: hx.Lindbladian) -> nx.Graph:
    """All pairs of sites that a map joins, with its strength as the weight."""
    graph = nx.Graph()
    for some in local_maps(model):
        if some.sites.shape[1] == 2:
            graph.add_weighted_edges_from(
                (int(i), int(j), float(w)) for (i, j), w in zip(some.sites, some.strengths, strict=True)
            )
    return graph


def strongest(graph: nx.Graph, bonds: int | None) -> nx.Graph:
    """The graph of so many of the heaviest edges; all for None."""
    by_weight = sorted(graph.edges(data="weight"), key=lambda edge: -edge[2])
    return graph.edge_subgraph([edge[:2] for edge in by_weight[:bonds]])


def rung(graph: nx.Graph, size: int) -> Family:
    """The supports of clusters of `size` sites on a graph."""
    clusters = {frozenset([i]) for i in graph}
    for _ in range(size - 1):
        clusters = {c | {j} for c in clusters for i in c for j in graph[i] if j not in c}
    return closed(tuple(c) for c in clusters)


def grown(family: Family, worth: dict[Support, float], budget: int, n_sites: int) -> Family:
    """The family with the supports, and subsets, that are worth most for each number, up to a budget."""
    kept, left = set(family), budget - numbers(family, n_sites)
    candidates = {support: closed([support]) for support, value in worth.items() if value > 0 and support not in kept}
    while True:
        best, most, price = None, 0.0, 0
        for support, parts in candidates.items():
            new = parts - kept
            cost = sum(LETTERS ** len(part) for part in new)
            if support in new and cost <= left and (value := sum(worth[part] for part in new) / cost) > most:
                best, most, price = new, value, cost
        if best is None:
            return frozenset(kept)
        kept |= best
        left -= price


def chosen(masked: Masked, family: Family, score: str, budget: int) -> Family:
    """The family grown to a budget in rounds, each by the flow out of the one before."""
    n_sites, most = len(masked.exact[0]), 0
    while most < budget:
        most = min(budget, int(GROWTH * numbers(family, n_sites)))
        family = grown(family, masked.worth(masked.path(family), score), most, n_sites)
    return family


def rows(system: System) -> tuple[list[str], dict[tuple[str, int], np.ndarray]]:
    """The lines of a system, and by score and m how many times smaller errors are than those of the ladder."""
    masked, n = Masked(system), system.model.n_sites
    lines, gains = [], {}

    def told(name: str, family: Family) -> tuple[float, float]:
        worst, mean = masked.error(masked.path(family))
        sizes = ", ".join(str(sum(len(s) == k for s in family)) for k in range(2, 6))
        lines.append(f"| {system.name} | {name} | {numbers(family, n)} | {sizes} | {worst:.1e} | {mean:.1e} |")
        print(lines[-1], flush=True)
        return worst, mean

    everything = couplings(system.model)
    ladder = {m: rung(strongest(everything, system.bonds), m) for m in (2, 3, 4)}
    errors = {m: told(f"m = {m}", family) for m, family in ladder.items()}
    if system.bonds is not None:
        for m in (2, 3):
            told(f"m = {m}, all couplings", rung(everything, m))
        for m in (3, 4, 5):
            told(f"m = {m}, spanning tree", rung(nx.maximum_spanning_tree(everything), m))
    moments = masked.moments(masked.path(frozenset(masked.places)))
    known = {support: float(values.max()) ** 2 for support, values in moments.items()}
    for score in (*FLOWS, HINDSIGHT):
        family = ladder[2]
        for m in (3, 4):
            budget = numbers(ladder[m], n)
            in_hindsight = score == HINDSIGHT
            family = grown(family, known, budget, n) if in_hindsight else chosen(masked, family, score, budget)
            gains[score, m] = np.array(errors[m]) / told(f"{score}, as many as m = {m}", family)
    return lines, gains


def report(found: dict[str, tuple[list[str], dict]]) -> str:
    """The page: a summary of gains, then all runs."""
    columns = [(score, m) for score in (*FLOWS, HINDSIGHT) for m in (3, 4)]
    head = " | ".join(f"{score}, m = {m}" for score, m in columns)
    text = [
        "Supports chosen by the flow into them, against clusters of m sites, at equal numbers kept: how many times",
        "smaller the worst error of any one-site value at any time is, and in brackets the root mean square error.",
        "",
        f"| system | {head} |",
        "|---" * (1 + len(columns)) + "|",
    ]
    gains = {name: part[1] for name, part in found.items()}
    average = {c: np.exp(np.mean([np.log(g[c]) for g in gains.values()], axis=0)) for c in columns}
    for name, gain in (gains | {"geometric mean": average}).items():
        text.append(f"| {name} | " + " | ".join(f"{gain[c][0]:.2f} ({gain[c][1]:.2f})" for c in columns) + " |")
    text += [
        "",
        "All runs. Supports: how many of 2, 3, 4 and 5 sites are kept.",
        "",
        "| system | supports chosen by | numbers | supports | worst error | root mean square |",
        "|---|---|---|---|---|---|",
        *(line for part in found.values() for line in part[0]),
    ]
    return "\n".join(text) + "\n"


def main() -> None:
    """Print the tables, and write them."""
    quick = "--quick" in sys.argv
    text = report({system.name: rows(system) for system in systems()[: 2 if quick else None]})
    print(text)
    if not quick:
        RESULTS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
