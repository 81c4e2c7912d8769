"""What writers of scenarios need: see docs/write-a-scenario.md.

A scenario is an ``Item`` whose settings, a frozen dataclass, have a method ``run(stage)`` that plays a call
flow and records checks. The functions here play the parts that most call flows have in common, with their
checks.
"""

from siplab.experiments.scenarios.call_checks import (
    Talk,
    answered,
    both_hear,
    check_call,
    connect,
    hang_up,
    hears,
    hold,
    is_silent,
    stays_up,
    whole,
)
from siplab.experiments.scenarios.register import register, sign_in
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import DOMAIN, Check, Setup, Stage
from siplab.lab.phone.call import Call, CallState, Direction
from siplab.lab.phone.phone import Phone
from siplab.lab.phone.registration import RegistrationState
from siplab.lab.sip.base import Action
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage

__all__ = [
    "DOMAIN",
    "Action",
    "Call",
    "CallState",
    "Check",
    "Direction",
    "Endpoint",
    "Item",
    "Phone",
    "RegistrationState",
    "Setup",
    "SipMessage",
    "Stage",
    "Talk",
    "answered",
    "both_hear",
    "check_call",
    "connect",
    "hang_up",
    "hears",
    "hold",
    "is_silent",
    "register",
    "sign_in",
    "stays_up",
    "whole",
]
