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
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, get_args, get_origin

import pydantic
from pydantic import BaseModel, ValidationError

from husimix._errors import argument_error, check_choice, nearest_name
from husimix.apps.ansatz_sections import ANSATZ_SECTIONS, AnsatzSection
from husimix.apps.keys import AbstractSection, section_key
from husimix.apps.sections import (
    LatticeSection,
    MethodSection,
    ModelSection,
    ObservableSection,
    RunSection,
    ScanSection,
    StateSection,
    SteadyStateSection,
    TimeSection,
    signature_section,
)
from husimix.apps.tasks import AbstractTask, Dynamics, ParameterScan, Stationary
from husimix.physics.lattice import Lattice
from husimix.physics.models import NAMED

__all__ = ["RunFile", "RunFileError", "Setup", "explained", "parse_run_file", "read_run_file"]

_MISSING = object()
_TASKS = ("time", "steadystate", "scan")


class RunFileError(ValueError):
    """A mistake in a run file, in one line that begins with the file's name."""


@dataclasses.dataclass(frozen=True, eq=False)
class Setup:
    """What a run file describes, as objects of the library.

    Attributes:
        name: what the file is called in errors.
        text: the file itself.
        task: what to compute.
    """

    name: str
    text: str
    task: AbstractTask


class RunFile(AbstractSection):
    """A run file, checked; its fields are its sections, and `build` turns them into library objects."""

    lattice: LatticeSection = section_key("be a section of keys", 'kind = "square" and shape = [3, 3]', ...)
    model: ModelSection = section_key("be a section of keys", 'name = "dissipative_ising"', ...)
    state: StateSection = section_key("be a section of keys", 'spins = "down"', StateSection())
    time: TimeSection | None = section_key("be a section of keys", "end = 5.0 and saves = 51")
    steadystate: SteadyStateSection | None = section_key("be a section of keys", "tolerance = 1e-3")
    scan: ScanSection | None = section_key("be a section of keys", 'parameter = "g" and values = [0.5, 1.0, 2.0]')
    ansatz: AnsatzSection | None = section_key("be a section of keys", 'name = "mixture" and components = 8')
    method: MethodSection = section_key("be a section of keys", "rtol = 1e-4", MethodSection())
    run: RunSection = section_key("be a section of keys", "seed = 0", RunSection())
    observables: dict[str, ObservableSection] = section_key(
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

    @pydantic.model_validator(mode="after")
    def _has_one_task(self) -> Self:
        given = [name for name in _TASKS if getattr(self, name) is not None]
        if not given:
            raise ValueError(
                "There is no section [time]. Try end = 5.0 and saves = 51, or [steadystate] or [scan] instead of it."
            )
        if len(given) > 1:
            found = " and ".join(f"[{name}]" for name in given)
            raise argument_error(given[-1], "be the only one of [time], [steadystate] and [scan]", found)
        return self

    def build(self) -> Setup:
        """The objects that the file describes. Raises RunFileError for values that the library refuses."""
        with explained(self._name):
            lattice = self.lattice.build()
            return Setup(self._name, self._text, self._task(lattice))

    def _task(self, lattice: Lattice) -> AbstractTask:
        common: dict[str, Any] = {
            "model": self.model.build(lattice),
            "state": self.state.build(lattice.n_sites),
            "observables": {name: entry.build(name, lattice) for name, entry in self.observables.items()},
            "choices": self.run.build("auto" if self.ansatz is None else self.ansatz.build(), self.method.build()),
        }
        if self.time is not None:
            return Dynamics(times=self.time.build(), **common)
        if self.run.save_states:
            raise argument_error("run.save_states", "be left out for steady states", "true")
        if self.steadystate is not None:
            return Stationary(limits=self.steadystate.build(), **common)
        assert self.scan is not None
        known = [p for p in inspect.signature(NAMED[self.model.name]).parameters if p != "lattice"]
        name = check_choice("scan.parameter", self.scan.parameter, known)
        return ParameterScan(
            name=name,
            values=self.scan.line(),
            model_of=lambda value: self.model.build(lattice, **{name: value}),
            backward=self.scan.backward,
            follow_folds=self.scan.follow_folds,
            limits=self.scan.build(),
            **common,
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
        if Path(path).suffix == ".nc":
            raise RunFileError(f"Run file {path} is a result. `husimix info {path}` tells how to repeat it.") from None
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
            run_file.model.parameters()  # its keys depend on the name of the model
        except ValidationError as error:
            section = signature_section(NAMED[run_file.model.name])
            raise _first_mistake(error, section, document["model"], ("model",)) from None
        try:
            if run_file.ansatz is not None:
                run_file.ansatz.keys()  # they depend on the name of the ansatz
        except ValidationError as error:
            raise _first_mistake(
                error, ANSATZ_SECTIONS[document["ansatz"]["name"]], document["ansatz"], ("ansatz",)
            ) from None
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
            kind = _section_of(field)
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
        elsewhere = _sections_with(key)
        fix = f"Move it below [{elsewhere[0]}]." if elsewhere and list(above) != [elsewhere[0]] else nearest
        return ValueError(f"[{'.'.join(above)}] has no key `{key}`. {fix}")
    for name, field in section.model_fields.items():
        if key in getattr(_section_of(field), "model_fields", ()):
            return ValueError(f"The key `{key}` stands outside its section. Move it below [{name}].")
    return ValueError(f"There is no section [{key}] in run files. {nearest}")


def _sections_with(key: str) -> list[str]:
    """The sections of settings that have a key."""
    known: dict[str, tuple[type[BaseModel], ...]] = {
        "method": (MethodSection,),
        "run": (RunSection,),
        "ansatz": tuple(ANSATZ_SECTIONS.values()),
    }
    return [name for name, sections in known.items() if any(key in section.model_fields for section in sections)]


def _section_of(field: pydantic.fields.FieldInfo) -> Any:
    """What a key holds: the section itself where a file may leave it out."""
    kinds = [kind for kind in get_args(field.annotation) if isinstance(kind, type) and issubclass(kind, BaseModel)]
    return kinds[0] if kinds and get_origin(field.annotation) is not dict else field.annotation


def _is_quoted_value(value: object) -> bool:
    """Whether a string holds what would be a number, a truth value or a list without its quotes."""
    try:
        return isinstance(value, str) and not isinstance(tomllib.loads(f"x = {value}")["x"], str)
    except ValueError:
        return False
