"""What the streams of one call have besides media: reports (RTCP), ICE, encryption.

The rules of this file:

- Each of these is used only if a setting asks for it; else it shows neither in descriptions nor on the wire.
- One port, one component: with ICE, reports share the media's port, or are not sent at all.
- A phone that encrypts takes nothing else: it refuses a description without a key.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from siplab.lab.media.attributes import NOTHING, Said, rtcp_port
from siplab.lab.media.ice import IceStream
from siplab.lab.media.ice_messages import is_stun
from siplab.lab.media.interfaces import MediaCall
from siplab.lab.media.rtcp import Reporter
from siplab.lab.media.session import Kind, Stream
from siplab.lab.media.srtp import Opener, Sealer, check_available
from siplab.lab.media.srtp_keys import KEY_BYTES, crypto_line
from siplab.lab.sip.base import Train
from siplab.lab.sip.events import EventKind
from siplab.lab.wire.ip import Endpoint

_TAG: Final = 1  # of our a=crypto


class CallMedia:
    """The media of one call: ``reporters`` and ``ice`` by kind of stream.

    ``announced`` gives the endpoint that descriptions have for a local one, ``candidate`` that of ICE.
    Raises ``CapabilityError`` if media are to be encrypted, and this machine can't do it.
    """

    def __init__(
        self,
        call: MediaCall,
        announced: Callable[[Endpoint], Endpoint],
        candidate: Callable[[Endpoint], Endpoint],
    ) -> None:
        self._call = call
        self._announced = announced
        config, rng = call.phone.config, call.phone.rng
        kinds: list[Kind] = [kind for kind in call.ports if kind != "image"]
        self.reporters: dict[Kind, Reporter] = (
            {kind: Reporter(call, kind, partial(self.sealed_report, kind)) for kind in kinds}
            if config.rtcp
            else {}
        )
        self.ice: dict[Kind, IceStream] = {}
        if config.ice:
            self.ice = {
                kind: IceStream(
                    call.phone.layer,
                    rng,
                    Endpoint(config.ip, call.ports[kind]),
                    lite=config.ice == "lite",
                    mapped=candidate,
                    changed=call.media_changed,
                )
                for kind in kinds
            }
        if config.srtp:
            check_available()
        self._keys: dict[Kind, bytes] = (
            {kind: rng.getrandbits(8 * KEY_BYTES).to_bytes(KEY_BYTES, "big") for kind in kinds}
            if config.srtp
            else {}
        )
        self._sealers = {kind: Sealer(key) for kind, key in self._keys.items()}
        self._openers: dict[Kind, tuple[bytes, Opener]] = {}

    # -- descriptions ----------------------------------------------------------------------------

    @property
    def session_lines(self) -> bytes:
        """Our description's lines about the whole session."""
        return b"a=ice-lite\r\n" if self._call.phone.config.ice == "lite" else b""

    def lines(self, kind: Kind, said: Said | None) -> bytes:
        """Our description's lines about a stream; ``said``: the offer's attributes, if this is an answer."""
        call, config = self._call, self._call.phone.config
        lines = b""
        if kind in self.reporters:
            if config.rtcp == "announced":
                at = self._announced(Endpoint(config.ip, rtcp_port(call.ports[kind])))
                family = b"IP6" if ":" in at.ip else b"IP4"
                lines += b"a=rtcp:%d IN %b %b\r\n" % (at.port, family, at.ip.encode())
            elif config.rtcp == "mux" and (said is None or said.mux):
                lines += b"a=rtcp-mux\r\n"
        if kind in self._keys:
            tag = said.crypto.tag if said is not None and said.crypto is not None else _TAG
            lines += crypto_line(tag, self._keys[kind])
        if kind in self.ice:
            if said is None or (said.ice is not None and not said.mismatch):
                lines += self.ice[kind].lines()
            elif said.ice is not None:
                lines += b"a=ice-mismatch\r\n"
        return lines

    # -- a session is settled, or over -------------------------------------------------------------

    def uses_ice(self, kind: Kind) -> bool:
        """Whether both sides agreed on ICE for a stream."""
        said = self._said(kind)
        return kind in self.ice and said.ice is not None and not said.mismatch

    def target(self, stream: Stream | None, now: float) -> Endpoint | None:
        """Where media go; ``None`` for nowhere, or not yet."""
        if stream is None:
            return None
        path, theirs = stream.remote, stream.said.ice
        if theirs is not None and self.uses_ice(stream.kind):
            ice = self.ice[stream.kind]
            ice.start(theirs, controlling=self._call.owns_call_id, now=now)
            path = ice.path
        return path if stream.sends else None

    def settled(self, now: float) -> None:
        """Called when an offer and an answer have settled the session, and the senders know where to send."""
        for kind, sender in self._call.senders.items():
            sealer = self._sealers.get(kind)
            sender.sealed = sealer.packet if sealer is not None else None
            crypto = self._said(kind).crypto
            if sealer is not None and crypto is not None:
                known = self._openers.get(kind)
                if known is None or known[0] != crypto.key:
                    self._openers[kind] = (crypto.key, Opener(crypto.key))
            if kind in self.ice and self._said(kind).mismatch:
                self._call.phone.note(now, EventKind.ICE_MISMATCH, "the address in c= and m= is no candidate")
            reporter = self.reporters.get(kind)
            if reporter is not None and (reporter.multiplexed or not self.uses_ice(kind)):
                reporter.start(now)

    def stop(self, now: float) -> None:
        """The call is over."""
        for reporter in self.reporters.values():
            reporter.stop(now)
        for ice in self.ice.values():
            ice.stop()

    # -- what arrives ------------------------------------------------------------------------------

    def received(self, kind: Kind, payload: bytes, source: Endpoint, now: float) -> bytes | None:
        """The plain media in a datagram on a media port; ``None`` when it is no media, or not authentic."""
        if kind in self.ice and is_stun(payload):
            self.ice[kind].receive(payload, source, now)
            return None
        if len(payload) > 1 and 200 <= payload[1] <= 204 and kind in self.reporters:
            self.report(kind, payload, source, now)  # RFC 5761 section 4
            return None
        if kind not in self._keys:
            return payload
        opener = self._openers.get(kind)
        return opener[1].packet(payload) if opener is not None and len(payload) >= 12 else None

    def train(self, kind: Kind, train: Train) -> bool:
        """Whether the packets of a train, which were not carried, are accepted."""
        opener = self._openers.get(kind)
        return kind not in self._keys or (opener is not None and opener[1].train(train))

    def report(self, kind: Kind, payload: bytes, source: Endpoint, now: float) -> None:
        """A datagram arrived on the port for reports."""
        plain: bytes | None = payload
        if kind in self._keys:
            opener = self._openers.get(kind)
            plain = opener[1].report(payload) if opener is not None else None
        if plain is not None:
            self.reporters[kind].receive(plain, source, now)

    def sealed_report(self, kind: Kind, plain: bytes) -> bytes:
        """A report as it goes on the wire."""
        return self._sealers[kind].report(plain) if kind in self._sealers else plain

    def _said(self, kind: Kind) -> Said:
        stream = self._call.session.stream(kind)
        return stream.said if stream is not None else NOTHING
