"""Pools over engines: Ray on loopback addresses, a node of which is lost, and submitit's stand-in for SLURM.

Both engines are optional: `pip install 'ray[client]' submitit` brings these tests to life.
"""

import dataclasses
import os
import re
import socket
import subprocess
import sys
import time

import pytest

from experiments.errors import BadInput
from experiments.record.files import read_json
from experiments.record.folder import folder_of
from experiments.record.names import PROGRESS
from experiments.work.done import is_done
from experiments.work.pools import open_pool
from experiments.work.ray import Ray
from experiments.work.run import train_runs
from experiments.work.slurm import Slurm, read_options
from tests.support.small_runs import small_moons


def drain(pool, until_s: float = 400.0):
    """All bundles that end, with what became of them."""
    ended, end_s = [], time.monotonic() + until_s
    while pool.is_busy and time.monotonic() < end_s:
        ended += pool.ended(0.5)
    return ended


@pytest.fixture
def cluster():
    """A Ray cluster of three nodes on this machine, the head without a place to train."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    yield cluster
    cluster.shutdown()


@pytest.mark.timeout(900)
def test_runs_of_a_lost_node_go_on_elsewhere_and_end_once(runs, cluster):
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    cluster.wait_for_nodes()
    experiments = [small_moons(steps=6000, seed=seed, evaluate_every=100, log_every=100) for seed in range(4)]
    pool = Ray(cluster.address)
    try:
        assert pool.is_free
        for experiment in experiments[:2]:
            pool.submit((experiment,))
        assert not pool.is_free
        # Once both are being trained, one node goes.
        until_s = time.monotonic() + 300
        while not all((folder_of(each.hash) / PROGRESS).exists() for each in experiments[:2]):
            assert time.monotonic() < until_s
            time.sleep(0.2)
        cluster.remove_node(nodes[0], allow_graceful=False)
        for experiment in experiments[2:]:
            pool.submit((experiment,))
        ended = drain(pool)
    finally:
        pool.stop()
    assert sorted(each.members[0].seed for each in ended) == [0, 1, 2, 3]
    assert [(each.error, each.died, each.in_use) for each in ended] == [("", "", ())] * 4
    assert all(map(is_done, experiments))


@pytest.mark.timeout(300)
def test_a_bundle_on_ray_gives_the_bits_of_one_here(runs, tmp_path, monkeypatch):
    pytest.importorskip("ray")
    experiments = tuple(small_moons(seed=seed) for seed in range(2))
    pool = Ray("local")
    try:
        pool.submit(experiments)
        [ended] = drain(pool)
    finally:
        pool.stop()
    assert ended.members == experiments
    there = [read_json(folder_of(each.hash) / "result.json")["weights_sha256"] for each in experiments]
    monkeypatch.setenv("GRL_RUNS", str(tmp_path / "here"))
    train_runs(experiments)
    assert there == [read_json(folder_of(each.hash) / "result.json")["weights_sha256"] for each in experiments]


@pytest.mark.timeout(300)
def test_a_cluster_that_does_not_answer_is_one_line():
    pytest.importorskip("ray")
    with pytest.raises(BadInput) as caught:
        Ray("ray://127.0.0.1:1")
    assert str(caught.value).startswith("no Ray cluster answers at cluster 'ray://127.0.0.1:1': ")
    assert "\n" not in str(caught.value)


SILENT = """
import sys
import experiments.work.ray
from experiments.errors import run_command
experiments.work.ray.ANSWER_S = 2.0
sys.exit(run_command(lambda words: experiments.work.ray.Ray(words[0]) and 0, sys.argv[1:]))
"""


@pytest.mark.timeout(300)
def test_a_cluster_that_keeps_silent_is_given_up():
    """In a process of its own: Ray goes on knocking until that ends."""
    pytest.importorskip("ray")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        ended = subprocess.run([sys.executable, "-c", SILENT, address], capture_output=True, text=True)
    assert ended.returncode == 2
    assert f"error: no Ray cluster answers at cluster '{address}': no answer for 2 s" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.timeout(300)
def test_jobs_of_submitit(runs):
    pytest.importorskip("submitit")
    runs.mkdir()
    good, bad = small_moons(), small_moons(seed=1, lr=dataclasses.replace(small_moons().lr, lr=1e12))
    pool = Slurm(2, {}, cluster="local")
    pool.submit((good,))
    pool.submit((bad,))
    assert not pool.is_free
    ended = {each.members[0]: each for each in drain(pool)}
    assert {each: (result.error, result.died) for each, result in ended.items()} == {good: ("", ""), bad: ("", "")}
    assert is_done(good)
    assert read_json(folder_of(bad.hash) / "status.json")["status"] == "FAILED"
    pool.stop()


@pytest.mark.parametrize(
    ("says", "error"),
    [
        ("sleep 60", "no answer for 1 s"),
        ("echo 'Slurmctld(primary) at here is DOWN'; exit 1", "Slurmctld(primary) at here is DOWN"),
    ],
    ids=["silent", "down"],
)
def test_a_controller_of_slurm_that_does_not_answer_is_one_line(tmp_path, monkeypatch, says, error):
    pytest.importorskip("submitit")
    for command, does in (("srun", "exit 0"), ("scontrol", f"exec {says}" if says.startswith("sleep") else says)):
        (tmp_path / command).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / command).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr("experiments.work.slurm.ANSWER_S", 1.0)
    with pytest.raises(BadInput, match=re.escape(f"slurm cannot be used: scontrol ping: {error}")):
        Slurm(1, {})


def test_options_of_slurm():
    assert read_options("partition=gpu,gpus=1,minutes=600,slurm_qos=low") == {
        "slurm_partition": "gpu",
        "gpus_per_node": 1,
        "timeout_min": 600,
        "slurm_qos": "low",
    }
    with pytest.raises(BadInput, match="slurm must be name=value"):
        read_options("gpu")


def test_what_cannot_be_opened_is_one_line(monkeypatch):
    with pytest.raises(BadInput, match="cluster and slurm exclude each other, got 'auto' and 'partition=a'"):
        open_pool(1, workers=1, cluster="auto", slurm="partition=a")
    monkeypatch.setattr("experiments.work.pools.free_bytes", lambda: 3 << 30)
    with pytest.raises(BadInput, match="workers must be at most 4 for the 3,072 MiB of free memory, got 50"):
        open_pool(100, workers=50)
