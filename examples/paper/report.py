"""Collect what the scripts of this folder put on record: one row a claim, examples/paper/results/claims.md.

python examples/paper/report.py
"""

import argparse
import json
from pathlib import Path
from typing import Any

from common import EXCELLENT, RESULTS

ORDER = ("chain", "square", "large", "parameters")
HEAD = (
    f"Excellent agreement is taken for a largest error of at most {EXCELLENT:g}, of expectation values between -1 and",
    "1, since no number is named. Errors are the largest at any time or drive of the site averages of ⟨σx⟩, ⟨σy⟩, ⟨σz⟩",
    "and of the bond average of ⟨σzσz⟩; against stored exact steady states, of the first three. With each error stands",
    "what it takes: K components or clusters of m sites, numbers that move, seconds. γ = 1.",
)
COLUMNS = ("script", "claim", "compared with", "the paper's ansatz", "clusters", "verdict on the paper's ansatz")


def read(folder: Path) -> list[dict[str, Any]]:
    """The records in the order of the scripts."""
    files = [folder / f"{name}.json" for name in ORDER]
    return [json.loads(file.read_text(encoding="utf-8")) for file in files if file.exists()]


def lines_of(records: list[dict[str, Any]]) -> list[str]:
    """The page: what counts as agreement, the table, and by which machine and when."""
    lines = [*HEAD, "", f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    for record in records:
        for claim in record["claims"]:
            verdict = claim["verdict"].replace("not reproduced", "**not reproduced**")
            told = (claim[key] for key in ("claim", "reference", "mixture", "clusters"))
            row = (f"`{record['script']}.py`", *told, verdict)
            lines.append(f"| {' | '.join(row)} |")
    verdicts = [claim["verdict"] for record in records for claim in record["claims"]]
    whole, parts = verdicts.count("reproduced"), sum(verdict.startswith("reproduced at") for verdict in verdicts)
    lines += ["", f"Of {len(verdicts)} claims {whole} are reproduced, {parts} in part.", ""]
    for machine in dict.fromkeys(record["machine"] for record in records):
        told = [f"{r['script']} {r['seconds']:.0f} s" for r in records if r["machine"] == machine]
        lines.append(f"{', '.join(told)}: {machine}")
    return lines


def main() -> None:
    """Write and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the records are and the table goes")
    chosen = parser.parse_args()
    records = read(chosen.output)
    if not records:
        raise SystemExit(f"No records in {chosen.output}. Run the other scripts first, or `make paper`.")
    text = "\n".join(lines_of(records)) + "\n"
    (chosen.output / "claims.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
