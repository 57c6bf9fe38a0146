"""The sections of a run file: what each may hold, and the library objects that it builds.

Checks of types and names happen here, checks of values in the library functions that use them.
"""

import dataclasses
import inspect
import json
from collections.abc import Callable
from typing import Any, Literal, Self

import diffrax
import numpy as np
import pydantic
from pydantic import BaseModel, Field

from husimix._errors import argument_error, check_choice, check_integer, check_number
from husimix.phasespace.mixture import Mixture, product_state
from husimix.physics.lattice import Lattice
from husimix.physics.lindbladian import Lindbladian
from husimix.physics.models import NAMED
from husimix.physics.operators import Operator, operator_sum, pauli
from husimix.solve.metric_solvers import SpectralCutoff, Tikhonov
from husimix.solve.settings import GRAM_FORMS, TDVP
from husimix.solve.symmetries import SYMMETRIES

__all__ = [
    "AbstractSection",
    "LatticeSection",
    "MethodSection",
    "ModelSection",
    "ObservableSection",
    "ScanSection",
    "StateSection",
    "SteadyStateSection",
    "TimeSection",
    "section_key",
    "signature_section",
]

_KINDS = ("chain", "rectangle", "square", "triangular", "honeycomb", "kagome", "cubic")
_SOLVERS = {"Bosh3": diffrax.Bosh3, "Tsit5": diffrax.Tsit5, "Dopri5": diffrax.Dopri5}
# Far beyond what any Gram matrix allows; without it a slip of the finger asks for more memory than there is.
_MAX_CELLS = 10_000
_MAX_SAVES = 1_000_000


def section_key(must: str, example: str, default: Any = None, **constraints: Any) -> Any:
    """A key of a run file: `must` completes "must ..." in errors, `example` is the fix they offer."""
    return Field(default, description=must, examples=[example], **constraints)


def _whole(example: str) -> Any:
    # TOML promises 64 bits; Python's integers have no end, and JAX's overflow.
    return section_key("be a whole number", example, ge=-(2**63), lt=2**63)


def _real(example: str) -> Any:
    return section_key("be a finite number", example)


class AbstractSection(BaseModel):
    """A table of a run file: unknown keys, other types, infinities and nan are refused."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class LatticeSection(AbstractSection):
    """[lattice]: a constructor of `husimix.Lattice`, its lengths and its boundaries."""

    kind: str = section_key(f"be one of {', '.join(_KINDS)}", 'kind = "square"', ...)
    shape: list[int] = section_key("be a list of whole numbers", "shape = [3, 3]", ...)
    periodic: bool | list[bool] = section_key("be true, false, or a list of these", "periodic = true", False)

    def build(self) -> Lattice:
        """The lattice. Raises ValueError for an unknown kind, or lengths and boundaries that do not fit it."""
        kind = check_choice("lattice.kind", self.kind, _KINDS)
        if np.prod([max(length, 1) for length in self.shape], dtype=float) > _MAX_CELLS:
            raise argument_error("lattice.shape", f"give at most {_MAX_CELLS} cells", self.shape)
        return Lattice.from_dict({"kind": kind, "shape": self.shape, "periodic": self.periodic})


class ModelSection(AbstractSection):
    """[model]: the name of a model in `husimix.models` and its parameters."""

    model_config = pydantic.ConfigDict(extra="allow")

    name: str = section_key("be the name of a model, see `husimix models`", 'name = "dissipative_ising"', ...)

    def parameters(self) -> dict[str, Any]:
        """The parameters that the file sets. Raises ValidationError where the model's signature has others."""
        section = signature_section(NAMED[check_choice("model.name", self.name, NAMED)])
        return section.model_validate(self.model_extra).model_dump(exclude_unset=True)

    def build(self, lattice: Lattice, **changed: float) -> Lindbladian:
        """The model on a lattice, with some parameters changed. Raises ValueError for parameters out of range."""
        return NAMED[self.name](lattice, **self.parameters() | changed)


class StateSection(AbstractSection):
    """[state]: the product state to start from."""

    spins: str | list[float] | list[list[float]] = section_key(
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


class TimeSection(AbstractSection):
    """[time]: the save times, either evenly spaced from 0 or listed."""

    end: float | None = _real("end = 5.0")
    saves: int | None = _whole("saves = 51")
    times: list[float] | None = section_key("be a list of finite numbers", "times = [0.0, 0.5, 1.0]")

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


class _AbstractSearchSection(AbstractSection):
    """Settings of `husimix.steadystate`; keys that are not set keep their defaults."""

    starts: int | None = _whole("starts = 2")
    tolerance: float | None = _real("tolerance = 1e-3")
    max_time: float | None = _real("max_time = 60.0")

    def build(self) -> dict[str, Any]:
        """The keyword arguments of `steadystate` that the section sets."""
        return self.model_dump(include={"starts", "tolerance", "max_time"}, exclude_unset=True)


class SteadyStateSection(_AbstractSearchSection):
    """[steadystate]: one steady state."""


class ScanSection(_AbstractSearchSection):
    """[scan]: steady states along a parameter of the model, its values evenly spaced or listed."""

    parameter: str = section_key("be the name of a parameter of the model", 'parameter = "g"', ...)
    start: float | None = _real("start = 0.0")
    end: float | None = _real("end = 4.0")
    points: int | None = _whole("points = 17")
    values: list[float] | None = section_key("be a list of finite numbers", "values = [0.5, 1.0, 2.0]")
    backward: bool = section_key("be true or false", "backward = true", False)

    @pydantic.model_validator(mode="after")
    def _is_one_form(self) -> Self:
        given = sorted(self.model_fields_set & {"start", "end", "points", "values"})
        if given not in (["end", "points", "start"], ["values"]):
            must, fix = "hold either `start`, `end` and `points` or `values`", "Try values = [0.5, 1.0, 2.0]."
            raise argument_error("scan", must, " and ".join(given) or "neither", fix)
        if self.values is not None:
            if not self.values:
                raise argument_error("scan.values", "hold at least one number", self.values)
        elif check_integer("scan.points", self.points, 2) > _MAX_SAVES:
            raise argument_error("scan.points", f"be at most {_MAX_SAVES}", self.points)
        return self

    def line(self) -> np.ndarray:
        """The values of the parameter, in order."""
        if self.values is not None:
            return np.array(self.values)
        assert self.start is not None and self.end is not None and self.points is not None
        return np.linspace(self.start, self.end, self.points)


class MethodSection(AbstractSection):
    """[method]: the settings of `husimix.mesolve` and `husimix.TDVP`; keys that are not set keep their defaults."""

    components: int | list[int] | Literal["auto"] | None = section_key(
        'be a whole number, a list of two, or "auto"', "components = 8", union_mode="left_to_right"
    )
    tol: float | None = _real("tol = 1e-2")
    manifold: str | None = section_key("be a name in quotes", 'manifold = "bloch"')
    metric: str | float | list[float] | None = section_key("be a name or finite numbers", 'metric = "auto"')
    symmetry: str | None = section_key(f"be one of {', '.join(SYMMETRIES)}", 'symmetry = "auto"')
    window: int | None = _whole("window = 2")
    seed: int | None = _whole("seed = 0")
    rtol: float | None = _real("rtol = 1e-3")
    atol: float | None = _real("atol = 1e-3")
    damping: float | None = _real("damping = 1e-6")
    cutoff: float | None = _real("cutoff = 1e-6")
    solver: str | None = section_key(f"be one of {', '.join(_SOLVERS)}", 'solver = "Bosh3"')
    spread: float | None = _real("spread = 0.2")
    max_steps: int | None = _whole("max_steps = 100000")
    max_components: int | None = _whole("max_components = 128")
    memory_limit: float | None = _real("memory_limit = 4.0")
    gram: str | None = section_key(f"be one of {', '.join(GRAM_FORMS)}", 'gram = "auto"')
    save_states: bool | None = section_key("be true or false", "save_states = false")

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


class ObservableSection(AbstractSection):
    """One entry of [observables]: a product of Pauli operators on given sites, or its mean over bonds or sites."""

    pauli: str = section_key("be a string of the letters x y z + -", 'pauli = "zz"', ...)
    mean_over: str | None = section_key('be "bonds" or "sites"', 'mean_over = "bonds"')
    shell: int | None = _whole("shell = 1")
    sites: list[int] | None = section_key("be a list of whole numbers", "sites = [0, 1]")

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


def signature_section(function: Callable[..., Lindbladian]) -> type[AbstractSection]:
    """A section whose keys are the parameters of a model, the lattice apart."""
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(function, eval_str=True).parameters.items():
        kind = parameter.annotation
        if name != "lattice":
            must = {float: "be a finite number", int: "be a whole number"}.get(kind, f"be of type {kind}")
            default = ... if parameter.default is parameter.empty else parameter.default
            example = f"{name} = 1" if default is ... else f"{name} = {json.dumps(default)}"
            fields[name] = (kind, section_key(must, example, default))
    return pydantic.create_model("Parameters", __base__=AbstractSection, **fields)
