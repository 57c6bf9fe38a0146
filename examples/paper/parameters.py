"""Claim: fewer parameters than neural networks need.

How many parameters are needed for a given error: of the transient on a ring of 6 and a 3×3 torus at V = 2γ, g = γ, up
to T = 5/γ, for the paper's components and those of husimix, with and without symmetry. An error is the largest of the
site averages of ⟨σx⟩, ⟨σy⟩, ⟨σz⟩ and the bond average of ⟨σzσz⟩ at any time, the median of three seeds. Beside them
stand the sizes of neural ansätze:

- the density matrix of restricted Boltzmann machines (Torlai and Melko, PRL 120, 240503 (2018), used for steady
  states by Vicentini et al., PRL 122, 250503, Hartmann and Carleo, PRL 122, 250502, Nagy and Savona, PRL 122, 250501
  (2019)), whose size follows from N and the densities α of hidden and β of ancillary units, `boltzmann_size`; where
  NetKet is installed, the count is checked with its `NDM`;
- sizes that could be traced to a source, data/neural_sizes.json. The transformer of Luo et al., PRL 128, 090501
  (2022), arXiv:2009.05580, and the numbers in the papers on Boltzmann machines are left out: no exact size was at
  hand.

Sizes are compared, not accuracies. One accuracy of a network is known here: benchmarks/results/peers.md has α = β = 1
on the ring of 6 at 1.3e-2 in the steady state after 300 iterations of NetKet's example.

    python examples/paper/parameters.py
"""

import importlib.util
import json
from pathlib import Path
from typing import Any

from common import KINDS, MARKERS, SERIES, Record, System, begin, log_ticks, measure, plt, small_systems

SIZES = Path(__file__).parent / "data" / "neural_sizes.json"
COUNTS = (2, 4, 8, 16, 32)
TARGETS = (1e-2, 5e-3, 2e-3)
PAPER = "far fewer parameters than neural networks"


def boltzmann_size(n_sites: int, alpha: int, beta: int) -> int:
    """Real parameters of a density matrix of restricted Boltzmann machines.

    Modulus and phase have αN² weights, αN hidden and N visible biases each; the mixing part has βN² weights for the sum
    and for the difference of rows and columns, and βN biases: 2(αN² + αN + N) + 2βN² + βN.
    """
    pure = alpha * n_sites**2 + alpha * n_sites + n_sites
    return 2 * pure + 2 * beta * n_sites**2 + beta * n_sites


def counted_by_netket(n_sites: int, alpha: int, beta: int) -> int | None:
    """The same number by NetKet; None where it is not installed."""
    if importlib.util.find_spec("netket") is None:
        return None
    import jax
    import netket

    model = netket.models.NDM(alpha=alpha, beta=beta)
    leaves = jax.tree_util.tree_leaves(model.init(jax.random.key(0), jax.numpy.ones((1, 2 * n_sites))))
    return sum(leaf.size for leaf in leaves)


def ladder(system: System, ansatz: str, quick: bool) -> list[dict[str, Any]]:
    """Runs with more and more components until the smallest target is met."""
    rows = []
    for count in COUNTS[:1] if quick else COUNTS:
        rows.append(measure(system, ansatz, count, (0,) if quick else (0, 1, 2)))
        if rows[-1]["error"] <= TARGETS[-1]:
            break
    return rows


def needed(rows: list[dict[str, Any]], target: float) -> dict[str, Any] | None:
    """The smallest run that meets a target."""
    return next((row for row in rows if row["error"] <= target), None)


def draw(record: Record, systems: list[System], rows: list[dict[str, Any]]) -> None:
    """Error against parameters, the sizes of neural density matrices as vertical lines."""
    figure, panels = plt.subplots(1, len(systems), figsize=(8.6, 4), sharey=True, squeeze=False)
    for panel, system in zip(panels[0], systems, strict=True):
        for name, marker, colour in zip(KINDS, MARKERS, SERIES, strict=False):
            own = [r for r in rows if r["system"] == system.name and r["ansatz"] == name]
            x, y = [r["parameters"] for r in own], [r["error"] for r in own]
            low, high = ([abs(f(r["errors"]) - r["error"]) for r in own] for f in (min, max))
            panel.errorbar(x, y, (low, high), fmt=f"-{marker}", color=colour, capsize=2, elinewidth=1, label=name)
        for density, style in ((1, "-"), (2, "--"), (4, ":")):
            size = boltzmann_size(system.lattice.n_sites, density, density)
            panel.axvline(size, color="0.4", ls=style, lw=1.2, label=f"Boltzmann machines, α = β = {density}")
        for target in TARGETS:
            panel.axhline(target, color="0.75", lw=0.8, zorder=0)
        panel.set(yscale="log", xlabel="parameters $P$", title=f"{system.name}, V = 2γ, g = γ")
        log_ticks(panel, (10, 30, 100, 300, 1000, 3000))
    panels[0, 0].set(ylabel="largest error of the transient")
    # The sizes of the networks differ between panels, the labels do not.
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4, fontsize=8)
    record.save(figure)


def judged(found: dict[str, Any] | None, size: int) -> tuple[str, str]:
    """What is needed, in words, and the verdict against a network of that size."""
    if found is None:
        return f"not reached with {COUNTS[-1]} components", "not reproduced: the error is not reached"
    told = f"{found['parameters']} parameters (K = {found['components']}, error {found['error']:.1e})"
    ratio = size / found["parameters"]
    verdict = "reproduced" if ratio > 1 else "not reproduced"
    return told, f"{verdict}: the smallest network has {ratio:.1f} times as many"


def main() -> None:
    """Climb the ladders, count the networks, draw and put on record."""
    record = begin(__file__, __doc__)
    systems = small_systems(record.quick, (("weak", 2.0, 1.0),))
    names = ("coherent, no symmetry", "bloch, auto") if record.quick else tuple(KINDS)
    rows = [row for system in systems for name in names for row in ladder(system, name, record.quick)]
    networks = []
    for system in systems:
        n = system.lattice.n_sites
        for density in (1, 2, 4):
            size, counted = boltzmann_size(n, density, density), counted_by_netket(n, density, density)
            if counted not in (None, size):
                raise AssertionError(f"The formula gives {size} parameters, but NetKet has {counted}.")
            networks.append({"sites": n, "alpha": density, "beta": density, "parameters": size, "netket": counted})
    draw(record, systems, rows)
    for system in systems:
        size = boltzmann_size(system.lattice.n_sites, 1, 1)
        for name in names:
            own = [r for r in rows if r["system"] == system.name and r["ansatz"] == name]
            for target in TARGETS[:1] if record.quick else TARGETS:
                told, verdict = judged(needed(own, target), size)
                claim = f"{system.name}, V = 2γ, g = γ, error {target:g}, {name}"
                record.claim(claim, PAPER, f"{told}; Boltzmann machines α = β = 1: {size}", verdict, network=size)
    record.write(rows=rows, networks=networks, sources=json.loads(SIZES.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
