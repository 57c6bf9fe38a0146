"""What to cite: the references of the methods, the software and the model that a result came from."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from husimix._errors import argument_error
from husimix._version import __version__
from husimix.apps.exact import ExactResult
from husimix.results.result import Result
from husimix.results.scan import Scan
from husimix.results.steady_state import SteadyState

__all__ = ["Citation", "Reference", "Use", "cite"]


@dataclass(frozen=True)
class Reference:
    """One entry of a bibliography.

    Attributes:
        key: the BibTeX key.
        kind: the BibTeX type, such as "article".
        fields: the BibTeX fields by name; authors as "Surname, N. and Surname, N.".
    """

    key: str
    kind: str
    fields: dict[str, str]

    @property
    def bibtex(self) -> str:
        """The entry in BibTeX."""
        lines = [f"  {name} = {{{value}}}," for name, value in self.fields.items()]
        return "\n".join([f"@{self.kind}{{{self.key},", *lines, "}"])

    def __str__(self) -> str:
        fields = {name: value.replace("{", "").replace("}", "") for name, value in self.fields.items()}
        people = [" ".join(reversed(name.split(", "))) for name in fields["author"].split(" and ")]
        journal = " ".join(fields[name] for name in ("journal", "volume") if name in fields)
        where = [journal, fields.get("pages", "").partition("--")[0]]
        where += [fields.get(name, "") for name in ("school", "publisher", "note")]
        where += [f"arXiv:{fields['eprint']}" if "eprint" in fields else "", fields.get("url", "")]
        told = [", ".join(people).replace(", others", " and others"), fields["title"], *filter(None, where)]
        return f"{', '.join(told).replace('--', '-')} ({fields['year']})"


@dataclass(frozen=True)
class Use:
    """What a run used, and the references for it.

    Attributes:
        what: the method, software or model.
        references: none where husimix knows of none.
    """

    what: str
    references: tuple[Reference, ...]


@dataclass(frozen=True)
class Citation:
    """What `husimix.cite` returns; `print` it to read it.

    Attributes:
        uses: what the run used, each with its references.
    """

    uses: tuple[Use, ...]

    @property
    def references(self) -> tuple[Reference, ...]:
        """Every reference once, in the order of `uses`."""
        found = {reference.key: reference for use in self.uses for reference in use.references}
        return tuple(found.values())

    @property
    def keys(self) -> tuple[str, ...]:
        """The BibTeX keys of the references."""
        return tuple(reference.key for reference in self.references)

    @property
    def bibtex(self) -> str:
        """All references in BibTeX, for a file `references.bib`."""
        return "\n\n".join(reference.bibtex for reference in self.references) + "\n"

    def __str__(self) -> str:
        lines = []
        for use in self.uses:
            lines += [use.what, *(f"    {reference}" for reference in use.references)]
        return "\n".join(lines)


def cite(result: Result | SteadyState | Scan | ExactResult) -> Citation:
    """What to cite for a result: the methods that this run used, not all that there are.

    Args:
        result: what `mesolve`, `steadystate`, `scan`, `load` or the exact twin returned. Of a scan, what any of its
            searches used.

    Returns:
        A `Citation`: its text tells what was used and the references, its `bibtex` holds the entries. The entry of
        husimix names the installed version.

    Raises:
        ValueError: if it is no result of husimix.
    """
    runs = [_seen(run) for run in _runs(result)]
    found: dict[str, tuple[str, ...]] = {}
    for rule in _RULES:
        found |= {rule.what.format(**run._asdict()): rule.keys for run in runs if rule.applies(run)}
    return Citation(tuple(Use(what, tuple(_REFERENCES[key] for key in keys)) for what, keys in found.items()))


class _Run(NamedTuple):
    """What the rules below look at."""

    ansatz: str = ""
    integrator: str = ""
    model: str = ""
    was_compressed: bool = False

    @property
    def is_variational(self) -> bool:
        return bool(self.ansatz)


def _runs(result: Any) -> Iterator[Result | SteadyState | ExactResult]:
    match result:
        case Result() | SteadyState() | ExactResult():
            yield result
        case Scan():
            yield from result.found
        case _:
            fix = "Pass what hx.mesolve, hx.steadystate, hx.scan or hx.load returned."
            raise argument_error("result", "be a result of husimix", repr(result), fix)


def _seen(run: Result | SteadyState | ExactResult) -> _Run:
    if isinstance(run, ExactResult):
        return _Run()
    counts = np.atleast_1d(run.diagnostics.get("components", 0))
    return _Run(
        ansatz=run.settings["ansatz"]["name"],
        integrator=run.settings["method"]["solver"],
        model=run.model.label.partition("(")[0],
        was_compressed=bool(np.any(np.diff(counts) < 0)),
    )


class _Rule(NamedTuple):
    """Where something was used, what it is called, and the keys of its references."""

    what: str
    keys: tuple[str, ...]
    applies: Callable[[_Run], bool]


def _is_variational(run: _Run) -> bool:
    return run.is_variational


def _integrated_by(name: str) -> Callable[[_Run], bool]:
    return lambda run: run.integrator == name


def _of_model(name: str) -> Callable[[_Run], bool]:
    return lambda run: run.model == name


def _with_ansatz(name: str) -> Callable[[_Run], bool]:
    return lambda run: run.ansatz == name


_RULES = (
    _Rule(
        "Variational dynamics of signed mixtures of product states",
        ("tosca2026variational",),
        _with_ansatz("mixture"),
    ),
    _Rule("Correlated clusters around a product state", ("husimix",), _with_ansatz("clusters")),
    _Rule("The time-dependent variational principle", ("dirac1930note", "frenkel1934wave"), _is_variational),
    _Rule("The integrator {integrator}", ("bogacki1989pair",), _integrated_by("Bosh3")),
    _Rule("The integrator {integrator}", ("tsitouras2011runge",), _integrated_by("Tsit5")),
    _Rule(
        "The integrator {integrator} (see its docstring in diffrax)",
        (),
        lambda run: run.is_variational and run.integrator not in ("Bosh3", "Tsit5"),
    ),
    _Rule(
        "Levenberg-Marquardt steps, which compressed the components",
        ("levenberg1944method", "marquardt1963algorithm"),
        lambda run: run.was_compressed,
    ),
    _Rule("The model {model}", ("tosca2026variational",), _of_model("dissipative_ising")),
    _Rule("The model {model}", ("lee2013unconventional",), _of_model("dissipative_xyz")),
    _Rule("The model {model}", ("prosen2011exact",), _of_model("boundary_driven_heisenberg")),
    _Rule("Exact integration by QuTiP", ("lambert2024qutip",), lambda run: not run.is_variational),
    _Rule("The software", ("husimix",), lambda run: True),
    _Rule("Differential equations: diffrax", ("kidger2021neural",), _is_variational),
    _Rule("Array programs: JAX", ("bradbury2018jax",), _is_variational),
)


def _article(author: str, title: str, journal: str, volume: int, pages: str, year: int) -> tuple[str, dict[str, str]]:
    numbers = {"volume": str(volume), "pages": pages, "year": str(year)}
    return "article", {"author": author, "title": title, "journal": journal} | numbers


def _other(kind: str, author: str, title: str, year: int, **fields: str) -> tuple[str, dict[str, str]]:
    return kind, {"author": author, "title": title} | fields | {"year": str(year)}


_TABLE = {
    "tosca2026variational": _other(
        "misc",
        "Tosca, J. and Li, Z. and Carnazza, F. and Ciuti, C.",
        "Variational Dynamics of Open Quantum Spin Systems in Phase Space",
        2026,
        eprint="2604.01165",
        archiveprefix="arXiv",
    ),
    "dirac1930note": _article(
        "Dirac, P. A. M.",
        "Note on Exchange Phenomena in the {Thomas} Atom",
        "Mathematical Proceedings of the Cambridge Philosophical Society",
        26,
        "376--385",
        1930,
    ),
    "frenkel1934wave": _other(
        "book", "Frenkel, J.", "Wave Mechanics: Advanced General Theory", 1934, publisher="Clarendon Press, Oxford"
    ),
    "bogacki1989pair": _article(
        "Bogacki, P. and Shampine, L. F.",
        "A 3(2) pair of {Runge--Kutta} formulas",
        "Applied Mathematics Letters",
        2,
        "321--325",
        1989,
    ),
    "tsitouras2011runge": _article(
        "Tsitouras, Ch.",
        "{Runge--Kutta} pairs of order 5(4) satisfying only the first column simplifying assumption",
        "Computers and Mathematics with Applications",
        62,
        "770--775",
        2011,
    ),
    "levenberg1944method": _article(
        "Levenberg, K.",
        "A method for the solution of certain non-linear problems in least squares",
        "Quarterly of Applied Mathematics",
        2,
        "164--168",
        1944,
    ),
    "marquardt1963algorithm": _article(
        "Marquardt, D. W.",
        "An algorithm for least-squares estimation of nonlinear parameters",
        "Journal of the Society for Industrial and Applied Mathematics",
        11,
        "431--441",
        1963,
    ),
    "lee2013unconventional": _article(
        "Lee, T. E. and Gopalakrishnan, S. and Lukin, M. D.",
        "Unconventional magnetism via optical pumping of interacting spin systems",
        "Physical Review Letters",
        110,
        "257204",
        2013,
    ),
    "prosen2011exact": _article(
        "Prosen, T.",
        "Exact nonequilibrium steady state of a strongly driven open {XXZ} chain",
        "Physical Review Letters",
        107,
        "137201",
        2011,
    ),
    "lambert2024qutip": _other(
        "misc",
        "Lambert, N. and others",
        "{QuTiP} 5: The Quantum Toolbox in {Python}",
        2024,
        eprint="2412.04705",
        archiveprefix="arXiv",
    ),
    "husimix": _other("misc", "{The husimix developers}", "husimix", 2026, note=f"version {__version__}"),
    "kidger2021neural": _other(
        "phdthesis", "Kidger, P.", "On Neural Differential Equations", 2021, school="University of Oxford"
    ),
    "bradbury2018jax": _other(
        "misc",
        "Bradbury, J. and others",
        "{JAX}: composable transformations of {Python+NumPy} programs",
        2018,
        url="http://github.com/jax-ml/jax",
    ),
}

_REFERENCES = {key: Reference(key, kind, fields) for key, (kind, fields) in _TABLE.items()}
