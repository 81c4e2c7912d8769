"""What became of a packet at a gateway. ``siplab.experiments.output.fates`` puts it into words."""

from __future__ import annotations

from enum import StrEnum


class Fate(StrEnum):
    """What became of a packet, or why the router made a packet itself.

    Traces in JSON contain these values.
    """

    FORWARDED = "forwarded"  # translated if it is IPv4, and with the message that the ALG left in it
    HAIRPINNED = "hairpinned"  # back to the inside (RFC 4787 section 6)
    MESSAGE_REMOVED = "message-removed"  # a TCP segment that goes on without the dropped message

    # The router answers.
    ANSWERED = "answered"  # by the model, in the name of the peer
    ECHO_REPLY = "echo-reply"  # RFC 792
    PORT_UNREACHABLE = "port-unreachable"  # RFC 1122 section 4.1.3.1
    TTL_EXCEEDED = "ttl-exceeded"  # answered by an ICMP error, unless the packet is one itself
    MADE_BY_KERNEL = "made-by-kernel"  # any packet made by a router that is a real kernel

    # The router still has it, so nothing is lost yet.
    FRAGMENT_KEPT = "fragment-kept"
    HELD = "held"  # part of a message over TCP; it will leave with the rest
    HELD_ACKNOWLEDGED = "held-acknowledged"  # held, and the router acknowledged it to the sender

    # The ALG dropped it.
    DROPPED_BY_MODEL = "dropped-by-model"
    OUTGREW_MTU = "outgrew-mtu"
    TOO_LARGE = "too-large"  # for IP

    # The NAT dropped it: RFC 4787 sections 4 to 6.
    NO_BINDING = "no-binding"
    FILTERED = "filtered"
    NO_HAIRPINNING = "no-hairpinning"
    NO_FREE_PORT = "no-free-port"
    UNKNOWN_FLOW = "unknown-flow"  # an ICMP error about a packet of no known flow (RFC 5508)
    NOT_TRANSLATED = "not-translated"  # a protocol that has no ports

    # The router dropped it.
    FIREWALL = "firewall"  # by a rule that an administrator made
    MALFORMED = "malformed"
    FRAGMENT_DROPPED = "fragment-dropped"  # by policy
    FOREIGN_SOURCE = "foreign-source"  # from the inside, with an address from elsewhere (RFC 2827)
    INSIDE_DESTINATION = "inside-destination"  # from the inside to the inside
    FOREIGN_DESTINATION = "foreign-destination"  # from the outside, not to the public address
    FOR_ROUTER = "for-router"  # to the router itself, which serves nothing there
    DROPPED_BY_KERNEL = "dropped-by-kernel"  # the kernel does not say why

    @property
    def is_kept(self) -> bool:
        """Whether the gateway still has the packet, so nothing is lost yet."""
        return self in _KEPT


_KEPT = frozenset({Fate.FRAGMENT_KEPT, Fate.HELD, Fate.HELD_ACKNOWLEDGED})
