"""Address and port translation with RFC 4787's independent choices.

The rules of this file:

- Time is the ``now`` that callers pass, in seconds; randomness is the generator given.
- A *reservation* is a binding that an ALG asked for: it serves its inside endpoint
  whatever the mapping behaviour is, so that an address written into a message stays true.
- A *static mapping* is a binding that an administrator made ("port forwarding"): it never ends and lets
  everybody in. A *DMZ host* gets every flow from outside that no binding admits, even at a port that a
  binding has. So it is with netfilter, which distinguishes connections by their peers: the port of one
  peer's connection is still free for other peers.
"""

from __future__ import annotations

import math
import random
from itertools import chain
from typing import Final

from siplab.lab.gateway.binding import ANYBODY, Binding, Foreseen, Pinhole, TcpState, filter_key
from siplab.lab.gateway.binding_table import BindingTable, PortsExhaustedError
from siplab.lab.gateway.nat_config import NatConfig, Refresh
from siplab.lab.wire.ip import FIN, ICMP, RST, SYN, TCP, UDP, Endpoint

_STREAM: Final = 2.0  # seconds after which netfilter takes a UDP flow for a stream
# Owners of the pinholes that settings make, not ALGs.
_STATIC: Final = "static mapping"
_DMZ: Final = "DMZ host"


def _is_media(binding: Binding) -> bool:
    """Whether an ALG reserved it for media: it lets anybody in, as only its media pinholes do."""
    return binding.reserved and any(
        pinhole.remote is None and pinhole.owner not in (_STATIC, _DMZ) for pinhole in binding.pinholes
    )


class Nat(BindingTable):
    """One NAT with one public IPv4 address: mapping, filtering, timers, and what an ALG asks for."""

    def __init__(self, config: NatConfig, public_ip: str, rng: random.Random) -> None:
        super().__init__(config, public_ip, rng)
        self._foreseen: dict[tuple[int, Endpoint], list[Foreseen]] = {}
        self._map_statically()

    # -- lookups ---------------------------------------------------------------------------

    def outbound(self, protocol: int, inside: Endpoint, remote: Endpoint, now: float) -> Binding:
        """The binding for a packet going out, made if there is none; refreshes its timer.

        Raises ``PortsExhaustedError``.
        """
        binding = self.find(protocol, inside, remote, now)
        key = (protocol, inside, filter_key(self.config.mapping, remote))
        if binding is not None and (
            not binding.symmetric or (not self.config.media_symmetry and _is_media(binding))
        ):
            binding = self._find(key, now)
        if binding is None:
            binding = self._create(key, protocol, inside, now, reserved=False)
        self.touch(binding, now, outbound=True)
        binding.pending_peer = None
        if remote not in binding.remotes:
            binding.pending_peer = remote
            binding.remotes[remote] = TcpState.OPENING
            for foreseen in reversed(self._foreseen.get((protocol, remote), ())):
                if foreseen.source in ("", inside.ip) and not foreseen.used:
                    foreseen.used = True
                    break
        return binding

    def inbound(self, protocol: int, port: int, remote: Endpoint, now: float) -> Binding | None:
        """The binding that lets ``remote`` in at public ``port``, or ``None``: filtered or unknown."""
        binding = self.at_port(protocol, port, now)
        if binding is None or not self.admitted_until(binding, remote, now):
            if not self.config.dmz_host or protocol == ICMP:
                return None
            binding = self._expose(binding, protocol, port, remote, now)
        self.touch(binding, now, outbound=False)
        binding.pending_peer = None
        if binding.pinholes and remote not in binding.remotes:
            self._open_session(binding, remote, now)
            binding.pending_peer = remote if remote in binding.remotes else None
        return binding

    def find(self, protocol: int, inside: Endpoint, remote: Endpoint | None, now: float) -> Binding | None:
        """The live binding that serves ``inside`` (towards ``remote``), if there is one."""
        if remote is not None and inside.ip == self.config.dmz_host:
            beside = self._find((protocol, inside, remote, _DMZ), now)
            if beside is not None:
                return beside
        found = self._find((protocol, inside, None), now)
        if found is None and remote is not None:
            found = self._find((protocol, inside, filter_key(self.config.mapping, remote)), now)
        if found is None and inside.ip == self.config.dmz_host:
            exposed = self.at_port(protocol, inside.port, now)
            if exposed is not None and exposed.key == (protocol, inside, _DMZ):
                found = exposed  # the DMZ host answers from the port that it was asked at
        return found

    def admitted_until(self, binding: Binding, remote: Endpoint, now: float) -> float:
        """Until when ``remote`` may send through ``binding``: 0 for not at all.

        Filtering admits as long as the binding's own timer runs (infinity here, since traffic
        restarts that timer); a pinhole admits until its end.
        """
        if now < binding.expires and binding.remotes:
            wanted = filter_key(self.config.filtering, remote)
            if wanted is ANYBODY or wanted in binding.remotes:
                return math.inf
            if wanted.port == 0 and any(each.ip == wanted.ip for each in binding.remotes):
                return math.inf
        if binding.idle and now >= binding.expires:
            return 0.0
        return max((hole.expires for hole in binding.pinholes if hole.admits(remote, now)), default=0.0)

    # -- what keeps a binding alive ----------------------------------------------------------

    def touch(self, binding: Binding, now: float, *, outbound: bool) -> None:
        """A packet passed: restart the timer if this direction does so (RFC 4787 REQ-6).

        A packet going out starts a timer that has ended or never ran, whatever the direction.
        """
        refresh = Refresh.BOTH if binding.idle else self.config.refresh
        binding.before = binding.expires
        ended = now >= binding.expires
        if ended and binding.remotes:  # only a pinhole kept it: its old sessions are over
            binding.remotes.clear()
            self.generation += 1
        if ended:
            binding.began, binding.sent, binding.heard = now, False, False
        if (ended and outbound) or refresh is Refresh.BOTH or (refresh is Refresh.OUTBOUND) == outbound:
            binding.expires = now + self.timeout_of(binding, now)
        # Netfilter sets the timer before it notes an answer, so the first answer still gets the short time.
        binding.sent |= outbound
        binding.heard |= not outbound

    def is_new(self, binding: Binding, now: float) -> bool:
        """Whether a UDP binding still has ``udp_new_timeout``: not yet used both ways for 2 seconds."""
        if not self.config.udp_new_timeout or binding.protocol != UDP:
            return False
        return not (binding.sent and binding.heard and now - binding.began > _STREAM)

    def timeout_of(self, binding: Binding, now: float) -> float:
        """The idle time of a binding in seconds: from an ALG's policy, else from the configuration."""
        if binding.timeout:
            return binding.timeout
        if binding.protocol == UDP:
            return self.config.udp_new_timeout if self.is_new(binding, now) else self.config.udp_timeout
        if binding.protocol == TCP:
            established = TcpState.ESTABLISHED in binding.remotes.values()
            return self.config.tcp_timeout if established else self.config.tcp_transitory_timeout
        return self.config.icmp_timeout

    def impose_timeout(self, binding: Binding, timeout: float, now: float, *, outbound: bool) -> None:
        """Give a binding an idle time of its own, in seconds, from this packet on."""
        if binding.timeout != timeout:
            binding.timeout = timeout
            self.generation += 1
            self.touch(binding, now, outbound=outbound)

    def rollback_timer(self, binding: Binding, now: float) -> None:
        """Undo what the latest packet did to the binding's timer: the packet was dropped after all."""
        if now < binding.before < binding.expires:
            binding.expires = binding.before

    def rollback_session(self, binding: Binding) -> bool:
        """Undo the session that the latest packet began, if any: the packet was dropped after all.

        Returns whether it began one.
        """
        if binding.pending_peer is None:
            return False
        binding.remotes.pop(binding.pending_peer, None)
        binding.pending_peer = None
        self.generation += 1
        return True

    def limit_idle(self, binding: Binding, timeout: float, now: float) -> None:
        """Let a binding, with its pinholes, end after ``timeout`` seconds without traffic either way."""
        binding.idle = True
        binding.timeout = timeout
        binding.expires = now + timeout
        self.generation += 1

    def note_tcp(self, binding: Binding, remote: Endpoint, flags: int, now: float) -> None:
        """Follow a connection by the flags of a segment that passed (RFC 5382 REQ-5).

        The timer of the established state starts with its first segment; FIN and RST leave at most
        the transitory time, unless another connection uses the binding.
        """
        state = binding.remotes.get(remote)
        if state is None:
            return  # let in by a pinhole: it becomes a connection when the inside answers
        if flags & (FIN | RST):
            binding.remotes[remote] = TcpState.CLOSING
            binding.expires = min(binding.expires, now + self.timeout_of(binding, now))
        elif flags & SYN:
            binding.remotes[remote] = TcpState.OPENING
        elif state is TcpState.OPENING:
            binding.remotes[remote] = TcpState.ESTABLISHED
            binding.expires = max(binding.expires, now + self.timeout_of(binding, now))

    # -- what an ALG asks for ----------------------------------------------------------------

    def reserve(self, protocol: int, inside: Endpoint, now: float, *, pair: bool = False) -> Binding:
        """A binding that serves ``inside`` towards every remote.

        ``pair``: choose an even port whose odd neighbour is free, for RTP and RTCP (RFC 3550
        section 11), and reserve the neighbour for ``inside`` port + 1 as well. The reservation
        lives as long as its pinholes and its traffic. Raises ``PortsExhaustedError``.
        """
        key = (protocol, inside, None)
        existing = self._find(key, now)
        if existing is not None:
            return existing
        mapped = self._find((protocol, inside, ANYBODY), now)
        if mapped is not None and not pair:
            return mapped  # an endpoint-independent mapping already holds towards everybody
        self.generation += 1  # from here on the reservation serves flows that had a mapping
        if not pair:
            return self._create(key, protocol, inside, now, reserved=True)
        neighbour = Endpoint(inside.ip, inside.port + 1)
        port = self._choose_port(protocol, inside, now, pair=True)
        binding = self._insert(key, protocol, inside, port, reserved=True)
        beside = self._insert((protocol, neighbour, None), protocol, neighbour, port + 1, reserved=True)
        binding.pair, beside.pair = beside, binding
        return binding

    def reserve_from(self, protocol: int, inside: Endpoint, first: int, step: int, now: float) -> Binding:
        """A binding for ``inside`` at the first free public port of ``first``, ``first + step`` and so on.

        After 65535, counting goes on at 1024. This is for ALGs that choose the port themselves, whatever the
        configured allocation is. Raises ``PortsExhaustedError``.
        """
        key = (protocol, inside, None)
        existing = self._find(key, now)
        if existing is not None:
            return existing
        for port in chain(range(first, 65536, step), range(1024 + (first - 1024) % step, first, step)):
            taken = self.at_port(protocol, port, now)
            if taken is None:
                self.generation += 1  # as in ``reserve``
                return self._insert(key, protocol, inside, port, reserved=True)
            if taken.inside == inside:
                return taken
        raise PortsExhaustedError(f"no public port of {first}-65535 in steps of {step} is free")

    def reserve_at(
        self, protocol: int, inside: Endpoint, port: int, now: float, *, symmetric: bool = True
    ) -> Binding | None:
        """The binding of ``inside`` at exactly this public port, made if there is none.

        ``None``: another endpoint has the port. ``symmetric`` False: ``inside`` does not send by it.
        """
        binding = self.at_port(protocol, port, now)
        if binding is None:
            binding = self._insert((protocol, inside, None), protocol, inside, port, reserved=True)
            binding.symmetric = symmetric
            self.generation += 1  # from here on it serves flows that had a mapping
        return binding if binding.inside == inside else None

    def renew(self, binding: Binding, now: float) -> Binding:
        """Give a binding's inside endpoint another public port; the old binding stays until its timer ends.

        Raises ``PortsExhaustedError``.
        """
        port = self._choose_port(binding.protocol, binding.inside._replace(port=0), now, pair=False)
        fresh = self._insert(binding.key, binding.protocol, binding.inside, port, reserved=binding.reserved)
        fresh.timeout = binding.timeout
        self.generation += 1  # for cached flows that have the old port
        return fresh

    def open_pinhole(
        self, binding: Binding, remote: Endpoint | None, expires: float, owner: object
    ) -> Pinhole:
        """Permit ``remote`` through ``binding``; if ``owner`` has such a pinhole, that gets the new end."""
        for pinhole in binding.pinholes:
            if pinhole.owner == owner and pinhole.remote == remote:
                if expires < pinhole.expires:
                    self.generation += 1
                pinhole.expires = expires
                return pinhole
        pinhole = Pinhole(binding, remote, expires, owner)
        binding.pinholes.append(pinhole)
        return pinhole

    def expect(
        self, binding: Binding, remote: Endpoint | None, expires: float, *, once: bool, inspected: bool
    ) -> Pinhole:
        """A pinhole through which a packet begins a session. ``once``: it ends with its first packet.

        ``inspected``: the ALG looks at that session if its policy follows pinholes.
        """
        pinhole = Pinhole(binding, remote, expires, None)
        pinhole.opens, pinhole.once, pinhole.inspected = True, once, inspected
        binding.pinholes.append(pinhole)
        return pinhole

    def foresee(self, protocol: int, source: str, remote: Endpoint) -> Foreseen:
        """Note when the next flow from ``source`` (an inside address; empty: any) to ``remote`` begins."""
        foreseen = Foreseen(source)
        waiting = [each for each in self._foreseen.get((protocol, remote), ()) if not each.used]
        self._foreseen[protocol, remote] = [*waiting, foreseen]
        return foreseen

    def overlook(self, protocol: int, remote: Endpoint, foreseen: Foreseen) -> None:
        """Stop waiting for a flow that ``foresee`` noted."""
        waiting = [each for each in self._foreseen.get((protocol, remote), ()) if each is not foreseen]
        if waiting:
            self._foreseen[protocol, remote] = waiting
        else:
            self._foreseen.pop((protocol, remote), None)

    def close(self, pinhole: Pinhole) -> None:
        """End one pinhole."""
        if pinhole in pinhole.binding.pinholes:
            pinhole.binding.pinholes.remove(pinhole)
            self.generation += 1

    def _open_session(self, binding: Binding, remote: Endpoint, now: float) -> None:
        """A packet that came in by an expectation begins a session, as a packet from the inside does."""
        for pinhole in binding.pinholes:
            if pinhole.opens and pinhole.admits(remote, now):
                binding.remotes[remote] = TcpState.OPENING
                binding.expires = max(binding.expires, now + self.timeout_of(binding, now))
                if pinhole.once:
                    pinhole.used = True
                    self.close(pinhole)
                return

    def close_pinholes(self, owner: object) -> int:
        """End every pinhole of ``owner``; returns how many there were."""
        closed = 0
        for binding in self._by_port.values():
            kept = [pinhole for pinhole in binding.pinholes if pinhole.owner != owner]
            closed += len(binding.pinholes) - len(kept)
            binding.pinholes = kept
        if closed:
            self.generation += 1
        return closed

    def clear(self) -> None:
        """Forget everything, as a router does that restarts."""
        self._by_key.clear()
        self._by_port.clear()
        self._foreseen.clear()
        self._map_statically()
        self.generation += 1

    # -- what settings ask for -----------------------------------------------------------------

    def _map_statically(self) -> None:
        for each in self.config.static_mappings:
            protocol = UDP if each.protocol == "udp" else TCP
            inside = Endpoint(each.inside, each.inside_port or each.port)
            binding = self._insert((protocol, inside, None), protocol, inside, each.port, reserved=True)
            self.open_pinhole(binding, None, math.inf, _STATIC)

    def _expose(
        self, taken: Binding | None, protocol: int, port: int, remote: Endpoint, now: float
    ) -> Binding:
        """The binding by which a flow from outside reaches the DMZ host; it ends when traffic stops.

        ``taken``: the binding that has the port and does not admit ``remote``, if there is one.
        """
        inside = Endpoint(self.config.dmz_host, port)
        if taken is None:
            binding = self._insert((protocol, inside, _DMZ), protocol, inside, port, reserved=True)
            self.open_pinhole(binding, None, math.inf, _DMZ)
        elif taken.inside == inside:
            self.open_pinhole(taken, remote, now + self.timeout_of(taken, now), _DMZ)
            return taken
        else:
            key = (protocol, inside, remote, _DMZ)
            known = self._find(key, now)
            if known is not None:
                return known
            binding = self._beside(key, protocol, inside, port)
            self.open_pinhole(binding, remote, math.inf, _DMZ)
        self.limit_idle(binding, self.timeout_of(binding, now), now)
        return binding
