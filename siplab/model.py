"""What writers of ALG models need: see docs/write-a-model.md.

A model is a ``Model`` with a ``Card``; its fault is a frozen dataclass whose ``recipe`` says what differs
from an ALG without a fault, in steps that see one SIP message each.
"""

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.testing import check_model
from siplab.lab.gateway.alg import (
    Card,
    Evidence,
    Example,
    Fault,
    Model,
    Policy,
    Recipe,
    Showing,
    Source,
    Step,
)
from siplab.lab.gateway.context import Context
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import Field, SipMessage

__all__ = [
    "CORRECT_STEPS",
    "Card",
    "Context",
    "Endpoint",
    "Evidence",
    "Example",
    "Fault",
    "Field",
    "Model",
    "Policy",
    "Recipe",
    "Showing",
    "SipMessage",
    "Source",
    "Step",
    "check_model",
]
