"""Learns rules from examples of what a router does to messages, if no model of the catalogue fits.

The rules of this file:

- A message is a list of lines: the start line, header fields, lines of the SDP. A line without its endpoints
  is a *skeleton*. A rule for a line edits the skeleton or removes the line. A rule for an endpoint says what
  is written as its host and as its port.
- A rule has a *place*: a line in all messages, in requests or responses, or in messages of one method and
  class of status. The most general place at which all examples agree is used.
- ``Rules`` is a step like any other, and plain data.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from siplab.lab.gateway.alg import Context
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage

_MARK: Final = b"\x00"
_SLOT: Final = re.compile(
    rb"(?<![\d.])(\d{1,3}(?:\.\d{1,3}){3})(?::(\d{1,5}))?(?![\d.])"
    rb"|((?<=;rport=)\d+|(?<=^m=audio )\d+|(?<=^m=video )\d+|(?<=^m=image )\d+|(?<=^a=rtcp:)\d+)"
)
_DIGITS: Final = re.compile(rb"(\d+)")
_MEDIA_LIFETIME: Final = 3600.0
_CONTEXT: Final = 6  # bytes before an edit that are kept, to find its position
_LENGTH: Final = "content-length"

Ends = tuple[bytes, bytes | None]
"""Host and port of an endpoint in a line. If the host is empty, a number that is a port."""


class Flow(NamedTuple):
    """The endpoints of the packet that a message came in."""

    inside: Endpoint
    outside: Endpoint
    remote: Endpoint


class Example(NamedTuple):
    """A message before and after the router; ``after`` is ``None`` if it did not leave."""

    outbound: bool
    before: bytes
    after: bytes | None
    flow: Flow


# -- messages as lines -----------------------------------------------------------------------------


def _lines(message: SipMessage) -> list[tuple[str, bytes]]:
    """Name and bytes of each line."""
    rows = [("start", message.start_line)]
    rows += [(each.name.decode("latin-1"), each.raw) for each in message.fields]
    if message.body.startswith(b"v="):
        section = "session"
        for line in message.body.splitlines(keepends=True):
            if line[:2] == b"m=":
                section = "media"
            rows.append((f"sdp {section} {line[:1].decode('latin-1')}", line))
    return rows


def _cut(line: bytes) -> tuple[bytes, list[Ends]]:
    """The skeleton of a line, and its endpoints."""
    found: list[Ends] = []

    def slot(match: re.Match[bytes]) -> bytes:
        found.append((match[1], match[2]) if match[1] is not None else (b"", match[3]))
        return _MARK

    return _SLOT.sub(slot, line), found


def _joined(skeleton: bytes, ends: Sequence[bytes]) -> bytes | None:
    pieces = skeleton.split(_MARK)
    if len(pieces) != len(ends) + 1:
        return None
    return b"".join(piece + end for piece, end in zip(pieces, [*ends, b""], strict=True))


def _class_of(ends: Ends, flow: Flow) -> str:
    host, port = ends
    if not host:
        number = int(port or 0)
        return "port 0" if not number else _port_class(number, flow)
    for name, own in (("inside", flow.inside), ("public", flow.outside), ("remote", flow.remote)):
        if host == own.ip.encode():
            return name + ("" if port is None else " own port" if int(port) == own.port else " other port")
    return "near" if host.rpartition(b".")[0] == flow.inside.ip.encode().rpartition(b".")[0] else "foreign"


def _port_class(number: int, flow: Flow) -> str:
    return (
        "public port" if number == flow.outside.port else "own port" if number == flow.inside.port else "port"
    )


def _operation(before: Ends, after: Ends, flow: Flow) -> tuple[str, str]:
    """Which operation changed one endpoint to the other: on the host, and on the port."""
    (host, port), (new_host, new_port) = before, after
    names = {host: "keep", flow.outside.ip.encode(): "public", flow.inside.ip.encode(): "inside"}
    of_host = names.get(new_host, "") or "=" + new_host.decode()
    if new_port == port:
        return of_host, "keep"
    if new_port is None:
        return of_host, "removed"
    number = int(new_port)
    if number == flow.outside.port:
        return of_host, "public"
    return of_host, "inside" if number == flow.inside.port else "mapped"


def _kind(message: SipMessage) -> str:
    method = message.method.decode("latin-1")
    return f"{message.status // 100}xx {method}" if message.status else method


def _places(outbound: bool, message: SipMessage, name: str) -> list[str]:
    """The places of a line, from the most general to the most particular."""
    way = "out" if outbound else "in"
    what = "response" if message.status else "request"
    return [f"{way}|{name}", f"{way}|{what}|{name}", f"{way}|{_kind(message)}|{name}"]


def _edit(before: bytes, after: bytes) -> list[str]:
    """``same``, or ``edit`` with the changed text before and after. Some unchanged bytes come first."""
    if before == after:
        return ["same"]
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    end = 0
    while end < min(len(before), len(after)) - start and before[-1 - end] == after[-1 - end]:
        end += 1
    left = max(0, start - _CONTEXT)
    texts = before[left : len(before) - end], after[left : len(after) - end]
    return ["edit", *(each.decode("latin-1") for each in texts)]


def _number_edit(before: bytes, after: bytes) -> list[str] | None:
    """An edit that replaces one number, whatever its value; ``None`` if more than one number changed."""
    one, other = _DIGITS.split(before), _DIGITS.split(after)
    if len(one) != len(other):
        return None
    changed = [n for n, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
    if len(changed) != 1 or not one[changed[0]].isdigit():
        return None
    at = changed[0]
    return ["number", one[at - 1][-8:].decode("latin-1"), other[at].decode()]


# -- learning --------------------------------------------------------------------------------------


class RuleLearner:
    """Counts what examples show."""

    def __init__(self) -> None:
        self._endpoints: dict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)
        self._lines: dict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)
        self._added: dict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)
        self._fates: dict[str, Counter[bool]] = defaultdict(Counter)

    def see(self, example: Example) -> None:
        before = SipMessage.parse(example.before)
        kind = f"{'out' if example.outbound else 'in'}|{_kind(before)}"
        self._fates[kind][example.after is not None] += 1
        if example.after is None:
            return
        after = SipMessage.parse(example.after)
        theirs: dict[str, list[bytes]] = defaultdict(list)
        for name, line in _lines(after):
            theirs[name].append(line)
        mine = _lines(before)
        counts = Counter(name for name, _ in mine)
        taken: Counter[str] = Counter()
        for name, line in mine:
            # A new line stands before the old ones of its name, as a Via does. If lines are lost, the last
            # one is.
            at = taken[name] + max(0, len(theirs[name]) - counts[name])
            taken[name] += 1
            other = theirs[name][at] if at < len(theirs[name]) else None
            fitted = (before.content_length, after.content_length) == (len(before.body), len(after.body))
            for place in _places(example.outbound, before, name):
                self._line(place, line, other, example.flow, fitted and name == _LENGTH)
        extra = {name: max(0, len(rows) - counts[name]) for name, rows in theirs.items()}
        previous = ""
        for name, line in _lines(after):
            if extra[name] > 0:
                extra[name] -= 1
                skeleton, ends = _cut(line)
                texts = [text for each in ends for text in _operation((b"", None), each, example.flow)]
                self._added[kind][(name, previous, skeleton.decode("latin-1"), *texts)] += 1
            previous = name

    def _line(self, place: str, line: bytes, other: bytes | None, flow: Flow, fitted: bool) -> None:
        if other is None:
            self._lines[place][("gone",)] += 1
            return
        (skeleton, ends), (new_skeleton, new_ends) = _cut(line), _cut(other)
        if len(ends) != len(new_ends):
            self._lines[place][("is", other.decode("latin-1"))] += 1
            return
        for index, (one, new) in enumerate(zip(ends, new_ends, strict=True)):
            self._endpoints[f"{place}|{_class_of(one, flow)}|{index}"][_operation(one, new, flow)] += 1
        if fitted:
            self._lines[place][("length",)] += 1
        else:
            edit = _number_edit(skeleton, new_skeleton) or _edit(skeleton, new_skeleton)
            self._lines[place][tuple(edit)] += 1

    def rules(self) -> Rules:
        """The rules that the examples show.

        A decision on which all examples of a place agree is taken as it is; else the most frequent one,
        marked.
        """
        added = {}
        for kind, votes in self._added.items():
            line, count = votes.most_common(1)[0]
            if 2 * count > sum(self._fates[kind].values()):
                added[kind] = line
        return Rules(
            _decided(self._endpoints),
            _decided(self._lines),
            added,
            tuple(kind for kind, votes in self._fates.items() if votes[False] > votes[True]),
        )


def _decided(table: Mapping[str, Counter[tuple[str, ...]]]) -> dict[str, tuple[str, ...]]:
    """The most frequent decisions, with a ``?`` in front where the examples do not agree."""
    found = {}
    for key, votes in table.items():
        best, count = votes.most_common(1)[0]
        found[key] = best if count == sum(votes.values()) else ("?", *best)
    return found


# -- the step --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Rules:
    """A step that does what the examples showed."""

    endpoints: Mapping[str, Sequence[str]] = field(default_factory=dict)
    lines: Mapping[str, Sequence[str]] = field(default_factory=dict)
    added: Mapping[str, Sequence[str]] = field(default_factory=dict)
    dropped: Sequence[str] = ()

    def as_data(self) -> dict[str, Any]:
        """Plain data. ``Rules(**data)`` makes the same rules again."""
        return {
            "endpoints": {key: list(each) for key, each in self.endpoints.items()},
            "lines": {key: list(each) for key, each in self.lines.items()},
            "added": {key: list(each) for key, each in self.added.items()},
            "dropped": list(self.dropped),
        }

    def apply(self, message: SipMessage, context: Context) -> None:
        flow = Flow(context.inside, context.outside, context.remote)
        kind = f"{'out' if context.outbound else 'in'}|{_kind(message)}"
        if kind in self.dropped:
            context.drop("as it was seen")
        start, head, body, fit = message.start_line, [], [], False
        hosts = [ends[0] for name, line in _lines(message) if name[-2:] == " c" for ends in _cut(line)[1]]
        for name, line in _lines(message):
            places = _places(context.outbound, message, name)
            decision = _first(self.lines, places) or ("same",)
            if decision[0] == "gone":
                continue
            new = self._line(decision, line, places, flow, hosts, context)
            fit = fit or decision[0] == "length"
            if name == "start":
                start = new
            elif name.startswith("sdp "):
                body.append(new)
            else:
                head.append((name, new))
        self._add(self.added.get(kind, ()), head, flow)
        text = b"".join(body) if body else message.body
        message.become(message.prefix + start + b"".join(line for _, line in head) + message.separator + text)
        if fit:
            message.fit_content_length()

    def _line(
        self,
        decision: Sequence[str],
        line: bytes,
        places: Sequence[str],
        flow: Flow,
        hosts: Sequence[bytes],
        context: Context,
    ) -> bytes:
        if decision[0] == "is":
            return decision[1].encode("latin-1")
        skeleton, ends = _cut(line)
        written = []
        for index, each in enumerate(ends):
            keys = [f"{place}|{_class_of(each, flow)}|{index}" for place in places]
            written.append(
                _made(each, _first(self.endpoints, keys) or ("keep", "keep"), flow, hosts, context)
            )
        if decision[0] == "number":
            before = decision[1].encode("latin-1")
            skeleton = re.sub(
                re.escape(before) + rb"\d+", lambda _: before + decision[2].encode(), skeleton, count=1
            )
        elif decision[0] == "edit":
            old, new = (each.encode("latin-1") for each in decision[1:3])
            skeleton = skeleton.replace(old, new, 1)
        made = _joined(skeleton, written)
        return line if made is None else made

    @staticmethod
    def _add(line: Sequence[str], head: list[tuple[str, bytes]], flow: Flow) -> None:
        if not line:
            return
        name, previous, skeleton, *texts = line
        ends = [
            _written(_host(host, b"", flow), _port(port, None, flow))
            for host, port in zip(texts[::2], texts[1::2], strict=True)
        ]
        made = _joined(skeleton.encode("latin-1"), ends)
        before = [number for number, (each, _) in enumerate(head) if each == previous]
        at = before[-1] + 1 if before else 0
        if made is not None:
            head.insert(at, (name, made))


def _first(table: Mapping[str, Sequence[str]], keys: Iterable[str]) -> Sequence[str]:
    """The decision of the most general place at which examples agree, else of the most particular."""
    last: Sequence[str] = ()
    for key in keys:
        found = table.get(key)
        if found and found[0] != "?":
            return found
        last = found[1:] if found else last
    return last


def _host(operation: str, host: bytes, flow: Flow) -> bytes:
    if operation.startswith("="):
        return operation[1:].encode()
    return {"public": flow.outside.ip.encode(), "inside": flow.inside.ip.encode()}.get(operation, host)


def _port(operation: str, port: bytes | None, flow: Flow) -> bytes | None:
    if operation == "removed":
        return None
    return {"public": b"%d" % flow.outside.port, "inside": b"%d" % flow.inside.port}.get(operation, port)


def _written(host: bytes, port: bytes | None) -> bytes:
    return host if port is None else host + b":" + port if host else port


def _made(
    ends: Ends, operation: Sequence[str], flow: Flow, hosts: Sequence[bytes], context: Context
) -> bytes:
    """What is written in place of an endpoint."""
    (host, port), (of_host, of_port) = ends, operation[:2]
    number = _port(of_port, port, flow)
    if of_port == "mapped" and (port or host):
        there = _mapped(ends, hosts, context)
        number = b"%d" % there.port if there is not None else port
    return _written(_host(of_host, host, flow), number)


def _mapped(ends: Ends, hosts: Sequence[bytes], context: Context) -> Endpoint | None:
    """The endpoint that stands for this one on the other side. Opens a pinhole if need be."""
    host, port = ends
    try:
        if host:
            here = Endpoint(host.decode(), int(port or 5060))
            return context.public(here) if context.outbound else context.private(here)
        if not context.outbound:
            return context.private(Endpoint(context.outside.ip, int(port or 0)))
        if not hosts:
            return None
        media = Endpoint(hosts[0].decode(), int(port or 0))
        return context.open_media(media, ("learnt", media), _MEDIA_LIFETIME)
    except (ValueError, OSError):
        return None
