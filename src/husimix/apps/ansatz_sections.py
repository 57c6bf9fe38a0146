"""The section [ansatz] of a run file: a name, and the keys of the ansatz of that name."""

from typing import ClassVar, Self

import pydantic

from husimix._errors import argument_error, check_choice
from husimix.ansatz import AbstractAnsatz
from husimix.apps.keys import AbstractSection, real, section_key, whole
from husimix.clusters.ansatz import Clusters
from husimix.mixture.ansatz import Mixture
from husimix.mixture.metric_solvers import SpectralCutoff, Tikhonov

__all__ = ["ANSATZ_SECTIONS", "AnsatzSection"]


class _AbstractKeys(AbstractSection):
    """The keys of one ansatz."""

    def build(self) -> AbstractAnsatz:
        """The ansatz. Raises ValueError for values out of range."""
        raise TypeError("Every ansatz builds itself.")


class MixtureKeys(_AbstractKeys):
    """[ansatz] name = "mixture": the arguments of `husimix.Mixture`; keys that are not set keep their defaults."""

    components: int | list[int] | None = section_key(
        "be a whole number or a list of two", "components = 8", union_mode="left_to_right"
    )
    manifold: str | None = section_key("be a name in quotes", 'manifold = "bloch"')
    metric: str | float | list[float] | None = section_key("be a name or finite numbers", 'metric = "auto"')
    damping: float | None = real("damping = 1e-6")
    cutoff: float | None = real("cutoff = 1e-6")
    spread: float | None = real("spread = 0.2")
    max_components: int | None = whole("max_components = 128")
    memory_limit: float | None = real("memory_limit = 4.0")

    @pydantic.model_validator(mode="after")
    def _is_one_metric_solver(self) -> Self:
        if self.damping is not None and self.cutoff is not None:
            fix = "Keep `damping` for Tikhonov or `cutoff` for SpectralCutoff."
            raise argument_error("ansatz", "hold at most one of `damping` and `cutoff`", "both", fix)
        return self

    def build(self) -> Mixture:
        """See `_AbstractKeys`."""
        given = self.model_dump(exclude_unset=True)
        for key, metric_solver in (("damping", Tikhonov), ("cutoff", SpectralCutoff)):
            if key in given:
                given["metric_solver"] = metric_solver(given.pop(key))
        if isinstance(given.get("components"), list):
            given["components"] = tuple(given["components"])
        return Mixture(**given)


class ClustersKeys(_AbstractKeys):
    """[ansatz] name = "clusters": the arguments of `husimix.Clusters`; keys that are not set keep their defaults."""

    size: int | None = whole("size = 3")
    edge_damping: float | None = real("edge_damping = 0.5")
    extra: list[list[int]] | None = section_key("be lists of sites", "extra = [[0, 5], [0, 6]]")
    pairs: int | str | None = section_key('be a whole number or "all"', "pairs = 8", union_mode="left_to_right")
    neighbours: float | list[list[int]] | None = section_key(
        "be a finite number or a list of pairs of sites", "neighbours = 0.1", union_mode="left_to_right"
    )
    certificate: bool | None = section_key("be true or false", "certificate = false")
    memory_limit: float | None = real("memory_limit = 4.0")

    def build(self) -> Clusters:
        """See `_AbstractKeys`."""
        return Clusters(**self.model_dump(exclude_unset=True))


ANSATZ_SECTIONS: dict[str, type[_AbstractKeys]] = {Mixture.name: MixtureKeys, Clusters.name: ClustersKeys}
"""What [ansatz] may hold, by the name of the ansatz."""


class AnsatzSection(AbstractSection):
    """[ansatz]: the name of an ansatz; its other keys depend on the name."""

    model_config = pydantic.ConfigDict(extra="allow")
    known: ClassVar[tuple[str, ...]] = tuple(ANSATZ_SECTIONS)

    name: str = section_key(f"be one of {', '.join(ANSATZ_SECTIONS)}", 'name = "mixture"', ...)

    def keys(self) -> _AbstractKeys:
        """The other keys, checked. Raises ValidationError where the ansatz has no such key."""
        section = ANSATZ_SECTIONS[check_choice("ansatz.name", self.name, ANSATZ_SECTIONS)]
        return section.model_validate(self.model_extra)

    def build(self) -> AbstractAnsatz:
        """The ansatz. Raises ValueError for values out of range."""
        return self.keys().build()
