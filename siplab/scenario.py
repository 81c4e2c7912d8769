"""What writers of scenarios need: see docs/write-a-scenario.md."""

from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Check, Setup, Stage
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage

__all__ = ["Check", "Endpoint", "Item", "Setup", "SipMessage", "Stage"]
