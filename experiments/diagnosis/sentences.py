"""States in sentences what two captures show of a router, the most serious first.

A sentence is about what the captures show. If a gap in a capture may be the reason, the sentence says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from siplab.experiments.captures.comparison import Comparison
from siplab.experiments.captures.media import Announced, announced
from siplab.experiments.captures.pairing import Message, Pair
from siplab.experiments.output.changes import broken
from siplab.experiments.output.console import number_of
from siplab.lab.wire.ip import is_address, is_private
from siplab.lab.wire.labels import show
from siplab.lab.wire.sdp import Sdp
from siplab.lab.wire.syntax import spelled

_MOST_RULES = 12
_WITH_ADDRESSES = (b"via", b"contact", b"record-route", b"path")  # header fields whose address others send to


def sentences(comparison: Comparison) -> list[str]:
    """All sentences; at least one."""
    said = [
        *_media_sentences(comparison),
        *_left_private(comparison),
        *_blocked(comparison),
        *_changed(comparison),
        *_made(comparison),
        *_rules(comparison),
        *_streams(comparison),
        *_gaps(comparison),
        *_markings(comparison),
        *_renewed(comparison),
    ]
    if not comparison.pairing.pairs:
        said.insert(0, "The captures have no message in common: nothing can be said of what is between.")
    elif not comparison.pairing.changed:
        said.append(f"{number_of(len(comparison.pairing.pairs), 'message')} came out as they went in.")
    return list(dict.fromkeys(said))


def _way(outbound: bool) -> str:
    return "going out" if outbound else "coming in"


# -- media in descriptions -----------------------------------------------------------------------


def _media_sentences(comparison: Comparison) -> Iterator[str]:
    senders = {(each.inside.ip, each.outside.ip) for each in comparison.mappings}
    for pair in comparison.pairing.pairs:
        if pair.sent.outbound and comparison.pairing.changed:
            yield from _of_description(pair, senders)


def _of_description(pair: Pair, senders: set[tuple[str, str]]) -> Iterator[str]:
    before, after = announced(pair.sent.payload), announced(pair.came.payload)
    if len(before) != len(after):
        if after or before:
            yield (
                f"The router changed how many media streams the {show(pair.sent.label.encode())} offers: "
                f"{len(before)} went in, {len(after)} came out."
            )
        return
    public = {outside for inside, outside in senders if inside != outside}
    for number, (one, other) in enumerate(zip(before, after, strict=True), 1):
        yield from _of_stream(pair.sent, one, other, number if len(before) > 1 else 0, public)


def _of_stream(
    sent: Message, before: Announced, after: Announced, number: int, public: set[str]
) -> Iterator[str]:
    stream = f"the {show(after.media.encode())}" + (f" (stream {number})" if number else "")
    private = is_address(after.address) and is_private(after.address)
    translated = before.address != after.address
    if translated and before.port == after.port and after.address in public:
        yield (
            f"In the {sent.label} the router translated c= but not m=: the far end sends {stream} to port "
            f"{after.port} of the router, which reaches the phone only if the router holds that port for it."
        )
    elif not translated and private and before.port != after.port:
        yield (
            f"In the {sent.label} the router translated m= but not c=: the far end sends {stream} to "
            f"{after.address}, which is good behind the router only."
        )
    elif not translated and private:
        yield (
            f"In the {sent.label} the router left the address of {stream}, {after.address}, as it was: it is "
            "good behind the router only, while it translated other parts of its messages."
        )


# -- addresses ---------------------------------------------------------------------------------------


def _left_private(comparison: Comparison) -> Iterator[str]:
    """Sentences on private addresses that were translated in some lines of a message and left in others."""
    for pair in comparison.pairing.changed:
        private = pair.sent.datagram.source.ip
        if not pair.sent.outbound or not is_private(private):
            continue
        before = _places(pair.sent, private)
        after = _places(pair.came, private)
        if after and len(after) < len(before):
            translated = [each for each in before if each not in after]
            yield (
                f"In the {pair.sent.label} the router translated {private} in "
                f"{', '.join(translated) or 'some lines'}, and left it in {', '.join(after)}."
            )


def _places(message: Message, address: str) -> list[str]:
    """The names of the lines of a message that contain an address."""
    wanted = address.encode()
    parsed = message.parsed
    # A Call-ID may look like an address, but nobody sends to it.
    fields = [each for each in parsed.fields if each.name in _WITH_ADDRESSES]
    found = [spelled(each.name) for each in fields if wanted in each.raw]
    for section in Sdp.parse(parsed.body).sections if parsed.body.startswith(b"v=") else ():
        words = section.media.value.split() if section.media is not None else []
        whose = f"the {show(words[0])}'s" if words else "the session's"
        found += [f"{whose} {show(line.type)}=" for line in section.lines if wanted in line.raw]
    return list(dict.fromkeys(found))


# -- messages ----------------------------------------------------------------------------------------


def _blocked(comparison: Comparison) -> Iterator[str]:
    for each in comparison.blocked:
        side = "inside" if each.outbound else "outside"
        there = "outside" if each.outbound else "inside"
        yield f"The {each.label} was seen {number_of(len(each.times), 'time')} {side} and never {there}."
    if comparison.blocked and comparison.shortest_blocked > comparison.longest_through > 0:
        yield (
            f"All that came through has at most {comparison.longest_through} bytes, what did not "
            f"{comparison.shortest_blocked} and more: fragments may be lost, or large packets."
        )


def _changed(comparison: Comparison) -> Iterator[str]:
    for outbound in (True, False):
        parts = Counter({part: n for (way, part), n in comparison.changed_parts.items() if way is outbound})
        if parts:
            told = ", ".join(f"{show(part.encode())} ({count}x)" for part, count in parts.most_common())
            changed = sum(each.sent.outbound is outbound for each in comparison.pairing.changed)
            total = sum(each.sent.outbound is outbound for each in comparison.pairing.pairs)
            yield f"The router changed {changed} of {number_of(total, 'message')} {_way(outbound)}: {told}."


def _made(comparison: Comparison) -> Iterator[str]:
    for each in comparison.pairing.made:
        yield f"The router itself made a {each.label}: it came in, and nobody outside had sent it."


def _rules(comparison: Comparison) -> Iterator[str]:
    found: dict[tuple[str, str], str] = {}
    for pair in comparison.pairing.changed:
        transport = pair.sent.datagram.transport
        for each in broken(pair.sent.payload, pair.came.payload, transport=transport):
            found.setdefault((each.reference, each.sentence), pair.sent.label)
    for (reference, sentence), label in list(found.items())[:_MOST_RULES]:
        yield f"Broken only behind the router, in the {label}: {reference}: {sentence}"


# -- what is in one capture only ------------------------------------------------------------------


def _streams(comparison: Comparison) -> Iterator[str]:
    for each in comparison.never_arrived:
        yield (
            f"{number_of(each.packets, 'packet')} of media came to the router, {each.source} to "
            f"{each.destination}, and are not inside."
        )
    for each in comparison.never_left:
        yield (
            f"{number_of(each.packets, 'packet')} of media went to the router, {each.source} to "
            f"{each.destination}, and are not outside."
        )


def _gaps(comparison: Comparison) -> Iterator[str]:
    missing = [each for each in comparison.pairing.missing if each not in comparison.blocked]
    strange = [each for each in comparison.pairing.strange if each not in comparison.pairing.made]
    rows = [
        ("inside", [each for each in missing if each.outbound]),
        ("outside", [each for each in missing if not each.outbound]),
        ("outside", [each for each in strange if each.outbound]),
        ("inside", [each for each in strange if not each.outbound]),
    ]
    for place, messages in rows:
        if messages:
            labels = Counter(each.label for each in messages)
            told = ", ".join(f"{count} x {label}" for label, count in labels.most_common(6))
            yield (
                f"Only in the capture {place}: {told}. The router may have dropped or made that, or the "
                "other capture lacks it: nothing is concluded from it."
            )


def _markings(comparison: Comparison) -> Iterator[str]:
    for marking, count in comparison.markings.items():
        yield (
            f"{number_of(count, 'message')} came out with DSCP {marking.after} in place of {marking.before}: "
            "that is about priority, and harms no message."
        )


def _renewed(comparison: Comparison) -> Iterator[str]:
    if comparison.renewed:
        yield (
            f"{number_of(comparison.renewed, 'message')} came out with a higher TTL than before: something "
            "in between takes messages in and sends packets of its own, as a proxy does."
        )
