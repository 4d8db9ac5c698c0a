"""Two processes train what one process trains, and either goes on from the other's checkpoint."""

import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import reasoner_jax as rj
from reasoner_jax.core import params as trees
from reasoner_jax.training import loop, series
from tests.training import runs

SCRIPT = """
import sys
from pathlib import Path
import jax
number, port, count, steps = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
jax.distributed.initialize(f"127.0.0.1:{port}", count, number)
from reasoner_jax.training import loop
from tests.training import runs
changes = dict(train__steps=steps, mesh={"data": -1, "fsdp": 2}, optimizer__peak_rate=1e-3)
loop.train(runs.stage(sys.argv[5], sys.argv[6], **changes), Path(sys.argv[7]))
"""


def train_in_processes(count, network, data, directory, steps=4):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path.cwd()),
        "XLA_FLAGS": os.environ["XLA_FLAGS"] + " --xla_force_host_platform_device_count=4",
    }
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT)]
    rest = [str(port), str(count), str(steps), network, data, str(directory)]
    processes = [
        subprocess.Popen([*command, str(number), *rest], env=environment) for number in range(count)
    ]
    assert [process.wait(600) for process in processes] == [0] * count


@pytest.mark.slow
def test_two_processes_train_what_one_trains(tmp_path):
    network = runs.write_network(tmp_path / "network")
    data = runs.write_problems(tmp_path / "data")
    changes = dict(train__steps=4, mesh={"data": -1, "fsdp": 2}, optimizer__peak_rate=1e-3)
    loop.train(runs.stage(network, data, **changes), tmp_path / "one")
    train_in_processes(2, network, data, tmp_path / "two")
    one, two = (series.read(tmp_path / name) for name in ("one", "two"))
    assert one.keys() == two.keys()
    for number, figures in one.items():
        assert two[number]["loss"] == pytest.approx(figures["loss"], rel=1e-4)
    expected = trees.flatten(rj.load(tmp_path / "one" / "best").params)
    got = trees.flatten(rj.load(tmp_path / "two" / "best").params)
    for path, leaf in expected.items():
        np.testing.assert_allclose(got[path], leaf, atol=1e-4, err_msg=path)
