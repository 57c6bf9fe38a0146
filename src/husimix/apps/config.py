"""Run files: a simulation written down in TOML, checked key by key, then turned into library objects.

Checks of types and names happen here, checks of values in the library functions that use them. Whoever finds a
mistake, the user reads one line that begins with the name of the file.
"""

import contextlib
import dataclasses
import inspect
import json
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self, get_args, get_origin

import diffrax
import numpy as np
import pydantic
from pydantic import BaseModel, Field, ValidationError

from husimix._errors import argument_error, check_choice, check_integer, check_number, nearest_name
from husimix.phasespace.mixture import Mixture, product_state
from husimix.physics.lattice import Lattice
from husimix.physics.lindbladian import Lindbladian
from husimix.physics.models import NAMED
from husimix.physics.operators import Operator, operator_sum, pauli
from husimix.solve.metric_solvers import SpectralCutoff, Tikhonov
from husimix.solve.settings import GRAM_FORMS, TDVP
from husimix.solve.symmetries import SYMMETRIES

__all__ = ["RunFile", "RunFileError", "Setup", "explained", "parse_run_file", "read_run_file"]

_KINDS = ("chain", "rectangle", "square", "triangular", "honeycomb", "kagome", "cubic")
_SOLVERS = {"Bosh3": diffrax.Bosh3, "Tsit5": diffrax.Tsit5, "Dopri5": diffrax.Dopri5}
# Far beyond what any Gram matrix allows; without it a slip of the finger asks for more memory than there is.
_MAX_CELLS = 10_000
_MAX_SAVES = 1_000_000
_MISSING = object()


class RunFileError(ValueError):
    """A mistake in a run file, in one line that begins with the file's name."""


def _key(must: str, example: str, default: Any = None, **constraints: Any) -> Any:
    """A key of a run file: `must` completes "must ..." in errors, `example` is the fix they offer."""
    return Field(default, description=must, examples=[example], **constraints)


def _whole(example: str) -> Any:
    # TOML promises 64 bits; Python's integers have no end, and JAX's overflow.
    return _key("be a whole number", example, ge=-(2**63), lt=2**63)


def _real(example: str) -> Any:
    return _key("be a finite number", example)


class _AbstractSection(BaseModel):
    """A table of a run file: unknown keys, other types, infinities and nan are refused."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class LatticeSection(_AbstractSection):
    """[lattice]: a constructor of `husimix.Lattice`, its lengths and its boundaries."""

    kind: str = _key(f"be one of {', '.join(_KINDS)}", 'kind = "square"', ...)
    shape: list[int] = _key("be a list of whole numbers", "shape = [3, 3]", ...)
    periodic: bool | list[bool] = _key("be true, false, or a list of these", "periodic = true", False)

    def build(self) -> Lattice:
        """The lattice. Raises ValueError for an unknown kind, or lengths and boundaries that do not fit it."""
        kind = check_choice("lattice.kind", self.kind, _KINDS)
        if np.prod([max(length, 1) for length in self.shape], dtype=float) > _MAX_CELLS:
            raise argument_error("lattice.shape", f"give at most {_MAX_CELLS} cells", self.shape)
        return Lattice.from_dict({"kind": kind, "shape": self.shape, "periodic": self.periodic})


class ModelSection(_AbstractSection):
    """[model]: the name of a model in `husimix.models` and its parameters."""

    model_config = pydantic.ConfigDict(extra="allow")

    name: str = _key("be the name of a model, see `husimix models`", 'name = "dissipative_ising"', ...)

    def parameters(self) -> dict[str, Any]:
        """The parameters that the file sets. Raises ValidationError where the model's signature has others."""
        section = _signature_section(NAMED[check_choice("model.name", self.name, NAMED)])
        return section.model_validate(self.model_extra).model_dump(exclude_unset=True)

    def build(self, lattice: Lattice) -> Lindbladian:
        """The model on a lattice. Raises ValueError for parameters out of range."""
        return NAMED[self.name](lattice, **self.parameters())


class StateSection(_AbstractSection):
    """[state]: the product state to start from."""

    spins: str | list[float] | list[list[float]] = _key(
        "be a name, [x, y, z], or one [x, y, z] for each site, of finite numbers", 'spins = "down"', None
    )

    def build(self, n_sites: int) -> Mixture:
        """The state. Raises ValueError for unknown names, wrong lengths and vectors longer than 1."""
        if isinstance(self.spins, list):
            for site, spin in enumerate(self.spins):
                if isinstance(spin, list) and len(spin) != 3:
                    got = f"{len(spin)} for site {site}"
                    raise argument_error("state.spins", "hold three numbers for each site", got)
            return product_state(n_sites, np.array(self.spins))
        return product_state(n_sites, **self.model_dump(exclude_unset=True))


class TimeSection(_AbstractSection):
    """[time]: the save times, either evenly spaced from 0 or listed."""

    end: float | None = _real("end = 5.0")
    saves: int | None = _whole("saves = 51")
    times: list[float] | None = _key("be a list of finite numbers", "times = [0.0, 0.5, 1.0]")

    @pydantic.model_validator(mode="after")
    def _is_one_form(self) -> Self:
        given = sorted(self.model_fields_set)
        if given not in (["end", "saves"], ["times"]):
            must, fix = "hold either `end` and `saves` or `times`", "Try end = 5.0 and saves = 51."
            raise argument_error("time", must, " and ".join(given) or "neither", fix)
        if self.times is not None:
            steps = np.diff(self.times)
            if len(steps) == 0 or min(steps) <= 0:
                got = self.times[np.argmin(steps) :][:2] if len(steps) else self.times
                raise argument_error("time.times", "hold at least two increasing times", got)
            return self
        check_number("time.end", self.end, above=0)
        if check_integer("time.saves", self.saves, 2) > _MAX_SAVES:
            raise argument_error("time.saves", f"be at most {_MAX_SAVES}", self.saves)
        return self

    def build(self) -> np.ndarray:
        """The save times, (T,)."""
        return np.linspace(0, self.end, self.saves) if self.end and self.saves else np.array(self.times)


class MethodSection(_AbstractSection):
    """[method]: the settings of `husimix.mesolve` and `husimix.TDVP`; keys that are not set keep their defaults."""

    components: int | list[int] | Literal["auto"] | None = _key(
        'be a whole number, a list of two, or "auto"', "components = 8", union_mode="left_to_right"
    )
    tol: float | None = _real("tol = 1e-2")
    manifold: str | None = _key("be a name in quotes", 'manifold = "bloch"')
    metric: str | float | list[float] | None = _key("be a name or finite numbers", 'metric = "auto"')
    symmetry: str | None = _key(f"be one of {', '.join(SYMMETRIES)}", 'symmetry = "auto"')
    window: int | None = _whole("window = 2")
    seed: int | None = _whole("seed = 0")
    rtol: float | None = _real("rtol = 1e-3")
    atol: float | None = _real("atol = 1e-3")
    damping: float | None = _real("damping = 1e-6")
    cutoff: float | None = _real("cutoff = 1e-6")
    solver: str | None = _key(f"be one of {', '.join(_SOLVERS)}", 'solver = "Bosh3"')
    spread: float | None = _real("spread = 0.2")
    max_steps: int | None = _whole("max_steps = 100000")
    max_components: int | None = _whole("max_components = 128")
    memory_limit: float | None = _real("memory_limit = 4.0")
    gram: str | None = _key(f"be one of {', '.join(GRAM_FORMS)}", 'gram = "auto"')
    save_states: bool | None = _key("be true or false", "save_states = false")

    @pydantic.model_validator(mode="after")
    def _is_one_metric_solver(self) -> Self:
        if self.damping is not None and self.cutoff is not None:
            fix = "Keep `damping` for Tikhonov or `cutoff` for SpectralCutoff."
            raise argument_error("method", "hold at most one of `damping` and `cutoff`", "both", fix)
        return self

    def build(self) -> dict[str, Any]:
        """The keyword arguments of `mesolve` that the file sets. Raises ValueError for values out of range."""
        given = self.model_dump(exclude_unset=True)
        if "symmetry" in given:
            name = check_choice("method.symmetry", given["symmetry"], SYMMETRIES)
            given["symmetry"] = None if name == "none" else name
        if "solver" in given:
            given["solver"] = _SOLVERS[check_choice("method.solver", given["solver"], _SOLVERS)]()
        for key, metric_solver in (("damping", Tikhonov), ("cutoff", SpectralCutoff)):
            if key in given:
                given["metric_solver"] = metric_solver(given.pop(key))
        settings = {f.name: given.pop(f.name) for f in dataclasses.fields(TDVP) if f.name in given}
        return given | ({"method": TDVP(**settings)} if settings else {})


class ObservableSection(_AbstractSection):
    """One entry of [observables]: a product of Pauli operators on given sites, or its mean over bonds or sites."""

    pauli: str = _key("be a string of the letters x y z + -", 'pauli = "zz"', ...)
    mean_over: str | None = _key('be "bonds" or "sites"', 'mean_over = "bonds"')
    shell: int | None = _whole("shell = 1")
    sites: list[int] | None = _key("be a list of whole numbers", "sites = [0, 1]")

    def build(self, name: str, lattice: Lattice) -> Operator:
        """The operator. Raises ValueError for letters and sites that do not fit each other or the lattice."""
        where = f"observables.{name}"
        if (self.mean_over is None) == (self.sites is None):
            got = ", ".join(sorted(self.model_fields_set))
            raise argument_error(where, "hold one of `mean_over` and `sites`", got)
        if self.shell is not None and self.mean_over != "bonds":
            raise argument_error(f"{where}.shell", 'stand beside mean_over = "bonds"', self.shell)
        if self.sites is not None:
            return pauli(self.pauli, *self.sites)
        if check_choice(f"{where}.mean_over", self.mean_over, ("bonds", "sites")) == "sites":
            places = np.arange(lattice.n_sites)[:, None]
        else:
            places = lattice.bonds(**({} if self.shell is None else {"shell": self.shell}))
            if len(places) == 0:
                raise argument_error(f"{where}.shell", "have bonds on this lattice", "none")
        if len(self.pauli) != places.shape[1]:
            must = "be two letters for bonds and one for sites"
            raise argument_error(f"{where}.pauli", must, repr(self.pauli))
        return operator_sum([pauli(self.pauli, *place) for place in places]) / len(places)


@dataclasses.dataclass(frozen=True, eq=False)
class Setup:
    """What a run file describes, as objects of the library.

    Attributes:
        name: what the file is called in errors.
        text: the file itself.
        model: the Lindbladian, with its lattice.
        state: the initial state.
        times: (T,) save times.
        observables: operators by name.
        arguments: the further keyword arguments of `mesolve` that the file sets.
    """

    name: str
    text: str
    model: Lindbladian
    state: Mixture
    times: np.ndarray
    observables: dict[str, Operator]
    arguments: dict[str, Any]


class RunFile(_AbstractSection):
    """A run file, checked; its fields are its sections, and `build` turns them into library objects."""

    lattice: LatticeSection = _key("be a section of keys", 'kind = "square" and shape = [3, 3]', ...)
    model: ModelSection = _key("be a section of keys", 'name = "dissipative_ising"', ...)
    state: StateSection = _key("be a section of keys", 'spins = "down"', StateSection())
    time: TimeSection = _key("be a section of keys", "end = 5.0 and saves = 51", ...)
    method: MethodSection = _key("be a section of keys", "components = 8", MethodSection())
    observables: dict[str, ObservableSection] = _key(
        "be a section of keys", 'zz = { pauli = "zz", mean_over = "bonds" }', {}
    )
    _name: str = pydantic.PrivateAttr("")
    _text: str = pydantic.PrivateAttr("")

    @pydantic.field_validator("observables")
    @classmethod
    def _have_plain_names(cls, observables: dict[str, ObservableSection]) -> dict[str, ObservableSection]:
        for name in observables:
            # Names become names of NetCDF variables, where a slash or a space would fail after the run.
            if not (name.isascii() and name.replace("_", "a").isalnum()):
                raise argument_error("observables", "have names of letters, digits and _", json.dumps(name))
        return observables

    def build(self) -> Setup:
        """The objects that the file describes. Raises RunFileError for values that the library refuses."""
        with explained(self._name):
            lattice = self.lattice.build()
            return Setup(
                name=self._name,
                text=self._text,
                model=self.model.build(lattice),
                state=self.state.build(lattice.n_sites),
                times=self.time.build(),
                observables={name: entry.build(name, lattice) for name, entry in self.observables.items()},
                arguments=self.method.build(),
            )


def read_run_file(path: str | os.PathLike[str]) -> RunFile:
    """Read and check a run file.

    Args:
        path: a TOML file in UTF-8.

    Returns:
        The `RunFile`.

    Raises:
        RunFileError: if the file cannot be read, is no TOML, or has a mistake; one line that says where and what.
    """
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        fix = "Check the path, or start from the output of `husimix demo --show`."
        raise RunFileError(f"Run file {path} cannot be read: {error.strerror}. {fix}") from None
    try:
        # Some editors begin UTF-8 files with a byte-order mark, which TOML does not know.
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise RunFileError(f"Run file {path} is not UTF-8 text (at line {line}). Save it as UTF-8.") from None
    return parse_run_file(text, str(path))


def parse_run_file(text: str, name: str) -> RunFile:
    """Check the text of a run file, called `name` in errors; otherwise as `read_run_file`."""
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise RunFileError(f"Run file {name} is not valid TOML: {reason}.") from None
    with explained(name):
        try:
            run_file = RunFile.model_validate(document)
        except ValidationError as error:
            raise _first_mistake(error, RunFile, document) from None
        try:
            run_file.model.parameters()
        except ValidationError as error:
            section = _signature_section(NAMED[run_file.model.name])
            raise _first_mistake(error, section, document["model"], ("model",)) from None
    run_file._name, run_file._text = name, text
    return run_file


@contextlib.contextmanager
def explained(name: str) -> Iterator[None]:
    """Put the name of the run file in front of every ValueError that is raised inside."""
    try:
        yield
    except RunFileError:
        raise
    except ValueError as error:
        raise RunFileError(f"Run file {name}: {' '.join(str(error).split())}") from error


def _signature_section(function: Callable[..., Lindbladian]) -> type[_AbstractSection]:
    """A section whose keys are the parameters of a model, the lattice apart."""
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(function, eval_str=True).parameters.items():
        kind = parameter.annotation
        if name != "lattice":
            must = {float: "be a finite number", int: "be a whole number"}.get(kind, f"be of type {kind}")
            default = ... if parameter.default is parameter.empty else parameter.default
            example = f"{name} = 1" if default is ... else f"{name} = {json.dumps(default)}"
            fields[name] = (kind, _key(must, example, default))
    return pydantic.create_model("Parameters", __base__=_AbstractSection, **fields)


def _first_mistake(
    error: ValidationError, section: type[BaseModel], table: Mapping[str, Any], path: tuple[str, ...] = ()
) -> ValueError:
    """The most telling thing that pydantic found in a table, which lies at `path` in the file, as one sentence."""
    # A misspelt key is also a missing one, and the misspelling tells more.
    finding = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    if finding["type"] == "value_error":
        return finding.get("ctx", {})["error"]
    keys, value, kind, field = list(path), table, section, None
    for part in map(str, finding["loc"]):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            if part not in kind.model_fields:
                return _unknown_key(part, keys, kind)
            field = kind.model_fields[part]
            kind = field.annotation
        elif get_origin(kind) is dict:
            kind = get_args(kind)[1]
        else:
            break
        keys.append(part)
        value = value.get(part, _MISSING)
    # All findings but misspelt keys lie in fields made by `_key`.
    assert field is not None and field.examples
    if value is _MISSING:
        *above, key = keys
        what = f"[{'.'.join(above)}] needs the key `{key}`." if above else f"There is no section [{key}]."
        return ValueError(f"{what} Try {field.examples[0]}.")
    fix = "Remove the quotes." if _is_quoted_value(value) else f"Try {field.examples[0]}."
    shown = json.dumps(value, default=str, ensure_ascii=False)
    return argument_error(".".join(keys), str(field.description), shown, fix)


def _unknown_key(key: str, above: Sequence[str], section: type[BaseModel]) -> ValueError:
    nearest = nearest_name(key, section.model_fields)
    if above:
        return ValueError(f"[{'.'.join(above)}] has no key `{key}`. {nearest}")
    for name, field in section.model_fields.items():
        if key in getattr(field.annotation, "model_fields", ()):
            return ValueError(f"The key `{key}` stands outside its section. Move it below [{name}].")
    return ValueError(f"There is no section [{key}] in run files. {nearest}")


def _is_quoted_value(value: object) -> bool:
    """Whether a string holds what would be a number, a truth value or a list without its quotes."""
    try:
        return isinstance(value, str) and not isinstance(tomllib.loads(f"x = {value}")["x"], str)
    except ValueError:
        return False
