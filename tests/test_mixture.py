"""The mixture as the machine sees it: ladders, estimates, and a motion next to the states that it passes through."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import husimix as hx
from husimix.ansatz import Certificate, Problem
from husimix.mixture.constrained import with_trace_kept
from husimix.mixture.equations import Point
from husimix.state import History

SQUARE = hx.Lattice.square(3, 3, periodic=True)
RING = hx.Lattice.chain(4, periodic=True)


def problem_on(lattice, state=None, symmetry="auto", observables=None, **couplings):
    model = hx.models.dissipative_ising(lattice, **({"V": 3.0, "g": 2.0} | couplings))
    start = hx.product_state(lattice.n_sites, "down") if state is None else state
    return Problem(model, start, symmetry, observables or {}, 3, 1.0)


def rungs(mixture, problem):
    rung = mixture.first_rung(problem)
    while rung is not None:
        yield rung.components
        rung = rung.next_rung(problem)


def test_ladders_double_up_to_what_is_allowed():
    problem = problem_on(SQUARE)
    assert list(rungs(hx.Mixture(), problem)) == [(4, 16), (8, 32), (16, 64), (32, 128), (64, 128), 128]
    assert list(rungs(hx.Mixture(max_components=20), problem)) == [(4, 16), (8, 20), (16, 20)]
    assert list(rungs(hx.Mixture(6, max_components=24), problem)) == [6, 12, 24]
    assert list(rungs(hx.Mixture((3, 5), max_components=30), problem)) == [(3, 5), (6, 24), (12, 30), (24, 30)]


def test_ladders_end_where_memory_does():
    problem = problem_on(hx.Lattice.square(8, 8, periodic=True), symmetry="translations")
    limited = hx.Mixture(memory_limit=0.5)
    found = list(rungs(limited, problem))
    assert found[0] == (4, 16) and 16 <= np.max(found[-1]) < 128
    for components in found:
        assert dataclasses.replace(limited, components=components).estimate(problem).fits
    with pytest.raises(ValueError, match=r"`max_components` must allow 4 components, but got 128\. Raise max_comp"):
        hx.Mixture(memory_limit=1e-4).first_rung(problem)


def test_ladders_begin_with_the_components_of_the_state():
    state = problem_on(RING).state
    ten = hx.Mixture(10).prepare(problem_on(RING, symmetry=None))
    ten = ten.motion.state(ten.point, History())
    assert ten.n_components == 10 and state.n_components == 1
    assert next(rungs(hx.Mixture(), problem_on(RING, ten, symmetry=None))) == (10, 40)
    with pytest.raises(ValueError, match="`max_components` must allow 10 components, but got 8"):
        hx.Mixture(max_components=8).first_rung(problem_on(RING, ten, symmetry=None))


def test_estimates_count_what_moves():
    assert hx.Mixture(5).estimate(problem_on(SQUARE)).n_parameters == 5 * (1 + 9 * 3)
    assert hx.Mixture((5, 7), manifold="coherent").estimate(problem_on(SQUARE)).n_parameters == 7 * (1 + 9 * 2)
    # All sites of a square torus that its point group exchanges about one of them are one free site: 15 of 64.
    large = problem_on(hx.Lattice.square(8, 8, periodic=True))
    assert hx.Mixture(5).estimate(large).n_parameters == 5 * (1 + 15 * 3)


def test_what_does_not_fit_is_refused_before_anything_is_computed():
    large = problem_on(hx.Lattice.square(8, 8, periodic=True), symmetry="translations")
    with pytest.raises(ValueError, match=r"`components` must fit into memory_limit = 1 GiB, but got 128 components"):
        hx.Mixture((4, 128), memory_limit=1.0).prepare(large)


def test_remedies_and_labels():
    assert set(hx.Mixture.remedies) <= {*hx.Status.__members__, "UNPHYSICAL"}
    labels = [hx.Mixture(c).label for c in (None, 1, 8, (4, 16))]
    assert labels == ["a mixture", "1 component", "8 components", "4 to 16 components"]


def scattered(lattice, components, **options):
    """A motion, and a point of random weights away from the start."""
    prepared = hx.Mixture(components, **options).prepare(
        problem_on(
            lattice, observables={"one": hx.pauli("xy", 0, 1), "all": hx.operator_sum([hx.sigmaz(i) for i in range(4)])}
        )
    )
    k1, k2 = jax.random.split(jax.random.key(1))
    weights = prepared.point.weights + 0.3 * jax.random.normal(k1, prepared.point.weights.shape)
    coordinates = prepared.point.coordinates + 0.2 * jax.random.normal(k2, prepared.point.coordinates.shape)
    return prepared.motion, Point(weights / weights.sum(), coordinates)


@pytest.mark.parametrize("manifold", ["bloch", "coherent"])
def test_what_a_motion_measures_is_what_its_state_tells(manifold):
    motion, point = scattered(RING, 3, manifold=manifold)
    point = motion.restored(point)
    state = motion.state(point, History(time=2.0))
    assert state.history.time == 2.0 and state.group.order == 4
    seen = jax.jit(lambda p: (motion.local_values(p), motion.observables(p), motion.numbers(p)))(point)
    local, observed, numbers = seen
    np.testing.assert_allclose(local.sites, state.local_values(), atol=1e-13)
    pairs = [state.tensor(tuple(pair)) for pair in motion.pairs.tolist()]
    assert len(pairs) == 1
    np.testing.assert_allclose(local.pairs, pairs, atol=1e-13)
    for name, operator in (("one", hx.pauli("xy", 0, 1)), ("all", hx.operator_sum([hx.sigmaz(i) for i in range(4)]))):
        assert complex(observed[name]) == pytest.approx(state.expect(operator), abs=1e-13)
    rho = state.to_dense()
    assert float(numbers["purity"]) == pytest.approx(np.trace(rho @ rho).real, rel=1e-12)
    assert float(numbers["trace"]) == pytest.approx(1.0) and int(numbers["components"]) == 3
    report = motion.velocity(jnp.zeros(()), point)[1]
    assert {*numbers, *motion.named(report)} == set(hx.Mixture.diagnostics)


def test_a_trace_that_has_drifted_is_a_run_away():
    motion, point = scattered(RING, 3)
    assert not motion.is_running_away(point)
    assert motion.is_running_away(point._replace(weights=1.6 * point.weights))


def test_a_short_implicit_step_follows_the_motion():
    """Short beside the damping: what S does not resolve is implicit in longer ones."""
    motion, point = scattered(RING, 3, metric_solver=hx.Tikhonov(1e-2))
    rates, _ = motion.velocity(jnp.zeros(()), point)
    length = 1e-8
    after = motion.implicit_step(point, jnp.asarray(length), jnp.asarray(1.0))
    assert float(jnp.sum(after.weights)) == pytest.approx(1.0, abs=1e-12)
    for new, old, rate in zip(after, point, rates, strict=True):
        np.testing.assert_allclose((new - old) / length, rate, atol=1e-3 * float(jnp.abs(rate).max()))


def certificate(relative):
    zero = jnp.zeros(())
    return Certificate(jnp.asarray(relative), zero, zero, zero, zero, jnp.zeros(0))


def test_the_number_of_components_follows_the_certificate():
    """Rate 1: more above 0.15, fewer below 0.2, not sooner than half a unit of time later."""
    prepared = hx.Mixture((2, 4)).prepare(problem_on(RING))
    motion, point = prepared.motion, prepared.point
    assert prepared.settings["components"] == [2, 4]
    assert motion.adapted(0.0, point, certificate(0.1)) is None
    grown = motion.adapted(1.0, point, certificate(0.16))
    assert len(grown.point.weights) == 4 and (grown.relative, grown.absolute) == (0.0, 0.0)
    states = [m.state(p, History()).to_dense() for m, p in ((motion, point), (grown.motion, grown.point))]
    np.testing.assert_allclose(*states, atol=1e-14)
    # Having grown halves the threshold: 0.1, and that only after t = 1.5.
    assert grown.motion.adapted(2.0, grown.point, certificate(0.15)) is None
    assert grown.motion.adapted(1.4, grown.point, certificate(0.05)) is None
    shrunk = grown.motion.adapted(2.0, grown.point, certificate(0.05))
    assert len(shrunk.point.weights) == 2 and shrunk.relative < 1e-6
    np.testing.assert_allclose(shrunk.motion.state(shrunk.point, History()).to_dense(), states[0], atol=1e-6)
    assert shrunk.motion.equations.solver.damping == motion.equations.solver.damping


def test_a_compression_that_loses_too_much_is_not_made():
    prepared = hx.Mixture((1, 4)).prepare(problem_on(RING))
    grown = prepared.motion.adapted(0.0, prepared.point, certificate(1.0))
    _, far = scattered(RING, 4)
    tried = grown.motion.adapted(1.0, far, certificate(0.05))
    assert len(tried.point.weights) == 4 and (tried.relative, tried.absolute) == (0.0, 0.0)
    assert float(tried.motion.growth.shrink_below) == pytest.approx(0.05)
    assert tried.motion.adapted(1.0, far, certificate(0.06)) is None


def test_a_constant_number_of_components_stays():
    prepared = hx.Mixture(2).prepare(problem_on(RING))
    assert prepared.motion.adapted(0.0, prepared.point, certificate(5.0)) is None


def test_the_constrained_solution_is_that_of_the_bordered_system():
    rng = np.random.default_rng(0)
    half = rng.normal(size=(6, 6))
    matrix, force, slope = half @ half.T + np.eye(6), rng.normal(size=6), np.array([1.0, 0, 0, 1, 0, 0])
    bordered = np.block([[matrix, slope[:, None]], [slope[None], np.zeros((1, 1))]])
    truth = np.linalg.solve(bordered, np.append(force, 0.0))
    found = with_trace_kept(jnp.asarray(np.linalg.solve(matrix, np.stack([force, slope], axis=1))), jnp.asarray(slope))
    np.testing.assert_allclose(np.append(found.solution, found.multiplier), truth, atol=1e-12)
