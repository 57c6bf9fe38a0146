"""What certificates and numbers of components are worth, against exact integration.

Writes trust_certificate.md with trust.png, and trust_hard.md, in ten minutes on two idle cores. What a tolerance is
worth, `tolerance.py` measures.
"""

import time
import warnings
from collections.abc import Callable
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import scipy.linalg
from common import bond_mean, in_random_fields
from machine import Options, machine_line, options, write

import husimix as hx
from husimix.mixture.metric import site_metric
from husimix.state import AbstractState

TIMES = np.linspace(0, 5, 51)
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
MARKERS = "osD^v"


class System(NamedTuple):
    """A model and an initial state."""

    name: str
    model: hx.Lindbladian
    spins: str | np.ndarray = "down"

    @property
    def state(self) -> AbstractState:
        return hx.product_state(self.model.n_sites, self.spins)


def with_dephasing(model: hx.Lindbladian, rate: float) -> hx.Lindbladian:
    channels = [hx.Dissipator(hx.sigmaz(i), rate) for i in range(model.n_sites)]
    return hx.Lindbladian(model.hamiltonian, [*model.dissipators, *channels], lattice=model.lattice)


RING, RING5 = hx.Lattice.chain(4, periodic=True), hx.Lattice.chain(5, periodic=True)
CHAIN, BRICK = hx.Lattice.chain(4), hx.Lattice.rectangle(2, 2)
ising, xyz = hx.models.dissipative_ising, hx.models.dissipative_xyz
TILTED = np.array([[0.0, 0, -1], [0.8, 0, 0.6], [0, 1.0, 0], [0, 0, 1.0]])

SMALL = (
    System("ring of 5, V = g = 1", ising(RING5, V=1.0, g=1.0)),
    System("ring of 5, V = 2, g = 1", ising(RING5, V=2.0, g=1.0)),
    System("ring of 5, V = g = 5", ising(RING5, V=5.0, g=5.0)),
    System("ring of 5, XYZ", xyz(RING5, Jx=0.9, Jy=1.2, Jz=1.0), "+x"),
    System("ring of 4, V = 2, g = 4", ising(RING, V=2.0, g=4.0)),
    System("chain of 4, V = g = 2", ising(CHAIN, V=2.0, g=2.0)),
    System("chain of 4, random fields", in_random_fields(ising(CHAIN, V=2.0, g=1.5), seed=5)),
    System("chain of 4, tilted start", ising(CHAIN, V=2.0, g=1.5), TILTED),
    System("2×2, V = 5, g = 2", ising(BRICK, V=5.0, g=2.0)),
    System("2×2, dephasing", with_dephasing(ising(BRICK, V=3.0, g=3.0), 0.5)),
)
"""Ten systems for the certificate, two of them inhomogeneous."""

HARD = hx.Lattice.square(3, 3, periodic=True)
HARD_CASES = (
    (System("Ising, V = g = 5", ising(HARD, V=5.0, g=5.0)), (
        hx.Mixture(16), hx.Mixture(32), hx.Mixture(64), hx.Mixture((16, 64)), hx.Mixture((32, 128)), hx.Mixture(128),
        hx.Mixture(32, metric_solver=hx.Tikhonov(1e-6)), hx.Mixture(64, metric_solver=hx.Tikhonov(1e-6)),
        hx.Mixture(32, spread=1.0), hx.Mixture(32, metric=0.1),
    )),
    (System("XYZ, J = (0.9, 1.2, 1)", xyz(HARD, Jx=0.9, Jy=1.2, Jz=1.0), "+x"), (
        hx.Mixture(16), hx.Mixture(32),
    )),
)  # fmt: skip
"""The hard regime, with the mixtures for each system."""


def evolve(system: System, **arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", hx.HusimixWarning)
        return hx.mesolve(system.model, system.state, TIMES, progress=False, **arguments)


def bond_means(lattice: hx.Lattice) -> dict[str, hx.Operator]:
    return {letters: bond_mean(lattice, letters) for letters in ("xx", "yy", "zz", "xy", "yz")}


def worst(result, exact) -> float:
    """The largest error of any ⟨σ⟩ and bond average at any time that was reached."""
    count = len(result.times)
    gaps = [np.abs(result.bloch - exact.bloch[:count]).max()]
    return float(max(gaps + [np.abs(result.expect[n] - exact.expect[n][:count]).max() for n in exact.expect]))


def tensor(rho: np.ndarray, n_sites: int) -> np.ndarray:
    """√g R of a density matrix in the Husimi metric, flat."""
    paulis = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
    weighted = paulis * np.sqrt(site_metric("husimi", hx.product_state(1).basis))[:, None, None]
    # Each turn takes the first row and the first column index, and puts an operator index last.
    letters = rho.reshape((2,) * (2 * n_sites))
    for left in range(n_sites, 0, -1):
        letters = np.tensordot(letters, weighted, axes=([0, left], [2, 1]))
    return letters.reshape(-1).real


def certificate_part(asked: Options) -> list[str]:
    """The accumulated projection error beside the true distance in the metric."""
    lines = [
        "## Certificate and true error",
        "",
        "K = 8, Husimi metric, to T = 5/γ. ω: the largest rate at which distances grow under the exact motion, 0 or",
        "less where the motion brings states together. ∫ε: the accumulated absolute certificate. Distance:",
        "‖R - R_exact‖. Ratio: the largest distance over ∫ε up to that time. σ: the worst error of any ⟨σ⟩.",
        "",
        "| system | ω | ∫ε | largest distance | largest ratio | worst error of ⟨σ⟩ | its ratio to ∫ε |",
        "|---|---|---|---|---|---|---|",
    ]
    figure, panel = plt.subplots(figsize=(6.5, 5), layout="constrained")
    for index, system in enumerate(SMALL[5:6] if asked.quick else SMALL):
        n = system.model.n_sites
        run = evolve(system, ansatz=hx.Mixture(components=8, metric="husimi"), save_states=True)
        superoperator = system.model.to_dense()
        step = scipy.linalg.expm(superoperator * (TIMES[1] - TIMES[0]))
        rho = np.asarray(system.state.to_dense()).reshape(-1, order="F")
        distances, exact_bloch = [], []
        for state in run.states:
            exact = rho.reshape(2**n, 2**n, order="F")
            distances.append(np.linalg.norm(tensor(state.to_dense() - exact, n)))
            letters = tensor(exact, n).reshape((4,) * n) * np.sqrt(3)
            exact_bloch.append([[letters[tuple(a * (s == i) for s in range(n))] for a in (1, 2, 3)] for i in range(n)])
            rho = step @ rho
        distance, accrued = np.array(distances), run.diagnostics["accumulated_error_absolute"]
        ratio = np.max(distance[1:] / accrued[1:])
        error = float(np.abs(run.bloch - np.array(exact_bloch)).max())
        growth = growth_rate(superoperator, n)
        lines.append(
            f"| {system.name} | {growth:.2f} | {accrued[-1]:.3f} | {distance.max():.3f} | {ratio:.2f} | {error:.1e} "
            f"| {error / accrued[-1]:.3f} |"
        )
        print(lines[-1], flush=True)
        style = {"color": COLOURS[index % 5], "marker": MARKERS[index % 5], "markevery": 5, "markersize": 4.5}
        filled = "white" if index >= 5 else COLOURS[index % 5]
        panel.loglog(accrued[1:], distance[1:], lw=1.2, markerfacecolor=filled, label=system.name, **style)
    ends = np.array(panel.get_xlim())
    panel.plot(ends, ends, color="0.4", lw=1, ls="--", label="distance = ∫ε")
    panel.set(xlabel=r"accumulated certificate $\int \Vert\mathcal{L}R - \dot R\Vert\, dt$")
    panel.set(ylabel=r"true distance $\Vert R - R_{\mathrm{exact}}\Vert$")
    panel.grid(alpha=0.3)
    panel.legend(fontsize=8)
    figure.savefig(asked.output / "trust.png", dpi=150)
    plt.close(figure)
    return [*lines, "", "![True distance against accumulated certificate](trust.png)"]


def growth_rate(superoperator: np.ndarray, n_sites: int) -> float:
    """The largest eigenvalue of the symmetric part of √g 𝓛 /√g: d‖E‖/dt is at most this times ‖E‖, plus ε."""
    size = 2**n_sites
    units = np.array(list(hermitian_units(size))).T

    def tensors(columns: np.ndarray) -> np.ndarray:
        return np.array([tensor(c.reshape(size, size, order="F"), n_sites) for c in columns.T]).T

    flow = tensors(superoperator @ units) @ np.linalg.inv(tensors(units))
    return float(np.linalg.eigvalsh(0.5 * (flow + flow.T))[-1])


def hermitian_units(size: int):
    """A basis of Hermitian matrices, flattened column by column."""
    for i in range(size):
        for j in range(size):
            unit = np.zeros((size, size), dtype=complex)
            if i <= j:
                unit[i, j] = unit[j, i] = 1
            else:
                unit[i, j], unit[j, i] = 1j, -1j
            yield unit.reshape(-1, order="F")


def hard_part(_: Options) -> list[str]:
    """Strong coupling in two dimensions."""
    lines = [
        "## The hard regime",
        "",
        "3×3 torus, to T = 5/γ. Error: the worst of any ⟨σ⟩ and bond average at any time; at T: the same there. A pair",
        "of numbers: components that breathe. Accumulated: the relative certificate. Seconds with compilation.",
        "",
        "| system | K | other settings | error | at T | accumulated | steps | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for system, choices in HARD_CASES:
        observables = bond_means(HARD)
        exact = hx.exact.mesolve(system.model, system.state, TIMES, observables=observables)
        for ansatz in choices:
            began = time.perf_counter()
            run = evolve(system, observables=observables, ansatz=ansatz)
            last = max(
                np.abs(run.bloch[-1] - exact.bloch[-1]).max(),
                *(abs(run.expect[n][-1] - exact.expect[n][-1]) for n in exact.expect),
            )
            count = ansatz.label.removesuffix(" components")
            lines.append(
                f"| {system.name} | {count} | {others_of(ansatz)} | {worst(run, exact):.1e} | {last:.1e} "
                f"| {run.diagnostics['accumulated_error'][-1]:.2f} | {run.diagnostics['steps'][-1]:.0f} "
                f"| {time.perf_counter() - began:.0f} |"
            )
            print(lines[-1], flush=True)
    return lines


def others_of(ansatz: hx.Mixture) -> str:
    """Metric, spread and damping of a mixture where they are not the defaults."""
    default = hx.Mixture()
    chosen = {name: getattr(ansatz, name) for name in ("metric", "spread")}
    words = [f"{name} {value}" for name, value in chosen.items() if value != getattr(default, name)]
    if isinstance(ansatz.metric_solver, hx.Tikhonov):
        words.append(f"damping {ansatz.metric_solver.damping:g}")
    return ", ".join(words)


PARTS: dict[str, Callable[[Options], list[str]]] = {
    "certificate": certificate_part,
    "hard": hard_part,
}


def main() -> None:
    asked = options(__doc__, PARTS)
    for name in ["certificate"] if asked.quick else asked.names or PARTS:
        write(asked, f"trust_{name}.md", "\n".join([*PARTS[name](asked), "", machine_line()]))


if __name__ == "__main__":
    main()
