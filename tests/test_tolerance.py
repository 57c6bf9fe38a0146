"""Components that follow the certificate, and runs to a tolerance, against exact integration."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest

import husimix as hx
import systems
from husimix.solve import problem as problem_module
from husimix.solve.journey import Journey, Status
from husimix.solve.setup import set_up
from husimix.solve.stepping import evolve
from husimix.solve.tolerance import difference

QUIET = {"progress": False}
RING = hx.Lattice.chain(4, periodic=True)
STRONG = hx.models.dissipative_ising(RING, V=5.0, g=5.0)
DOWN = hx.product_state(4, "down")
TIMES = np.linspace(0, 4, 21)
CHOSEN = {"manifold": "bloch", "metric": "auto", "symmetry": "auto", "window": None, "method": None, "seed": 0}


def worst_error(result, exact):
    gaps = [np.abs(result.bloch - exact.bloch).max()]
    gaps += [np.abs(result.expect[name] - exact.expect[name]).max() for name in result.expect]
    return max(gaps)


def test_a_paused_run_goes_on_as_if_nothing_had_happened():
    setup = set_up(STRONG, DOWN, components=4, **CHOSEN)
    seen = {}

    def travel(pause_at):
        rows, journey, status = [], Journey.begin(0.0, setup.start), Status.PAUSED
        paused = []

        def record(t, point, step):
            rows.append((t, np.asarray(point.weights), float(step.accrued.relative), float(step.certificate.relative)))

        def look(glance):
            if not paused and glance.t > pause_at:
                paused.append(glance.t)
                return True
            return False

        while status is Status.PAUSED:
            status, journey = evolve(setup.motion, journey, TIMES, setup.control, 1000, record, look)
        assert status is Status.COMPLETED and journey.t == TIMES[-1]
        seen[pause_at] = rows, paused
        return rows

    whole, parts = travel(np.inf), travel(1.03)
    assert seen[1.03][1] and not seen[np.inf][1]
    np.testing.assert_array_equal([row[0] for row in parts], TIMES)
    for column, tolerance in ((2, 5e-3), (3, 5e-3)):
        first, second = (np.array([row[column] for row in rows])[1:] for rows in (whole, parts))
        np.testing.assert_allclose(second, first, rtol=tolerance, atol=tolerance)
    # Up to the pause nothing differs at all.
    before = int(np.searchsorted(TIMES, 1.03))
    for first, second in zip(whole[:before], parts[:before], strict=True):
        np.testing.assert_array_equal(first[1], second[1])


def test_components_come_when_the_certificate_rises_and_go_when_it_falls():
    bond = {"zz": systems.mean_bond(RING, "zz")}
    exact = hx.exact.mesolve(STRONG, DOWN, TIMES, observables=bond)
    result = hx.mesolve(STRONG, DOWN, TIMES, components=(4, 16), observables=bond, save_states=True, **QUIET)
    few = hx.mesolve(STRONG, DOWN, TIMES, components=4, observables=bond, **QUIET)
    counts = result.diagnostics["components"]
    assert counts[0] == 4 and counts.max() == 16 and counts[-1] == 4
    assert set(np.diff(counts)) == {-12, 0, 12} and np.count_nonzero(np.diff(counts)) == 2
    assert [s.n_components for s in result.states] == counts.tolist()
    np.testing.assert_allclose(result.diagnostics["trace"], 1, atol=1e-10)
    # Where there are many components, errors are those of many.
    many = counts == 16
    with_many, with_few = (np.abs(r.bloch - exact.bloch)[many].max() for r in (result, few))
    assert with_many < 0.3 * with_few
    # The compression counts: the accumulated error rises there by more than its rate accounts for.
    rates = np.diff(result.diagnostics["accumulated_error"]) - 0.2 * result.diagnostics["projection_error"][1:]
    compressed = int(np.flatnonzero(np.diff(counts) < 0)[0])
    assert rates.argmax() == compressed


def test_states_of_different_sizes_are_saved_and_loaded(tmp_path):
    result = hx.mesolve(STRONG, DOWN, TIMES, components=(4, 16), save_states=True, **QUIET)
    loaded = hx.load(result.save(tmp_path / "run.nc"))
    assert [s.n_components for s in loaded.states] == [s.n_components for s in result.states]
    for first, second in zip(loaded.states, result.states, strict=True):
        np.testing.assert_array_equal(first.weights, second.weights)
        np.testing.assert_array_equal(first.coordinates, second.coordinates)
    assert loaded.final_state.n_components == result.final_state.n_components
    assert loaded.settings["components"] == [4, 16]


def systems_to_try():
    chain, ring = hx.Lattice.chain(4), hx.Lattice.chain(5, periodic=True)
    fields = np.random.default_rng(5).uniform(-1, 1, 4)
    ising = hx.models.dissipative_ising(chain, V=2.0, g=1.5)
    disordered = ising.hamiltonian + hx.operator_sum([0.5 * f * hx.sigmaz(i) for i, f in enumerate(fields)])
    yield "ring, weak", hx.models.dissipative_ising(ring, V=1.0, g=1.0), "down"
    yield "ring, strong", hx.models.dissipative_ising(RING, V=5.0, g=5.0), "down"
    yield "ring, XYZ", hx.models.dissipative_xyz(ring, Jx=0.9, Jy=1.2, Jz=1.0), "+x"
    yield "torus", hx.models.dissipative_ising(hx.Lattice.square(2, 3), V=2.0, g=1.0), "down"
    yield "disordered", hx.Lindbladian(disordered, ising.dissipators, lattice=chain), "down"
    yield "tilted start", ising, np.array([[0.0, 0, -1], [0.8, 0, 0.6], [0, 1.0, 0], [0, 0, 1.0]])


@pytest.mark.slow
@pytest.mark.parametrize("tolerance", [1e-2, 3e-3])
@pytest.mark.parametrize(("model", "spins"), [s[1:] for s in systems_to_try()], ids=[s[0] for s in systems_to_try()])
def test_a_tolerance_is_kept_or_refused(model, spins, tolerance):
    n, bonds = model.n_sites, model.lattice.bonds()
    pairs = {f"{a}_{i}_{j}": hx.pauli(a, int(i), int(j)) for a in ("xx", "yy", "zz", "xy", "yz") for i, j in bonds}
    state = hx.product_state(n, spins)
    exact = hx.exact.mesolve(model, state, TIMES, observables=pairs)
    method = hx.TDVP(max_components=64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", hx.HusimixWarning)
        result = hx.mesolve(
            model, state, TIMES, components="auto", tol=tolerance, observables=pairs, method=method, **QUIET
        )
    if result.status is Status.TOLERANCE_MISSED:
        assert np.nanmax(result.diagnostics["estimated_error"]) > tolerance
        return
    assert result.status is Status.COMPLETED
    assert result.diagnostics["estimated_error"].max() <= tolerance
    assert worst_error(result, exact) < 2 * tolerance


def test_a_tolerance_that_no_run_meets_is_refused_in_words():
    with pytest.warns(
        hx.HusimixWarning, match="tol = 1e-05 is not met: the last two runs differ by .* Raise max_components"
    ):
        result = hx.mesolve(
            STRONG, DOWN, TIMES, components="auto", tol=1e-5, method=hx.TDVP(max_components=8), **QUIET
        )  # fmt: skip
    assert result.status is Status.TOLERANCE_MISSED and result.completed
    assert result.settings["tried"] == [[4, 8], [8, 8]]
    assert result.settings["components"] == "auto" and result.settings["tol"] == 1e-5
    assert 1e-5 < result.diagnostics["estimated_error"].max() < 0.2


def test_a_search_goes_no_further_than_memory_allows():
    """The limit is known before the first run, so that none is lost to a later one."""
    chain = hx.Lattice.chain(12)
    model, state = hx.models.dissipative_ising(chain, V=5.0, g=5.0), hx.product_state(12)
    method, gibibytes = hx.TDVP(gram="matrix", max_components=1 << 14), []
    for count in (16, 32):
        needs = hx.estimate(model, state, components=count, symmetry=None, method=method)
        gibibytes.append(needs.memory)
    limited = hx.TDVP(gram="matrix", max_components=1 << 14, memory_limit=float(np.mean(gibibytes)))
    arguments = {"manifold": "bloch", "metric": "auto", "symmetry": None, "window": None, "method": limited}
    problem = problem_module.Problem(model, state, np.array([0.0, 1.0]), {}, False, False, arguments)
    assert problem.bounds(4, limited.max_components) == (4, 16)


def test_an_interrupted_ladder_keeps_the_runs_before(monkeypatch):
    inner, calls = problem_module.evolve_breathing, []

    def interrupted(setup, times, *rest):
        calls.append(1)
        if len(calls) == 4:
            return Status.INTERRUPTED, Journey.begin(0.0, setup.start)
        return inner(setup, times, *rest)

    monkeypatch.setattr(problem_module, "evolve_breathing", interrupted)
    with pytest.warns(hx.HusimixWarning, match="was interrupted"):
        found = hx.convergence(STRONG, DOWN, TIMES, components=(2, 4, 8), seeds=(0, 1), **QUIET)
    assert len(calls) == 4 and [len(rung) for rung in found.runs] == [2, 1]
    assert found.components == (2, 4) and np.isfinite(found.bloch_error).all()


@pytest.mark.parametrize("differs", ["bloch", "pairs", "zz"])
def test_runs_are_compared_in_sites_neighbours_and_observables(differs):
    def recorder(n_times, **shifts):
        rows = np.arange(n_times, dtype=float)
        return SimpleNamespace(
            times=list(rows),
            bloch=[np.full((3, 3), 0.1 + shifts.get("bloch", 0.0) * t) for t in rows],
            pairs=[np.full((2, 4, 4), 0.2 + shifts.get("pairs", 0.0) * t) for t in rows],
            expect={"zz": [0.3 - shifts.get("zz", 0.0) * t for t in rows]},
        )

    np.testing.assert_allclose(difference(recorder(4), recorder(3, **{differs: 0.5})), [0.0, 0.5, 1.0], atol=1e-12)


def test_an_interrupted_search_keeps_the_whole_run_before(monkeypatch):
    inner, calls = problem_module.evolve_breathing, []

    def interrupted(setup, times, *rest):
        calls.append(1)
        if len(calls) == 2:
            return Status.INTERRUPTED, Journey.begin(0.0, setup.start)
        return inner(setup, times, *rest)

    monkeypatch.setattr(problem_module, "evolve_breathing", interrupted)
    with pytest.warns(hx.HusimixWarning, match="was interrupted"):
        result = hx.mesolve(STRONG, DOWN, TIMES, components="auto", tol=1e-6, **QUIET)
    assert result.status is Status.INTERRUPTED
    np.testing.assert_array_equal(result.times, TIMES)
    assert np.isnan(result.diagnostics["estimated_error"]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"components": "many"}, "`components` must be a number, a pair of numbers or \"auto\", but got 'many'."),
        ({"components": (4, 8, 16)}, "must be a number, a pair of numbers"),
        ({"components": (8, 4)}, r"must be a pair that increases, but got \(8, 4\). Try \(4, 8\)."),
        ({"components": (0, 4)}, "must be an integer of at least 1, but got 0."),
        ({"components": 4, "tol": 1e-2}, '`tol` must be None unless components is "auto", but got 0.01.'),
        ({"components": "auto", "tol": 0.0}, "`tol` must be"),
        ({"components": "auto", "tol": "fine"}, "`tol` must be"),
        ({"components": (4, 1 << 20)}, "must fit into memory_limit"),
        (
            {"components": "auto", "method": hx.TDVP(max_components=7)},
            "`max_components` must allow 8 components, twice the least number, but got 7.",
        ),
    ],
)
def test_bad_choices_of_components_are_one_line(arguments, message):
    with pytest.raises(ValueError, match=message):
        hx.mesolve(STRONG, DOWN, TIMES, **arguments, **QUIET)


def test_convergence_tells_errors_of_the_right_size():
    ring = hx.Lattice.chain(6, periodic=True)
    model, down, bond = (
        hx.models.dissipative_ising(ring, V=5.0, g=5.0),
        hx.product_state(6),
        {"zz": systems.mean_bond(ring, "zz")},
    )
    exact = hx.exact.mesolve(model, down, TIMES, observables=bond)
    found = hx.convergence(model, down, TIMES, components=(8, 4), seeds=(0, 1), observables=bond, **QUIET)
    assert found.components == (4, 8) and found.best is found.runs[-1][0]
    assert found.bloch_error.shape == exact.bloch.shape and found.expect_error["zz"].shape == TIMES.shape
    for estimate, error in (
        (found.bloch_error, np.abs(found.best.bloch - exact.bloch)),
        (found.expect_error["zz"], np.abs(found.best.expect["zz"] - exact.expect["zz"])),
    ):
        assert 0.3 < estimate.max() / error.max() < 10
        assert np.mean(error <= 1.5 * estimate + 1e-9) > 0.9
    data = found.to_xarray()
    np.testing.assert_array_equal(data["error_bloch"], found.bloch_error)
    assert data["error_expect_zz"].dims == ("time",)
    assert "largest estimated error" in repr(found)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"components": (4,)}, "`components` must hold at least two different numbers"),
        ({"seeds": ()}, "`seeds` must hold at least one seed"),
        ({"seed": 3}, "`seed` must be left to the ladder"),
        ({"components": (4, 0)}, "must be an integer of at least 1"),
    ],
)
def test_ladders_refuse(arguments, message):
    with pytest.raises(ValueError, match=message):
        hx.convergence(STRONG, DOWN, TIMES, **arguments, **QUIET)
