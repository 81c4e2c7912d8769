"""Work that ends its worker: once, or each time."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from siplab.experiments.sweep.chunks import Chunk
from siplab.experiments.sweep.work import Done, Work


@dataclass(frozen=True)
class Killing(Work):
    """As ``Work``; the worker that gets batch ``victim`` is killed, ``times`` times. ``notes``: a folder."""

    victim: int = 0
    times: int = 1
    notes: str = ""

    def __call__(self, chunk: Chunk) -> Done:
        if chunk.part == self.victim:
            before = len(list(Path(self.notes).glob("killed-*")))
            if before < self.times:
                Path(self.notes, f"killed-{before}").touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(chunk)
