"""What a run will need, told before it starts."""

import pytest
from typer.testing import CliRunner

import husimix as hx
from husimix.apps.cli import app
from husimix.phasespace.contacts import contact_generator, contacts_of
from husimix.phasespace.sizes import table_sizes
from husimix.solve.arrangement import arrange


def ising(length):
    return hx.models.dissipative_ising(hx.Lattice.square(length, length, periodic=True))


@pytest.mark.parametrize(("symmetry", "window"), [("full", None), ("translations", None), (None, None), ("full", 1)])
def test_sizes_told_before_are_bounds_of_what_is_built(symmetry, window):
    model = ising(6)
    found = arrange(model, hx.product_state(36), symmetry, window)
    contacts = contacts_of(found.layout)
    built = contacts.table_sizes(contact_generator(found.generator, found.layout))
    told = table_sizes(found.layout, found.generator)
    assert (told.images, told.free_sites, told.letters) == (built.images, built.free_sites, built.letters)
    assert told.contacts >= built.contacts and told.products >= built.products
    assert told.contacts <= 2 * built.contacts or built.contacts < 100


def test_estimates_grow_with_components_and_shrink_with_symmetry_and_windows():
    model = ising(8)
    full, broad = hx.estimate(model), hx.estimate(model, symmetry="translations")
    assert full.n_parameters == 8 * (1 + 3 * 15) and broad.n_parameters == 8 * (1 + 3 * 64)
    assert full.memory < broad.memory and full.seconds_per_step < broad.seconds_per_step
    assert hx.estimate(model, components=16).seconds_per_step > 2 * full.seconds_per_step
    large = [hx.estimate(ising(n), components=4, window=1) for n in (12, 24)]
    assert large[0].n_parameters == large[1].n_parameters and large[0].memory == large[1].memory
    assert full.fits and full.advice == () and "368" in str(full)


def test_many_free_sites_are_left_to_factors_and_few_to_a_matrix():
    def told(n, components=8, **options):
        model = hx.models.dissipative_ising(hx.Lattice.square(n, n))
        return hx.estimate(model, components=components, symmetry=None, **options)

    small, large = told(3, 2), told(16)
    assert small.gram == "matrix" and large.gram == "factors" and "as factors" in str(large)
    assert hx.estimate(ising(8), symmetry="translations").gram == "matrix"
    dense = told(16, method=hx.TDVP(gram="matrix"))
    assert dense.gram == "matrix" and dense.seconds_per_step > 10 * large.seconds_per_step
    assert dense.gram_memory > 10 * large.gram_memory
    assert told(16, method=hx.TDVP(metric_solver=hx.SpectralCutoff())).gram == "matrix"
    # Both memory and time follow the number of sites.
    ratio = told(32).gram_memory / large.gram_memory
    assert 3.9 < ratio < 4.1
    # What is slower is taken where it alone fits.
    assert told(3, 3).gram == "matrix"
    assert told(3, 3, method=hx.TDVP(memory_limit=0.0002)).gram == "factors"


def test_a_run_that_does_not_fit_is_refused_with_what_to_change():
    model, small = ising(16), hx.TDVP(memory_limit=0.1)
    told = hx.estimate(model, components=8, symmetry="translations", method=small)
    assert not told.fits
    with pytest.raises(ValueError, match=r"`components` must fit into memory_limit = 0.1 GiB.*window=2.*full"):
        hx.mesolve(model, hx.product_state(256), [0, 1], symmetry="translations", method=small, progress=False)


def test_windows_are_advised_only_where_they_are_taken():
    open_lattice = hx.models.dissipative_ising(hx.Lattice.square(24, 24))
    tiny = hx.TDVP(memory_limit=1e-3)
    assert not hx.estimate(open_lattice, method=tiny).fits
    assert not any("window" in line for line in hx.estimate(open_lattice, method=tiny).advice)
    kagome = hx.models.dissipative_ising(hx.Lattice.kagome(6, 6, periodic=True))
    tiny = hx.TDVP(memory_limit=1e-4)
    for model in (ising(6), kagome):
        assert any("window" in line for line in hx.estimate(model, method=tiny).advice)
        windowed = hx.estimate(model, window=1, method=tiny).advice
        assert windowed and not any("window" in line for line in windowed)
    # Two cells to each side of a centre are the whole lattice here.
    assert not any("window" in line for line in hx.estimate(ising(5), method=tiny).advice)


def test_the_command_line_tells_what_a_run_file_needs(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text(
        '[lattice]\nkind = "square"\nshape = [4, 4]\nperiodic = true\n[model]\nname = "dissipative_ising"\n'
        "[time]\nend = 1.0\nsaves = 3\n[method]\ncomponents = 4\n"
    )
    result = CliRunner().invoke(app, ["info", "--estimate", str(path)])
    assert result.exit_code == 0, result.output
    assert "parameters    76 (4 components, 6 free sites, 6 images)" in result.output
