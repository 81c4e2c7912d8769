"""rtpengine's counters, by its protocol ng: how many packets did the relay of a call get from each side?

A request is a cookie, a space and a dictionary in bencode (BEP 3), in one datagram; so is the answer
(docs/ng_control_protocol.md of rtpengine, command ``query``).
"""

from __future__ import annotations

import itertools
import socket
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import Any, Final

from siplab.experiments.programs.endpoints.sip_view import SipView
from siplab.lab.worlds.emulated.live import LiveWorld

_EVERY: Final = 0.25  # seconds between two queries
_LONGEST: Final = 65536
_DEEPEST: Final = 20


def bencoded(value: dict[str, str]) -> bytes:
    """A dictionary of texts, encoded in bencode."""
    texts = (each.encode() for pair in sorted(value.items()) for each in pair)
    return b"d" + b"".join(b"%d:%s" % (len(each), each) for each in texts) + b"e"


def debencoded(data: bytes) -> Any:
    """A value decoded from bencode; texts are bytes. Raises ``ValueError``."""
    value, end = _value(data, 0, _DEEPEST)
    if end != len(data):
        raise ValueError("something follows")
    return value


def _value(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    kind = data[at : at + 1]
    if kind == b"i":
        end = data.index(b"e", at)
        return int(data[at + 1 : end]), end + 1
    if kind in (b"l", b"d") and depth:
        found, at = [], at + 1
        while data[at : at + 1] != b"e":
            each, at = _value(data, at, depth - 1)
            found.append(each)
        if kind == b"l":
            return found, at + 1
        if len(found) % 2 or not all(isinstance(each, bytes) for each in found[::2]):
            raise ValueError("no dictionary")
        return dict(zip(found[::2], found[1::2], strict=True)), at + 1
    colon = data.index(b":", at)
    size = int(data[at:colon])
    if not 0 <= size <= len(data) - colon - 1:
        raise ValueError("a text that is cut off")
    return data[colon + 1 : colon + 1 + size], colon + 1 + size


def packets_from_others(answer: Any, own: Collection[bytes]) -> int:
    """The packets that the relay received from parties whose tag is not in ``own``, by its answer to a query.

    0 if the answer is not valid, or says nothing about a call.
    """
    with suppress(AttributeError, KeyError, TypeError):
        return sum(
            stream[b"stats"][b"packets"]
            for tag, row in answer[b"tags"].items()
            if tag not in own
            for media in row[b"medias"]
            for stream in media[b"streams"]
            if b"RTCP" not in stream[b"flags"] or b"RTP" in stream[b"flags"]
        )
    return 0


class RelayCounters:
    """How many packets of others rtpengine has relayed in one phone's calls. ``port``: of the protocol ng.

    Nothing blocks: an answer is read at a later poll.
    """

    def __init__(self, world: LiveWorld, host: str, port: int, view: SipView) -> None:
        self.total = 0
        self._view = view
        self._cookies = itertools.count(1)
        self._asked: dict[bytes, str] = {}  # cookie -> Call-ID
        self._counts: dict[str, int] = {}
        self._next = 0.0
        self._socket = world.socket(host, socket.AF_INET, socket.SOCK_DGRAM)
        with suppress(OSError):
            self._socket.connect(("127.0.0.1", port))

    def poll(self, now: float) -> None:
        """Read answers, and query again when it is time."""
        for cookie, answer in self._answers():
            call_id = self._asked.pop(cookie, "")
            count = packets_from_others(answer, self._view.own_tags)
            self._counts[call_id] = max(self._counts.get(call_id, 0), count)
        self.total = sum(self._counts.values())
        if now < self._next:
            return
        self._next = now + _EVERY
        for call_id in self._view.call_ids:
            cookie = b"%d" % next(self._cookies)
            self._asked[cookie] = call_id
            with suppress(OSError):
                self._socket.send(cookie + b" " + bencoded({"command": "query", "call-id": call_id}))

    def _answers(self) -> Iterator[tuple[bytes, Any]]:
        while True:
            try:
                cookie, _, body = self._socket.recv(_LONGEST).partition(b" ")
            except OSError:
                return
            with suppress(ValueError):
                yield cookie, debencoded(body)

    def close(self) -> None:
        self._socket.close()
