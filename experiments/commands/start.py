"""How ``siplab`` starts: Ctrl-C while it is still importing ends it without a word, as a shell expects."""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """Entry point of the command."""
    if sys.argv[1:] == ["--version"]:
        from siplab import __version__

        print(f"siplab {__version__}")
        return
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    from siplab.experiments.commands import cli

    signal.signal(signal.SIGINT, before)
    cli.main()
