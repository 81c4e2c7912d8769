"""What writers of detectors need: see docs/write-a-detector.md.

A detector is an ``Item`` whose settings, a frozen dataclass, have a method ``run(stage)`` that returns a
``Finding``. It drives the lab's phone, or an ``Agent`` of its own that sends and receives datagrams.
"""

from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import DOMAIN, PASSWORDS, PHONE_RTP_PORT, Finding, Stage
from siplab.lab.phone.phone import Phone
from siplab.lab.phone.registration import RegistrationState
from siplab.lab.sip.base import Action, Agent, Listen, Send
from siplab.lab.wire.compare import differences
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage

__all__ = [
    "DOMAIN",
    "PASSWORDS",
    "PHONE_RTP_PORT",
    "Action",
    "Agent",
    "Endpoint",
    "Finding",
    "Item",
    "Listen",
    "Phone",
    "RegistrationState",
    "Send",
    "SipMessage",
    "Stage",
    "differences",
]
