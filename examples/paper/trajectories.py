"""Quantum trajectories of the 4×4 torus: the reference that `square.py` compares sixteen spins with.

A density matrix of 16 spins has 4·10⁹ entries, a trajectory has 65536 amplitudes. QuTiP's `mcsolve` samples
trajectories of the dissipative Ising model at V = 2γ, g = γ, from all spins down to T = 5/γ. Sites are equivalent, so
each trajectory gives site and bond averages; standard errors are those of the mean over independent trajectories. A
trajectory takes some 15 s of one core.

    python examples/paper/trajectories.py            # every part that is missing, then examples/paper/data/*.csv
    python examples/paper/trajectories.py --part 1   # one part, some minutes; the last one writes the table

Run once and stored: it takes longer than any other script here, and `make paper` leaves it out. Parts are kept beside
the table until it is written.
"""

import argparse
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from common import NAMES, machine_line, site_averages

import husimix as hx

DATA = Path(__file__).parent / "data"
SEED = 20260401
V, G = 2.0, 1.0
ACCURACY = {"method": "adams", "atol": 1e-7, "rtol": 1e-5}


@dataclass(frozen=True)
class Case:
    """A lattice, how long it is followed, and how many trajectories are drawn in how many parts.

    Attributes:
        length: L of the L×L torus.
        end: time of the end in 1/γ.
        parts: number of files.
        each: trajectories in each file.
    """

    length: int
    end: float
    parts: int
    each: int

    @property
    def times(self) -> np.ndarray:
        """Save times, ten in 1/γ."""
        return np.linspace(0, self.end, round(10 * self.end) + 1)


CASE = Case(4, 5.0, 2, 16)
QUICK = Case(2, 2.0, 2, 5)


def sample(case: Case, part: int) -> np.ndarray:
    """(trajectories, 4, T): site averages of ⟨σx⟩, ⟨σy⟩, ⟨σz⟩ and the bond average of ⟨σzσz⟩."""
    import qutip

    lattice = hx.Lattice.square(case.length, periodic=True)
    hamiltonian, jumps = hx.models.dissipative_ising(lattice, V=V, g=G).to_qutip()
    # A model without dissipators hands its Hamiltonian to QuTiP: the shortest way for an operator.
    measured = [hx.Lindbladian(o, [], lattice=lattice).to_qutip()[0] for o in site_averages(lattice).values()]
    down = qutip.tensor([qutip.basis(2, 1)] * lattice.n_sites)
    seeds = np.random.SeedSequence(SEED, spawn_key=(part,)).spawn(case.each)
    options = {"progress_bar": "", "keep_runs_results": True, "store_states": False} | ACCURACY
    solved = qutip.mcsolve(
        hamiltonian, down, case.times, jumps, e_ops=measured, ntraj=case.each, seeds=seeds, options=options
    )
    return np.real(np.array(solved.runs_expect)).transpose(1, 0, 2)


def write(target: Path, case: Case, files: list[Path]) -> None:
    """Merge the parts into one table, rows of time, means and standard errors, and remove them."""
    loaded = [np.load(file) for file in files]
    values = np.concatenate([part["values"] for part in loaded])
    seconds = sum(float(part["seconds"]) for part in loaded)
    errors = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    lines = [
        f"{case.length}x{case.length} torus, V={V:g}, g={G:g}, gamma=1, all down: {len(values)} trajectories of "
        f"qutip.mcsolve, seed {SEED}, {ACCURACY}, {seconds:.0f} s in all.",
        f"QuTiP {version('qutip')}, NumPy {version('numpy')}, SciPy {version('scipy')}. {machine_line()}",
        "Site averages of x, y, z, bond average of zz; se_: standard errors of the mean.",
        ",".join(("t", *NAMES, *(f"se_{name}" for name in NAMES))),
    ]
    rows = np.column_stack([case.times, values.mean(axis=0).T, errors.T])
    np.savetxt(target, rows, delimiter=",", header="\n".join(lines), fmt="%.8g")
    for file in files:
        file.unlink()


def main() -> None:
    """Compute the parts that are missing; merge them when all are there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few trajectories of 2×2, to see that it runs")
    parser.add_argument("--output", type=Path, default=DATA, help="where the table goes")
    parser.add_argument("--part", type=int, help="compute this part alone")
    chosen = parser.parse_args()
    chosen.output.mkdir(parents=True, exist_ok=True)
    case = QUICK if chosen.quick else CASE
    name = f"trajectories_{case.length}x{case.length}"
    files = [chosen.output / f"{name}_part{part}.npz" for part in range(case.parts)]
    for part in range(case.parts) if chosen.part is None else (chosen.part,):
        if files[part].exists():
            continue
        began = time.perf_counter()
        values = sample(case, part)
        seconds = time.perf_counter() - began
        np.savez(files[part], values=values, seconds=seconds)
        print(f"part {part}: {len(values)} trajectories in {seconds:.0f} s", flush=True)
    if all(file.exists() for file in files):
        write(chosen.output / f"{name}.csv", case, files)
        print(f"Wrote {chosen.output / f'{name}.csv'}")


if __name__ == "__main__":
    main()
