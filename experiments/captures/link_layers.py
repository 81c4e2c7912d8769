"""Finds the IP packet in a frame, and in a tunnel's packet.

Ethernet, the headers between it and IP, and simple link types are read here, because captures are long. scapy
reads all other link types that it knows. Tunnels: IP in IP, GRE and VXLAN.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final

from siplab.experiments.captures.left_out import LeftOutReason
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Packet

# LINKTYPE values: https://www.tcpdump.org/linktypes.html
_NULL, _ETHERNET, _PPP, _LOOP, _SLL, _PPP_PPPD, _SLL2 = 0, 1, 9, 108, 113, 166, 276
_RAW: Final = (12, 14, 101, 228, 229)
_IPV4_TYPE, _IPV6_TYPE = b"\x08\x00", b"\x86\xdd"
_IP_TYPES: Final = (_IPV4_TYPE, _IPV6_TYPE)
_VLAN_TYPES: Final = (b"\x81\x00", b"\x88\xa8", b"\x91\x00")
_PPPOE_SESSION: Final = b"\x88\x64"
_PPP_IP: Final = (b"\x00\x21", b"\x00\x57")  # RFC 1661's protocol numbers of IPv4 and IPv6
_PPP_ALLNODES: Final = b"\xff\x03"
_ETHERNET_IN_GRE: Final = b"\x65\x58"
_PPP_IN_GRE: Final = b"\x88\x0b"
_IP_IN_IP, _IPV6_IN_IP, _GRE, _ESP = 4, 41, 47, 50
_VXLAN_PORT: Final = 4789
_PROTECTED: Final = 0x40  # a bit in 802.11's frame control
_HEAD: Final = 512  # bytes of a frame that scapy gets


def packet_in(link: int, frame: bytes) -> bytes | LeftOutReason:
    """The IP packet in a frame of that LINKTYPE, or why there is none."""
    if link == _ETHERNET:
        return _behind_type(frame, 12)
    if link in _RAW:
        return _ip(frame)
    if link == _SLL:
        return _behind_type(frame, 14)
    if link == _SLL2:
        return _ip(frame[20:]) if frame[:2] in _IP_TYPES else _behind_type(frame[:2] + frame[20:], 0)
    if link in (_NULL, _LOOP):  # an address family of the sender's operating system, in its byte order
        return _ip(frame[4:])
    if link == _PPP:
        return _behind_ppp(frame)
    if link == _PPP_PPPD:  # the first byte is the direction; it replaces the address field or precedes it
        return _behind_ppp(frame[1:] if frame[1:3] == _PPP_ALLNODES else _PPP_ALLNODES + frame[2:])
    return _by_scapy(link, frame)


def packet_in_tunnel(packet: Packet) -> bytes | LeftOutReason | None:
    """The packet that a tunnel's packet carries; ``None``: this is no tunnel's packet."""
    if packet.protocol in (_IP_IN_IP, _IPV6_IN_IP):
        return _ip(packet.payload)
    if packet.protocol == _GRE:
        return _behind_gre(packet.payload)
    if packet.protocol == ip.UDP and packet.dport == _VXLAN_PORT:  # VXLAN's 8 bytes, then Ethernet (RFC 7348)
        return _behind_type(packet.payload, 8 + 12)
    return LeftOutReason.ENCRYPTED if packet.protocol == _ESP else None


def _ip(data: bytes) -> bytes | LeftOutReason:
    return data if data[:1] and data[0] >> 4 in (4, 6) else LeftOutReason.NOT_IP


def _behind_type(frame: bytes, at: int) -> bytes | LeftOutReason:
    """What follows an EtherType at ``at``, after VLAN tags and PPPoE headers in any order."""
    while (kind := frame[at : at + 2]) not in _IP_TYPES:
        if kind in _VLAN_TYPES:
            at += 4
        elif kind == _PPPOE_SESSION:
            return _behind_ppp(frame[at + 8 :])
        else:
            return LeftOutReason.NOT_IP
    return _ip(frame[at + 2 :])


def _behind_ppp(data: bytes) -> bytes | LeftOutReason:
    data = data.removeprefix(_PPP_ALLNODES)
    if data[:1] in (b"\x21", b"\x57"):  # the protocol field compressed to a byte (RFC 1661 section 6.5)
        return _ip(data[1:])
    return _ip(data[2:]) if data[:2] in _PPP_IP else LeftOutReason.NOT_IP


def _behind_gre(data: bytes) -> bytes | LeftOutReason:
    """What follows a GRE header: RFC 2784, with RFC 2890's key and number, or RFC 2637's version 1 (PPTP)."""
    if len(data) < 4:
        return LeftOutReason.MALFORMED
    at = 4 + 4 * sum(bool(data[0] & bit) for bit in (0x80, 0x20, 0x10)) + 4 * bool(data[1] & 0x80)
    kind = data[2:4]
    if kind == _ETHERNET_IN_GRE:
        return _behind_type(data, at + 12)
    if kind == _PPP_IN_GRE:
        return _behind_ppp(data[at:])
    return _behind_type(kind + data[at:], 0)


def _by_scapy(link: int, frame: bytes) -> bytes | LeftOutReason:
    """The first IP packet that scapy finds in the frame."""
    kind = _scapys_layer(link)
    if kind is None:
        return LeftOutReason.UNKNOWN_LINK_TYPE
    head = frame[:_HEAD]
    try:
        layer = kind(head)
        while layer:
            name = type(layer).__name__
            if name in ("IP", "IPv6"):
                return _ip(frame[len(head) - len(layer.original) :])
            if name == "Dot11" and layer.FCfield & _PROTECTED:
                return LeftOutReason.ENCRYPTED_LINK
            layer = layer.payload
    except Exception:  # whatever error scapy raises, the frame can't be read
        return LeftOutReason.MALFORMED
    return LeftOutReason.NOT_IP


@cache
def _scapys_layer(link: int) -> Callable[[bytes], Any] | None:
    """scapy's class for this LINKTYPE, imported late: that takes as long as thousands of frames."""
    from scapy.config import conf
    from scapy.layers import dot11, inet, inet6, l2, ppp

    del dot11, inet, inet6, l2, ppp  # imported only for their side effects: they register layers with scapy
    return conf.l2types.num2layer.get(link)
