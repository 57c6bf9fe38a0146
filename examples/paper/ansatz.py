"""Claim: an ansatz of spin-coherent states with signed weights, improved by adding components, captures the dynamics.

The paper's ansatz, spin-coherent components in the Husimi metric, without symmetry and averaged over translations,
beside the defaults of a mixture: components with any Bloch vectors, the symmetry that the lattice has, damping that
falls with K. On a ring of 6 and a 3×3 torus, at weak (V = 2γ, g = γ) and strong coupling (V = g = 5γ), to T = 5/γ. The
error is the largest of the site averages of ⟨σx⟩, ⟨σy⟩, ⟨σz⟩ and the bond average of ⟨σzσz⟩ at any time, the median
of two seeds; against the number of components, of parameters, and the time after compilation. At strong coupling
components also breathe: many while the certificate is high, few later.

    python examples/paper/ansatz.py
"""

from typing import Any

from common import EXCELLENT, MARKERS, SERIES, Record, System, begin, judge, log_ticks, measure, plt, small_systems

COUPLINGS = (("weak", 2.0, 1.0), ("strong", 5.0, 5.0))
COUNTS = (4, 8, 16, 32)
BREATHING = (16, 64)
OURS = "bloch, auto"
COMPARED = ("coherent, no symmetry", "coherent, translations", OURS)
PAPER = "transients in excellent agreement with exact results; more components, more accurate"


def choices(system: System, quick: bool) -> list[tuple[str, int | tuple[int, int]]]:
    """Which ansätze with which numbers of components run on a system."""
    if quick:
        return [(COMPARED[0], 2), (OURS, 2)]
    chosen: list[tuple[str, int | tuple[int, int]]] = [(name, count) for name in COMPARED for count in COUNTS]
    if "strong" not in system.name:
        return chosen
    if "torus" in system.name:
        # A coherent run with 32 components takes thousands of steps here, each slower than on the ring.
        return [(name, k) for name, k in chosen if name == OURS or k != COUNTS[-1]] + [(OURS, BREATHING)]
    return chosen


def draw(record: Record, systems: list[System], rows: list[dict[str, Any]]) -> None:
    """Error against components, parameters and seconds, a row of panels for each system."""
    axes = (
        ("components", "components $K$", (2, 4, 8, 16, 32, 64)),
        ("parameters", "parameters $P$", (30, 100, 300, 1000)),
        ("seconds", "seconds after compilation", (0.3, 1, 3, 10, 30, 100)),
    )
    shape = {"figsize": (9, 2 + 1.9 * len(systems)), "sharex": "col", "sharey": "row", "squeeze": False}
    figure, panels = plt.subplots(len(systems), 3, **shape)
    for line, system in zip(panels, systems, strict=True):
        own = [r for r in rows if r["system"] == system.name]
        for panel, (key, _, ticks) in zip(line, axes, strict=True):
            for name, marker, colour in zip(COMPARED, MARKERS, SERIES, strict=False):
                kept = [r for r in own if r["ansatz"] == name and isinstance(r["components"], int)]
                panel.plot([r[key] for r in kept], [r["error"] for r in kept], f"-{marker}", color=colour, label=name)
            breathing = [r for r in own if not isinstance(r["components"], int)]
            x = [r[key][1] if key == "components" else r[key] for r in breathing]
            colour = SERIES[COMPARED.index(OURS)]
            label = f"{OURS}, breathing {BREATHING[0]} to {BREATHING[1]}"
            panel.plot(x, [r["error"] for r in breathing], "*", color=colour, mfc="white", ms=10, label=label)
            panel.axhline(EXCELLENT, color="0.4", ls="--", lw=1)
            panel.set(yscale="log")
            log_ticks(panel, ticks)
        line[0].set(ylabel="largest error", title=f"{system.name}: V = {system.V:g}γ, g = {system.g:g}γ")
    for panel, (_, label, _) in zip(panels[-1], axes, strict=True):
        panel.set(xlabel=label)
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4, fontsize=8)
    record.save(figure)


def main() -> None:
    """Run the ladders, draw them and put on record what they reach."""
    record = begin(__file__, __doc__)
    systems = small_systems(record.quick, COUPLINGS)
    seeds = (0, 1) if not record.quick else (0,)
    rows = [measure(s, name, count, seeds) for s in systems for name, count in choices(s, record.quick)]
    draw(record, systems, rows)
    for system in systems:
        for name in COMPARED:
            own = [r for r in rows if r["system"] == system.name and r["ansatz"] == name]
            if not own:
                continue
            best = min(own, key=lambda r: r["error"])
            count = best["components"]
            count = "{} to {}".format(*count) if isinstance(count, tuple) else count
            told = f"largest error {best['error']:.1e} at K = {count} ({best['parameters']} parameters, "
            told += f"{best['seconds']:.1f} s), the best of {len(own)} numbers of components"
            if best["reached"] < system.end:
                told += f"; stopped at t = {best['reached']:.2g}"
            claim = f"{system.name} (V = {system.V:g}γ, g = {system.g:g}γ), {name}"
            is_claimed = "strong" not in system.name
            paper = PAPER if is_claimed else "nothing is known to be claimed at this coupling"
            record.claim(claim, paper, told, judge(best["error"], is_claimed), error=best["error"])
    record.write(rows=rows)


if __name__ == "__main__":
    main()
