"""Two TCP endpoints with an editor between them, over links that lose, repeat and reorder packets."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from hypothesis import strategies as st

from siplab.lab.gateway.tcp import TcpEditor
from siplab.lab.wire.ip import ACK, FIN, PSH, SYN, Endpoint, Packet, parse, tcp, verify
from siplab.lab.wire.tcp_segment import near

PHONE, SERVER = Endpoint("192.168.1.10", 5060), Endpoint("203.0.113.5", 5060)
MASK = 0xFFFFFFFF
OUT, IN = True, False

Change = Callable[[bytes], bytes | None]
Stream = list[tuple[bytes, bytes | None]]  # messages, each with its rewritten form; None: dropped
# The action, the direction, whether before the editor, the index of the packet in flight, a number of bytes.
Action = tuple[str, bool, bool, int, int]


def message(name: str, body: bytes = b"", filler: int = 0) -> bytes:
    return (
        f"MESSAGE sip:{name}@example.com SIP/2.0\r\n"
        f"Via: SIP/2.0/TCP 192.168.1.10;branch=z9hG4bK{name}\r\n"
        f"Subject: {'x' * filler}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def grow(old: bytes) -> bytes:
    """Six bytes more."""
    return old.replace(b"192.168.1.10", b"198.51.100.99:5060")


def shrink(old: bytes) -> bytes:
    return old.replace(b"Subject: ", b"s:")


def same(old: bytes) -> bytes:
    return old


class Peer:
    """A minimal TCP endpoint after its handshake; positions count from the first byte."""

    def __init__(self, way: bool, isn: int, peer_isn: int, data: bytes, mss: int, nagle: bool) -> None:
        self.way, self.isn, self.peer_isn = way, isn, peer_isn
        self.data, self.mss, self.nagle = data, mss, nagle
        self.una = self.next = 0
        self.got = bytearray()
        self.early: dict[int, bytes] = {}
        self.fin_at: int | None = None
        self.fin_taken = False

    @property
    def expected(self) -> int:
        return len(self.got) + self.fin_taken

    @property
    def done(self) -> bool:
        return self.una == len(self.data) + 1

    def segment(self, begin: int, end: int) -> Packet:
        fin = begin <= len(self.data) < end
        ends = (PHONE, SERVER) if self.way else (SERVER, PHONE)
        return parse(
            tcp(
                *ends,
                self.data[begin:end],
                seq=self.isn + 1 + begin,
                ack=self.peer_isn + 1 + self.expected,
                flags=ACK | PSH | (FIN if fin else 0),
            )
        )

    def send(self, size: int, window: int) -> list[Packet]:
        """New data (and at its end the FIN), when window and Nagle let it go."""
        begin = self.next
        end = min(begin + min(size, self.mss), len(self.data) + 1, self.una + window)
        if end <= begin or (self.nagle and self.una < self.next and end - begin < self.mss):
            return []
        self.next = end
        return [self.segment(begin, end)]

    def retransmit(self, size: int) -> list[Packet]:
        end = min(self.una + min(size, self.mss), self.next)
        return [self.segment(self.una, end)] if end > self.una else []

    def probe(self) -> list[Packet]:
        return [self.segment(self.next, self.next).with_(seq=self.isn + self.next, flags=ACK)]

    def receive(self, packet: Packet) -> list[Packet]:
        ack = near(packet.ack, self.isn + 1 + self.una) - self.isn - 1
        assert ack <= self.next, "acknowledges what was never sent"
        self.una = max(self.una, ack)
        begin = near(packet.seq, self.peer_isn + 1 + self.expected) - self.peer_isn - 1
        if packet.payload:
            self.early.setdefault(begin, b"")
            self.early[begin] = max(self.early[begin], packet.payload, key=len)
        if packet.flags & FIN:
            assert self.fin_at in (None, begin + len(packet.payload))
            self.fin_at = begin + len(packet.payload)
        for at in sorted(self.early):
            if at <= len(self.got):
                self.got += self.early.pop(at)[len(self.got) - at :]
        self.fin_taken = self.fin_at == len(self.got)
        answer = packet.payload or packet.flags & FIN or begin < self.expected
        return [self.segment(self.next, self.next)] if answer else []


class Run(NamedTuple):
    """What both peers send, and what the network does. ``size``: bytes per segment once nothing is lost."""

    streams: dict[bool, Stream]
    isn: tuple[int, int]
    mss: int
    nagle: bool
    window: int
    size: int
    actions: list[Action]


class Network:
    """Two peers, the editor between them, and four links, each with its packets in flight."""

    def __init__(self, run: Run) -> None:
        streams, isn, mss, nagle = run.streams, run.isn, run.mss, run.nagle
        self.streams = streams
        self.isn = {OUT: isn[0], IN: isn[1]}
        self.rewritten: dict[bool, list[bytes]] = {OUT: [], IN: []}
        self.editor = TcpEditor(self.rewrite)
        self.peers = {
            way: Peer(
                way, self.isn[way], self.isn[not way], b"".join(old for old, _ in streams[way]), mss, nagle
            )
            for way in (OUT, IN)
        }
        self.result = {way: b"".join(new or b"" for _, new in streams[way]) for way in (OUT, IN)}
        # (way, True): from the sender of that way to the editor; (way, False): on to its receiver.
        self.links: dict[tuple[bool, bool], list[Packet]] = {
            (way, first): [] for way in (OUT, IN) for first in (True, False)
        }
        options = b"\x02\x04" + mss.to_bytes(2, "big")
        syn = tcp(PHONE, SERVER, seq=isn[0], flags=SYN, options=options)
        syn_ack = tcp(SERVER, PHONE, seq=isn[1], ack=isn[0] + 1, flags=SYN | ACK, options=options)
        assert [bytes(each) for _, each in self.editor.handle(parse(syn), OUT)] == [syn]
        assert [bytes(each) for _, each in self.editor.handle(parse(syn_ack), IN)] == [syn_ack]

    def rewrite(self, old: bytes, outbound: bool) -> bytes | None:
        if not old.strip():
            return old
        self.rewritten[outbound].append(old)
        (new,) = [new for was, new in self.streams[outbound] if was == old]
        return new

    def deliver(self, link: tuple[bool, bool], index: int) -> None:
        packet = self.links[link].pop(index)
        way, to_editor = link
        if not to_editor:
            self.check(way, packet)
            self.links[not way, True] += self.peers[not way].receive(packet)
            return
        for onward, each in self.editor.handle(packet, way):
            assert verify(bytes(each)) == []
            assert len(each.payload) <= self.peers[way].mss
            self.links[way if onward else not way, False].append(each)

    def check(self, way: bool, packet: Packet) -> None:
        """Check what must hold for any packet in this direction, whatever happened before."""
        begin = near(packet.seq, self.isn[way] + 1 + self.peers[not way].expected) - self.isn[way] - 1
        end = begin + len(packet.payload)
        assert packet.payload == self.result[way][max(begin, 0) : max(end, 0)], "not the rewritten stream"
        if packet.flags & FIN:
            assert end == len(self.result[way])
        # No whole message is acknowledged before its receiver has the rewritten one.
        sender = self.peers[not way]
        ack = near(packet.ack, sender.isn + 1 + sender.una) - sender.isn - 1
        old_end = new_end = 0
        for old, new in self.streams[not way]:
            old_end, new_end = old_end + len(old), new_end + len(new or b"")
            assert ack < old_end or self.peers[way].expected >= new_end or not old.strip()

    def play(self, actions: list[Action], window: int) -> None:
        """What happens to the packets of both peers, step by step."""
        for action, way, first, index, length in actions:
            peer, waiting = self.peers[way], self.links[way, first]
            if action == "send":
                self.links[way, True] += peer.send(length, window)
            elif action == "retransmit":
                self.links[way, True] += peer.retransmit(length)
            elif action == "probe":
                self.links[way, True] += peer.probe()
            elif waiting:
                index %= len(waiting)
                if action == "deliver":
                    self.deliver((way, first), index)
                elif action == "drop":
                    del waiting[index]
                else:
                    waiting.append(waiting[index])

    def drain(self) -> None:
        while any(self.links.values()):
            for link, waiting in self.links.items():
                while waiting:
                    self.deliver(link, 0)

    def finish(self, size: int, window: int, *, retransmit: bool) -> None:
        """From now on nothing is lost, so everything must arrive soon."""
        for _ in range(3000):
            self.drain()
            if self.editor.closed and all(peer.done for peer in self.peers.values()):
                break
            sent = []
            for way, peer in self.peers.items():
                fresh = peer.send(size, window)
                if not fresh and retransmit:
                    fresh = peer.retransmit(size)
                self.links[way, True] += fresh
                sent += fresh
            assert sent, "stalled"
        for way, peer in self.peers.items():
            assert bytes(self.peers[not way].got) == self.result[way]
            assert self.peers[not way].fin_taken
            assert peer.done
            assert self.rewritten[way] == [old for old, _ in self.streams[way] if old.strip()]
        assert self.editor.closed


@st.composite
def streams(draw: st.DrawFn) -> Stream:
    """Messages and keep-alives, each with its rewritten form."""
    found: Stream = []
    for number in range(draw(st.integers(0, 5))):
        text = message(f"u{number}", b"b" * draw(st.integers(0, 80)), draw(st.sampled_from([0, 1, 200])))
        kind = draw(st.sampled_from(["same", "grow", "shrink", "other", "drop", "huge", "empty"]))
        became = {
            "same": text,
            "grow": grow(text),
            "shrink": shrink(text),
            "other": text.replace(b"Subject", b"sUBJECT"),
            "drop": None,
            "huge": text + b"z" * 700,
            "empty": b"",
        }
        found.append((text, became[kind]))
        if draw(st.booleans()):
            found.append((b"\r\n\r\n", b"\r\n\r\n"))
    return found


_ISNS = st.integers(0, MASK) | st.integers(MASK - 400, MASK)
_SIZES = st.integers(1, 30) | st.integers(1, 600)
_WHAT = ["send", "send", "retransmit", "probe", "deliver", "deliver", "deliver", "drop", "double"]
_ACTIONS = st.lists(
    st.tuples(st.sampled_from(_WHAT), st.booleans(), st.booleans(), st.integers(0, 5), _SIZES), max_size=120
)
RUNS = st.builds(
    Run,
    streams=st.fixed_dictionaries({OUT: streams(), IN: streams()}),
    isn=st.tuples(_ISNS, _ISNS),
    mss=st.sampled_from([64, 100, 536, 1460]),
    nagle=st.booleans(),
    window=st.integers(1, 3000),
    size=_SIZES,
    actions=_ACTIONS,
)
