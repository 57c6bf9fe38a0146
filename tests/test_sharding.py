"""Several devices share the moves of clusters, and find what one finds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from husimix.clusters.sharding import Shares

SCRIPT = Path(__file__).with_name("sharded_runs.py")


def outcome(part, path, n_devices):
    """What a process with so many devices finds, and what it prints."""
    environment = os.environ | {"XLA_FLAGS": f"--xla_force_host_platform_device_count={n_devices}"}
    environment |= {"JAX_PLATFORMS": "cpu"}
    command = [sys.executable, str(SCRIPT), part, str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(path) as arrays:
        return dict(arrays), done.stdout


def assert_same(found, reference):
    assert found.keys() == reference.keys()
    for name, values in reference.items():
        np.testing.assert_allclose(found[name], values, atol=1e-12, rtol=0, err_msg=name)


def test_several_devices_share_tables_and_find_what_one_finds(tmp_path):
    reference, alone = outcome("dynamics", tmp_path / "one.npz", 1)
    found, told = outcome("dynamics", tmp_path / "four.npz", 4)
    assert_same(found, reference)
    alone, told = json.loads(alone), json.loads(told)
    assert alone["devices"] == 1 and not alone["tables"] and not any(alone["program"].values())
    assert told["devices"] == 4 and len(told["tables"]) > 20
    for n_rows, shares in told["tables"]:
        assert shares == [n_rows // 4] * 4
    # All that devices tell each other: the rates of each number of sites, and their part of the dropped flow.
    assert 0 < told["program"]["all-gather"] <= told["split"]
    assert told["program"]["all-to-all"] == 0
    assert told["named"] == 0  # where the user names a device, it has everything


@pytest.mark.slow
def test_steady_states_mixtures_and_other_tables_are_the_same_on_several_devices(tmp_path):
    reference, _ = outcome("others", tmp_path / "one.npz", 1)
    for n_devices in (2, 4):
        found, _ = outcome("others", tmp_path / f"{n_devices}.npz", n_devices)
        assert_same(found, reference)


def test_every_device_has_the_slots_of_its_own_supports():
    supports = np.array([0, 0, 1, 2, 4, 4, 4, 6])
    shares = Shares(7, 3)
    device, place, width = shares.numbered(supports)
    assert shares.n_rows == 9 and width == 4
    assert device.tolist() == [0, 0, 0, 0, 1, 1, 1, 2]
    assert place.tolist() == [0, 1, 2, 3, 0, 1, 2, 0]


def test_a_table_on_one_device_is_as_it_was():
    supports = np.array([0, 0, 2, 3])
    device, place, width = Shares(4, 1).numbered(supports)
    assert not device.any() and place.tolist() == [0, 1, 2, 3] and width == 4
    assert Shares(0, 4).numbered(supports[:0])[2] == 0
