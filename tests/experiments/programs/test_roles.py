"""The lab's own endpoints and real programs have the same roles: who checks types sees it."""

from __future__ import annotations

from siplab.experiments.programs.endpoints.phone import ProgramCall, ProgramPhone
from siplab.experiments.programs.endpoints.server import ProgramServer
from siplab.experiments.trial.roles import PhoneRole, ServerRole
from siplab.lab.phone.call import Call
from siplab.lab.phone.phone import Phone
from siplab.lab.server.server import SipServer

NAMES = [name for name in vars(PhoneRole) if not name.startswith("_")]


def roles(
    phone: Phone, real_phone: ProgramPhone, server: SipServer, real_server: ProgramServer
) -> tuple[PhoneRole[Call], PhoneRole[ProgramCall], ServerRole, ServerRole]:
    return phone, real_phone, server, real_server


def test_both_take_the_same_orders() -> None:
    orders = ["register", "call", "answer", "hang_up", "hold", "transfer", "dial"]
    assert set(orders) <= set(NAMES)
    for order in orders:
        assert callable(getattr(Phone, order))
        assert callable(getattr(ProgramPhone, order))
