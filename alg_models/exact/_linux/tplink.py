"""What TP-Link's kernels do instead: they keep their own tables of registrations and media.

A table of the home's phones, with registrations and media ports, makes calls between two of them possible
(hairpinning). Everybody may use a pinhole, and only time and the registrar end one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, partial
from typing import Final

from siplab.alg_models.exact._linux.expectations import Expectation, Kind
from siplab.alg_models.exact._linux.flow import View
from siplab.alg_models.exact._linux.helper import Methods
from siplab.alg_models.exact._linux.register import (
    expect_calls,
    expires_header,
    same_transport,
    write_contact,
)
from siplab.alg_models.exact._linux.scan import CONTACT, Found, Marker
from siplab.alg_models.exact._linux.sdp import process_sdp, reserve, write_port
from siplab.lab.wire.ip import UDP, Endpoint

SIGNALLING_TIMEOUT: Final = 10.0  # seconds; the registrar's lifetime is added
_MOST_PHONES: Final = 100
_MOST_MEDIA: Final = 15
_EXPIRES: Final = Marker.of(b"expires=")


@dataclass(frozen=True)
class Generation:
    """One state of the vendor's code. The defaults are those of the MT7628's.

    - ``default_expires``: seconds for a REGISTER that names none; only whether it is 0 matters.
    - ``both_ways``: descriptions that come in are read, too.
    - ``within_lan``: only media of the sender or another inside host are translated, and the table of
      phones has their ports. Otherwise media of any host are, and the table has no ports.
    - ``even``: media ports are made even.
    - ``margin``: seconds by which an entry of the table of phones outlives its registration.
    - ``swapped``: the two bytes of the expected port are swapped; the port in the description stays.
    """

    default_expires: int = 5
    both_ways: bool = True
    within_lan: bool = True
    even: bool = True
    margin: float = 0.0
    swapped: bool = False


@dataclass(eq=False)
class Phone:
    """A phone of the home: its public and local endpoint, and its local media ports by public port."""

    public: Endpoint
    local: Endpoint
    expires: float
    media: dict[int, int] = field(default_factory=dict)


class Phones:
    """The table of phones."""

    def __init__(self) -> None:
        self._all: list[Phone] = []

    def alive(self, now: float) -> list[Phone]:
        """The phones whose time is not over, the latest first."""
        self._all = [each for each in self._all if now < each.expires]
        return self._all[::-1]

    def add(self, phone: Phone) -> None:
        """Add a phone; a full table takes no more."""
        if len(self._all) < _MOST_PHONES:
            self._all.append(phone)

    def remove(self, public: Endpoint) -> None:
        self._all = [each for each in self._all if each.public != public]


def _phones(view: View) -> list[Phone]:
    return view.context.remember("tplink-phones", Phones).alive(view.context.now)


def _add(view: View, public: Endpoint, local: Endpoint) -> Phone:
    phone = Phone(public, local, view.context.now + SIGNALLING_TIMEOUT)
    view.context.remember("tplink-phones", Phones).add(phone)
    return phone


def _seconds(view: View, contact: Found, default: int) -> tuple[int, bool]:
    """The seconds of an expires= in the rest of the line, of whichever Contact, and whether there is one."""
    end = view.payload.data.find(b"\r\n", contact.end)
    if end < 0:
        view.context.drop("Contact does not end")
    found = view.payload.number_parameter(contact.end, _EXPIRES, end)
    if found is None:
        return default, False
    return found[1].value, found[1].end > found[0]


def known(view: View, endpoint: Endpoint) -> Endpoint | None:
    """The table's entry for an endpoint: the phone's public one going out, its local one coming in."""
    for phone in _phones(view):
        old, new = phone.local, phone.public
        if not view.context.outbound:
            old, new = new, old
        if endpoint == old:
            return new
    return None


def _register_request(generation: Generation, view: View, _: int) -> None:
    """Let calls in at once, for a short time. The phone's next REGISTER reuses the same expectation."""
    if view.flow.expected:
        return
    seconds = expires_header(view, generation.default_expires)
    contact = view.payload.uri(CONTACT)
    if contact is None:
        return
    if contact.endpoint is None:
        view.context.drop("Contact can't be read")
        return
    if contact.endpoint.ip != view.source.ip or not same_transport(view, contact.end):
        return
    seconds, _found = _seconds(view, contact, seconds)
    if not seconds or (
        view.source.ip == view.new_source.ip and view.destination.ip == view.new_destination.ip
    ):
        return
    now, expectations = view.context.now, view.memory.expectations
    for each in expectations.of(view.flow, now):
        if each.kind is Kind.SIGNALLING and each.saved == contact.endpoint:
            expectations.activate(each, max(each.expires - now, SIGNALLING_TIMEOUT), view.context)
            for phone in _phones(view):
                if phone.local == contact.endpoint:
                    phone.expires = each.expires
                    break
            return  # Contact stays as it is, unless the header pass translates it
    port = expect_calls(view, contact.endpoint, "", SIGNALLING_TIMEOUT, active=True)
    write_contact(view, contact, port)
    _add(view, Endpoint(view.new_source.ip, port), contact.endpoint)


def _register_response(generation: Generation, view: View, _: int, code: int) -> None:
    """A 2xx prolongs the expectation of the first Contact that matches; any other answer changes nothing."""
    if not 200 <= code <= 299:
        return
    expectations, now = view.memory.expectations, view.context.now
    header = expires_header(view, -1)
    known = header >= 0
    last: Endpoint | None = None
    contact = view.payload.uri(CONTACT)
    while contact is not None:
        if contact.endpoint is None:
            view.context.drop("Contact can't be read")
            return
        last = contact.endpoint
        if last.ip == view.destination.ip and same_transport(view, contact.end):
            seconds, named = _seconds(view, contact, max(header, 0))
            known = known or named
            if known:
                expectation = expectations.find(UDP, "", last, now)
                if not seconds:
                    break
                if expectation is not None:
                    expectations.activate(expectation, seconds + SIGNALLING_TIMEOUT, view.context)
                    for phone in _phones(view):
                        if phone.public == last:
                            phone.expires = now + seconds + generation.margin
                            break
                    return
        contact = view.payload.uri(CONTACT, contact.end, in_header=True)
    if last is not None:
        expectation = expectations.find(UDP, "", last, now)
        if expectation is not None:
            expectations.remove(expectation, view.context)
        view.context.remember("tplink-phones", Phones).remove(last)


def _expect_any(generation: Generation, view: View, kind: Kind, media: Endpoint, begin: int, end: int) -> str:
    """Expect a stream of any host, from anybody."""
    port = media.port & ~1 if generation.even else media.port
    if generation.swapped:
        port = (port & 0xFF) << 8 | port >> 8
    first = Endpoint(view.new_source.ip, port)
    found = reserve(view, kind, "", first, Endpoint(media.ip, port), search=view.nat)
    if not found:
        view.context.drop("all ports in use for media")
    if not generation.swapped and found != media.port:
        write_port(view, begin, end, found)
    return view.new_source.ip


def _expect_media(view: View, kind: Kind, media: Endpoint, begin: int, end: int) -> str:
    """Expect a stream from anybody. A stream to another phone of the home goes there directly."""
    context = view.context
    target, direct = media, False
    inbound = view.source.ip == view.new_source.ip
    if inbound:
        for phone in _phones(view):
            if phone.public.ip == view.destination.ip and media.port in phone.media:
                ours = view.new_destination
                if phone.local.ip != ours.ip and phone.local.port != ours.port:
                    target, direct = Endpoint(phone.local.ip, phone.media[media.port]), True
                break
    elif media.ip != view.source.ip and not context.is_inside(media.ip):
        return media.ip
    base = target.port & ~1
    if direct:
        write_port(view, begin, end, base)
    ip = target.ip if direct or inbound else view.new_source.ip
    search = view.nat and not direct
    port = reserve(view, kind, "", Endpoint(ip, base), Endpoint(target.ip, base), search=search)
    if not port:
        context.drop("all ports in use for media")
    if not direct and port != base:
        write_port(view, begin, end, port)
    if not inbound and media.ip == view.source.ip:
        own = next((each for each in _phones(view) if each.local == view.source), None)
        own = own or _add(view, view.new_source, view.source)
        if port in own.media or len(own.media) < _MOST_MEDIA:
            own.media[port] = base
    return ip


def _describe(generation: Generation, view: View) -> None:
    if generation.both_ways or view.context.outbound:
        process_sdp(view, _expect_media if generation.within_lan else partial(_expect_any, generation))


def _offer_or_answer(generation: Generation, view: View, _: int) -> None:
    _describe(generation, view)


def _nothing(view: View, _: int) -> None:
    """BYE ends no pinhole."""


def _answered(generation: Generation, view: View, _: int, code: int) -> None:
    if not 100 <= code <= 299:
        return
    _expect_answer(view)
    _describe(generation, view)


def _expect_answer(view: View) -> None:
    """Expect that a phone in the home sends requests to the Contact of an answer from outside.

    A flow may have one signalling expectation only, so this one replaces the registration's.
    """
    contact = view.payload.uri(CONTACT)
    if view.source.ip != view.new_source.ip or contact is None or contact.endpoint is None:
        return
    if contact.endpoint.ip != view.destination.ip:
        new = Expectation(view.flow, Kind.SIGNALLING, UDP, "", contact.endpoint, view.destination)
        view.memory.expectations.relate(
            new, view.context, skip_master=False, symmetric=True, seconds=SIGNALLING_TIMEOUT
        )


@cache  # two partial functions are never equal, so equal models need the same object
def methods(generation: Generation) -> Methods:
    """The handlers by method in a generation of the code."""
    described = partial(_offer_or_answer, generation)
    answered = partial(_answered, generation)
    return Methods(
        requests={
            b"INVITE": described,
            b"UPDATE": described,
            b"ACK": described,
            b"PRACK": described,
            b"BYE": _nothing,
            b"REGISTER": partial(_register_request, generation),
        },
        responses={
            b"INVITE": answered,
            b"UPDATE": answered,
            b"PRACK": answered,
            b"REGISTER": partial(_register_response, generation),
        },
    )


TPLINK: Final = methods(Generation())
