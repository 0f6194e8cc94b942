"""The `llamarec` command, and `python -m llamarec_cli`.

Nothing that takes time is imported before interrupts are handled.
"""

from __future__ import annotations

from llamarec_cli.interrupts import leave_at_once


def main() -> None:
    """Run the command line."""
    leave_at_once()
    from llamarec_cli.cli.app import main as run

    run()


if __name__ == "__main__":
    main()
