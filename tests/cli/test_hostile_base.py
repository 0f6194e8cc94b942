"""A base model with code of its own, on a terminal and through a pipe that answer every question with yes."""

import json
import os
import pty
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from fakes import byte_tokenizer, tiny_llama


@pytest.mark.parametrize("terminal", [True, False])
def test_code_of_a_model_does_not_run_whatever_is_answered(tmp_path: Path, terminal: bool) -> None:
    folder, trace = tmp_path / "base", tmp_path / "trace"
    tiny_llama().save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    (folder / "evil.py").write_text(f"import pathlib\npathlib.Path({str(trace)!r}).touch()\nclass Config:\n    pass\n")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    ours, theirs = pty.openpty() if terminal else os.pipe()[::-1]
    answers = threading.Thread(target=os.write, args=(ours, b"y\n" * 20), daemon=True)
    answers.start()
    done = subprocess.run(
        [sys.executable, "-m", "llamarec_cli", "bench", "latency", "--base", str(folder)],
        env={**os.environ, "LLAMAREC_HOME": str(tmp_path / "home")},
        stdin=theirs,
        capture_output=True,
        text=True,
        timeout=120,
    )
    answers.join()
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "contains code" in " ".join(done.stderr.split())
    assert done.stdout == ""
    assert not trace.exists()
