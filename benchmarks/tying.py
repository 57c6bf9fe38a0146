"""Where it pays to let the point group tie sites inside a component: errors and times, tied and free.

A tied component has the same vector on all sites that the point group exchanges about site 0. That makes it smaller,
and loses what no number of components gives back. Two tables: tying_small.md of lattices of up to nine sites next to
exact integration, where the loss shows, in about 40 minutes on two cores; tying_large.md of larger ones, where the gain
shows, next to clusters (or to exact integration where that is possible), in about as long.

    python benchmarks/tying.py [NAME ...]
"""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from machine import machine_line, options, write

import husimix as hx
from husimix.ansatz import Problem
from husimix.mixture import arrangement
from husimix.physics.neighbours import neighbour_pairs, one_of_each_kind

TIMES = np.linspace(0, 3, 16)
SMALL = {
    "ring of 4": hx.Lattice.chain(4, periodic=True),
    "ring of 6": hx.Lattice.chain(6, periodic=True),
    "honeycomb 2×1": hx.Lattice.honeycomb(2, 1, periodic=True),
    "kagome 2×1": hx.Lattice.kagome(2, 1, periodic=True),
    "honeycomb 2×2": hx.Lattice.honeycomb(2, 2, periodic=True),
    "ring of 9": hx.Lattice.chain(9, periodic=True),
    "square 3×3": hx.Lattice.square(3, 3, periodic=True),
    "triangular 3×3": hx.Lattice.triangular(3, 3, periodic=True),
    "kagome 3×1": hx.Lattice.kagome(3, 1, periodic=True),
}
COMPONENTS = 48


class System(NamedTuple):
    """A model with its initial state."""

    name: str
    model: hx.Lindbladian
    state: object


class Variant(NamedTuple):
    """How symmetry is used: the argument `symmetry`, and whether the point group ties sites (None for the rule)."""

    name: str
    symmetry: str
    ties: bool | None


TRANSLATIONS, AUTO = Variant("translations", "translations", None), Variant("auto", "auto", None)
TIED, FREE = Variant("tied", "auto", True), Variant("free", "auto", False)


def by_direction(lattice: hx.Lattice, J: float) -> hx.Lindbladian:
    """Couplings J σxσx, J σyσy, J σzσz in turn for the directions of bonds, and decay at rate 1."""
    translations = hx.SymmetryGroup.translations(lattice)
    kinds = one_of_each_kind(neighbour_pairs(hx.models.dissipative_ising(lattice)), translations)
    letters = {}
    for number, pair in enumerate(kinds.tolist()):
        images = np.sort(translations.permutations[:, pair], axis=1)
        letters |= {tuple(image): "xyz"[number % 3] for image in images.tolist()}
    h = hx.operator_sum([J * hx.pauli(2 * letter, *pair) for pair, letter in letters.items()])
    return hx.Lindbladian(h, [hx.Dissipator(hx.sigmam(i), 1.0) for i in range(lattice.n_sites)], lattice=lattice)


MODELS: dict[str, tuple[Callable[[hx.Lattice], hx.Lindbladian], object]] = {
    "Ising V=2 g=1": (lambda lattice: hx.models.dissipative_ising(lattice, V=2.0, g=1.0), "down"),
    "XYZ (1, 1, 1)": (lambda lattice: hx.models.dissipative_xyz(lattice, 1.0, 1.0, 1.0), np.array([0.6, 0.0, 0.8])),
    "XYZ (0.9, 1.2, 1)": (hx.models.dissipative_xyz, "+x"),
    "xx, yy, zz by direction": (lambda lattice: by_direction(lattice, 1.0), "+x"),
    "XX driven": (lambda lattice: hx.models.lossy_xx(lattice, J=2.0, omega=2.0), "down"),
}


def systems(lattice: hx.Lattice) -> Iterator[System]:
    """Every model on a lattice."""
    for name, (build, spins) in MODELS.items():
        yield System(name, build(lattice), hx.product_state(lattice.n_sites, spins))


def observables(system: System) -> dict[str, hx.Operator]:
    """⟨σσ⟩ of one bond of each kind, equal letters."""
    pairs = one_of_each_kind(
        neighbour_pairs(system.model), hx.SymmetryGroup.translations(system.model.lattice)
    ).tolist()
    return {f"{letter}{pair}": hx.pauli(2 * letter, *pair) for letter in "xyz" for pair in pairs}


@contextmanager
def tying(ties: bool | None) -> Iterator[None]:
    """Put a fixed answer in the place of the rule that decides on tying."""
    rule = arrangement.is_worth_tying
    if ties is not None:
        arrangement.is_worth_tying = lambda lattice: ties
    try:
        yield
    finally:
        arrangement.is_worth_tying = rule


def layout_of(system: System, variant: Variant) -> arrangement.Arrangement:
    """How a run would lay out its components."""
    problem = Problem(system.model, system.state, variant.symmetry, {}, 0, 1.0)
    with tying(variant.ties):
        return arrangement.arrange(problem, "bloch")


def run(system: System, variant: Variant, components: int) -> hx.Result:
    """A run of a shape that has been compiled."""
    arguments = {
        "ansatz": hx.Mixture(components),
        "symmetry": variant.symmetry,
        "observables": observables(system),
        "progress": False,
    }
    with tying(variant.ties):
        hx.mesolve(system.model, system.state, [0, 1e-3], **arguments)
        return hx.mesolve(system.model, system.state, TIMES, **arguments)


def error(result: hx.Result, reference: object) -> float:
    """The worst error of ⟨σ⟩ and of the bonds' ⟨σσ⟩ at any time."""
    count = len(result.times)
    bonds = [np.abs(values - reference.expect[name][:count]).max() for name, values in result.expect.items()]
    return max(np.abs(result.bloch - reference.bloch[:count]).max(), *bonds)


def small_rows(name: str, lattice: hx.Lattice) -> Iterator[str]:
    """One line for each model on a small lattice."""
    for system in systems(lattice):
        exact = hx.exact.mesolve(system.model, system.state, TIMES, observables=observables(system))
        plain = error(run(system, TRANSLATIONS, COMPONENTS), exact)
        one, other = layout_of(system, TRANSLATIONS), layout_of(system, AUTO)
        is_same = arrangement.same_elements(one.group, other.group) and other.layout.is_plain
        auto = plain if is_same else error(run(system, AUTO, COMPONENTS), exact)
        is_tied = not layout_of(system, TIED).layout.is_plain
        tied = f"{error(run(system, TIED, COMPONENTS), exact):.1e}" if is_tied else "nothing to tie"
        same = " (the same run)" if is_same else ""
        yield f"| {name} | {system.name} | {plain:.1e} | {auto:.1e}{same} | {tied} |"


def torus(n: int) -> hx.Lattice:
    return hx.Lattice.square(n, n, periodic=True)


def ring(n: int) -> hx.Lattice:
    return hx.Lattice.chain(n, periodic=True)


ISING, *OTHERS = MODELS
LARGE = (
    ("ring of 10", ring(10), ISING, None, (8, 16, 32)),
    *(("ring of 10", ring(10), model, None, (16,)) for model in OTHERS),
    ("ring of 16", ring(16), ISING, 7, (8, 16, 32)),
    ("ring of 32", ring(32), ISING, 7, (8, 16)),
    *(("ring of 25", ring(25), model, 6, (16,)) for model in OTHERS),
    ("square 4×4", torus(4), ISING, 5, (8, 16)),
    ("square 5×5", torus(5), ISING, 5, (8, 16)),
    *(("square 5×5", torus(5), model, 4, (8, 16)) for model in OTHERS),
    ("triangular 5×5", hx.Lattice.triangular(5, 5, periodic=True), ISING, 4, (8,)),
    ("square 6×6", torus(6), ISING, 5, (8, 16)),
    ("square 8×8", torus(8), ISING, 5, (5, 8)),
)
"""Name, lattice, model, m of the clusters to compare with (None for exact integration), and K."""


def large_rows(name: str, lattice: hx.Lattice, model: str, size: int | None, counts: tuple[int, ...]) -> Iterator[str]:
    """One line for each K on a large lattice."""
    build, spins = MODELS[model]
    system = System(model, build(lattice), hx.product_state(lattice.n_sites, spins))
    wanted = observables(system)
    if size is None:
        reference, doubt = hx.exact.mesolve(system.model, system.state, TIMES, observables=wanted), 0.0
    else:
        arguments = {"observables": wanted, "progress": False}
        lesser, reference = (
            hx.mesolve(system.model, system.state, TIMES, ansatz=hx.Clusters(size=m), **arguments)
            for m in (size - 1, size)
        )
        doubt = error(lesser, reference)
    n_free = [layout_of(system, variant).layout.n_free for variant in (TIED, FREE)]
    for count in counts:
        tied, free = (run(system, variant, count) for variant in (TIED, FREE))
        yield (
            f"| {name} | {model} | {doubt:.0e} | {count} | {n_free[0]} | {n_free[1]} | {error(tied, reference):.1e} | "
            f"{error(free, reference):.1e} | {tied.wall_time:.1f} | {free.wall_time:.1f} |"
        )


HEAD = (
    "# Where tying pays",
    "",
    "γ = 1, up to T = 3/γ, 16 save times, seed 0. Errors: the worst of ⟨σ⟩ of any site and of ⟨σxσx⟩, ⟨σyσy⟩ and",
    "⟨σzσz⟩ of a bond of each kind, at any time. Translations: components averaged over these alone, all sites",
    "free. Tied: averaged over translations and rotations, with one vector for all sites that the point group",
    "exchanges about site 0. Auto: what a run does by itself.",
    "",
    machine_line(),
    "",
)


def small_table(quick: bool) -> Iterator[str]:
    """The lines of the first table, as they are measured."""
    yield from (
        f"## Up to nine sites, K = {COMPONENTS}, next to exact integration",
        "",
        "| lattice | model | translations | auto | tied |",
        "|---|---|---|---|---|",
    )
    for name, lattice in SMALL.items():
        if not quick or name == "ring of 4":
            yield from small_rows(name, lattice)


def large_table(quick: bool) -> Iterator[str]:
    """The lines of the second."""
    yield from (
        "## Larger lattices",
        "",
        "Next to clusters of a size m, with their change from m - 1 to m; the ring of 10 next to exact integration.",
        "Seconds of a run after compilation.",
        "",
        "| lattice | model | m - 1 to m | K | free sites, tied | free | error, tied | free | seconds, tied | free |",
        "|---|---|---|---|---|---|---|---|---|---|",
    )
    for name, lattice, model, size, counts in LARGE:
        if not quick:
            yield from large_rows(name, lattice, model, size, counts)


PARTS: dict[str, Callable[[bool], Iterator[str]]] = {"small": small_table, "large": large_table}


def main() -> None:
    """Print the tables while they grow, then write them."""
    asked = options(__doc__, PARTS)
    for name in ["small"] if asked.quick else asked.names or PARTS:
        lines = []
        for line in itertools.chain(HEAD, PARTS[name](asked.quick)):
            print(line, flush=True)
            lines.append(line)
        write(asked, f"tying_{name}.md", "\n".join(lines))


if __name__ == "__main__":
    main()
