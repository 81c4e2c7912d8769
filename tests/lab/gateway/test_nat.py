"""RFC 4787, behaviour by behaviour; then the whole table compared with a simple one."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from siplab.lab.gateway.binding import Binding
from siplab.lab.gateway.binding_table import PortsExhaustedError
from siplab.lab.gateway.fate import Fate
from siplab.lab.gateway.gateway import Side
from siplab.lab.gateway.nat import Nat
from siplab.lab.gateway.nat_config import Dependence, NatConfig, PortAllocation, Refresh
from siplab.lab.wire import ip
from siplab.lab.wire.icmp import icmp_echo
from siplab.lab.wire.ip import ACK, FIN, ICMP, RST, SYN, TCP, UDP, Endpoint

if TYPE_CHECKING:
    from tests.lab.gateway.conftest import Router, RouterMaker

EI, AD, APD = Dependence
PUBLIC = "203.0.113.7"
PHONE = Endpoint("192.168.1.20", 40000)
OTHER_PHONE = Endpoint("192.168.1.21", 40000)
HERE = Endpoint("198.51.100.10", 7000)
HERE_OTHER_PORT = Endpoint("198.51.100.10", 7002)
THERE = Endpoint("192.0.2.66", 7000)


def nat(seed: int = 0, **choices: Any) -> Nat:
    return Nat(NatConfig(**choices), PUBLIC, random.Random(seed))


# -- mapping and filtering ------------------------------------------------------------------


@pytest.mark.parametrize("filtering", Dependence)
@pytest.mark.parametrize("mapping", Dependence)
def test_mapping_and_filtering_are_chosen_apart(
    new_router: RouterMaker, mapping: Dependence, filtering: Dependence
) -> None:
    router = new_router(mapping=mapping, filtering=filtering)
    first = router.send(PHONE, HERE).source
    assert first == Endpoint(PUBLIC, 40000)

    assert router.send(PHONE, HERE).source == first
    inbound = {remote: router.receive(remote, first.port) for remote in (HERE, HERE_OTHER_PORT, THERE)}
    assert [remote for remote, packet in inbound.items() if packet is not None] == {
        EI: [HERE, HERE_OTHER_PORT, THERE],
        AD: [HERE, HERE_OTHER_PORT],
        APD: [HERE],
    }[filtering]
    for remote, packet in inbound.items():
        if packet is not None:
            assert (packet.source, packet.destination, packet.payload) == (remote, PHONE, b"in")

    shared = {remote: router.send(PHONE, remote).source == first for remote in (HERE_OTHER_PORT, THERE)}
    assert (
        shared
        == {
            EI: {HERE_OTHER_PORT: True, THERE: True},
            AD: {HERE_OTHER_PORT: True, THERE: False},
            APD: {HERE_OTHER_PORT: False, THERE: False},
        }[mapping]
    )


@pytest.mark.parametrize("mapping", Dependence)
def test_each_mapping_lets_in_only_whom_it_serves(new_router: RouterMaker, mapping: Dependence) -> None:
    router = new_router(mapping=mapping, filtering=APD)
    to_here, to_there = (router.send(PHONE, remote).source.port for remote in (HERE, THERE))
    assert router.receive(HERE, to_here) is not None
    assert router.receive(THERE, to_there) is not None
    assert (router.receive(THERE, to_here) is not None) is (mapping is EI)
    assert (router.receive(HERE, to_there) is not None) is (mapping is EI)


def test_the_reason_tells_filtered_from_unknown(new_router: RouterMaker) -> None:
    router = new_router()
    router.send(PHONE, HERE)
    to = Endpoint(PUBLIC, 40000)
    assert router.end(ip.udp(THERE, to, b""), Side.OUTSIDE) == (
        Fate.FILTERED,
        f"192.0.2.66:7000 to public port {to.port}",
    )
    assert router.fate(ip.udp(THERE, to._replace(port=40002), b""), Side.OUTSIDE) is Fate.NO_BINDING


def test_two_hosts_with_one_port_are_kept_apart(new_router: RouterMaker) -> None:
    router = new_router(filtering=EI)
    ports = [router.send(host, HERE).sport for host in (PHONE, OTHER_PHONE)]
    assert len(set(ports)) == 2
    for host, port in zip((PHONE, OTHER_PHONE), ports, strict=True):
        packet = router.receive(THERE, port)
        assert packet is not None
        assert packet.destination == host


def test_udp_and_tcp_have_port_numbers_of_their_own(new_router: RouterMaker) -> None:
    router = new_router()
    router.send(PHONE, HERE)
    assert router.crossed(ip.tcp(OTHER_PHONE, HERE, flags=SYN), Side.INSIDE).sport == PHONE.port
    back = ip.tcp(HERE, Endpoint(PUBLIC, PHONE.port), flags=SYN | ACK)
    assert router.crossed(back, Side.OUTSIDE).destination == OTHER_PHONE


# -- ports ----------------------------------------------------------------------------------------


def ports_of(table: Nat, wanted: list[int]) -> list[int]:
    """Public ports of several hosts that use these inside ports, in order."""
    return [
        table.outbound(UDP, Endpoint(f"192.168.1.{host}", port), HERE, 0.0).outside.port
        for host, port in enumerate(wanted, 20)
    ]


@pytest.mark.parametrize(
    ("parity", "ports"), [(True, [5060, 50000, 50001, 50002]), (False, [5060, 50000, 5061, 50001])]
)
def test_preserve_keeps_the_port_where_it_is_free(parity: bool, ports: list[int]) -> None:
    table = nat(first_port=50000, port_parity=parity)
    assert ports_of(table, [5060, 5060, 5061, 5060] if not parity else [5060, 5060, 50001, 5060]) == ports


@pytest.mark.parametrize(
    ("parity", "ports"), [(True, [50000, 50002, 50003, 50004]), (False, [50000, 50001, 50002, 50003])]
)
def test_sequential(parity: bool, ports: list[int]) -> None:
    table = nat(first_port=50000, port_allocation=PortAllocation.SEQUENTIAL, port_parity=parity)
    assert ports_of(table, [5060, 5060, 5061, 5060]) == ports


def test_random_ports_follow_the_seed_and_parity() -> None:
    wanted = [5060, 5061] * 20
    random_ports = {"port_allocation": PortAllocation.RANDOM, "first_port": 50000, "last_port": 50999}
    first, again, other = (ports_of(nat(seed, **random_ports), wanted) for seed in (1, 1, 2))
    assert first == again != other
    assert len(set(first)) == len(first)
    assert [port & 1 for port in first] == [port & 1 for port in wanted]
    assert all(50000 <= port <= 50999 for port in first)
    assert sorted(first) != first


def test_sequential_begins_again_at_the_first_port_when_it_has_run_through() -> None:
    table = nat(
        first_port=50000,
        last_port=50002,
        port_allocation=PortAllocation.SEQUENTIAL,
        port_parity=False,
        udp_timeout=10,
    )
    assert ports_of(table, [1, 1, 1]) == [50000, 50001, 50002]
    late = table.outbound(UDP, Endpoint("192.168.1.99", 1), HERE, 10.0)
    assert late.outside.port == 50000


@pytest.mark.parametrize("allocation", PortAllocation)
def test_exhaustion_is_a_drop_with_a_reason_until_a_port_is_free(
    new_router: RouterMaker, allocation: PortAllocation
) -> None:
    router = new_router(first_port=50000, last_port=50001, port_allocation=allocation, udp_timeout=30)
    router.send(Endpoint("192.168.1.20", 50000), HERE)
    wanted = Endpoint("192.168.1.21", 50000)
    packet = ip.udp(wanted, HERE, b"")
    assert router.end(packet, Side.INSIDE) == (
        Fate.NO_FREE_PORT,
        "no even public port of 50000-50001 is free",
    )
    router.now = 30.0
    assert router.crossed(packet, Side.INSIDE).sport == 50000


def test_a_range_without_a_port_of_that_parity() -> None:
    table = nat(first_port=50001, last_port=50001, port_allocation=PortAllocation.RANDOM)
    with pytest.raises(PortsExhaustedError, match="no even public port of 50001-50001"):
        table.outbound(UDP, PHONE, HERE, 0.0)
    assert table.outbound(UDP, PHONE._replace(port=5), HERE, 0.0).outside.port == 50001


@pytest.mark.parametrize("allocation", PortAllocation)
def test_a_reserved_pair_is_even_and_adjacent_within_the_range(allocation: PortAllocation) -> None:
    table = nat(first_port=50000, last_port=50004, port_allocation=allocation)
    for host in (20, 21):
        rtp = Endpoint(f"192.168.1.{host}", 50000)
        binding = table.reserve(UDP, rtp, 0.0, pair=True)
        table.open_pinhole(binding, None, 60.0, "call")
        assert binding.outside.port in (50000, 50002)
        assert binding.pair is not None
        assert binding.pair.outside.port == binding.outside.port + 1
        assert binding.pair.inside == rtp._replace(port=rtp.port + 1)
    with pytest.raises(PortsExhaustedError):
        table.reserve(UDP, Endpoint("192.168.1.22", 50000), 0.0, pair=True)


def test_a_pair_for_an_odd_port_is_even_all_the_same() -> None:
    assert nat().reserve(UDP, Endpoint("192.168.1.20", 49171), 0.0, pair=True).outside.port % 2 == 0


def test_a_pair_lives_and_ends_as_one() -> None:
    """RTP keeps the RTCP port reserved, so the next call of the same phone gets the same two ports."""
    table = nat(udp_timeout=100)
    rtp = Endpoint("192.168.1.20", 49170)
    binding = table.reserve(UDP, rtp, 0.0, pair=True)
    table.open_pinhole(binding, None, 10.0, "call")
    table.outbound(UDP, rtp, HERE, 5.0)
    assert table.at_port(UDP, binding.outside.port + 1, 104.9) is binding.pair
    assert table.inbound(UDP, binding.outside.port + 1, HERE, 50.0) is None
    assert table.reserve(UDP, rtp, 104.9, pair=True) is binding
    assert table.at_port(UDP, binding.outside.port + 1, 105.0) is None


def test_a_reservation_serves_every_remote_whatever_the_mapping() -> None:
    table = nat(mapping=APD)
    mapped = table.outbound(UDP, PHONE, HERE, 0.0)
    reserved = table.reserve(UDP, PHONE, 0.0)
    table.open_pinhole(reserved, THERE, 60.0, "me")
    assert reserved.outside != mapped.outside
    assert {table.outbound(UDP, PHONE, remote, 1.0) for remote in (HERE, THERE)} == {reserved}
    assert table.reserve(UDP, PHONE, 1.0) is reserved


def test_a_reservation_from_a_port_on_takes_the_first_free_one() -> None:
    table = nat(port_allocation=PortAllocation.SEQUENTIAL, first_port=61002)

    def reserved(port: int, first: int, step: int = 2) -> int:
        binding = table.reserve_from(UDP, Endpoint("192.168.1.20", port), first, step, 0.0)
        table.open_pinhole(binding, None, 10.0, "owner")
        return binding.outside.port

    assert [reserved(port, 49170) for port in (1, 2, 3, 1)] == [49170, 49172, 49174, 49170]
    assert [reserved(port, 65534) for port in (11, 12, 13)] == [65534, 1024, 1026]
    assert [reserved(port, 65535, 1) for port in (21, 22, 23)] == [65535, 1025, 1027]
    with pytest.raises(PortsExhaustedError):
        table.reserve_from(UDP, Endpoint("192.168.1.20", 99), 1024, 70000, 0.0)


def test_a_mapping_at_that_port_is_the_reservation_from_it() -> None:
    table = nat(port_allocation=PortAllocation.PRESERVE)
    inside = Endpoint("192.168.1.20", 49170)
    mapped = table.outbound(UDP, inside, HERE, 0.0)
    assert table.reserve_from(UDP, inside, 49170, 2, 0.0) is mapped
    assert table.reserve_from(UDP, Endpoint("192.168.1.21", 49170), 49170, 2, 0.0).outside.port == 49172


def test_an_endpoint_independent_mapping_is_the_reservation() -> None:
    table = nat(mapping=EI)
    mapped = table.outbound(UDP, PHONE, HERE, 0.0)
    assert table.reserve(UDP, PHONE, 0.0) is mapped


@pytest.mark.parametrize(
    "wrong",
    [
        {"first_port": 0},
        {"first_port": 2000, "last_port": 1999},
        {"last_port": 65536},
        {"udp_timeout": 0},
        {"tcp_timeout": -1},
        {"tcp_transitory_timeout": 0},
        {"icmp_timeout": 0},
        {"udp_new_timeout": -1},
    ],
)
def test_senseless_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"(port range|must be above 0|0 seconds or more)"):
        NatConfig(**wrong)


@pytest.mark.parametrize(
    ("passed", "end"),
    [
        ([(0.0, "out")], 30.0),
        ([(0.0, "out"), (10.0, "out")], 40.0),
        ([(0.0, "out"), (0.0, "in")], 30.0),
        ([(0.0, "out"), (0.0, "in"), (1.9, "out")], 31.9),
        ([(0.0, "out"), (0.0, "in"), (2.1, "out")], 122.1),
        ([(0.0, "out"), (5.0, "in")], 35.0),  # the first answer does not count yet
        ([(0.0, "out"), (5.0, "in"), (6.0, "in")], 126.0),
        ([(0.0, "in"), (20.0, "in"), (45.0, "in")], 75.0),
    ],
)
def test_a_flow_is_a_stream_once_it_was_used_both_ways_for_two_seconds(
    new_router: RouterMaker, passed: list[tuple[float, str]], end: float
) -> None:
    """As in netfilter: a flow whose packets were answered at once ends after 30 s (seen with kernel 6.18)."""
    router = new_router(udp_timeout=120, udp_new_timeout=30, refresh=Refresh.BOTH)
    if passed[0][1] == "in":
        nat = router.gateway.nat
        nat.open_pinhole(nat.reserve(UDP, PHONE, 0.0), None, 1000.0, "call")
    for when, direction in passed:
        router.now = when
        if direction == "out":
            router.send(PHONE, HERE)
        else:
            assert router.receive(HERE, PHONE.port) is not None
    (binding,) = router.gateway.nat.bindings
    assert binding.expires == pytest.approx(end)


def test_a_restart_forgets_everything() -> None:
    table = nat()
    table.outbound(UDP, PHONE, HERE, 0.0)
    before = table.generation
    table.clear()
    assert table.bindings == []
    assert table.generation > before


# -- time -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("refresh", Refresh)
def test_what_keeps_a_udp_binding(new_router: RouterMaker, refresh: Refresh) -> None:
    """A packet each way at 50 s; the 60 s timer restarts only for the chosen direction."""
    for direction in (Side.INSIDE, Side.OUTSIDE):
        router = new_router(refresh=refresh, udp_timeout=60)
        router.send(PHONE, HERE)
        router.now = 50.0
        if direction is Side.INSIDE:
            router.send(PHONE, HERE)
        else:
            assert router.receive(HERE, PHONE.port) is not None
        kept = refresh is Refresh.BOTH or (refresh is Refresh.OUTBOUND) == (direction is Side.INSIDE)
        end = 110.0 if kept else 60.0
        router.now = end - 0.001
        assert len([each for each in router.gateway.nat.bindings if each.alive(router.now)]) == 1
        router.now = end
        assert router.receive(HERE, PHONE.port) is None


@pytest.mark.parametrize("timeout", [1.0, 30.0, 300.0])
def test_a_udp_binding_ends_at_its_moment_and_not_before(new_router: RouterMaker, timeout: float) -> None:
    router = new_router(udp_timeout=timeout)
    router.send(PHONE, HERE)
    router.now = timeout - 1e-6
    assert router.receive(HERE, PHONE.port) is not None
    router.now = timeout
    assert router.receive(HERE, PHONE.port) is None


def test_after_its_end_a_binding_begins_anew_without_old_permissions(new_router: RouterMaker) -> None:
    router = new_router(udp_timeout=60)
    router.send(PHONE, HERE)
    router.now = 60.0
    router.send(PHONE, THERE)
    assert router.receive(HERE, PHONE.port) is None
    assert router.receive(THERE, PHONE.port) is not None


@pytest.mark.parametrize("refresh", Refresh)
def test_a_pinhole_does_not_carry_old_sessions_over(new_router: RouterMaker, refresh: Refresh) -> None:
    """If only a pinhole has kept a binding alive, the next outbound packet starts a new timer."""
    router = new_router(udp_timeout=60, refresh=refresh)
    router.send(PHONE, HERE)
    assert router.receive(HERE, PHONE.port) is not None  # a known flow from here on
    table = router.gateway.nat
    binding = table.at_port(UDP, PHONE.port, 0.0)
    assert binding is not None
    table.open_pinhole(binding, Endpoint("198.51.100.99", 0), 1000.0, "me")
    router.now = 100.0
    assert router.receive(HERE, PHONE.port) is None
    router.send(PHONE, THERE)
    assert router.receive(HERE, PHONE.port) is None
    assert router.receive(THERE, PHONE.port) is not None
    router.now = 159.0
    assert router.receive(THERE, PHONE.port) is not None


def test_traffic_through_a_pinhole_starts_no_outbound_timer() -> None:
    table = nat(refresh=Refresh.OUTBOUND)
    binding = table.reserve(UDP, PHONE, 0.0, pair=True)
    table.open_pinhole(binding, None, 10.0, "call")
    assert table.inbound(UDP, binding.outside.port, HERE, 5.0) is binding
    assert table.at_port(UDP, binding.outside.port, 10.0) is None


def segment(router: Router, side: Side, flags: int, remote: Endpoint = HERE) -> None:
    ends = (PHONE, remote) if side is Side.INSIDE else (remote, Endpoint(PUBLIC, PHONE.port))
    router.crossed(ip.tcp(*ends, flags=flags), side)


def tcp_end(router: Router) -> float:
    """The time when the TCP binding ends if nothing more comes."""
    (binding,) = [each for each in router.gateway.nat.bindings if each.protocol == TCP]
    return binding.expires


@pytest.mark.parametrize("refresh", Refresh)
@pytest.mark.parametrize("closer", Side)
@pytest.mark.parametrize("end", [FIN | ACK, RST])
def test_tcp_timers(new_router: RouterMaker, refresh: Refresh, closer: Side, end: int) -> None:
    """RFC 5382 REQ-5: a short timer while the connection opens and closes, a long one in between."""
    router = new_router(tcp_timeout=8000, tcp_transitory_timeout=200, refresh=refresh)
    segment(router, Side.INSIDE, SYN)
    assert tcp_end(router) == 200
    router.now = 1.0
    segment(router, Side.OUTSIDE, SYN | ACK)
    assert tcp_end(router) == (200 if refresh is Refresh.OUTBOUND else 201)
    router.now = 2.0
    segment(router, Side.INSIDE, ACK)
    assert tcp_end(router) == 8002
    router.now = 1000.0
    segment(router, closer, end)
    assert tcp_end(router) == 1200
    router.now = 1001.0
    segment(router, closer.other, ACK)  # the last ACK does not begin a new connection
    assert tcp_end(router) <= 1201
    segment(router, Side.INSIDE, SYN)
    segment(router, Side.OUTSIDE, SYN | ACK)
    segment(router, Side.INSIDE, ACK)
    assert tcp_end(router) == 9001


def test_one_connection_of_two_that_ends_leaves_the_binding_to_the_other(new_router: RouterMaker) -> None:
    router = new_router(tcp_timeout=8000, tcp_transitory_timeout=200)
    for remote in (HERE, THERE):
        segment(router, Side.INSIDE, SYN, remote)
        segment(router, Side.OUTSIDE, SYN | ACK, remote)
        segment(router, Side.INSIDE, ACK, remote)
    segment(router, Side.INSIDE, RST, HERE)
    assert tcp_end(router) == 8000
    segment(router, Side.INSIDE, RST, THERE)
    assert tcp_end(router) == 200


def test_a_connection_picked_up_in_the_middle_counts_as_established(new_router: RouterMaker) -> None:
    router = new_router(tcp_timeout=8000, tcp_transitory_timeout=200)
    segment(router, Side.INSIDE, ACK)
    assert tcp_end(router) == 8000


def test_icmp_echo(new_router: RouterMaker) -> None:
    router = new_router(icmp_timeout=60)
    for host in ("192.168.1.20", "192.168.1.21"):
        asked = router.crossed(icmp_echo(host, HERE.ip, 77, 1, b"ping"), Side.INSIDE)
        assert (asked.src, asked.dst, asked.icmp_type, asked.payload) == (PUBLIC, HERE.ip, 8, b"ping")
        reply = icmp_echo(HERE.ip, PUBLIC, asked.sport, 1, b"ping", reply=True)
        answer = router.crossed(reply, Side.OUTSIDE)
        assert (answer.dst, answer.sport, answer.icmp_type) == (host, 77, 0)
        stranger = icmp_echo(THERE.ip, PUBLIC, asked.sport, 1, reply=True)
        assert router.fate(stranger, Side.OUTSIDE) is Fate.FILTERED
    router.now = 60.0
    assert router.fate(reply, Side.OUTSIDE) is Fate.NO_BINDING


def test_an_identifier_of_zero_gets_one(new_router: RouterMaker) -> None:
    asked = new_router().crossed(icmp_echo(PHONE.ip, HERE.ip, 0, 1), Side.INSIDE)
    assert asked.sport != 0


# -- hairpinning ----------------------------------------------------------------------------------


def hairpin(router: Router, source: Endpoint, port: int) -> tuple[Endpoint, Endpoint] | Fate:
    """Source and destination of a hairpinned datagram, or why it was not hairpinned."""
    emission = router.one(ip.udp(source, Endpoint(PUBLIC, port), b"hairpin"), Side.INSIDE)
    if emission.side is None:
        return emission.fate
    assert emission.side is Side.INSIDE
    packet = ip.parse(emission.packet)
    assert packet.payload == b"hairpin"
    return packet.source, packet.destination


@pytest.mark.parametrize("filtering", Dependence)
def test_a_hairpin_comes_from_the_public_endpoint_and_is_filtered(
    new_router: RouterMaker, filtering: Dependence
) -> None:
    router = new_router(filtering=filtering)
    alice, bob = (router.send(host, HERE).source for host in (PHONE, OTHER_PHONE))
    turned = hairpin(router, PHONE, bob.port)
    if filtering is EI:
        assert turned == (alice, OTHER_PHONE)
    else:
        assert turned is Fate.NO_BINDING
    # Bob has now sent to Alice, so his binding admits her; and so on.
    hairpin(router, OTHER_PHONE, alice.port)
    assert hairpin(router, PHONE, bob.port) == (alice, OTHER_PHONE)
    assert hairpin(router, OTHER_PHONE, alice.port) == (bob, PHONE)


def test_no_hairpinning(new_router: RouterMaker) -> None:
    router = new_router(hairpinning=False, filtering=EI)
    router.send(OTHER_PHONE, HERE)
    assert hairpin(router, PHONE, OTHER_PHONE.port) is Fate.NO_HAIRPINNING


def test_a_hairpin_to_an_unknown_port_or_protocol_ends_here(new_router: RouterMaker) -> None:
    router = new_router()
    assert hairpin(router, PHONE, 9) is Fate.NO_BINDING
    echo = icmp_echo(PHONE.ip, PUBLIC, 5, 1)
    assert router.fate(echo, Side.INSIDE) is Fate.NO_BINDING


def test_a_tcp_connection_that_turns_round_is_established_on_both_bindings(new_router: RouterMaker) -> None:
    router = new_router(filtering=EI, tcp_timeout=8000, tcp_transitory_timeout=200)
    router.crossed(ip.tcp(OTHER_PHONE, HERE, flags=SYN), Side.INSIDE)
    callee = Endpoint(PUBLIC, OTHER_PHONE.port)

    def caller() -> Binding:
        found = router.gateway.nat.find(TCP, PHONE, callee, 0.0)
        assert found is not None
        return found

    router.one(ip.tcp(PHONE, callee, flags=SYN), Side.INSIDE)
    assert caller().expires == 200
    router.one(ip.tcp(OTHER_PHONE, caller().outside, flags=SYN | ACK), Side.INSIDE)
    router.one(ip.tcp(PHONE, callee, flags=ACK), Side.INSIDE)
    assert caller().expires == 8000
    router.one(ip.tcp(OTHER_PHONE, caller().outside, flags=ACK), Side.INSIDE)
    assert {each.expires for each in router.gateway.nat.bindings} == {8000}


# -- the whole table ------------------------------------------------------------------------------


@dataclass
class Row:
    """What the reference knows of one binding."""

    inside: Endpoint
    port: int
    towards: str | None  # the part of the remote endpoint that decides the mapping; None: reserved, for all
    number: int
    end: float = 0.0
    sent_to: set[Endpoint] = field(default_factory=set)
    holes: list[tuple[str, Endpoint | None, float]] = field(default_factory=list)
    pair: Row | None = None

    def held(self, now: float) -> bool:
        return self.end > now or any(end > now for _, _, end in self.holes)

    def alive(self, now: float) -> bool:
        return self.held(now) or (self.pair is not None and self.pair.held(now))


def part(dependence: Dependence, remote: Endpoint) -> str:
    return {EI: "all", AD: remote.ip, APD: str(remote)}[dependence]


INSIDES = [Endpoint(f"192.168.1.{host}", port) for host in (20, 21) for port in (4000, 4001, 4002)]
REMOTES = [Endpoint(address, port) for address in ("198.51.100.1", "198.51.100.2") for port in (70, 71)]
PORTS = range(4000, 4012)
OWNERS = ["call", "registration"]


class Table(RuleBasedStateMachine):
    """A NAT beside a simple reference: a list of rows that is searched from end to end."""

    rows: list[Row]

    @initialize(
        mapping=st.sampled_from(Dependence),
        filtering=st.sampled_from(Dependence),
        refresh=st.sampled_from(Refresh),
        allocation=st.sampled_from(PortAllocation),
        parity=st.booleans(),
    )
    def start(
        self,
        mapping: Dependence,
        filtering: Dependence,
        refresh: Refresh,
        allocation: PortAllocation,
        parity: bool,
    ) -> None:
        self.config = NatConfig(
            mapping=mapping,
            filtering=filtering,
            refresh=refresh,
            port_allocation=allocation,
            port_parity=parity,
            first_port=PORTS[0],
            last_port=PORTS[-1],
            udp_timeout=10,
        )
        self.nat = Nat(self.config, PUBLIC, random.Random(0))
        self.rows = []
        self.made = 0
        self.now = 100.0

    # -- the reference ------------------------------------------------------------------------

    def live(self) -> list[Row]:
        return [row for row in self.rows if row.alive(self.now)]

    def serving(self, inside: Endpoint, towards: str | None) -> Row | None:
        """The newest matching row, if it is still alive."""
        rows = [row for row in self.rows if row.inside == inside and row.towards == towards]
        newest = max(rows, key=lambda row: row.number, default=None)
        return newest if newest and newest.alive(self.now) else None

    def new(self, binding: Binding, inside: Endpoint, towards: str | None) -> Row:
        assert binding.inside == inside
        assert binding.outside.port in PORTS
        assert all(row.port != binding.outside.port for row in self.live()), "two bindings share a port"
        self.made += 1
        row = Row(inside, binding.outside.port, towards, self.made)
        self.rows.append(row)
        return row

    def restart(self, row: Row, outbound: bool) -> None:
        if self.now >= row.end:
            row.sent_to = set()
        refreshes = self.config.refresh.value in ("both", "outbound" if outbound else "inbound")
        if refreshes or (outbound and self.now >= row.end):
            row.end = self.now + 10

    def lets_in(self, row: Row, remote: Endpoint) -> bool:
        wanted = part(self.config.filtering, remote)
        if self.now < row.end and any(part(self.config.filtering, each) == wanted for each in row.sent_to):
            return True
        return any(
            end > self.now and (whom is None or (whom.ip == remote.ip and whom.port in (0, remote.port)))
            for _, whom, end in row.holes
        )

    # -- what can happen ----------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.5, 3.0, 5.0, 7.0, 9.5, 10.0, 25.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(inside=st.sampled_from(INSIDES), remote=st.sampled_from(REMOTES))
    def outbound(self, inside: Endpoint, remote: Endpoint) -> None:
        towards = part(self.config.mapping, remote)
        row = self.serving(inside, None) or self.serving(inside, towards)
        try:
            binding = self.nat.outbound(UDP, inside, remote, self.now)
        except PortsExhaustedError:
            assert row is None
            free = set(PORTS) - {each.port for each in self.live()}
            assert not [port for port in free if not self.config.port_parity or (port ^ inside.port) & 1 == 0]
            return
        if row is None:
            row = self.new(binding, inside, towards)
            assert not self.config.port_parity or (row.port ^ inside.port) & 1 == 0
        assert (binding.inside, binding.outside) == (inside, Endpoint(PUBLIC, row.port))
        self.restart(row, outbound=True)
        row.sent_to.add(remote)
        # The reply comes back to the same endpoint.
        assert self.nat.admitted_until(binding, remote, self.now) > self.now

    @rule(port=st.sampled_from(PORTS), remote=st.sampled_from(REMOTES))
    def inbound(self, port: int, remote: Endpoint) -> None:
        rows = [row for row in self.live() if row.port == port]
        row = rows[0] if rows and self.lets_in(rows[0], remote) else None
        binding = self.nat.inbound(UDP, port, remote, self.now)
        assert (binding.inside if binding else None) == (row.inside if row else None)
        if row:
            self.restart(row, outbound=False)

    @rule(
        inside=st.sampled_from(INSIDES),
        pair=st.booleans(),
        whom=st.sampled_from([None, *REMOTES, *(each._replace(port=0) for each in REMOTES)]),
        owner=st.sampled_from(OWNERS),
        lifetime=st.sampled_from([2.0, 8.0, 30.0]),
    )
    def reserve(
        self, inside: Endpoint, pair: bool, whom: Endpoint | None, owner: str, lifetime: float
    ) -> None:
        pair = pair and inside.port % 2 == 0
        row = self.serving(inside, None) or (None if pair else self.serving(inside, "all"))
        try:
            binding = self.nat.reserve(UDP, inside, self.now, pair=pair)
        except PortsExhaustedError:
            assert row is None
            return
        if row is None:
            row = self.new(binding, inside, None)
            if pair:
                assert row.port % 2 == 0
                assert binding.pair is not None
                assert binding.pair.outside.port == row.port + 1
                neighbour = self.new(binding.pair, inside._replace(port=inside.port + 1), None)
                row.pair, neighbour.pair = neighbour, row
        assert binding.outside.port == row.port
        self.nat.open_pinhole(binding, whom, self.now + lifetime, owner)
        row.holes = [each for each in row.holes if each[:2] != (owner, whom)]
        row.holes.append((owner, whom, self.now + lifetime))

    @rule(owner=st.sampled_from(OWNERS))
    def close(self, owner: str) -> None:
        self.nat.close_pinholes(owner)
        for row in self.rows:
            row.holes = [each for each in row.holes if each[0] != owner]

    @invariant()
    def both_know_the_same_bindings(self) -> None:
        if hasattr(self, "nat"):
            alive = [each for each in self.nat.bindings if each.alive(self.now)]
            assert sorted((each.outside.port, each.inside) for each in alive) == sorted(
                (row.port, row.inside) for row in self.live()
            )


TestTable = Table.TestCase
TestTable.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_binding_table_of_icmp_keeps_no_parity() -> None:
    table = nat(port_allocation=PortAllocation.SEQUENTIAL, first_port=50000)
    ids = [table.outbound(ICMP, Endpoint(f"192.168.1.{n}", 8), HERE, 0.0).outside.port for n in (2, 3, 4)]
    assert ids == [50000, 50001, 50002]
