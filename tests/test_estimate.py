"""What a run will need, told before it starts."""

import pytest
from typer.testing import CliRunner

import husimix as hx
from husimix.ansatz import Problem
from husimix.apps.cli import app
from husimix.mixture.arrangement import arrange
from husimix.mixture.contacts import contact_generator, contacts_of
from husimix.mixture.sizes import table_sizes


def ising(length):
    return hx.models.dissipative_ising(hx.Lattice.square(length, length, periodic=True))


def test_estimates_grow_with_components_and_shrink_with_symmetry():
    model = ising(8)
    mixture = hx.Mixture()
    full, broad = (hx.estimate(model, ansatz=mixture, symmetry=symmetry) for symmetry in ("auto", "translations"))
    assert full.n_parameters == 8 * (1 + 3 * 15) and broad.n_parameters == 8 * (1 + 3 * 64)
    assert full.memory < broad.memory and full.seconds_per_step < broad.seconds_per_step
    assert hx.estimate(model, ansatz=hx.Mixture(components=16)).seconds_per_step > 2 * full.seconds_per_step
    assert full.fits and full.advice == () and "368" in str(full)


def test_a_run_that_does_not_fit_is_refused_with_what_to_change():
    model, small = ising(16), hx.Mixture(components=8, memory_limit=0.1)
    assert not hx.estimate(model, ansatz=small, symmetry="translations").fits
    with pytest.raises(ValueError, match=r"`components` must fit into memory_limit = 0.1 GiB.*Use fewer components"):
        hx.mesolve(model, hx.product_state(256), [0, 1], ansatz=small, symmetry="translations", progress=False)


def test_the_command_line_tells_what_a_run_file_needs(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text(
        '[lattice]\nkind = "square"\nshape = [4, 4]\nperiodic = true\n[model]\nname = "dissipative_ising"\n'
        '[time]\nend = 1.0\nsaves = 3\n[ansatz]\nname = "mixture"\ncomponents = 4\n'
    )
    result = CliRunner().invoke(app, ["info", "--estimate", str(path)])
    assert result.exit_code == 0, result.output
    assert "parameters    196 (4 components, 16 free sites, 16 images" in result.output


@pytest.mark.parametrize("symmetry", ["full", "translations", None])
def test_sizes_told_before_are_bounds_of_what_is_built(symmetry):
    problem = Problem(ising(6), hx.product_state(36), symmetry, {}, 0, 1.0)
    found = arrange(problem, "bloch")
    contacts = contacts_of(found.layout)
    built = contacts.table_sizes(contact_generator(found.generator, found.layout))
    told = table_sizes(found.layout, found.generator)
    assert (told.images, told.free_sites, told.letters) == (built.images, built.free_sites, built.letters)
    assert told.contacts >= built.contacts and told.products >= built.products
    assert told.contacts <= 2 * built.contacts or built.contacts < 100
