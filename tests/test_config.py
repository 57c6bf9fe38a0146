"""Run files: what they build, and the one line that each kind of mistake gets."""

import inspect
from importlib.resources import files
from pathlib import Path

import diffrax
import numpy as np
import pytest

import husimix as hx
from husimix.apps import runner
from husimix.apps.config import RunFileError, parse_run_file, read_run_file
from husimix.apps.tasks import Choices, ParameterScan, SearchLimits, Stationary

FILE = """\
[lattice]
kind = "square"
shape = [3, 3]
periodic = true

[model]
name = "dissipative_ising"
V = 2.5
gamma = 1.5

[state]
spins = "down"

[time]
end = 5.0
saves = 51

[ansatz]
name = "mixture"
components = 8

[method]
rtol = 1e-4

[run]
seed = 0

[observables]
zz = { pauli = "zz", mean_over = "bonds" }
"""
EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.toml"))


def changed(old, new):
    assert FILE.count(old) == 1
    return FILE.replace(old, new)


def build(old="[lattice]", new="[lattice]"):
    return setup_of(old, new).task


def setup_of(old="[lattice]", new="[lattice]"):
    return parse_run_file(changed(old, new), "ising.toml").build()


def test_file_becomes_library_objects():
    setup = setup_of()
    task = setup.task
    expected = hx.models.dissipative_ising(hx.Lattice.square(3, periodic=True), V=2.5, gamma=1.5)
    assert task.model.to_dict() == expected.to_dict()
    assert np.array_equal(task.state.bloch(), np.tile([0, 0, -1], (9, 1)))
    assert np.array_equal(task.times, np.linspace(0, 5, 51))
    assert task.choices == Choices(ansatz=hx.Mixture(components=8), method=hx.Stepping(rtol=1e-4))
    assert (setup.name, setup.text) == ("ising.toml", FILE)


def test_optional_sections_may_be_left_out():
    text = FILE[: FILE.index("[state]")] + "[time]\nend = 1\nsaves = 2\n"
    task = parse_run_file(text, "ising.toml").build().task
    assert np.array_equal(task.state.bloch(), hx.product_state(9).bloch())
    assert (task.choices, task.observables) == (Choices(method=hx.Stepping()), {})


@pytest.mark.parametrize(
    ("kind", "shape", "n_sites"),
    [
        ("chain", [5], 5),
        ("rectangle", [3, 2], 6),
        ("square", [3, 3], 9),
        ("triangular", [2, 3], 6),
        ("honeycomb", [2, 2], 8),
        ("kagome", [2, 2], 12),
        ("cubic", [2, 2, 2], 8),
    ],
)
def test_every_kind_of_lattice(kind, shape, n_sites):
    lattice = build('kind = "square"\nshape = [3, 3]', f'kind = "{kind}"\nshape = {shape}').model.lattice
    assert (lattice.name, list(lattice.shape), lattice.n_sites) == (kind, shape, n_sites)
    assert all(lattice.periodic)


def test_boundaries_by_direction():
    assert build("periodic = true", "periodic = [true, false]").model.lattice.periodic == (True, False)
    assert build("periodic = true\n", "").model.lattice.periodic == (False, False)


@pytest.mark.parametrize("name", sorted(hx.models.NAMED))
def test_every_model_with_every_parameter(name):
    parameters = inspect.signature(hx.models.NAMED[name]).parameters
    lines = "\n".join(f"{key} = {0.25 + index}" for index, key in enumerate(list(parameters)[1:]))
    if name == "boundary_driven_heisenberg":
        lines = lines.replace("mu = 3.25", "mu = 0.75")
    model = build('name = "dissipative_ising"\nV = 2.5\ngamma = 1.5', f'name = "{name}"\n{lines}').model
    values = {key: float(value) for key, value in (line.split(" = ") for line in lines.splitlines())}
    assert model.to_dict() == hx.models.NAMED[name](hx.Lattice.square(3, periodic=True), **values).to_dict()


def test_state_by_vector_and_by_site():
    assert np.allclose(build('"down"', "[0, 0.6, 0.8]").state.bloch(), np.tile([0, 0.6, 0.8], (9, 1)))
    spins = [[0.1 * site, 0, 0] for site in range(9)]
    assert np.allclose(build('"down"', str(spins)).state.bloch(), spins)


def test_listed_times():
    assert build("end = 5.0\nsaves = 51", "times = [1, 1.5, 4.0]").times.tolist() == [1, 1.5, 4]


def test_steady_states():
    task = build("[time]\nend = 5.0\nsaves = 51", "[steadystate]\nstarts = 3")
    assert isinstance(task, Stationary)
    assert task.limits == SearchLimits(starts=3)


@pytest.mark.parametrize("line", ["values = [1.0, 2.0, 3.0]", "start = 1.0\nend = 3.0\npoints = 3"])
def test_scans(line):
    task = build("[time]\nend = 5.0\nsaves = 51", f'[scan]\nparameter = "g"\nmax_drift = 1e-3\n{line}')
    assert isinstance(task, ParameterScan)
    assert (task.name, task.values.tolist(), task.backward) == ("g", [1.0, 2.0, 3.0], False)
    assert task.limits == SearchLimits(max_drift=1e-3)
    assert task.model_of(2.0).label == "dissipative_ising(V=2.5, g=2, gamma=1.5)"


def test_keys_reach_the_objects_that_they_name():
    lines = """components = [2, 4]
manifold = "coherent"
metric = [0.2]
cutoff = 1e-7
spread = 0.25
max_components = 32
memory_limit = 2"""
    expected = hx.Mixture((2, 4), "coherent", [0.2], hx.SpectralCutoff(1e-7), 0.25, 32, 2.0)
    assert build("components = 8", lines).choices.ansatz == expected
    found = build("rtol = 1e-4", 'rtol = 1e-3\natol = 1e-5\nsolver = "Bosh3"\nmax_steps = 77').choices.method
    assert found == hx.Stepping(1e-3, 1e-5, diffrax.Bosh3(), 77)
    found = build("seed = 0", 'seed = 3\nsymmetry = "none"\ntol = 1e-2\nsave_states = true').choices
    assert (found.seed, found.symmetry, found.tol, found.save_states) == (3, None, 1e-2, True)


@pytest.mark.parametrize("solver", ["Bosh3", "Tsit5", "Dopri5"])
def test_solver_by_name(solver):
    assert build("rtol = 1e-4", f'solver = "{solver}"').choices.method == hx.Stepping(solver=getattr(diffrax, solver)())


@pytest.mark.parametrize(("lines", "most"), [("components = [4, 16]", 16), ("components = 6", 6), ("", 8)])
def test_estimates_are_of_the_most_components(lines, most):
    assert runner.estimated(setup_of("components = 8", lines)).parts["components"] == most


def test_damping_keeps_the_other_defaults():
    assert build("components = 8", "damping = 1e-5").choices.ansatz == hx.Mixture(metric_solver=hx.Tikhonov(1e-5))


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ('{ pauli = "x", mean_over = "sites" }', lambda lattice: [("x", (i,)) for i in range(9)]),
        ('{ pauli = "zx", mean_over = "bonds" }', lambda lattice: [("zx", b) for b in lattice.bonds()]),
        (
            '{ pauli = "zz", mean_over = "bonds", shell = 2 }',
            lambda lattice: [("zz", b) for b in lattice.bonds(2)],
        ),
        ('{ pauli = "z+y", sites = [4, 0, 2] }', lambda lattice: [("z+y", (4, 0, 2))]),
    ],
)
def test_observables(entry, expected):
    task = build('{ pauli = "zz", mean_over = "bonds" }', entry)
    products = expected(task.model.lattice)
    mean = hx.operator_sum([hx.pauli(letters, *sites) for letters, sites in products]) / len(products)
    assert task.observables["zz"].terms == pytest.approx(mean.terms)


MISTAKES = {
    "unknown key": ("components", "componets", "[ansatz] has no key `componets`. Did you mean `components`?"),
    "misspelt required key": ("shape", "shap", "[lattice] has no key `shap`. Did you mean `shape`?"),
    "unknown section": ("[method]", "[metod]", "There is no section [metod] in run files. Did you mean `method`?"),
    "key of another section": ("rtol = 1e-4", "components = 8", "[method] has no key `components`. Move it below [ansatz]."),
    "symmetry of the ansatz": ("components = 8", 'symmetry = "auto"', "[ansatz] has no key `symmetry`. Move it below [run]."),
    "unknown ansatz": ('"mixture"', '"mixtur"', "`ansatz.name` must be one of mixture"),
    "ansatz without a name": ('name = "mixture"\ncomp', "comp", "[ansatz] needs the key `name`."),
    "missing section": ("[time]\nend = 5.0\nsaves = 51\n", "", "There is no section [time]. Try end = 5.0"),
    "key before sections": ("[lattice]", "rtol = 1\n[lattice]", "`rtol` stands outside its section. Move it below [method]"),
    "section is a number": (
        FILE[: FILE.index("[model]")],
        "lattice = 3\n",
        "Argument `lattice` must be a section of keys, but got 3.",
    ),
    "missing key": ('kind = "square"\n', "", '[lattice] needs the key `kind`. Try kind = "square".'),
    "unknown kind": ('"square"', '"sqare"', "but got 'sqare'. Did you mean `square`?"),
    "kind not for run files": ('"square"', '"graph"', "Argument `lattice.kind` must be one of chain, rectangle"),
    "lengths that do not fit": ("[3, 3]", "[3]", "`shape` must have 2 lengths for `square`, but got [3]."),
    "no length": ("[3, 3]", "[3, 0]", "`shape[1]` must be an integer of at least 1, but got 0."),
    "huge lattice": ("[3, 3]", "[3000, 300]", "`lattice.shape` must give at most 10000 cells, but got [3000, 300]."),
    "float length": ("[3, 3]", "[3, 3.0]", "`lattice.shape` must be a list of whole numbers, but got [3, 3.0]."),
    "boundary as number": ("periodic = true", "periodic = 1", "`lattice.periodic` must be true, false, or a list"),
    "boundaries that do not fit": ("periodic = true", "periodic = [true]", "`periodic` must be a bool or a sequence"),
    "unknown model": ('"dissipative_ising"', '"ising_dissipative"', "`model.name` must be one of boundary"),
    "misspelt model": ('"dissipative_ising"', '"disipative_ising"', "Did you mean `dissipative_ising`?"),
    "unknown parameter": ("gamma =", "gama =", "[model] has no key `gama`. Did you mean `gamma`?"),
    "parameter in quotes": ("V = 2.5", 'V = "2.5"', '`model.V` must be a finite number, but got "2.5". Remove the'),
    "true is no number": ("V = 2.5", "V = true", "`model.V` must be a finite number, but got true. Try V = 2.0."),
    "parameter is nan": ("V = 2.5", "V = nan", "`model.V` must be a finite number, but got NaN."),
    "negative rate": ("gamma = 1.5", "gamma = -1", "`gamma` must be finite and non-negative, but got -1"),
    "unknown spins": ('"down"', '"dwn"', "but got 'dwn'. Did you mean `down`?"),
    "long spin": ('"down"', "[0, 0, 2]", "`spins` must have length at most 1, but got length 2 on site 0."),
    "too few spins": ('"down"', "[[0, 0, 1]]", "`spins` must have shape (3,) or (9, 3), but got shape (1, 3)."),
    "ragged spins": ('"down"', "[[0, 0, 1], [1]]", "`state.spins` must hold three numbers for each site, but got 1"),
    "spin is infinite": ('"down"', "[0, 0, inf]", "of finite numbers, but got [0, 0, Infinity]."),
    "both forms of time": ("end = 5.0", "end = 5.0\ntimes = [0, 1]", "either `end` and `saves` or `times`, but got end"),
    "half a form of time": ("saves = 51", "", "either `end` and `saves` or `times`, but got end."),
    "no form of time": ("end = 5.0\nsaves = 51", "", "but got neither. Try end = 5.0 and saves = 51."),
    "end before start": ("end = 5.0", "end = -5", "`time.end` must be finite and positive, but got -5"),
    "infinite end": ("end = 5.0", "end = inf", "`time.end` must be a finite number, but got Infinity. Try end = 5.0."),
    "end is a date": ("end = 5.0", "end = 1970-01-01", '`time.end` must be a finite number, but got "1970-01-01".'),
    "one save": ("saves = 51", "saves = 1", "`time.saves` must be an integer of at least 2, but got 1."),
    "too many saves": ("saves = 51", "saves = 100000000", "`time.saves` must be at most 1000000, but got 100000000."),
    "times that go back": ("end = 5.0\nsaves = 51", "times = [0, 2, 1]", "two increasing times, but got [2.0, 1.0]."),
    "one time": ("end = 5.0\nsaves = 51", "times = [2]", "at least two increasing times, but got [2.0]."),
    "components in quotes": ("= 8", '= "8"', '`ansatz.components` must be a whole number or a list of two, but got "8". Remove the quotes.'),
    "components true": ("= 8", "= true", "a whole number or a list of two, but got true. Try components = 8."),
    "components 8.0": ("= 8", "= 8.0", '`ansatz.components` must be a whole number or a list of two, but got 8.0.'),
    "seed beyond 64 bits": ("seed = 0", f"seed = {2**63}", "`run.seed` must be a whole number, but got 9223372036854775808"),
    "two metric solvers": ("= 8", "= 8\ndamping = 1e-6\ncutoff = 1e-6", "at most one of `damping` and `cutoff`"),
    "negative damping": ("= 8", "= 8\ndamping = -1.0", "`damping` must be finite and positive, but got -1.0."),
    "zero tolerance": ("rtol = 1e-4", "rtol = 0", "`rtol` must be finite and positive, but got 0"),
    "unknown solver": ("rtol = 1e-4", 'solver = "Bosh"', "but got 'Bosh'. Did you mean `Bosh3`?"),
    "unknown symmetry": ("seed = 0", 'symmetry = "auot"', "but got 'auot'. Did you mean `auto`?"),
    "infinite metric": ("= 8", "= 8\nmetric = [inf]", "`ansatz.metric` must be a name or finite numbers"),
    "unknown key of an observable": ("mean_over", "mean", "[observables.zz] has no key `mean`. Did you mean `mean_over`?"),
    "observable without letters": ('pauli = "zz", ', "", "[observables.zz] needs the key `pauli`. Try pauli ="),
    "observable is a string": ('{ pauli = "zz", mean_over = "bonds" }', '"zz"', '`observables.zz` must be a section of keys, but got "zz".'),
    "observable nowhere": (', mean_over = "bonds"', "", "`observables.zz` must hold one of `mean_over` and `sites`, but got pauli."),
    "observable twice": ('"bonds"', '"bonds", sites = [0, 1]', "hold one of `mean_over` and `sites`, but got mean_over, pauli, sites."),
    "mean over something else": ('"bonds"', '"bond"', "but got 'bond'. Did you mean `bonds`?"),
    "two letters for sites": ('"bonds"', '"sites"', "`observables.zz.pauli` must be two letters for bonds and one for sites"),
    "shell without bonds": ('mean_over = "bonds"', "sites = [0, 1], shell = 2", "`observables.zz.shell` must stand beside mean_over"),
    "huge shell": ('"bonds"', '"bonds", shell = 1000', "`observables.zz.shell` must be at most 30, but got 1000."),
    "empty shell": ('"bonds"', '"bonds", shell = 9', "`observables.zz.shell` must have bonds on this lattice"),
    "unknown letter": ('"zz"', '"zq"', "only the letters x y z + -, but got 'q' in 'zq'."),
    "sites and letters": ('mean_over = "bonds"', "sites = [0]", "`sites` must name 2 sites for 'zz'"),
    "two tasks": ("[time]", "[steadystate]\n[time]", "the only one of [time], [steadystate] and [scan], but got [time] and"),
    "steady state that saves": ("[time]\nend = 5.0\nsaves = 51\n\n[ansatz]\nname = \"mixture\"\ncomponents = 8\n\n[method]\nrtol = 1e-4\n\n[run]", "[steadystate]\n[run]\nsave_states = true", "`run.save_states` must be left out for steady states"),
    "unknown key of a steady state": ("[time]\nend = 5.0\nsaves = 51", "[steadystate]\nmax_drft = 1", "[steadystate] has no key `max_drft`. Did you mean `max_drift`?"),
    "scan of nothing": ("[time]\nend = 5.0\nsaves = 51", "[scan]\nvalues = [1]", "[scan] needs the key `parameter`."),
    "scan of no parameter": ("[time]\nend = 5.0\nsaves = 51", '[scan]\nparameter = "q"\nvalues = [1]', "`scan.parameter` must be one of V, g, gamma, but got 'q'."),
    "scan without values": ("[time]\nend = 5.0\nsaves = 51", '[scan]\nparameter = "g"\nvalues = []', "`scan.values` must hold at least one number"),
    "half a scan": ("[time]\nend = 5.0\nsaves = 51", '[scan]\nparameter = "g"\nstart = 1', "either `start`, `end` and `points` or `values`, but got start."),
    "name with a slash": ("zz =", '"z/z" =', '`observables` must have names of letters, digits and _, but got "z/z".'),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_gets_one_line_with_the_file_the_value_and_the_fix(mistake):
    old, new, fragment = MISTAKES[mistake]
    with pytest.raises(RunFileError) as caught:
        build(old, new)
    message = str(caught.value)
    assert message.startswith("Run file ising.toml: ")
    assert fragment in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("key", "fragment"),
    [
        ('metric = "husim"', "Argument `metric` must be one of auto, husimi, hilbert-schmidt, but got 'husim'."),
        ('manifold = "bloc"', "Did you mean `bloch`?"),
        ("components = 0", "Argument `components` must be an integer of at least 1, but got 0."),
        ("components = 9000", "Argument `components` must fit into memory_limit"),
    ],
)
def test_what_mesolve_refuses_carries_the_name_of_the_file(key, fragment):
    with pytest.raises(RunFileError) as caught:
        runner.solve(setup_of("components = 8", key), progress=False)
    assert str(caught.value).startswith("Run file ising.toml: Argument")
    assert fragment in str(caught.value)


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("[lattice]\nkind = square\n", "is not valid TOML: Invalid value (at line 2, column 8)."),
        ("[lattice", " is not valid TOML: "),
        ("a = 1\na = 2\n", "(at line 2, column 6)."),
        ("a = " + "[" * 50_000, " is not valid TOML: "),
        ("a = " + "9" * 5_000, " is not valid TOML: "),
        ("", "There is no section [lattice]."),
    ],
)
def test_broken_toml_gets_one_line(tmp_path, text, fragment):
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(RunFileError) as caught:
        read_run_file(path)
    assert str(caught.value).startswith(f"Run file {path}")
    assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_result_is_no_run_file(tmp_path):
    path = tmp_path / "run.nc"
    path.write_bytes(b"\x89HDF\r\n")
    with pytest.raises(RunFileError, match=r"run\.nc is a result\. `husimix info .*run\.nc` tells how to repeat it\."):
        read_run_file(path)


def test_unreadable_files_get_one_line(tmp_path):
    with pytest.raises(RunFileError, match=r"no\.toml cannot be read: No such file or directory\. Check the path"):
        read_run_file(tmp_path / "no.toml")
    with pytest.raises(RunFileError, match="cannot be read: Is a directory"):
        read_run_file(tmp_path)
    path = tmp_path / "latin.toml"
    path.write_bytes("# first\n# \xe9t\xe9\n".encode("latin-1"))
    with pytest.raises(RunFileError, match=r"latin\.toml is not UTF-8 text \(at line 2\)\. Save it as UTF-8\."):
        read_run_file(path)


def test_windows_files_are_read(tmp_path):
    path = tmp_path / "windows.toml"
    path.write_bytes(b"\xef\xbb\xbf" + FILE.replace("\n", "\r\n").encode())
    assert read_run_file(path).build().task.choices.ansatz == hx.Mixture(components=8)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_valid(path):
    task = read_run_file(path).build().task
    assert task.observables


def test_there_are_examples():
    assert len(EXAMPLES) >= 3


def test_demo_file_is_what_it_says():
    task = parse_run_file(files("husimix.apps").joinpath("demo.toml").read_text("utf-8"), "demo.toml").build().task
    assert task.model.label == "dissipative_ising(V=2, g=1, gamma=1)"
    assert task.model.lattice is not None
    assert (task.model.lattice.shape, task.model.lattice.periodic) == ((8, 8), (True, True))
    assert np.array_equal(task.times, np.linspace(0, 5, 51))
    assert task.choices.ansatz == "auto" and task.choices.tol == 1e-2
    assert list(task.observables) == ["zz"]
