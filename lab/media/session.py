"""A media session: offers and answers (RFC 3264), written in SDP (RFC 8866).

The rules of this file:

- Offers and answers have these streams: audio as PCMU with telephone-event, video as H.264 that
  nobody decodes, image as T.38 over UDPTL. Other streams of an offer are refused with port 0.
- A description whose address or port nobody could send to raises ``MediaError``, which says why;
  nothing is guessed.
- The version in ``o=`` goes up with every description that differs from the one before (RFC 3264
  section 8).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, NamedTuple, Protocol

from siplab.lab.media.attributes import NOTHING, Said, plain_attributes, read_attributes
from siplab.lab.sip.messages import address_text
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.rtp import PCMU, STATIC_AUDIO, TELEPHONE_EVENT, VIDEO
from siplab.lab.wire.sdp import Sdp, Section, address_of

Kind = Literal["audio", "video", "image"]
Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
Hold = Literal["", "sendonly", "inactive", "zero-address", "zero-session", "zero-port"]
"""How a session is held. Empty: not. ``sendonly``, ``inactive``: by that attribute. ``zero-address``: by RFC
2543's ``c=IN IP4 0.0.0.0``. ``zero-session``: by ``sendonly`` with that line for the session, which the c= of
each stream overrides (RFC 8866 section 5.7). ``zero-port``: by ending all streams for the time being, with
port 0 (RFC 3264 section 8.2)."""

_DIRECTIONS: Final[dict[bytes, Direction]] = {
    b"sendrecv": "sendrecv",
    b"sendonly": "sendonly",
    b"recvonly": "recvonly",
    b"inactive": "inactive",
}
_MIRRORED: Final[dict[Direction, Direction]] = {
    "sendrecv": "sendrecv",
    "sendonly": "recvonly",
    "recvonly": "sendonly",
    "inactive": "inactive",
}
_SENDS: Final = frozenset({"sendrecv", "sendonly"})
_RECEIVES: Final = frozenset({"sendrecv", "recvonly"})
_BY_WAYS: Final[dict[tuple[bool, bool], Direction]] = {
    (True, True): "sendrecv",
    (True, False): "sendonly",
    (False, True): "recvonly",
    (False, False): "inactive",
}
_ON_HOLD: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104  # RFC 3264 section 8.4, not a socket
_TRANSPORT: Final[dict[Kind, bytes]] = {"audio": b"RTP/AVP", "video": b"RTP/AVP", "image": b"udptl"}


class MediaError(ValueError):
    """A session description that can't be used; the text says why."""


class Described(NamedTuple):
    """One usable stream of the other side's description, the ``m=`` line number ``at``.

    ``remote``: where its media are wanted; ``None`` for the zero address of an old-style hold, and if no
    address can be read. ``placed``: an address can be read. ``telephone_event``: the payload type for that,
    ``None`` without. ``direction`` is the writer's.
    """

    kind: Kind
    at: int
    remote: Endpoint | None
    telephone_event: int | None
    direction: Direction
    payload_type: int
    said: Said
    codecs: tuple[int, ...] = ()
    placed: bool = True


class Description(NamedTuple):
    """What the other side's description asks for: all ``m=`` values, and the usable streams."""

    lines: list[bytes]
    streams: list[Described]

    def stream(self, kind: Kind) -> Described | None:
        return next((each for each in self.streams if each.kind == kind), None)


def read(
    body: bytes,
    kinds: Sequence[Kind] = ("audio",),
    *,
    secure: bool = False,
    lenient: bool = False,
    later: bool = False,
) -> Description:
    """Read an offer or an answer: the first stream of each kind. Raises ``MediaError`` if there is none.

    ``secure``: only SRTP with a key that we can use will do (RFC 4568). ``lenient``: a stream whose address
    can't be read does not start, but is no error, and ports are taken modulo 65536. ``later``: it changes an
    existing session, so that all streams may have ended. The result is cached: don't change it.
    """
    return _read(body, tuple(kinds), secure, lenient, later)


@lru_cache(maxsize=64)
def _read(body: bytes, kinds: tuple[Kind, ...], secure: bool, lenient: bool, later: bool) -> Description:
    sdp = Sdp.parse(body)
    # Most descriptions have none of these, and searching for each costs more than all the rest.
    special = any(name in body for name in (b"a=rtcp", b"a=ice-", b"a=candidate", b"a=crypto"))
    lines = [section.media.value for section in sdp.media if section.media is not None]
    found: list[Described] = []
    for at, section in enumerate(sdp.media):
        words = lines[at].split()
        kind = next((each for each in kinds if words[:1] == [each.encode()]), None)
        if kind is None or len(words) < 4 or words[2] != _transport(kind, secure) or section.port == 0:
            continue
        if any(each.kind == kind for each in found):
            continue
        if kind == "audio" and b"0" not in words[3:]:
            raise MediaError("the audio stream has no PCMU (payload type 0)")
        remote = _remote(sdp, section, lenient)
        said = read_attributes(sdp, section, remote) if special else plain_attributes(remote)
        if secure and kind != "image" and said.crypto is None:
            raise MediaError("RTP/SAVP without a usable key in a=crypto")
        number = _payload_type(words[3]) if kind == "video" else PCMU
        if number is None:
            continue
        found.append(
            Described(
                kind,
                at,
                remote,
                _telephone_event(section, words[3:]),
                _direction(sdp, section),
                number,
                said,
                tuple(int(word) for word in words[3:] if word in (b"0", b"8")),
                remote is not None or address_text(address_of(sdp.connection(section))) is not None,
            )
        )
    ended = later and sdp.media and all(section.port == 0 for section in sdp.media)
    if not found and not ended:
        profile = "RTP/SAVP" if secure else "RTP"
        raise MediaError(f"no {profile} {' or '.join(kinds)} stream with a port other than 0")
    return Description(lines, found)


def _transport(kind: Kind, secure: bool) -> bytes:
    return b"RTP/SAVP" if secure and kind != "image" else _TRANSPORT[kind]


def _remote(sdp: Sdp, section: Section, lenient: bool) -> Endpoint | None:
    address = address_of(sdp.connection(section))
    ip = address_text(address)
    if ip is None and lenient:
        return None
    if ip is None:
        raise MediaError(f"c= has no usable address: {address.decode('utf-8', 'backslashreplace')!r}")
    port = section.port
    if port is not None and lenient:
        port %= 65536
    if port is None or not 0 < port < 65536:
        raise MediaError(f"m= has no usable port: {port}")
    return None if ip in _ON_HOLD else Endpoint(ip, port)


def _direction(sdp: Sdp, section: Section) -> Direction:
    for part in (section, sdp.session):
        for line in part.lines:
            if line.type == b"a" and line.value in _DIRECTIONS:
                return _DIRECTIONS[line.value]
    return "sendrecv"


def _telephone_event(section: Section, formats: list[bytes]) -> int | None:
    for line in section.attributes(b"rtpmap"):
        number, _, encoding = line.value[7:].partition(b" ")
        if encoding.lower().startswith(b"telephone-event/8000") and number in formats:
            return _payload_type(number)
    return None


def _payload_type(word: bytes) -> int | None:
    """An RTP payload type, which has seven bits (RFC 3550 section 5.1); ``None`` for anything else."""
    return int(word) if word.isdigit() and len(word) <= 3 and int(word) < 128 else None


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream that both sides agreed on.

    ``remote`` is where to send, ``None`` while nothing may be sent to the address that was given.
    ``sends`` and ``receives`` follow from both sides' directions. ``said``: the other side's attributes.
    ``started``: false if the other side's address can't be read; then nothing is received either (observed
    with baresip 1.0.0).
    """

    kind: Kind
    local: Endpoint
    remote: Endpoint | None
    sends: bool
    receives: bool
    payload_type: int = PCMU
    telephone_event: int | None = None
    said: Said = NOTHING
    started: bool = True


class MediaLines(Protocol):
    """Gives the lines of our descriptions about RTCP, ICE and encryption."""

    @property
    def session_lines(self) -> bytes:
        """Lines about the whole session."""

    def lines(self, kind: Kind, said: Said | None) -> bytes:
        """Lines about a stream; ``said``: the offer's attributes, if this is an answer."""


class Session:
    """Our side of one session.

    ``ports`` has the port of each kind of stream that we support, ``offered`` the kinds in our
    next offer. ``hold`` applies to the next description. ``streams``: the result of the last
    offer and answer. ``announced`` gives the endpoint that descriptions have for a local one.
    ``media``: gives lines about RTCP, ICE and encryption. ``secure``: streams are encrypted.
    ``strict``: a later offer must be of the same session, by its o=. ``lenient``: which descriptions are
    read leniently, see ``read``.
    ``same_version``: whether a later offer with the same o= is followed, or treated as the one before.
    ``codecs``: the payload types of the audio that we offer; we send PCMU only.
    """

    def __init__(
        self,
        user: str,
        ip: str,
        ports: Mapping[Kind, int],
        number: int,
        announced: Callable[[Endpoint], Endpoint] = lambda local: local,
        media: MediaLines | None = None,
        *,
        secure: bool = False,
        strict: bool = False,
        lenient: Literal["", "offers", "all"] = "",
        same_version: Literal["follow", "ignore"] = "follow",
        codecs: tuple[int, ...] = (PCMU,),
    ) -> None:
        self.ports = dict(ports)
        self.offered: list[Kind] = [kind for kind in ports if kind != "image"]
        self.hold: Hold = ""
        self.streams: list[Stream] = []
        self._user = user.encode()
        self._ip = ip
        self._announced = announced
        self._media = media
        self._secure = secure
        self._strict = strict
        self._lenient = lenient
        self._same_version = same_version
        self._theirs = b""  # the other side's latest description
        self.codecs = codecs
        self.answered_codecs = 0  # of audio, in the latest answer
        self._origin: list[bytes] = []  # of the other side
        self._number = number
        self._version = number
        self._last = b""
        self._lines: list[Kind | None] = []  # what our latest offer has at each m= line
        self._telephone_event: int | None = TELEPHONE_EVENT
        self._payload_types: dict[Kind, int] = {"video": VIDEO}

    def stream(self, kind: Kind) -> Stream | None:
        """The stream of that kind, ``None`` when there is none."""
        return next((each for each in self.streams if each.kind == kind), None)

    def offer(self) -> bytes:
        """Our description of the session as we want it."""
        # RFC 3264 section 8: streams keep their places for ever; what we want no more has port 0.
        self._lines = [*self._lines, *(kind for kind in self.offered if kind not in self._lines)]
        parts = [
            self._refused(kind)
            if kind is None or kind not in self.offered or self.hold == "zero-port"
            else self._line(kind, self._own_direction())
            for kind in self._lines
        ]
        return self._written(parts)

    def go_back_to(self, before: Session) -> None:
        """Undo all changes since the copy ``before``, except the version in ``o=``: that was sent already."""
        version, last = self._version, self._last
        self.__dict__.update(before.__dict__)
        self._version, self._last = version, last

    def conclude(self, answer: bytes) -> None:
        """Take the answer to our offer. Raises ``MediaError`` when it has no usable stream."""
        # RFC 3264 section 6: an answer has no stream that was not offered.
        later = self.hold == "zero-port"
        said = read(answer, self.offered, secure=self._secure, lenient=self._lenient == "all", later=later)
        own = self._own_direction()
        self._theirs = answer
        audio = said.stream("audio")
        self.answered_codecs = len(audio.codecs) if audio is not None else 0
        self.streams = [self._agreed(each, own) for each in said.streams]
        self._know_origin(answer, changes=True)
        self._remember(said)

    def check(self, offer: bytes) -> None:
        """Raises ``MediaError`` when ``offer`` can't be answered."""
        self._read_offer(offer)

    def answer(self, offer: bytes) -> bytes:
        """Our answer, which settles the session. Raises ``MediaError`` when there can be none."""
        if self._same_version == "ignore" and _origin(offer) == _origin(self._theirs):
            offer = self._theirs
        said = self._read_offer(offer)
        self._theirs = offer
        self._know_origin(offer, changes=False)
        by_line = {each.at: each for each in said.streams}
        self._remember(said)
        self._lines = [by_line[at].kind if at in by_line else None for at in range(len(said.lines))]
        parts, streams = [], []
        for at, line in enumerate(said.lines):
            each = by_line.get(at)
            if each is None:
                words = line.split()
                # RFC 3264 section 6: a refused stream keeps its place, port 0 and any of its formats.
                parts.append(b"m=" + b" ".join([words[0] if words else b"audio", b"0", *words[2:]]) + b"\r\n")
                continue
            direction = _common(_MIRRORED[_effective(each)], self._own_direction())
            parts.append(self._line(each.kind, direction, each.said))
            streams.append(self._agreed(each, direction))
        self.streams = streams
        self.offered = [each.kind for each in streams]
        return self._written(parts)

    # -- parts -------------------------------------------------------------------------------

    def _read_offer(self, offer: bytes) -> Description:
        lenient, later = bool(self._lenient), bool(self._theirs)
        return read(offer, self._known(), secure=self._secure, lenient=lenient, later=later)

    def _known(self) -> tuple[Kind, ...]:
        return tuple(self.ports)

    def _own_direction(self) -> Direction:
        if self.hold in ("sendonly", "inactive"):
            return self.hold
        return "sendonly" if self.hold == "zero-session" else "sendrecv"

    def _know_origin(self, body: bytes, *, changes: bool) -> None:
        """Check the other side's o=: only its version may change (RFC 3264 section 8), unless ``changes``."""
        if not self._strict:
            return
        words = _origin(body)
        origin = words[:2] + words[3:]
        if self._origin not in ([], origin) and not changes:
            raise MediaError(f"o= is of another session: {b' '.join(words).decode('utf-8', 'replace')}")
        self._origin = origin

    def _remember(self, said: Description) -> None:
        audio = said.stream("audio")
        if audio is not None:
            self._telephone_event = audio.telephone_event
        video = said.stream("video")
        if video is not None:
            self._payload_types["video"] = video.payload_type

    def _agreed(self, said: Described, ours: Direction) -> Stream:
        direction = _common(_MIRRORED[_effective(said)], ours)
        held = self.hold == "zero-address"  # with 0.0.0.0 we want no media, and send none
        return Stream(
            said.kind,
            Endpoint(self._ip, self.ports[said.kind]),
            said.remote,
            sends=direction in _SENDS and said.remote is not None and not held,
            receives=direction in _RECEIVES and not held,
            payload_type=said.payload_type,
            telephone_event=said.telephone_event,
            said=said.said,
            started=said.placed,
        )

    def _written(self, parts: list[bytes]) -> bytes:
        ip = next(iter(map(self._wanted_at, self.ports))).ip
        family = b"IP6" if ":" in ip else b"IP4"
        zero = b"::" if ":" in ip else b"0.0.0.0"
        at = zero if self.hold in ("zero-address", "zero-session") else ip.encode()
        if self.hold == "zero-session":
            parts = [
                part.replace(b"\r\n", b"\r\nc=IN %b %b\r\n" % (family, ip.encode()), 1) for part in parts
            ]
        rest = b" IN %b %b\r\ns=-\r\nc=IN %b %b\r\nt=0 0\r\n" % (family, ip.encode(), family, at)
        rest += b"".join(parts if self._media is None else [self._media.session_lines, *parts])
        if self._last and rest != self._last:
            self._version += 1
        self._last = rest
        return b"v=0\r\no=%b %d %d" % (self._user, self._number, self._version) + rest

    def _wanted_at(self, kind: Kind) -> Endpoint:
        return self._announced(Endpoint(self._ip, self.ports[kind]))

    def _refused(self, kind: Kind | None) -> bytes:
        name = kind or "audio"
        return b"m=%b 0 %b %b\r\n" % (
            name.encode(),
            _transport(name, self._secure),
            {"audio": b"0", "video": b"%d" % self._payload_types["video"], "image": b"t38"}[name],
        )

    def _line(self, kind: Kind, direction: Direction, said: Said | None = None) -> bytes:
        """One stream's lines; ``said``: the offer's attributes, if this is an answer."""
        port, profile = self._wanted_at(kind).port, _transport(kind, self._secure)
        media = b"" if self._media is None else self._media.lines(kind, said)
        if kind == "image":
            return (
                b"m=image %d udptl t38\r\na=T38FaxVersion:0\r\na=T38MaxBitRate:14400\r\n"
                b"a=T38FaxRateManagement:transferredTCF\r\na=T38FaxUdpEC:t38UDPRedundancy\r\n" % port
            )
        if kind == "video":
            number = self._payload_types["video"]
            head = b"m=video %d %b %d\r\na=rtpmap:%d H264/90000\r\n" % (port, profile, number, number)
            return head + b"a=%b\r\n" % direction.encode() + media
        event = self._telephone_event
        codecs = self.codecs if said is None else (PCMU,)
        types = b" ".join([b"%d" % each for each in codecs])
        maps = b"".join([b"a=rtpmap:%d %b/8000\r\n" % (each, STATIC_AUDIO[each]) for each in codecs])
        if event is None:
            head = b"m=audio %d %b %b\r\n%b" % (port, profile, types, maps)
        else:
            head = b"m=audio %d %b %b %d\r\n%ba=rtpmap:%d telephone-event/8000\r\na=fmtp:%d 0-16\r\n" % (
                port,
                profile,
                types,
                event,
                maps,
                event,
                event,
            )
        return head + b"a=ptime:20\r\na=%b\r\n" % direction.encode() + media


def _effective(said: Described) -> Direction:
    """The direction that the writer means: with the zero address it receives nothing (RFC 3264 8.4)."""
    if said.remote is not None:
        return said.direction
    return "sendonly" if said.direction in _SENDS else "inactive"


def _origin(body: bytes) -> list[bytes]:
    """The words of o=."""
    line = Sdp.parse(body).session.first(b"o")
    return line.value.split() if line is not None else []


def _common(one: Direction, other: Direction) -> Direction:
    """The direction that two directions have in common."""
    sends = one in _SENDS and other in _SENDS
    receives = one in _RECEIVES and other in _RECEIVES
    return (
        "sendrecv" if sends and receives else "sendonly" if sends else "recvonly" if receives else "inactive"
    )
