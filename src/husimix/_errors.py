"""One grammar for every error that husimix raises at its public boundary.

"Argument `rate` must be non-negative, but got -0.3." followed by the likely fix. The functions here are
the only place that knows the grammar; the checks themselves stay beside the code that they protect.
"""

import contextlib
import difflib
import math
import warnings
from collections.abc import Iterable, Iterator
from numbers import Integral, Real

__all__ = [
    "HusimixWarning",
    "RefusalError",
    "argument_error",
    "check_choice",
    "check_integer",
    "check_number",
    "kept_warnings",
    "nearest_name",
    "refusal",
]


class HusimixWarning(UserWarning):
    """A run ended early or a result needs care; the text says what to do."""


class RefusalError(ValueError):
    """What an ansatz cannot do for a problem that is sound in itself, so that another ansatz may be tried.

    Attributes:
        n_numbers: about how many numbers would move, or at least how many, where memory is the reason; else 0.
        memory: GiB that they would take.
    """

    def __init__(self, text: str, n_numbers: int = 0, memory: float = 0.0):
        super().__init__(text)
        self.n_numbers, self.memory = n_numbers, memory


@contextlib.contextmanager
def kept_warnings() -> Iterator[list[str]]:
    """Keep what husimix warns of inside, for whoever called to tell it in another way.

    Yields:
        The texts, complete when the block is left. Warnings of others are passed on then.
    """
    texts: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", HusimixWarning)
        yield texts
    for warning in caught:
        if issubclass(warning.category, HusimixWarning):
            texts.append(str(warning.message))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def argument_error(name: str, must: str, got: object, fix: str = "") -> ValueError:
    """The error "Argument `name` must `must`, but got `got`. `fix`" as an exception to raise."""
    shown = " ".join(str(got).split())
    shown = shown if len(shown) <= 120 else shown[:117] + "..."
    sentence = f"Argument `{name}` must {must}, but got {shown}."
    return ValueError(f"{sentence} {fix}" if fix else sentence)


def refusal(name: str, must: str, got: object, fix: str = "", n_numbers: int = 0, memory: float = 0.0) -> RefusalError:
    """`argument_error` for what one ansatz cannot do and another may; see `RefusalError` for the last two."""
    return RefusalError(str(argument_error(name, must, got, fix)), n_numbers, memory)


def nearest_name(name: object, known: Iterable[str]) -> str:
    """The sentence "Did you mean `...`?" for a misspelt name, or "Known: ..." if none is near."""
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    return f"Did you mean `{near[0]}`?" if near else f"Known: {', '.join(names)}."


def check_integer(name: str, value: object, minimum: int | None = None, fix: str = "") -> int:
    """`value` as an int, refused unless it is an integer of at least `minimum`."""
    must = "be an integer" if minimum is None else f"be an integer of at least {minimum}"
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise argument_error(name, must, repr(value), fix)
    if minimum is not None and value < minimum:
        raise argument_error(name, must, value, fix)
    return int(value)


def check_number(
    name: str, value: object, minimum: float | None = None, above: float | None = None, fix: str = ""
) -> float:
    """`value` as a float, refused unless it is real, finite, at least `minimum` and greater than `above`."""
    must = "be a finite real number"
    if minimum is not None:
        must = "be finite and non-negative" if minimum == 0 else f"be finite and at least {minimum:g}"
    if above is not None:
        must = "be finite and positive" if above == 0 else f"be finite and greater than {above:g}"
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(float(value)):
        raise argument_error(name, must, repr(value), fix)
    number = float(value)
    if (minimum is not None and number < minimum) or (above is not None and number <= above):
        raise argument_error(name, must, value, fix)
    return number


def check_choice(name: str, value: object, known: Iterable[str]) -> str:
    """`value`, refused with the nearest known name unless it is one of `known`."""
    names = list(known)
    if not isinstance(value, str) or value not in names:
        raise argument_error(name, f"be one of {', '.join(names)}", repr(value), nearest_name(value, names))
    return value
