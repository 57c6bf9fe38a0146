"""A problem of time evolution and one run of it."""

import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from husimix._errors import argument_error
from husimix.phasespace.mixture import Mixture
from husimix.phasespace.observables import Measurement
from husimix.physics.lindbladian import Lindbladian, dissipation_rate
from husimix.physics.operators import Operator
from husimix.solve.breathing import Breathing, evolve_breathing
from husimix.solve.journey import Glance
from husimix.solve.physicality import neighbours
from husimix.solve.progress import ProgressMeter
from husimix.solve.recording import Recorder
from husimix.solve.result import Result
from husimix.solve.setup import Setup, one_blas_thread, set_up

__all__ = ["Problem", "Run"]


class Run(NamedTuple):
    """A run that has ended.

    Attributes:
        result: what the user gets.
        recorder: all that was recorded.
        reached: the time it came to.
    """

    result: Result
    recorder: Recorder
    reached: float


@dataclass(frozen=True)
class Problem:
    """What all runs of one call of `mesolve` have in common.

    Attributes:
        model, state: the Lindbladian and the initial state.
        times: (T,) save times.
        observables: by name.
        save_states, progress: see `mesolve`.
        arguments: the other ones of `set_up`.
    """

    model: Lindbladian
    state: Mixture
    times: np.ndarray
    observables: dict[str, Operator]
    save_states: bool
    progress: bool
    arguments: dict[str, Any]

    def run(self, least: int | None, most: int | None, seed: int) -> Run:
        """One run.

        Args:
            least: the number of components; None for the default.
            most: up to which it may grow; None for a constant number.
            seed: of extra components.

        Raises:
            ValueError: for arguments that do not fit, before anything is computed.
        """
        began = time.perf_counter()
        setup = set_up(self.model, self.state, components=least, seed=seed, **self.arguments)
        breathing = self._breathing(setup, most)
        recorder = self._recorder(setup)
        numbers = sorted({breathing.least, breathing.most})
        label = f"mesolve, {' to '.join(map(str, numbers))} components"
        with one_blas_thread(), ProgressMeter(label, self.times[0], self.times[-1], self.progress) as meter:

            def show(glance: Glance) -> None:
                meter.update(min(glance.t, self.times[-1]), glance.accepted)

            status, journey = evolve_breathing(setup, self.times, breathing, recorder, show)
        chosen = {"components": numbers[0] if most is None else [breathing.least, breathing.most]}
        result = Result(
            times=np.array(recorder.times),
            bloch=np.array(recorder.bloch).reshape(-1, self.model.n_sites, 3),
            expect={name: np.array(values) for name, values in recorder.expect.items()},
            final_state=recorder.mixture(journey.point),
            diagnostics={name: np.array(values) for name, values in recorder.diagnostics.items()},
            status=status,
            model=self.model,
            settings={"tsave": self.times.tolist()} | setup.settings | chosen,
            wall_time=time.perf_counter() - began,
            states=recorder.states,
        )
        return Run(result, recorder, journey.t)

    def bounds(self, first: int, most: int) -> tuple[int, int]:
        """From which number of components runs may be doubled, and up to which.

        Args:
            first: the least number, raised to that of the state in the arrangement of the run.
            most: the greatest, halved until it fits into the memory limit.

        Raises:
            ValueError: if not even twice the least number is allowed, so that no two runs could be compared.
        """
        setup = set_up(self.model, self.state, components=None, seed=0, **self.arguments)
        # Components that the run adds have no weight.
        least = max(first, self.state.n_components, int(np.count_nonzero(setup.start.weights)))
        while most >= 2 * least and not setup.fits(most):
            most //= 2
        if most < 2 * least:
            fix = "Raise max_components or memory_limit of the method, or choose a number of components."
            raise argument_error("max_components", f"allow {2 * least} components, twice the least number", most, fix)
        return least, most

    def _breathing(self, setup: Setup, most: int | None) -> Breathing:
        count = len(setup.start.weights)
        if most is not None:
            # Refused now if it would not fit later.
            setup.motion_of(most)
        forgetting = max(dissipation_rate(self.model), 1.0 / float(np.ptp(self.times)))
        return Breathing.between(count, count if most is None else most, forgetting)

    def _recorder(self, setup: Setup) -> Recorder:
        motion, group = setup.motion, setup.arrangement.group
        measurements = {name: Measurement(o, group) for name, o in self.observables.items()}
        pairs = neighbours(self.model, group)
        return Recorder(setup.arrangement, motion.manifold, motion.contacts, measurements, self.save_states, pairs)
