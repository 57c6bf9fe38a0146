"""What all sections of run files are made of: keys that say what they must be, and tables that refuse all others."""

from typing import Any

import pydantic
from pydantic import BaseModel, Field

__all__ = ["AbstractSection", "real", "section_key", "whole"]


def section_key(must: str, example: str, default: Any = None, **constraints: Any) -> Any:
    """A key of a run file: `must` completes "must ..." in errors, `example` is the fix they offer."""
    return Field(default, description=must, examples=[example], **constraints)


def whole(example: str) -> Any:
    """A key that holds a whole number."""
    # TOML promises 64 bits; Python's integers have no end, and JAX's overflow.
    return section_key("be a whole number", example, ge=-(2**63), lt=2**63)


def real(example: str) -> Any:
    """A key that holds a finite number."""
    return section_key("be a finite number", example)


class AbstractSection(BaseModel):
    """A table of a run file: unknown keys, other types, infinities and nan are refused."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)
