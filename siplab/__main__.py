"""``python -m siplab``, and the command ``siplab``."""

from siplab.experiments.commands.start import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
