"""Record a run of llamarec as a picture for the README: `python tests/samples/record.py`."""

import io
import os
import shlex
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
COMMAND = "llamarec recommend --history tests/samples/hist.json"


def main() -> None:
    """Run the command for real and export what it printed."""
    program = [sys.executable, "-m", "llamarec_cli", *shlex.split(COMMAND)[1:]]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    result = subprocess.run(program, cwd=HERE.parents[1], env=environment, capture_output=True, text=True, check=True)
    console = Console(record=True, width=92, file=io.StringIO())
    console.print(Text(f"$ {COMMAND}", style="bold"))
    console.print(Text.from_ansi(result.stderr + result.stdout))
    console.save_svg(str(HERE / "recommend.svg"), title="llamarec")


if __name__ == "__main__":
    main()
