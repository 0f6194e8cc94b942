"""Communication of two processes on the CPU."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from llamarec_cli.strategies.worker_group import WorkerGroup, join_worker_group

WORKER = """
import sys, torch
from pathlib import Path
from llamarec_cli.strategies.worker_group import join_worker_group

made = Path(sys.argv[1])
with join_worker_group() as workers:
    with workers.main_first():
        found = made.exists()
        made.touch()
    total = torch.tensor([1.0 + workers.rank])
    workers.all_reduce([total])
    value = workers.broadcast(workers.rank + 5)
    print(workers.rank, workers.is_main, found, total.item(), value, *workers.shard("abc"))
"""


def test_a_group_of_one_needs_no_communication(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with join_worker_group() as workers:
        assert workers == WorkerGroup(0, 1)
        assert workers.is_main
        assert workers.shard([1, 2, 3]) == [1, 2, 3]
        assert workers.broadcast("value") == "value"
        tensor = torch.tensor([2.0])
        workers.all_reduce([tensor])
        assert tensor.item() == 2
        with workers.main_first():
            pass


def test_shards_cover_a_batch_and_dropout_seeds_differ() -> None:
    group = [WorkerGroup(rank, 3) for rank in range(3)]
    assert [list(one.shard(range(7))) for one in group] == [[0, 3, 6], [1, 4], [2, 5]]
    assert len({one.dropout_seed(42) for one in group}) == 3


def test_workers_wait_for_the_main_process_and_sum_tensors(tmp_path: Path) -> None:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(tmp_path / "made")],
            env={
                **os.environ,
                "PYTHONPATH": str(Path(__file__).parents[2]),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": port,
                "WORLD_SIZE": "2",
                "RANK": rank,
                "LOCAL_RANK": rank,
                "CUDA_VISIBLE_DEVICES": "",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    try:
        outputs = [process.communicate(timeout=120) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert [stdout.split() for stdout, _ in outputs] == [
        ["0", "True", "False", "3.0", "5", "a", "c"],
        ["1", "False", "True", "3.0", "5", "b"],
    ]
