"""How a computation ended."""

import enum

__all__ = ["Status"]


class Status(enum.Enum):
    """How a run ended; the text of each member is the remedy that holds for every ansatz."""

    COMPLETED = "All that was asked for was found."
    TOLERANCE_MISSED = (
        "The run is whole, but the ladder ended before the tolerance: trust no more than its estimated error, the "
        "diagnostic estimated_error, allows."
    )
    STEP_COLLAPSE = (
        "The step size collapsed: the motion became too violent for the tolerance, or rates and fields are too fast "
        "for explicit steps over so long a time."
    )
    NON_FINITE = "The velocity became infinite or undefined."
    RUN_AWAY = (
        "The run left what any quantum state allows; what was kept before the last save times is not trustworthy."
    )
    MAX_STEPS = "The run used up `max_steps`. Raise max_steps, or loosen rtol and atol of hx.Stepping."
    NOT_STATIONARY = (
        "Not stationary: expectation values still change faster than the tolerance. Take a larger max_time where the "
        "residual is low; a looser tolerance accepts the state as it is."
    )
    INTERRUPTED = "The run was interrupted; everything up to the last save time is kept."
