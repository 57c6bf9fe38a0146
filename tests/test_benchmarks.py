"""The benchmarks: each runs in its small version and leaves its tables where it was told to."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SCRIPTS = sorted(path for path in BENCHMARKS.glob("*.py") if "options(__doc__" in path.read_text())


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_each_script_runs(script, tmp_path):
    # Warnings are shown, not raised: peers have their own.
    command = [sys.executable, str(script), "--quick", "--output", str(tmp_path)]
    environment = os.environ | {"MPLBACKEND": "Agg"}
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert outcome.returncode == 0, outcome.stderr[-2000:]
    tables = list(tmp_path.glob("*.md"))
    assert tables
    for table in tables:
        rows = [line for line in table.read_text().splitlines() if line.startswith("|")]
        assert len(rows) >= 3, f"{table.name} has no rows"
