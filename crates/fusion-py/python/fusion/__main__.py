"""``python -m fusion``: the ``fusion`` command, for those who have the Python package alone."""

from __future__ import annotations

import signal
import sys

from . import _fusion


def main() -> int:
    """Runs the command; returns its exit code."""
    # The command's own handling, and not that of Python, which sees signals only between its steps.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _fusion.command(["fusion", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
