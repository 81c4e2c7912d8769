"""Runs trials in processes of their own, side by side. Handles processes that die or must be ended."""

from __future__ import annotations

import atexit
import os
import pickle
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Final, Protocol

from siplab.experiments.trial import run as trial
from siplab.experiments.trial.process import TrialProcess
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec
from siplab.experiments.trial.watchdog import LOOK, Watchdog
from siplab.experiments.trial.worker import READY, Answer, Request, Store
from siplab.lab import foreign
from siplab.lab.errors import UsageError
from siplab.lab.worlds.trace import Trace

# Simulated trials take milliseconds. With the next trials at hand, a process need not wait for them.
AHEAD: Final = 4
_PIECE: Final = 1 << 20
# Seconds that a process gets to end after it closed its channel, also on a busy machine. The processes in its
# bubble end first.
_DYING: Final = 30.0


class Place(Protocol):
    """A process in which trials run.

    ``worker``: id of the process that uses the CPU for them. ``greeted``: whether it has reported that it is
    ready.
    """

    connection: Connection
    greeted: bool

    @property
    def worker(self) -> int: ...

    def close(self, patience: float = 0.0) -> str: ...


class _Line:
    """A place, with the numbers of the trials that were given to it, the running one first."""

    def __init__(self, place: Place, specs: Sequence[TrialSpec], limit: float) -> None:
        self.place = place
        self.asked: deque[int] = deque()
        self._answered = False
        self._came = bytearray()
        self._specs = specs
        self._watchdog = Watchdog(place.worker, limit)

    def ask(self, index: int, store: Store | None, *, traced: bool = False, share: bool = False) -> bool:
        """Give the process one more trial. ``False`` if it died between trials: then no trial is to blame."""
        try:
            self.place.connection.send(Request(self._specs[index], store, traced, share))
        except OSError:  # if it never answered a trial, ``answers`` will report its end
            if self._answered and not self.asked:
                return False
        self.asked.append(index)
        if len(self.asked) == 1:
            self._watchdog.begin(waits(self._specs[index]), starting=not self.place.greeted)
        return True

    def answers(self) -> Iterator[tuple[int, Answer | str]]:
        """The trials that are answered by now, once the connection is readable. A text says why none will be.

        Reads only what has come, so a process that stops within an answer does not block the others.
        """
        try:
            piece = os.read(self.place.connection.fileno(), _PIECE)
        except OSError:
            piece = b""
        if not piece:
            yield self.asked[0], ""
            return
        self._came += piece
        while (message := self._message()) is not None:
            index = self.asked[0]
            try:
                answer = pickle.loads(message)  # noqa: S301 - from a process of ours
            except Exception as error:  # a plug-in wrote into the channel
                answer = error
            if answer == READY:
                self.place.greeted = True
                self._watchdog.begin(waits(self._specs[index]))
                continue
            if isinstance(answer, Answer):
                self.asked.popleft()
                self._answered = True
                if self.asked:
                    self._watchdog.begin(waits(self._specs[self.asked[0]]))
                yield index, answer
                continue
            if isinstance(answer, UsageError) or not trial.plugins_of(self._specs[index]):
                raise answer if isinstance(answer, Exception) else RuntimeError("an answer of another kind")
            yield index, foreign.told(answer) if isinstance(answer, Exception) else "its answer is none"
            return

    def _message(self) -> bytes | None:
        """The first complete message, in the format of ``multiprocessing.connection``."""
        head, size = 4, int.from_bytes(self._came[:4], "big", signed=True)
        if len(self._came) >= 4 and size == -1:  # a size of 2 GiB or more
            head, size = 12, int.from_bytes(self._came[4:12], "big")
        if len(self._came) < head + max(size, 0):
            return None
        message = bytes(self._came[head : head + size])
        del self._came[: head + size]
        return message

    def overdue(self) -> str:
        return self._watchdog.overdue() if self.asked else ""


_WAITS: Final = 10  # a scenario may wait this many times for its longest wait
_REAL: Final = 600.0  # wall-clock seconds that a trial with real phones or servers may take


def waits(spec: TrialSpec) -> float:
    """Seconds that a trial may wait for programs, or for a kernel's clock."""
    if spec.gateway == "kernel":
        return float("inf")
    if spec.real:
        return _REAL + _WAITS * spec.longest
    return 0.0 if spec.program is None else spec.program.longest


def side_by_side(
    specs: Sequence[TrialSpec],
    open_place: Callable[[], Place],
    world: str,
    *,
    jobs: int,
    store: Store | None,
    limit: float,
    ahead: int = 1,
    share: bool = False,
) -> Generator[tuple[int, TrialResult], None, None]:
    """Run the trials in ``jobs`` processes. Yields number and result of each as it ends.

    A trial whose process dies, or that takes more than ``limit`` seconds of CPU, is invalid; the others go on
    in a new process. ``ahead``: how many trials a process is given at a time. ``share``: see
    ``trial.sharing``.
    """
    waiting = deque(range(len(specs)))
    lines: dict[Connection, _Line] = {}

    def give_up(line: _Line, reason: str) -> tuple[int, TrialResult]:
        del lines[line.place.connection]
        how = line.place.close(0.0 if reason else _DYING)
        index = line.asked.popleft()
        waiting.extendleft(reversed(line.asked))
        return index, _invalid(specs[index], world, reason or died(how))

    try:
        while waiting or any(line.asked for line in lines.values()):
            while len(lines) < jobs and len(waiting) > sum(not line.asked for line in lines.values()):
                place = open_place()
                lines[place.connection] = _Line(place, specs, limit)
            for _ in range(ahead):  # one each, then a second one each...
                for line in list(lines.values()):
                    if not waiting or len(line.asked) >= ahead:
                        continue
                    if line.ask(waiting[0], store, share=share):
                        waiting.popleft()
                    else:
                        del lines[line.place.connection]  # a new process takes its place
                        line.place.close()
            for connection in wait([each for each, line in lines.items() if line.asked], LOOK):
                line = lines[connection]  # type: ignore[index]
                for index, answer in line.answers():
                    if isinstance(answer, str):
                        yield give_up(line, answer)
                        break
                    yield index, answer.result
                    if answer.spoilt:
                        del lines[line.place.connection]
                        line.place.close()
                        waiting.extendleft(reversed(line.asked))
                        break
            for line in list(lines.values()):
                reason = line.overdue()
                if reason:
                    yield give_up(line, _ended(specs[line.asked[0]], reason))
    finally:
        for line in lines.values():
            line.place.close()


def traced(
    spec: TrialSpec, place: Place, world: str, store: Store | None, limit: float
) -> tuple[TrialResult, Trace, bool]:
    """Run one trial. Returns its result, its trace, and whether the place stays open for another trial."""
    line = _Line(place, [spec], limit)
    line.ask(0, store, traced=True)
    answer: Answer | str | None = None
    while answer is None:
        if wait([place.connection], LOOK):
            answer = next((each for _, each in line.answers()), None)
        elif reason := line.overdue():
            answer = _ended(spec, reason)
    if isinstance(answer, str):
        how = place.close(0.0 if answer else _DYING)
        return _invalid(spec, world, answer or died(how)), Trace(), False
    if answer.spoilt:
        place.close()
    assert answer.trace is not None
    return answer.result, answer.trace, not answer.spoilt


def died(how: str) -> str:
    """Why a trial is invalid whose process died."""
    return f"the trial's process died ({how})" if how else "the trial's process died"


def _ended(spec: TrialSpec, reason: str) -> str:
    origin = trial.plugins_of(spec)
    return f"the trial was ended: {reason}" + (
        f"; what is not the lab's own in it: {origin}" if origin else ""
    )


def _invalid(spec: TrialSpec, world: str, reason: str) -> TrialResult:
    return TrialResult(spec, world, errors=[reason])


# -- one process for single trials -----------------------------------------------------------------------

_spare: list[TrialProcess] = []


def simulated_traced(spec: TrialSpec, store: Store | None, limit: float) -> tuple[TrialResult, Trace]:
    """Run one simulated trial in a process that is kept for the next one."""
    place = _spare.pop() if _spare else TrialProcess()
    try:
        result, trace, fit = traced(spec, place, "simulated", store, limit)
    except BaseException:
        place.close()
        raise
    if fit:
        _spare.append(place)
    return result, trace


def _close_spare() -> None:
    while _spare:
        _spare.pop().close()


atexit.register(_close_spare)


def can_be_watched() -> bool:
    """Whether this system can pass a channel to a process of ours and end the process together with us."""
    return sys.platform != "win32"
