"""Killed at any moment, the program leaves a store that verifies, and the same command then does its work.

`LLAMAREC_KILLS` sets how many random moments are tried for each command; the suite tries a few.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from llamarec_cli.store.registry import Store

KILLS = int(os.environ.get("LLAMAREC_KILLS", "2"))
CONFIG = """
[lrurec]
width = 8
blocks = 1
max_length = 12

[training]
batch_size = 8
epochs = 40
validate_every = 10
"""


def start(home: Path, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "llamarec_cli", *arguments],
        env={**os.environ, "LLAMAREC_HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def finish(home: Path, *arguments: str) -> float:
    """Run to the end and return the seconds it took."""
    began = time.monotonic()
    process = start(home, *arguments)
    _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()
    return time.monotonic() - began


def damaged(store: Store) -> dict[str, list[str]]:
    names = [*(one.manifest.name for one in store.artefacts()), *store.damaged()]
    return {name: wrong for name in names if (wrong := store.verify(name))}


def test_killed_at_random_moments_the_store_verifies(raw_folder: Path, tmp_path: Path) -> None:
    config, archive = tmp_path / "c.toml", tmp_path / "games.tar.zst"
    config.write_text(CONFIG)
    prepare = ("prepare", "ml-100k", "--source", str(raw_folder))
    train = ("train", "retriever", "--dataset", "ml-100k", "--config", str(config))
    take = ("store", "import", str(archive))
    whole = tmp_path / "whole"
    seconds = {prepare: finish(whole, *prepare), train: finish(whole, *train)}
    finish(whole, "store", "export", "ml-100k/lrurec", str(archive))
    seconds[take] = finish(tmp_path / "imported", *take)
    expected = Store(whole).open("ml-100k/lrurec").manifest

    generator = random.Random(0)
    home = tmp_path / "home"
    for command in (prepare, train):
        for _ in range(KILLS):
            process = start(home, *command)
            # Anywhere from the start of the interpreter to about the end of the work.
            time.sleep(generator.uniform(0, seconds[command]))
            process.send_signal(signal.SIGKILL)
            process.communicate()
            assert damaged(Store(home)) == {}
        if command == train and "ml-100k/lrurec" in Store(home):
            continue
        finish(home, *command)
    assert Store(home).open("ml-100k/lrurec").manifest.digest == expected.digest

    for _ in range(KILLS):
        other = tmp_path / f"other-{generator.random()}"
        process = start(other, *take)
        time.sleep(generator.uniform(0, seconds[take]))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert damaged(Store(other)) == {}
        finish(other, *take)
        assert Store(other).open("ml-100k/lrurec").manifest.digest == expected.digest
