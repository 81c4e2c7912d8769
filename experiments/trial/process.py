"""A process that runs simulated trials, one after the other, and that can be ended at any time."""

from __future__ import annotations

import os
import subprocess
import sys
from multiprocessing.connection import Connection, Pipe

from siplab.experiments.trial import disturbance
from siplab.lab.worlds.emulated.bubble import end, passing_on


class TrialProcess:
    """A running process. ``connection`` takes the requests of ``siplab.experiments.trial.worker.serve``.

    ``disturbed``: if not 0, the number by which its clock and seeds differ (``disturbance``). What is printed
    in the process goes to standard error. It gets no Ctrl-C, and it ends with this process.
    """

    greeted = False  # whether it has reported that it is ready

    def __init__(self, disturbed: int = 0) -> None:
        self.connection, theirs = Pipe()
        self._process = subprocess.Popen(
            [
                sys.executable,
                *("-m", "siplab.experiments.trial.process", str(theirs.fileno()), str(os.getpid())),
                str(disturbed),
            ],
            pass_fds=[theirs.fileno()],
            process_group=0,
            **passing_on(disturbance.environment(disturbed) if disturbed else {}),
        )
        theirs.close()

    @property
    def worker(self) -> int:
        """Id of the process that runs the trials."""
        return self._process.pid

    def close(self, patience: float = 0.0) -> str:
        """End the process now. Returns how it ended, if this call did not end it.

        ``patience``: seconds to wait for a process that is ending by itself.
        """
        self.connection.close()
        return end(self._process, patience)


def main() -> None:
    """Entry of the new process: ``-m siplab.experiments.trial.process DESCRIPTOR PARENT DISTURBED``."""
    from siplab.experiments.trial import worker
    from siplab.lab import interrupts

    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    os.set_inheritable(descriptor, False)
    interrupts.leave_to_parent()
    if sys.platform == "linux":
        from siplab.lab.worlds.emulated import namespaces

        namespaces.die_with_parent(parent)
    if int(sys.argv[3]):
        disturbance.disturb(int(sys.argv[3]))
    worker.simulated(Connection(descriptor))


if __name__ == "__main__":
    main()
