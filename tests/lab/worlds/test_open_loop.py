"""Open-loop scripts through a gateway: their ports and addresses, and the replay of a recorded pair."""

from __future__ import annotations

import random

import pytest

from siplab.alg_models import catalogue, samples
from siplab.alg_models.samples import PHONE, PUBLIC, inbound, outbound
from siplab.alg_models.samples.basic import INCOMING, INVITE, REGISTER, REGISTER_OK
from siplab.lab.gateway.gateway import Gateway
from siplab.lab.gateway.nat_config import NatConfig, PortAllocation
from siplab.lab.gateway.sides import Side
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage
from siplab.lab.worlds.open_loop import Conversation, Script, Step, play
from siplab.lab.worlds.pair import Pair
from siplab.lab.worlds.replaying import replay


def script(*packets: samples.Packet) -> Script:
    media = Endpoint(PHONE.ip, 49170)
    ports = {PUBLIC.port: PHONE, PUBLIC.port + 2: media}
    return Script((Conversation("test", tuple(Step(*each) for each in packets), ports),))


def gateway(model: str, allocation: PortAllocation, public: str = PUBLIC.ip) -> Gateway:
    return Gateway(
        catalogue.load().get(model),
        public_ip=public,
        inside_networks=["192.168.1.0/24"],
        inside_addresses=["192.168.1.1"],
        nat=NatConfig(port_allocation=allocation, first_port=20000),
        rng=random.Random(5),
    )


def arrivals(pair: Pair, side: Side) -> list[ip.Packet]:
    return [ip.parse(row.packet) for each in pair.crossings for row in each.left if row.side is side]


@pytest.mark.parametrize("allocation", list(PortAllocation))
def test_what_comes_in_is_sent_to_the_port_that_the_nat_chose(allocation: PortAllocation) -> None:
    pair = play(
        script(outbound(REGISTER), inbound(REGISTER_OK, 0.1), inbound(INCOMING, 0.2)),
        gateway("none", allocation),
    )
    chosen = arrivals(pair, Side.OUTSIDE)[0].sport
    ok, invite = arrivals(pair, Side.INSIDE)
    assert ok.destination == invite.destination == PHONE
    assert b"Contact: <sip:alice@203.0.113.7:%d>" % chosen in ok.payload
    assert invite.payload.startswith(b"INVITE sip:alice@203.0.113.7:%d SIP/2.0" % chosen)


def test_media_comes_in_where_the_router_wrote_it() -> None:
    rtp = inbound(b"\x80\0media", 0.2, target=PUBLIC._replace(port=PUBLIC.port + 2))
    pair = play(script(outbound(INVITE), rtp), gateway("correct", PortAllocation.SEQUENTIAL))
    written = SipMessage.parse(arrivals(pair, Side.OUTSIDE)[0].payload).body
    port = ip.parse(pair.crossings[1].packet).dport
    assert b"m=audio %d " % port in written
    assert arrivals(pair, Side.INSIDE)[0].destination == Endpoint(PHONE.ip, 49170)


def test_whatever_became_of_the_first_packet_the_others_are_sent() -> None:
    pair = play(
        script(inbound(INCOMING), outbound(REGISTER, 0.1), inbound(INCOMING, 0.2)),
        gateway("none", PortAllocation.PRESERVE),
    )
    assert [len(each.left) for each in pair.crossings] == [0, 1, 1]


def test_other_addresses_keep_a_right_length_right_and_a_wrong_one_as_wrong() -> None:
    wrong = INVITE.replace(b"Content-Length: ", b"Content-Length: 1")
    moved = script(outbound(INVITE), outbound(wrong)).moved({PHONE.ip: "10.200.100.50"})
    for (_, _, step), message in zip(moved.steps(), (INVITE, wrong), strict=True):
        packet = ip.parse(step.packet)
        found, before = SipMessage.parse(packet.payload), SipMessage.parse(message)
        assert packet.src == "10.200.100.50"
        assert b"c=IN IP4 10.200.100.50" in found.body
        assert (found.content_length or 0) - len(found.body) == (before.content_length or 0) - len(
            before.body
        )
        assert not ip.verify(step.packet)


def test_a_router_with_another_public_address_gets_that() -> None:
    pair = play(
        script(outbound(REGISTER), inbound(REGISTER_OK, 0.1)),
        gateway("none", PortAllocation.PRESERVE, "198.18.0.1"),
    )
    assert pair.public == "198.18.0.1"
    assert b"received=198.18.0.1" in arrivals(pair, Side.INSIDE)[0].payload


def test_what_entered_is_sent_again_as_it_was() -> None:
    made = script(outbound(REGISTER), inbound(REGISTER_OK, 0.1), outbound(INVITE, 0.2))
    pair = play(made, gateway("correct", PortAllocation.SEQUENTIAL))
    for allocation in PortAllocation:  # ports that the other would not have chosen are taken over
        assert replay(pair, gateway("correct", allocation)) == pair
    assert replay(pair, gateway("none", PortAllocation.SEQUENTIAL)) != pair
