"""One inspected TCP connection, edited message by message as it crosses the gateway.

The rules of this file:

- Each direction is two streams of bytes: the *original* one in its sender's numbering and the
  *output* one in its receiver's. Both begin at the same sequence number. ``_Stream`` holds the
  map between them as a row of pieces; a piece is a message, a run of keep-alive white space,
  bytes that could not be framed, or the FIN. Positions are plain growing integers: they become
  32-bit numbers only on the wire, and ``near`` turns those into positions again.
- A message goes through ``rewrite`` once, when its last byte has come; until then its bytes are
  *held*. The output of a piece is kept until the receiver has acknowledged all of it. Every
  segment, new or retransmitted, sends the unacknowledged output of all pieces that it overlaps.
  So the editor never needs to recognise a retransmission.
- The ACK that the sender gets is ``to_original`` of the receiver's ACK. Once the receiver has all
  the output, that ACK covers the held bytes too: the editor is then responsible for them, and a
  sender whose Nagle algorithm waits for their ACK goes on. No timer is needed here: as long as
  output is unacknowledged, the sender has no ACK for the end of its piece, and retransmits it.
- A segment ahead of a gap is dropped and answered with a duplicate ACK (RFC 9293 lets a receiver
  do without reassembly of its own). TCP sends it again. SIP segments are few, so this costs
  little, and it is simpler than a second buffer. A direction that is passed through drops nothing.
- A direction that turns out not to be SIP, or has a message longer than ``max_message``, or has
  had its FIN, is passed through from there on: only its numbers are shifted. A connection whose
  beginning was not seen is passed through with its numbers unchanged.
- No packet is changed more than it must be: as long as no message was altered, a segment that
  ends where a message ends goes on byte for byte, and so does every ACK. (A split message leaves
  late and in new segments, under the header of the segment that completed it.)
- SACK blocks would carry one side's numbers to the other side, which has different ones. So NOPs
  replace SACK-permitted in every SYN (RFC 2018 section 2).

No sockets, clock or randomness; packets in, packets out.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from siplab.lab.gateway.tcp_segments import acknowledgement, segments, without_sack
from siplab.lab.wire.ip import ACK, FIN, PSH, RST, SYN, Packet
from siplab.lab.wire.sip import SipMessage, split_stream
from siplab.lab.wire.tcp_segment import DEFAULT_MSS, MIN_MSS, Opening, near, tsval_of, window_of

Rewrite = Callable[[bytes, bool], bytes | None]

_MAX_UNACKED: Final = 1 << 20  # bytes of stored output; beyond it, no new data is taken
_RST_SLACK: Final = 65535  # how many bytes ahead of the output an RST is still believed

# A start line whose end has not come yet: "SIP/2.0 ..." or a method token and what follows.
_START_OF_LINE: Final = re.compile(rb"[A-Za-z0-9\-.!%*_+`'~/]+(?:[ \t][^\x00-\x08\x0a-\x1f]*)?\r?\Z")


def _begins_sip(piece: bytes) -> bool:
    """Whether ``piece``, complete or not, can be a SIP message or is white space between them."""
    line, newline, _ = piece.partition(b"\n")
    if not newline:
        return not line.strip(b"\r") or _START_OF_LINE.match(line) is not None
    return not line.strip(b"\r") or SipMessage.parse(line + newline).is_sip


class _Piece(NamedTuple):
    """Original bytes [begin, end) became output that starts at ``out``; a FIN counts as one byte."""

    begin: int
    end: int
    out: int
    data: bytes
    fin: bool

    @property
    def out_end(self) -> int:
        return self.out + len(self.data) + self.fin

    @property
    def linear(self) -> bool:
        """Same length on both sides: any byte of it can be acknowledged."""
        return self.out_end - self.out == self.end - self.begin


class _Stream:
    """One direction. Positions named ``out``, ``acked`` and ``sent`` are output, the others original."""

    def __init__(self, start: int, mss: int, window: int, tsval: int, *, passing: bool) -> None:
        self.mss = mss  # what the receiver of this direction takes
        self.window = window  # last announced by the sender of this direction
        self.tsval = tsval
        self.passing = passing
        self.pristine = True  # no byte was ever changed
        self.base, self.base_out = start, start  # before this, all is acknowledged and forgotten
        self.pieces: deque[_Piece] = deque()
        self.done, self.out = start, start  # where the pieces end
        self.held = b""  # begins at ``done``
        self.begun = b""  # the beginning of a message that passes in parts (nothing is held then)
        self.taken = start  # next original byte
        self.acked = start  # by the receiver
        self.sent = start  # highest output ever put out
        self.told = start  # highest ACK that the sender of this direction got
        self.fin_out: int | None = None

    @classmethod
    def opened(cls, own: Opening, peer: Opening, start: int) -> _Stream:
        """The direction of the sender of ``own``, after both SYNs."""
        # The window in a SYN is never scaled, in later segments it is (RFC 7323 section 2.2).
        scale = 0 if own.scale is None or peer.scale is None else min(own.scale, 14)
        return cls(start, peer.mss, own.window >> scale, own.tsval, passing=False)

    @property
    def owed(self) -> int:
        """The ACK that the sender may get: for all that the receiver has, and the bytes held behind that."""
        return max(self.told, self.to_original(self.acked))

    @property
    def finished(self) -> bool:
        return self.fin_out is not None and self.acked > self.fin_out

    # -- the map ------------------------------------------------------------------------

    def to_original(self, out: int) -> int:
        """An ACK of ``out``, in the sender's numbering."""
        if out < self.base_out:
            return self.base - (self.base_out - out)
        for piece in self.pieces:
            if out < piece.out_end:
                return piece.begin + (out - piece.out if piece.linear else 0)
        # The receiver has all the output, so we are responsible for the held bytes beyond it.
        return (self.done if self.passing else self.taken) + out - self.out

    def to_output(self, original: int) -> int:
        """Sequence number, for the receiver, of a segment without data."""
        if original < self.base:
            return self.base_out - (self.base - original)
        for piece in self.pieces:
            if original < piece.end:
                return piece.out + (original - piece.begin if piece.linear else 0)
        if self.passing:
            return self.out + original - self.done
        if self.held and original == self.taken - 1:  # a keep-alive probe must stay one
            return self.out - 1
        return self.out + max(0, original - self.taken)  # held bytes take no room in the output

    # -- what comes in --------------------------------------------------------------------

    def note(self, packet: Packet) -> None:
        """Remember what we need for an ACK of our own in the name of this sender."""
        self.window = window_of(packet)
        tsval = tsval_of(packet)
        if tsval is not None:
            self.tsval = max(self.tsval, near(tsval, self.tsval))

    def acknowledge(self, out: int) -> int:
        """Take the receiver's ACK; returns the ACK for the sender."""
        original = self.to_original(out)
        if not self.acked <= out <= self.sent:  # late, or of bytes never sent: TCP handles it
            return original
        self.acked = out
        self._forget()
        self.told = max(self.told, original)
        return self.told

    def take(
        self,
        begin: int,
        payload: bytes,
        fin: bool,
        rewrite: Callable[[bytes], bytes | None],
        most: int,
        hold: bool,
    ) -> bool:
        """Take a segment's new bytes in; returns whether there were any."""
        end = begin + len(payload) + fin
        if begin > self.taken or end <= self.taken or self.out - self.acked > _MAX_UNACKED:
            return False
        if not hold:
            self._take_whole_only(payload[self.taken - begin :], rewrite, most)
            payload = b""
        self.held += payload[self.taken - begin :]
        for piece, complete in list(split_stream(self.held)):
            if len(piece) > most or not _begins_sip(piece):
                self.passing = True
                break
            if not complete:
                break
            self._add(piece, rewrite(piece))
            self.held = self.held[len(piece) :]
        if fin or self.passing:
            # What is left will never be a message. It goes in one piece with the FIN, so that a
            # retransmission of the FIN alone brings it again.
            self._add(self.held, self.held, fin)
            self.held = b""
            self.passing = True
        self.taken = end
        self._forget()
        return True

    def _take_whole_only(self, text: bytes, rewrite: Callable[[bytes], bytes | None], most: int) -> None:
        """As an ALG without reassembly: rewrite only messages that are whole in this segment."""
        begun = self.begun
        for piece, complete in split_stream(begun + text):
            fresh = piece[len(begun) :]
            sip = _begins_sip(piece)
            self._add(fresh, rewrite(fresh) if complete and sip and not begun else fresh)
            # Follow the message to its end, or its rest could be taken for another message.
            begun = self.begun = b"" if complete or not sip or len(piece) > most else piece

    def _add(self, old: bytes, new: bytes | None, fin: bool = False) -> None:
        self.pristine &= new == old
        piece = _Piece(self.done, self.done + len(old) + fin, self.out, new or b"", fin)
        self.pieces.append(piece)
        self.done, self.out = piece.end, piece.out_end

    def _forget(self) -> None:
        while self.pieces and self.pieces[0].out_end <= self.acked:
            piece = self.pieces.popleft()
            self.base, self.base_out = piece.end, piece.out_end

    # -- what goes out --------------------------------------------------------------------

    def output(self, begin: int, payload: bytes, fin: bool) -> tuple[int, bytes, bool]:
        """What this segment puts out of the output that the receiver still lacks: start, bytes and FIN."""
        end = begin + len(payload) + fin
        touched = [piece for piece in self.pieces if piece.begin < end and begin < piece.end]
        start, data, last = self.out + max(0, begin - self.done), b"", False
        if touched:
            start = max(self.acked, touched[0].out)
            data = b"".join(piece.data for piece in touched)[start - touched[0].out :]
            last = touched[-1].fin
        if self.passing and end > self.done:
            data += payload[max(0, self.done - begin) :]
            last = fin
        return start, data, last

    def put_out(self, out_end: int, fin: bool, taken: int) -> None:
        """Note that output up to ``out_end`` is on its way."""
        self.sent = max(self.sent, out_end)
        self.taken = max(self.taken, taken)
        if fin:
            self.fin_out = out_end - 1


class TcpEditor:
    """Edits one TCP connection; ``outbound`` says which way a packet or a message goes.

    ``rewrite(message, outbound)`` gets every complete message, and every run of white space
    between messages, exactly once and in order; it returns the bytes to put in its place, or
    ``None`` to take it out of the stream. It must not raise: an exception would leave the
    connection in the middle of a message, so the caller passes a function that catches them.

    A message is framed by Content-Length; one without it has no body (as in ``split_stream``).
    If the bytes after a message are no start line, the editing of that direction ends.
    """

    def __init__(self, rewrite: Rewrite, *, max_message: int = 65535, hold: bool = True) -> None:
        self._hold = hold
        self.rewrite = rewrite  # may be exchanged between packets
        self._max_message = max_message
        self._openings: dict[bool, Opening] = {}
        self._numbers: dict[bool, int] = {}  # the ISNs that the streams began with
        self._streams: dict[bool, _Stream] = {}
        self._reset = False
        self._headers = 40  # IP and TCP, without options

    @property
    def closed(self) -> bool:
        """Both FINs are acknowledged, or an RST was seen.

        Late retransmissions may still come: keep the editor about as long as TIME-WAIT.
        """
        return self._reset or (
            bool(self._streams) and all(stream.finished for stream in self._streams.values())
        )

    def limit_mtu(self, mtu: int, outbound: bool) -> None:
        """The path of that direction carries ``mtu`` (an ICMP "packet too big" came back)."""
        stream = self._streams.get(outbound)
        if stream:
            stream.mss = max(MIN_MSS, min(stream.mss, mtu - self._headers))

    def handle(self, packet: Packet, outbound: bool) -> list[tuple[bool, Packet]]:
        """Take a packet as it came in, before address translation; returns packets to emit.

        With ``True``: onward, in the packet's own direction (translate its addresses then). With
        ``False``: back to the sender, its addresses are already those of a reply.
        """
        if packet.flags & SYN:
            return [(True, self._open(packet, outbound))]
        if not self._streams:
            self._join(packet, outbound)
        this, other = self._streams[outbound], self._streams[not outbound]
        before = (other.told, this.window)
        ack = packet.ack
        if packet.flags & ACK:
            ack = other.acknowledge(near(ack, other.acked))
        this.note(packet)
        begin = near(packet.seq, this.taken)
        if packet.flags & RST:
            return [(True, self._abort(packet, this, begin, ack))]
        if not packet.payload and not packet.flags & FIN:
            return [(True, packet.with_(seq=this.to_output(begin), ack=ack))]

        onward, answer = self._data(packet, outbound, begin, ack)
        if not onward and (other.told, this.window) != before:
            # The data stays here, but its ACK or window is news to the other side. If it were not,
            # nothing would be sent: a needless duplicate ACK would look like a loss there.
            onward = [packet.with_(seq=this.out, ack=ack, payload=b"", flags=ACK)]
        emitted = [(True, each) for each in onward]
        if answer:
            # As the peer would send it, with the peer's numbers and window.
            own = acknowledgement(packet, other.sent, this.told, other.window, other.tsval)
            emitted.append((False, own))
        return emitted

    def _data(self, packet: Packet, outbound: bool, begin: int, ack: int) -> tuple[list[Packet], bool]:
        """What a segment with data or FIN puts out, and whether the editor answers it itself."""
        this, payload, fin = self._streams[outbound], packet.payload, bool(packet.flags & FIN)
        end = begin + len(payload) + fin
        stale = end <= this.base
        if this.pristine and (stale or (this.passing and not this.pieces)):
            out = this.to_output(begin)
            this.put_out(out + end - begin, fin, end)
            return [packet.with_(seq=out, ack=ack)], False
        if stale:
            # The receiver has it, and we no longer know what it became. As a probe it still makes
            # the receiver repeat its ACK, or shows that the receiver is gone.
            flags = packet.flags & ~(FIN | PSH)
            return [packet.with_(seq=this.to_output(begin), ack=ack, payload=b"", flags=flags)], False

        fresh = False
        if not this.passing:
            fresh = this.take(
                begin,
                payload,
                fin,
                lambda old: self.rewrite(old, outbound),
                self._max_message,
                self._hold,
            )
        start, data, last = this.output(begin, payload, fin)
        if data or last:
            this.put_out(start + len(data) + last, last, end if this.passing else this.taken)
            # A segment longer than the announced MSS has come this far, so that length is allowed too.
            extra = len(packet.transport) - 20  # RFC 6691: options come out of the MSS
            limit = max(this.mss - extra, len(payload), 1)
            return segments(packet, start, data, last, ack, limit), False
        # Held, dropped, ahead of a gap, or held already.
        known, this.told = this.told, this.owed
        return [], this.told > known or not fresh

    # -- beginning and end ------------------------------------------------------------------

    def _open(self, packet: Packet, outbound: bool) -> Packet:
        """Note a SYN; its numbers are the same on both sides. The SYN-ACK starts the streams."""
        own = self._openings[outbound] = Opening.read(packet)
        self._headers = 40 if packet.version == 4 else 60
        peer = self._openings.get(not outbound)
        if packet.flags & ACK and peer and (packet.ack - peer.isn - 1) & 0xFFFFFFFF <= peer.size:
            numbers = {outbound: own.isn, not outbound: peer.isn}
            if numbers != self._numbers:  # else it is a retransmission
                self._numbers, self._reset = numbers, False
                # A payload in a SYN that the peer acknowledged lies before the start, so it is untouched.
                self._streams = {
                    outbound: _Stream.opened(own, peer, own.isn + 1 + own.size),
                    not outbound: _Stream.opened(peer, own, near(packet.ack, peer.isn)),
                }
        return without_sack(packet)

    def _join(self, packet: Packet, outbound: bool) -> None:
        """Begin in mid-stream: both directions pass as they are."""
        mss = DEFAULT_MSS[packet.version]
        for way, start in ((outbound, packet.seq), (not outbound, packet.ack)):
            self._streams[way] = _Stream(start, mss, window_of(packet), 0, passing=True)

    def _abort(self, packet: Packet, this: _Stream, begin: int, ack: int) -> Packet:
        """An RST must carry exactly what the receiver expects next (RFC 5961 section 3.2)."""
        out = this.to_output(begin)
        if this.base <= begin <= this.taken:
            out = max(out, this.acked)
        if this.acked <= out <= this.sent + _RST_SLACK:
            self._reset = True
        return packet.with_(seq=out, ack=ack)
