"""A file of users, killed by signal and resumed, gives the bytes of an uninterrupted run; memory does not grow with it.

`LLAMAREC_USERS` sets how many users the file has; the suite takes a few, 10,000 were tried.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from llamarec_cli.cli.app import app
from llamarec_cli.store.registry import Store

USERS = int(os.environ.get("LLAMAREC_USERS", "120"))
CONFIG = """
[lrurec]
width = 16
blocks = 1
max_length = 12

[training]
batch_size = 16
epochs = 4
validate_every = 20
"""


def run(*arguments: str) -> Any:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return result


def start(*arguments: str) -> subprocess.Popen[bytes]:
    root = str(Path(__file__).parents[2])
    return subprocess.Popen(
        [sys.executable, "-m", "llamarec_cli", *arguments],
        env={**os.environ, "PYTHONPATH": root},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def resident(process: subprocess.Popen[bytes]) -> int:
    """Return the resident memory of a process in bytes."""
    fields = Path(f"/proc/{process.pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="needs /proc to tell memory")
def test_killed_and_resumed_a_file_of_users_is_the_same(
    raw_folder: Path, store_with_base: Store, tmp_path: Path
) -> None:
    config, users = tmp_path / "c.toml", tmp_path / "users.jsonl"
    config.write_text(CONFIG)
    run("prepare", "ml-100k", "--source", str(raw_folder))
    run(
        "train",
        "ranker",
        "--dataset",
        "ml-100k",
        "--retriever",
        "ml-100k/lrurec",
        "--strategy",
        "likelihood",
        "--config",
        str(config),
    )
    generator = random.Random(0)
    with users.open("w") as stream:
        for user in range(USERS):
            history = [str(item) for item in generator.sample(range(1, 41), generator.randrange(1, 15))]
            stream.write(json.dumps({"user": user, "history": history if user % 50 else []}) + "\n")
    asked = ("recommend", "--dataset", "ml-100k", "--no-fusion", "--input", str(users), "--output")

    whole, killed = tmp_path / "whole.jsonl", tmp_path / "killed.jsonl"
    partial = whole.with_name(whole.name + ".partial")
    process = start(*asked, str(whole))
    memory: dict[int, int] = {}
    while process.poll() is None:
        done = lines(partial)
        if done:
            memory[done] = resident(process)
        time.sleep(0.02)
    assert process.returncode == 1  # some histories are empty
    assert lines(whole) == USERS

    # Killed twice, wherever the writing happens to be, and resumed.
    partial = killed.with_name(killed.name + ".partial")
    for share in (0.2, 0.6):
        process = start(*asked, str(killed), *(["--resume"] if share > 0.2 else []))
        while process.poll() is None and lines(partial) < share * USERS:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not killed.exists()
    process = start(*asked, str(killed), "--resume")
    assert process.wait() == 1
    assert killed.read_bytes() == whole.read_bytes()

    if USERS >= 1000:
        # After the first tenth, in which caches fill, memory stays where it is.
        settled = max(size for done, size in memory.items() if done < USERS // 5)
        largest = max(memory.values())
        assert largest < 1.1 * settled, memory
