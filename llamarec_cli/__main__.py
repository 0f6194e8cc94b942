"""`python -m llamarec_cli`, the same as the `llamarec` command."""

from llamarec_cli.cli.app import main

if __name__ == "__main__":
    main()
