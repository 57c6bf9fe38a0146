"""The example scripts: each runs in its small version and leaves a figure and numbers where it was told to."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
SHARED = {"common.py", "networks.py", "problems.py", "report.py"}
SCRIPTS = sorted(path for path in EXAMPLES.glob("*/*.py") if path.name not in SHARED)


def run(script, *arguments):
    """Run a script as a user would; warnings are shown, not raised: examples may warn of what they are about."""
    command = [sys.executable, str(script), *map(str, arguments)]
    environment = os.environ | {"MPLBACKEND": "Agg"}
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert outcome.returncode == 0, outcome.stderr[-2000:]
    return outcome.stdout


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_each_script_runs(script, tmp_path):
    run(script, "--quick", "--output", tmp_path)
    written = {path.suffix for path in tmp_path.rglob("*")}
    assert written & {".json", ".csv"}
    if script.stem != "trajectories":
        assert ".png" in written


@pytest.mark.slow
def test_report_collects_the_claims(tmp_path):
    run(EXAMPLES / "paper" / "chain.py", "--quick", "--output", tmp_path)
    claims = [json.loads(path.read_text()) for path in tmp_path.glob("*.json")]
    table = run(EXAMPLES / "paper" / "report.py", "--output", tmp_path)
    assert claims
    assert (tmp_path / "claims.md").read_text().strip() in table
