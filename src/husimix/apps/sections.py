"""The sections of a run file: what each may hold, and the library objects that it builds.

Checks of types and names happen here, checks of values in the library functions that use them.
"""

import inspect
import json
from collections.abc import Callable
from typing import Any, Self

import diffrax
import numpy as np
import pydantic

from husimix._errors import argument_error, check_choice, check_integer, check_number
from husimix.ansatz import AbstractAnsatz
from husimix.apps.keys import AbstractSection, real, section_key, whole
from husimix.apps.tasks import Choices, SearchLimits
from husimix.mixture.state import product_state
from husimix.physics.lattice import Lattice
from husimix.physics.lindbladian import Lindbladian
from husimix.physics.models import NAMED
from husimix.physics.operators import Operator, operator_sum, pauli
from husimix.physics.symmetry.choice import SYMMETRIES
from husimix.solve.stepping import Stepping
from husimix.state import AbstractState

__all__ = [
    "LatticeSection",
    "MethodSection",
    "ModelSection",
    "ObservableSection",
    "RunSection",
    "ScanSection",
    "StateSection",
    "SteadyStateSection",
    "TimeSection",
    "signature_section",
]

_KINDS = ("chain", "rectangle", "square", "triangular", "honeycomb", "kagome", "cubic")
_SOLVERS = {"Tsit5": diffrax.Tsit5, "Bosh3": diffrax.Bosh3, "Dopri5": diffrax.Dopri5}
# Far beyond what anyone computes; without it a slip of the finger asks for more memory than there is.
_MAX_CELLS = 10_000
_MAX_SAVES = 1_000_000
_MAX_SHELL = 30


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

    def build(self, n_sites: int) -> AbstractState:
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

    end: float | None = real("end = 5.0")
    saves: int | None = whole("saves = 51")
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

    starts: int | None = whole("starts = 2")
    max_drift: float | None = real("max_drift = 1e-3")
    max_time: float | None = real("max_time = 60.0")

    def build(self) -> SearchLimits:
        """The limits that the section sets."""
        return SearchLimits(self.starts, self.max_drift, self.max_time)


class SteadyStateSection(_AbstractSearchSection):
    """[steadystate]: one steady state."""


class ScanSection(_AbstractSearchSection):
    """[scan]: steady states along a parameter of the model, its values evenly spaced or listed."""

    parameter: str = section_key("be the name of a parameter of the model", 'parameter = "g"', ...)
    start: float | None = real("start = 0.0")
    end: float | None = real("end = 4.0")
    points: int | None = whole("points = 17")
    values: list[float] | None = section_key("be a list of finite numbers", "values = [0.5, 1.0, 2.0]")
    backward: bool = section_key("be true or false", "backward = true", False)
    follow_folds: bool = section_key("be true or false", "follow_folds = true", False)

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
    """[method]: the settings of `husimix.Stepping`; keys that are not set keep their defaults."""

    rtol: float | None = real("rtol = 1e-4")
    atol: float | None = real("atol = 1e-4")
    solver: str | None = section_key(f"be one of {', '.join(_SOLVERS)}", 'solver = "Tsit5"')
    max_steps: int | None = whole("max_steps = 100000")

    def build(self) -> Stepping:
        """How time is stepped. Raises ValueError for values out of range."""
        given = self.model_dump(exclude_unset=True)
        if "solver" in given:
            given["solver"] = _SOLVERS[check_choice("method.solver", given["solver"], _SOLVERS)]()
        return Stepping(**given)


class RunSection(AbstractSection):
    """[run]: what else `husimix.mesolve` and `husimix.steadystate` take; keys that are not set keep their defaults."""

    tol: float | None = real("tol = 1e-2")
    time_limit: float | None = real("time_limit = 300.0")
    symmetry: str | None = section_key(f"be one of {', '.join(SYMMETRIES)}", 'symmetry = "auto"')
    seed: int | None = whole("seed = 0")
    save_states: bool | None = section_key("be true or false", "save_states = false")

    def build(self, ansatz: AbstractAnsatz | str, method: Stepping) -> Choices:
        """How a task is to be carried out. Raises ValueError for an unknown symmetry."""
        given = self.model_dump(exclude_unset=True)
        if "symmetry" in given:
            name = check_choice("run.symmetry", given["symmetry"], SYMMETRIES)
            given["symmetry"] = None if name == "none" else name
        return Choices(ansatz=ansatz, method=method, **given)


class ObservableSection(AbstractSection):
    """One entry of [observables]: a product of Pauli operators on given sites, or its mean over bonds or sites."""

    pauli: str = section_key("be a string of the letters x y z + -", 'pauli = "zz"', ...)
    mean_over: str | None = section_key('be "bonds" or "sites"', 'mean_over = "bonds"')
    shell: int | None = whole("shell = 1")
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
            if self.shell is not None and self.shell > _MAX_SHELL:
                raise argument_error(f"{where}.shell", f"be at most {_MAX_SHELL}", self.shell)
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
