"""A program that keeps labs: ``python -m tests.lab.worlds.keeper NUMBER``, for tests that kill it.

For each lab it prints the process id of the lab's waiter, and ``running`` once all labs run. When its
labs end, it prints ``ended`` for each, and then ends, too.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from multiprocessing.connection import wait

from siplab.lab.worlds.emulated.bubble import Bubble


def main() -> None:
    with ExitStack() as stack:
        labs = [stack.enter_context(Bubble("tests.lab.worlds.inside:busy")) for _ in range(int(sys.argv[1]))]
        for lab in labs:
            lab.result()
            print(lab.pid, flush=True)
        print("running", flush=True)
        left = {lab.connection: lab for lab in labs}
        while left:
            for connection in wait(list(left)):
                try:
                    left.pop(connection).result()  # type: ignore[call-overload]
                except EOFError:
                    print("ended", flush=True)


if __name__ == "__main__":
    main()
