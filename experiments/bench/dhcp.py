"""DHCP (RFC 2131), as far as a bench needs it: hosts that take a lease, and a provider that gives one.

Both receive messages and return messages, without sockets or a clock. scapy reads and writes the messages.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint, MalformedPacketError

CLIENT_PORT, SERVER_PORT = 68, 67
LEASE: Final = 86400  # seconds
_SHORTEST: Final = 240  # bytes of a message without options
_DISCOVER, _OFFER, _REQUEST, _ACK, _NAK = 1, 2, 3, 5, 6
_EVERYBODY: Final = "255.255.255.255"
_NOBODY: Final = "0.0.0.0"  # noqa: S104 -- a field of the message


class Lease(NamedTuple):
    """The address and the other data that a host was given."""

    address: str
    mask: str
    router: str


class _Message(NamedTuple):
    operation: int
    number: int
    hardware: bytes
    address: str
    options: dict[str, Any]


def _read(packet: bytes, port: int) -> _Message | None:
    """The message in a packet for that port; ``None`` if there is none."""
    from scapy.layers.dhcp import BOOTP, DHCP

    try:
        found = ip.parse(packet)
    except MalformedPacketError:
        return None
    if found.protocol != ip.UDP or not found.transport or found.dport != port:
        return None
    if len(found.payload) < _SHORTEST:
        return None
    try:
        message = BOOTP(found.payload)
    except (struct.error, ValueError, IndexError):  # scapy's errors for what it can't read
        return None
    if DHCP not in message:
        return None
    options = {each[0]: each[1] for each in message[DHCP].options if isinstance(each, tuple)}
    return _Message(message.op, message.xid, message.chaddr[:6], message.yiaddr, options)


def _written(operation: int, number: int, hardware: bytes, options: Sequence[object], address: str) -> bytes:
    from scapy.layers.dhcp import BOOTP, DHCP

    head = BOOTP(op=operation, xid=number, chaddr=hardware, yiaddr=address, flags=0x8000)
    return bytes(head / DHCP(options=[*options, "end"]))


@dataclass
class Client:
    """A host that wants a lease. ``lease`` is set once it has one."""

    hardware: bytes
    lease: Lease | None = None

    @property
    def _number(self) -> int:
        return int.from_bytes(self.hardware[2:], "big")

    def start(self) -> bytes:
        """The packet that asks for a lease. It must be repeated until somebody answers."""
        return self._sent([("message-type", "discover"), ("param_req_list", [1, 3, 6])])

    def take(self, packet: bytes) -> bytes | None:
        """Take a packet. Returns the packet to send because of it, if any."""
        message = _read(packet, CLIENT_PORT)
        if message is None or message.operation != 2 or message.number != self._number:
            return None
        options = message.options
        kind = options.get("message-type")
        if kind == _OFFER and "server_id" in options:
            wanted = [("requested_addr", message.address), ("server_id", options["server_id"])]
            return self._sent([("message-type", "request"), *wanted])
        if kind == _ACK:
            router = options.get("router", options.get("server_id"))
            mask = options.get("subnet_mask", "255.255.255.0")
            if isinstance(router, str) and isinstance(mask, str):
                self.lease = Lease(message.address, mask, router)
        return None

    def _sent(self, options: Sequence[object]) -> bytes:
        payload = _written(1, self._number, self.hardware, options, _NOBODY)
        return ip.udp(Endpoint(_NOBODY, CLIENT_PORT), Endpoint(_EVERYBODY, SERVER_PORT), payload)


@dataclass
class Server:
    """A provider with one address, for any host that asks. ``given``: the hardware address that got it."""

    lease: Lease
    given: bytes = b""

    def take(self, packet: bytes) -> bytes | None:
        """Take a packet. Returns the answer, if any, which must be broadcast."""
        message = _read(packet, SERVER_PORT)
        if message is None or message.operation != 1:
            return None
        kind = message.options.get("message-type")
        own, lease = self.lease.router, self.lease
        if kind not in (_DISCOVER, _REQUEST) or message.options.get("server_id", own) != own:
            return None
        wanted = message.options.get("requested_addr", lease.address)
        refused = kind == _REQUEST and wanted != lease.address
        answer = "offer" if kind == _DISCOVER else "nak" if refused else "ack"
        given = [
            ("lease_time", LEASE),
            ("subnet_mask", lease.mask),
            ("router", lease.router),
            ("name_server", lease.router),
        ]
        if answer == "ack":
            self.given = message.hardware
        options = [("message-type", answer), ("server_id", own), *([] if refused else given)]
        address = _NOBODY if refused else lease.address
        payload = _written(2, message.number, message.hardware, options, address)
        return ip.udp(Endpoint(own, SERVER_PORT), Endpoint(_EVERYBODY, CLIENT_PORT), payload)
