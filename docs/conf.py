"""Sphinx configuration."""

from husimix import __version__

project = "husimix"
author = "The husimix developers"
copyright = "The husimix developers"
version = release = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
myst_enable_extensions = ["amsmath", "dollarmath", "colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_execution_in_temp = True
nb_merge_streams = True
exclude_patterns = ["_build", "jupyter_execute"]

html_theme = "furo"
html_title = f"husimix {__version__}"

napoleon_google_docstring = True
napoleon_use_rtype = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"


def _escape_bars(app, what, name, obj, options, lines):
    """Bars are moduli and kets in docstrings, not reStructuredText substitutions."""
    lines[:] = [line.replace("|", "\\|") for line in lines]


def setup(app):
    """Connect the hook above, before napoleon reads the docstrings."""
    app.connect("autodoc-process-docstring", _escape_bars, priority=400)
