"""What writers of detectors need: see docs/write-a-detector.md."""

from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Finding, Stage
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage

__all__ = ["Endpoint", "Finding", "Item", "SipMessage", "Stage"]
