"""Runs of clusters for `test_sharding.py`, in a process with as many devices as its environment forces.

`python sharded_runs.py dynamics FILE` writes what it finds to an npz file, and prints what the compiled velocity and its
tables look like; `others` does the rest.
"""

import json
import re
import sys
import tempfile
from pathlib import Path

import equinox as eqx
import jax
import numpy as np

import husimix as hx
from husimix.clusters import sharding
from husimix.solve.checks import problem_of

# Tables of systems this small are not worth splitting; here they are split all the same.
sharding._FEWEST = 200

QUIET = {"progress": False}


def in_fields(n):
    """An open chain in fields that differ from site to site: nothing is symmetric."""
    model = hx.models.dissipative_ising(hx.Lattice.chain(n), V=2.0, g=1.0)
    fields = hx.operator_sum([0.1 * i * hx.sigmaz(i) for i in range(n)])
    return hx.Lindbladian(model.hamiltonian + fields, model.dissipators, lattice=model.lattice)


def prepared(model, ansatz, symmetry):
    state = hx.product_state(model.n_sites, "down")
    return ansatz.prepare(problem_of(model, state, 1.0, symmetry, None, 0))


@eqx.filter_jit
def velocity_and_certificate(motion, point):
    rates, report = motion.velocity(np.zeros(()), point)
    return rates, motion.certificate(np.zeros(()), point, rates, report)


def some_point(made):
    """A point whose numbers have no symmetry but that of the layout."""
    rng = np.random.default_rng(0)
    numbers = jax.tree.map(lambda x: jax.device_put(0.1 * rng.normal(size=x.shape), x.sharding), made.point)
    return made.motion.restored(numbers)


def velocity(model, ansatz, symmetry):
    made = prepared(model, ansatz, symmetry)
    found = velocity_and_certificate(made.motion, some_point(made))
    return np.concatenate([np.ravel(x) for x in jax.tree.leaves(found)])


def tables(motion):
    """Of all moves: how many rows the tables have, how many of them each device has, and what the program has."""
    equations = motion.equations
    moves = [*equations.moves.values(), *(dropped.moves for dropped in equations.dropped.values())]
    shared = [
        (table.shape[0], [shard.data.shape[0] for shard in table.addressable_shards])
        for some in moves
        for table in (some.slots, some.patterns, *(x for group in some.groups for x in group.by_slot()))
        if len(table.sharding.device_set) > 1 and not table.sharding.is_fully_replicated
    ]
    return shared, len([some for some in moves if some.mesh is not None])


def program(made):
    """The collective operations of a compiled velocity with certificate."""
    arrays, others = eqx.partition((made.motion, made.point), eqx.is_array)
    compiled = jax.jit(lambda x: velocity_and_certificate.__wrapped__(*eqx.combine(x, others))).lower(arrays).compile()
    text = compiled.as_text()
    return {
        name: len(re.findall(rf" {name}(?:-start)?\(", text)) for name in ("all-gather", "all-reduce", "all-to-all")
    }


def dynamics():
    """A run, what its program and tables look like, and its continuation from a file."""
    model, ansatz = in_fields(7), hx.Clusters(size=3)
    options = {"ansatz": ansatz, "symmetry": None, "observables": {"zz": hx.pauli("zz", 0, 1)}, **QUIET}
    first = hx.mesolve(model, hx.product_state(7, "down"), np.linspace(0, 1, 4), **options)
    with tempfile.TemporaryDirectory() as folder:
        first.save(Path(folder) / "run.nc")
        loaded = hx.load(Path(folder) / "run.nc")
    second = hx.mesolve(model, loaded.final_state, np.linspace(1, 2, 4), **options)
    made = prepared(model, ansatz, None)
    shared, n_split = tables(made.motion)
    told = {"devices": len(jax.devices()), "tables": shared, "split": n_split, "program": program(made)}
    with jax.default_device(jax.devices()[-1]):
        told["named"] = tables(prepared(model, ansatz, None).motion)[1]
    print(json.dumps(told))
    return {
        "bloch": first.bloch,
        "observable": first.expect["zz"],
        "certificate": first.diagnostics["projection_error"][1:],
        "continued": second.bloch,
        "accrued": second.diagnostics["accumulated_error"],
        "correlation": second.final_state.correlation("z", "z"),
    }


def others():
    """A steady state, a mixture, and velocities of all kinds of tables."""
    steady = hx.steadystate(in_fields(7), ansatz=hx.Clusters(size=3), symmetry=None, **QUIET)
    mixture = hx.mesolve(
        in_fields(3), hx.product_state(3, "down"), [0.0, 0.5], ansatz=hx.Mixture(components=2), symmetry=None, **QUIET
    )
    ring, square = hx.Lattice.chain(10, periodic=True), hx.Lattice.square(4, 4, periodic=True)
    return {
        "steady": steady.bloch,
        "mixture": mixture.bloch,
        "two places": velocity(hx.models.dissipative_ising(ring), hx.Clusters(size=4, pairs="all"), "auto"),
        "rotations": velocity(hx.models.dissipative_xyz(square), hx.Clusters(size=3), "full"),
    }


if __name__ == "__main__":
    np.savez(sys.argv[2], **{"dynamics": dynamics, "others": others}[sys.argv[1]]())
