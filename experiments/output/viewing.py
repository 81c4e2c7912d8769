"""Makes the data of ``view`` from a trial's result and trace."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict

from siplab.experiments.output import changes, commands
from siplab.experiments.output.changes import aligned
from siplab.experiments.output.columns import in_path_order
from siplab.experiments.output.journeys import Journey, journeys_of
from siplab.experiments.output.numbering import NumberedChange, numbered_changes
from siplab.experiments.output.rows import rows_of
from siplab.experiments.output.view import (
    Altered,
    BrokenRule,
    Cause,
    Change,
    CheckResult,
    DetectorFinding,
    Line,
    LinePair,
    Message,
    Node,
    Noticed,
    TrialView,
)
from siplab.experiments.trial.result import Explanation, TrialResult
from siplab.lab.sip.events import EventKind
from siplab.lab.wire import ip
from siplab.lab.wire.labels import show
from siplab.lab.wire.sip import SipMessage
from siplab.lab.wire.syntax import RULES, check
from siplab.lab.worlds.network import Network
from siplab.lab.worlds.trace import Noted, Trace


def view(result: TrialResult, trace: Trace, network: Network) -> TrialView:
    """Everything that can be shown. Explanations are those in ``result``; ``explained`` adds them."""
    journeys = journeys_of(trace, network)
    numbered = numbered_changes(journeys)
    messages = tuple(_message(number, each) for number, each in enumerate(journeys, 1))
    finding = result.finding
    spec = result.spec
    answers = [each.now for each in trace if isinstance(each, Noted) and each.kind is EventKind.ESTABLISHED]
    return TrialView(
        spec.name.replace("__", ", "),
        commands.call(spec),
        {name: value for name, value in result.settings().items() if value},
        result.world,
        result.outcome,
        round(result.duration, 6),
        min(answers, default=None),
        tuple(_nodes(journeys, network, result.models)),
        messages,
        tuple(_change(each) for each in numbered),
        rows_of(messages),
        tuple(_checks(result, journeys)),
        None
        if finding is None
        else DetectorFinding(
            finding.verdict, tuple(finding.changed), finding.detail, tuple(finding.evidence)
        ),
        tuple(result.media),
        tuple(result.errors),
        tuple(result.notes),
    )


# -- changes -----------------------------------------------------------------------------------------


def _change(numbered: NumberedChange) -> Change:
    made = numbered.change
    return Change(
        numbered.number,
        numbered.gateway,
        tuple(numbered.messages),
        tuple(made.parts) if made else (),
        tuple(
            BrokenRule(
                each.rule,
                each.reference,
                each.sentence,
                RULES[each.rule].description,
                RULES[each.rule].severity == "warning",
            )
            for each in (made.broken if made else ())
        ),
        bool(made and check(SipMessage.parse(made.before))),
    )


def _lines(change: changes.Change | None) -> tuple[LinePair, ...]:
    if change is None:
        return ()
    pairs = aligned(change.before, change.after)
    return tuple(LinePair(_line(each.before), _line(each.after)) for each in pairs)


def _line(line: changes.Line | None) -> Line | None:
    """A line with its marks; its line ending only if that differs."""
    if line is None:
        return None
    end = len(line.text.rstrip(b"\r\n"))
    text, at, marks = "", 0, []
    for start, stop in [*line.marks, (len(line.text), len(line.text))]:
        text += show(line.text[at : min(start, max(end, at))])
        marked = line.text[start:stop]
        if len(line.marks) == 1 and stop - start == len(line.text) and end:
            marked = marked[:end]  # the whole line is new or removed, so its ending need not be shown
        if marked:
            shown = show(marked)
            marks.append((len(text), len(text) + len(shown)))
            text += shown
        at = stop
    return Line(text, tuple(marks))


# -- messages ----------------------------------------------------------------------------------------


def _message(number: int, journey: Journey) -> Message:
    sent, left = journey.sent, journey.left
    is_sip = journey.is_signalling and sent is not None
    text = _text(sent) if is_sip else ""
    seen = _text(left) if is_sip else ""
    return Message(
        number,
        round(journey.now, 6),
        journey.label,
        tuple(journey.path),
        journey.aim,
        journey.is_signalling,
        journey.again,
        journey.failed,
        journey.fell_short,
        _endpoint(sent, is_source=True),
        _endpoint(sent),
        _endpoint(left, is_source=True),
        _endpoint(left),
        1 + journey.more,
        round(journey.until, 6),
        tuple(
            Altered(gateway, journey.numbers[gateway], _lines(change))
            for gateway, change in journey.changes.items()
        ),
        tuple(journey.notes),
        tuple(Noticed(each.host, each.kind.value, each.detail) for each in journey.heard),
        text,
        "" if seen == text else seen,
    )


def _text(packet: ip.Packet | None) -> str:
    return packet.payload.decode("utf-8", "backslashreplace") if packet is not None else ""


def _endpoint(packet: ip.Packet | None, *, is_source: bool = False) -> str:
    if packet is None:
        return ""
    if packet.protocol in (ip.UDP, ip.TCP):
        return str(packet.source if is_source else packet.destination)
    return packet.src if is_source else packet.dst


def _nodes(journeys: Iterable[Journey], network: Network, models: dict[str, str]) -> Iterable[Node]:
    taking_part = {node for each in journeys for node in (*each.path, each.aim)} | network.gateways
    topology = network.topology
    for name in in_path_order(network):
        if name not in taking_part:
            continue
        if name in network.gateways:
            addresses = tuple(topology.routers[name].all_interfaces.values())
            yield Node(name, "gateway", "", addresses, models.get(name, ""))
        else:
            host = topology.hosts[name]
            yield Node(name, "host", host.role or "", tuple(host.all_interfaces.values()), "")


# -- the outcome -------------------------------------------------------------------------------------


def _checks(result: TrialResult, journeys: Sequence[Journey]) -> Iterable[CheckResult]:
    causes = {each.check: each for each in result.explanation}
    for each in result.checks:
        found = causes.get(each.name)
        cause = None
        if found is not None and not each.passed:
            cause = Cause(
                found.text.removesuffix(each.symptom).strip(),  # it is shown beside the check already
                found.kind,
                found.basis,
                found.undone,
                message_meant(found, journeys),
                found.router,
                tuple(found.parts),
                found.rule,
                found.witness,
            )
        yield CheckResult(each.name, each.passed, each.symptom, each.detail, each.about, cause)


def message_meant(explanation: Explanation, journeys: Sequence[Journey]) -> int | None:
    """The number of the message that an explanation names; ``None`` if it names none."""
    numbers = {each.order: number for number, each in enumerate(journeys, 1) if each.path}
    return numbers.get(explanation.order)


def as_json(shown: object) -> dict[str, object]:
    """A view as plain data, ready for JSON."""
    return asdict(shown)  # type: ignore[call-overload, no-any-return]
