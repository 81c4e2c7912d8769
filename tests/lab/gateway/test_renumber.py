"""The line gets another public address: the router's old bindings are of no use any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from siplab.alg_models.controls import CORRECT, NONE
from siplab.lab.gateway.alg import Card, Model, Recipe
from siplab.lab.gateway.fate import Fate
from siplab.lab.gateway.sides import Side
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint

if TYPE_CHECKING:
    from tests.lab.gateway.conftest import RouterMaker

PHONE, SERVER = Endpoint("192.168.1.20", 5060), Endpoint("198.51.100.10", 5060)
OLD, NEW = "203.0.113.7", "203.0.113.150"


@pytest.mark.parametrize("times", [1, 2])  # the second packet takes the short way
def test_flows_leave_from_the_new_address(new_router: RouterMaker, times: int) -> None:
    home = new_router(NONE)
    home.gateway.later = NEW
    for _ in range(times):
        assert home.send(PHONE, SERVER).src == OLD
    home.gateway.renumber()
    assert home.end(ip.udp(SERVER, Endpoint(OLD, 5060), b"in"), Side.OUTSIDE)[0] is Fate.FOREIGN_DESTINATION
    for _ in range(times):
        assert home.send(PHONE, SERVER).src == NEW
    answer = home.crossed(ip.udp(SERVER, Endpoint(NEW, 5060), b"in"), Side.OUTSIDE)
    assert answer.destination == PHONE


@pytest.mark.parametrize("times", [1, 2])
def test_a_mapping_that_outlives_the_address_is_a_trap(new_router: RouterMaker, times: int) -> None:
    home = new_router(NONE, mappings_outlive_address=True)
    home.gateway.later = NEW
    for _ in range(times):
        home.send(PHONE, SERVER)
        home.receive(SERVER, 5060)
    home.gateway.renumber()
    assert home.send(PHONE, SERVER).src == OLD
    for address in (OLD, NEW):  # nothing answers at the old address, and the new one has no binding yet
        packet = ip.udp(SERVER, Endpoint(address, 5060), b"in")
        fate = home.one(packet, Side.OUTSIDE).fate
        assert fate is (Fate.FOREIGN_DESTINATION if address == OLD else Fate.FORWARDED)
    assert home.send(Endpoint("192.168.1.21", 5070), SERVER).src == NEW


def test_the_line_comes_back_with_the_first_address(new_router: RouterMaker) -> None:
    home = new_router(CORRECT)
    home.gateway.later = NEW
    for address in (NEW, OLD, NEW):
        home.gateway.renumber()
        assert home.send(PHONE, SERVER).src == address
        assert home.gateway.nat.public_ip == address


def test_a_line_without_another_address_keeps_its_own(new_router: RouterMaker) -> None:
    home = new_router(NONE)
    home.send(PHONE, SERVER)
    home.gateway.renumber()
    assert home.receive(SERVER, 5060) is None
    assert home.send(PHONE, SERVER).src == OLD


def test_another_alg_after_a_restart(new_router: RouterMaker) -> None:
    """The other ALG comes with a restart, not with a new address, and stays after the next restart."""
    home = new_router(Model("off", Card("off"), Recipe(restarted=CORRECT.recipe)))
    text = b"OPTIONS sip:x SIP/2.0\r\nContact: <sip:a@192.168.1.20:5060>\r\nContent-Length: 0\r\n\r\n"
    assert home.send(PHONE, SERVER, text).payload == text
    home.gateway.renumber()
    assert home.send(PHONE, SERVER, text).payload == text
    for _ in range(2):
        home.gateway.reboot()
        assert b"Contact: <sip:a@203.0.113.7:5060>" in home.send(PHONE, SERVER, text).payload
