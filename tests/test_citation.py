"""What `husimix.cite` names is what a run used: settings and diagnostics on one side, references on the other."""

import dataclasses
import re
from pathlib import Path

import diffrax
import numpy as np
import pytest

import husimix as hx
from husimix.apps.exact import ExactResult

RING = hx.Lattice.chain(3, periodic=True)
TIMES = np.linspace(0, 0.2, 3)
ALWAYS = {"tosca2026variational", "dirac1930note", "frenkel1934wave", "husimix", "kidger2021neural", "bradbury2018jax"}


def evolve(model=None, times=TIMES, components=2, **arguments):
    model = hx.models.dissipative_ising(RING) if model is None else model
    state = hx.product_state(model.n_sites)
    return hx.mesolve(model, state, times, ansatz=hx.Mixture(components=components), progress=False, **arguments)


@pytest.fixture(scope="module")
def usual():
    return evolve()


@pytest.fixture(scope="module")
def stationary():
    return hx.steadystate(
        hx.models.dissipative_xyz(RING), ansatz=hx.Mixture(components=2), max_drift=0.05, starts=1, progress=False
    )


def test_a_usual_run(usual):
    assert usual.settings["method"]["solver"] == "Tsit5"
    assert set(hx.cite(usual).keys) == ALWAYS | {"tsitouras2011runge"}


def test_a_loaded_run_is_cited_alike(usual, stationary, tmp_path):
    for result in (usual, stationary):
        assert str(hx.cite(hx.load(result.save(tmp_path / "run.nc")))) == str(hx.cite(result))


@pytest.mark.parametrize(("solver", "key"), [(diffrax.Bosh3(), "bogacki1989pair"), (diffrax.Heun(), None)])
def test_the_integrator_is_the_one_that_was_used(solver, key):
    found = hx.cite(evolve(method=hx.Stepping(solver=solver)))
    assert set(found.keys) == ALWAYS | ({key} - {None})
    assert f"The integrator {type(solver).__name__}" in str(found)


@pytest.mark.parametrize(("counts", "is_cited"), [((2, 4, 2), True), ((2, 4, 4), False), ((2, 2, 2), False)])
def test_compression_is_cited_where_components_fell(usual, counts, is_cited):
    run = dataclasses.replace(usual, diagnostics=usual.diagnostics | {"components": np.array(counts)})
    cited = {"levenberg1944method", "marquardt1963algorithm"} & set(hx.cite(run).keys)
    assert len(cited) == (2 if is_cited else 0)


def test_models_with_a_source(usual):
    source = {
        "dissipative_xyz": "lee2013unconventional",
        "boundary_driven_heisenberg": "prosen2011exact",
        "lossy_xx": None,
    }
    for name, key in source.items():
        run = dataclasses.replace(usual, model=hx.models.NAMED[name](hx.Lattice.chain(3)))
        found = set(hx.cite(run).keys)
        assert found - ALWAYS == {"tsitouras2011runge"} | ({key} - {None})


def test_steady_states_and_scans(stationary):
    assert set(hx.cite(stationary).keys) == ALWAYS | {"tsitouras2011runge", "lee2013unconventional"}
    scan = hx.Scan(np.arange(1.0), [stationary], [])
    assert str(hx.cite(scan)) == str(hx.cite(stationary))


def test_the_exact_twin_cites_qutip_and_no_variational_method():
    found = hx.exact.mesolve(hx.models.dissipative_ising(RING), hx.product_state(3), TIMES)
    assert isinstance(found, ExactResult)
    assert hx.cite(found).keys == ("lambert2024qutip", "husimix")


def test_text_names_uses_and_references(usual):
    text = str(hx.cite(usual))
    assert "The integrator Tsit5\n    Ch. Tsitouras, Runge-Kutta pairs of order 5(4)" in text
    assert "Computers and Mathematics with Applications 62, 770 (2011)" in text
    assert "arXiv:2604.01165 (2026)" in text
    assert f"version {hx.__version__}" in text
    assert "{" not in text


def test_bibtex_can_be_parsed(usual, stationary):
    for text in (hx.cite(usual).bibtex, hx.cite(stationary).bibtex):
        entries = re.split(r"\n\n(?=@)", text.strip())
        keys = [re.fullmatch(r"@(article|book|misc|phdthesis)\{(\w+),", e.splitlines()[0])[2] for e in entries]
        assert len(keys) == len(set(keys))
        for entry in entries:
            depth = np.cumsum([(c == "{") - (c == "}") for c in entry])
            assert depth.min() == 0 and depth[-1] == 0 and entry.endswith("}")
            fields = re.findall(r"^  (\w+) = \{.+\},$", entry, re.MULTILINE)
            assert len(fields) == entry.count("\n") - 1
            assert {"author", "title", "year"} <= set(fields)


def test_it_agrees_with_the_citation_file(usual):
    file = (Path(__file__).parents[1] / "CITATION.cff").read_text("utf-8")
    text = hx.cite(usual).bibtex
    for name in ("Tosca", "Li", "Carnazza", "Ciuti"):
        assert f"family-names: {name}" in file and f"{name}, " in text
    assert "Variational Dynamics of Open Quantum Spin Systems in Phase Space" in file and "2604.01165" in file
    assert f"version: {hx.__version__}" in file


@pytest.mark.parametrize("wrong", [None, "run.nc", 3.0, hx.product_state(3)])
def test_anything_else_is_refused(wrong):
    with pytest.raises(ValueError, match="Argument `result` must be a result of husimix, but got"):
        hx.cite(wrong)
