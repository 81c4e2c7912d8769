"""Checks that trials are deterministic. Two processes run each trial; they differ in what must not matter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from typing import Any, Final

from siplab.experiments.trial import processes
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.process import TrialProcess
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.foreign import one_line
from siplab.lab.wire import ip
from siplab.lab.worlds.trace import Passage, Received, Record, Segment, Sent, Trace, as_json

_NUMBERS: Final = (1, 2)


class _Twice:
    """Two processes that run the same trials."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._places: dict[int, TrialProcess] = {}

    def run(self, spec: TrialSpec) -> list[tuple[TrialResult, Trace]]:
        found = []
        for number in _NUMBERS:
            place = self._places.pop(number, None) or TrialProcess(number)
            result, trace, fit = processes.traced(spec, place, "simulated", None, self._limit)
            if fit:
                self._places[number] = place
            found.append((result, trace))
        return found

    def close(self) -> None:
        for place in self._places.values():
            place.close()


def differences(
    specs: Sequence[TrialSpec], limit: float, progress: Callable[[TrialResult], None] = lambda result: None
) -> Iterator[tuple[TrialSpec, str]]:
    """The trials that differ between the processes, or are invalid, each with one line on what is wrong."""
    with closing(_Twice(limit)) as both:
        for spec in specs:
            (result, trace), (other, other_trace) = both.run(spec)
            progress(result)
            wrong = _wrong(spec, result, trace, other, other_trace)
            if wrong:
                yield spec, wrong


def _wrong(spec: TrialSpec, result: TrialResult, trace: Trace, other: TrialResult, other_trace: Trace) -> str:
    if not result.reproducible and not spec.by_wall_clock:  # with TLS only outcomes are compared
        same = (result.outcome, result.checks) == (other.outcome, other.checks)
        return "" if same else f"its outcome differs: {_played(spec)}"
    pairs = zip(trace.records, other_trace.records, strict=False)
    number, pair = next(
        ((n, pair) for n, pair in enumerate(pairs) if as_json(pair[0]) != as_json(pair[1])), (0, None)
    )
    if pair is not None:
        return f"{_packet(number, trace, *pair)}: {_culprit(spec, *pair)}"
    if len(trace.records) != len(other_trace.records):
        shorter, longer = sorted((trace, other_trace), key=len)
        record = longer.records[len(shorter.records)]
        packet = _packet(len(shorter.records), longer, record)
        return f"{packet}, which the other has not: {_culprit(spec, record)}"
    if result.errors or other.errors:
        return f"the trial is invalid: {(result.errors or other.errors)[0]}"
    one, two = result.as_json(), other.as_json()
    name = next((each for each in one if one[each] != two.get(each)), "")
    if name:
        return f"no packet differs, but its {name}: {_played(spec)}"
    return ""


def _packet(number: int, trace: Trace, *records: Record) -> str:
    """Which packet differs, and the first line of it that does."""
    first = records[0]
    packets = sum(
        isinstance(each, Passage | Sent | Received | Segment) for each in trace.records[: number + 1]
    )
    text = f"packet {packets}, {first.now:.3f} s after the beginning"
    lines = [list(_lines(each)) for each in records]
    if len(lines) == 2:
        for one, two in zip(*lines, strict=False):
            if one != two:
                return f"{text}, '{one_line(one)}' or '{one_line(two)}'"
    return text


def _lines(record: Record) -> Iterator[str]:
    packets = [getattr(record, "payload", b"")]
    if isinstance(record, Sent | Received):
        yield f"from {record.local} to {record.remote}"
    if isinstance(record, Passage):
        packets = [record.packet, *(each.packet for each in record.emissions)]
    elif isinstance(record, Segment):
        packets = [record.packet]
    for packet in packets:
        payload = packet
        with suppress(ip.MalformedPacketError):
            parsed = ip.parse(packet)
            payload = parsed.payload
            yield f"from {parsed.source} to {parsed.destination}"
        yield from payload.decode("utf-8", "backslashreplace").splitlines()


def _culprit(spec: TrialSpec, *records: Record) -> str:
    """Whose fault it is: the model's if the packets entering the router are equal, else the sender's."""
    entered: set[Any] = {each.packet if isinstance(each, Passage) else None for each in records}
    if isinstance(records[0], Passage) and len(entered) == 1:
        origin = trial.models(spec.model_paths).origin(spec.model)
        return f"the model '{spec.model}'" + (f" of {origin}" if origin else "")
    return _played(spec)


def _played(spec: TrialSpec) -> str:
    kind = "scenario" if spec.scenario else "detector"
    paths = ", ".join(spec.scenario_paths if spec.scenario else spec.detector_paths)
    return f"the {kind} '{spec.played}'" + (f" of {paths}" if paths else "")
