"""Record a run of llamarec as a picture for the README: `python tests/samples/record.py`."""

import io
import os
import re
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
    picture = console.export_svg(title="llamarec")
    # Whoever looks at it need not fetch a font for it.
    picture = re.sub(r"\s*@font-face \{.*?\}", "", picture, flags=re.DOTALL)
    (HERE / "recommend.svg").write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
