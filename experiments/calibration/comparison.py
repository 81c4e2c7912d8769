"""Compares kernel and model: on how many datagrams do they agree, and how do they differ?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from siplab.experiments.calibration import (
    connections,
    corpus,
    fragments,
    kernel_side,
    model_side,
    probes,
)
from siplab.experiments.calibration.corpus import Case, Datagram
from siplab.experiments.calibration.kernel_side import Outcome
from siplab.experiments.calibration.known import known
from siplab.experiments.calibration.outcome import Left
from siplab.lab.gateway.alg import Model
from siplab.lab.wire.compare import differences
from siplab.lab.worlds.emulated.bubble import Bubble
from siplab.lab.worlds.network import Network

# The share of datagrams on which kernel and model have to agree.
TARGET: Final = 0.99


@dataclass(frozen=True)
class Difference:
    """One datagram that the two sides treat differently. ``kernel`` and ``model``: what left there.

    ``known``: the id of the documented kind of difference, empty if it is of none. A difference that follows
    another one in its case is of the same kind.
    """

    kind: str
    known: str
    case: int
    case_kind: str
    index: int
    sent: Datagram
    kernel: list[Left]
    model: list[Left]

    def as_json(self) -> dict[str, Any]:
        """Plain data. Bytes are text, without loss."""
        return {
            "kind": self.kind,
            "known": self.known,
            "case": self.case,
            "case_kind": self.case_kind,
            "index": self.index,
            "outbound": self.sent.outbound,
            "source": str(self.sent.source),
            "destination": str(self.sent.destination),
            "sent": text(self.sent.payload),
            **(self.sent.numbers._asdict() if self.sent.numbers is not None else {}),
            **({"piece": self.sent.piece._asdict()} if self.sent.piece is not None else {}),
            "kernel": [_plain(each) for each in self.kernel],
            "model": [_plain(each) for each in self.model],
        }


@dataclass(frozen=True)
class Report:
    """The result of a whole run."""

    kernel: str
    parameters: dict[str, str]
    model: str
    seed: int
    cases: int
    datagrams: int
    dropped: int  # by the kernel; without fragments, since the kernel may only have kept them
    changed: int  # by the kernel
    differences: tuple[Difference, ...]

    @property
    def agreement(self) -> float:
        """The share of datagrams that both treat alike, 0 to 1."""
        return 1 - len(self.differences) / self.datagrams if self.datagrams else 1.0

    @property
    def enough(self) -> bool:
        return self.agreement >= TARGET

    @property
    def unexplained(self) -> list[Difference]:
        """The differences that are of no documented kind."""
        return [each for each in self.differences if not each.known]

    def kinds(self) -> dict[str, list[Difference]]:
        """The differences by kind, the most frequent first."""
        found: dict[str, list[Difference]] = {}
        for each in self.differences:
            kind = f"{each.kind} ({each.known}, see docs/calibration.md)" if each.known else each.kind
            found.setdefault(kind, []).append(each)
        return dict(sorted(found.items(), key=lambda row: -len(row[1])))

    def as_json(self) -> dict[str, Any]:
        """Plain data, the same for the same run."""
        row = asdict(self)
        row["agreement"] = round(self.agreement, 6)
        row["differences"] = [each.as_json() for each in self.differences]
        return row


def run(
    model: Model,
    network: Network,
    *,
    seed: int,
    datagrams: int,
    played: Callable[[int], None] = lambda count: None,
) -> Report:
    """Send the corpus through kernel and model. ``played``: called with the number of cases played.

    Raises ``CapabilityError`` if this machine can't do it, ``WorldError`` if a run is invalid.
    """
    cases = corpus.cases(seed, datagrams)
    for more in (connections, fragments, probes):
        cases += more.cases(seed, datagrams // 5)
    outcomes: list[Outcome] = []
    with Bubble("siplab.experiments.calibration.kernel_side:task") as bubble:
        bubble.call(network, [])
        for begin in range(0, len(cases), _BATCH):
            outcomes += bubble.call(None, cases[begin : begin + _BATCH])
            played(len(outcomes))
    return compare(cases, outcomes, [model_side.play(model, network, case) for case in cases], model.id, seed)


_BATCH: Final = 100  # cases between two progress reports


def compare(
    cases: Sequence[Case], kernel: Sequence[Outcome], model: Sequence[Outcome], name: str, seed: int
) -> Report:
    """Compare the outcomes of the same cases on both sides."""
    found: list[Difference] = []
    count = dropped = changed = 0
    for number, (case, theirs, ours) in enumerate(zip(cases, kernel, model, strict=True)):
        before: Difference | None = None
        for index, (sent, real, modelled) in enumerate(zip(case.datagrams, theirs, ours, strict=True)):
            count += 1
            dropped += not real and sent.piece is None
            changed += any(each.payload != sent.payload for each in real)
            if real == modelled:
                continue
            if before is not None:
                kind, explained = AFTERMATH, before.known
            else:
                match = known(sent, real, modelled)
                kind, explained = _kind(sent, real, modelled), match.id if match else ""
            before = Difference(kind, explained, number, case.kind, index, sent, real, modelled)
            found.append(before)
    return Report(
        kernel_side.version(),
        kernel_side.parameters(),
        name,
        seed,
        len(cases),
        count,
        dropped,
        changed,
        tuple(found),
    )


# After a difference the two routers have different states, so more differences may follow.
AFTERMATH: Final = "follows an earlier difference in its case"
LET_THROUGH: Final = "the kernel drops it, the model does not"
DROPPED: Final = "the model drops it, the kernel does not"
ENDPOINTS: Final = "another source or destination"
NUMBERS: Final = "other numbers or flags of a TCP segment"


def _kind(sent: Datagram, kernel: Sequence[Left], model: Sequence[Left]) -> str:
    if not kernel:
        return LET_THROUGH
    if not model:
        return DROPPED
    real, modelled = kernel[0], model[0]
    if len(kernel) != len(model) or real[:3] != modelled[:3]:
        return ENDPOINTS
    if real.payload == modelled.payload:
        return NUMBERS
    parts = differences(modelled.payload, real.payload)
    return f"other bytes in {', '.join(parts)}"


def text(payload: bytes) -> str:
    """Bytes as text, with escapes for all that is not printable ASCII."""
    return payload.decode("ascii", "backslashreplace")


def _plain(each: Left) -> dict[str, Any]:
    return {
        "outbound": each.outbound,
        "source": str(each.source),
        "destination": str(each.destination),
        "payload": text(each.payload),
        **(each.numbers._asdict() if each.numbers is not None else {}),
    }
