"""Sums of many terms in which exact cancellations leave nothing behind."""

import math
from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

__all__ = ["TermSum"]

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value", float, complex)

_ROUNDING = 1e-14


class TermSum(Generic[Key, Value]):
    """Totals by key that forget what is only the rounding error of a cancellation.

    Each total is compared with the sum of the moduli that went into it, so that small terms beside large ones are
    kept, and what is not finite stays to be seen.
    """

    def __init__(self) -> None:
        self._totals: dict[Key, Value] = {}
        self._moduli: dict[Key, float] = {}

    def add(self, key: Key, value: Value) -> None:
        """Add `value` to the total of `key`."""
        self._totals[key] = self._totals.get(key, 0.0) + value
        self._moduli[key] = self._moduli.get(key, 0.0) + abs(value)

    def nonzero(self) -> Mapping[Key, Value]:
        """The totals that are more than rounding, in the order of their first term."""

        def is_rounding(key: Key, total: Value) -> bool:
            return math.isfinite(abs(total)) and abs(total) <= _ROUNDING * self._moduli[key]

        return {key: total for key, total in self._totals.items() if not is_rounding(key, total)}
