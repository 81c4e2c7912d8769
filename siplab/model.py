"""What writers of ALG models need: see docs/write-a-model.md and docs/models.md.

A model is a ``Model`` with a ``Card``. Its fault is a frozen dataclass whose ``recipe`` says what differs
from an ALG without a fault. A recipe has steps, each of which sees one SIP message.
"""

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.samples import Outcome, Packet, Sample, all_samples, cross, inbound, outbound
from siplab.alg_models.steps.addresses import translate, written
from siplab.alg_models.steps.descriptions import described, translated
from siplab.alg_models.steps.headers import (
    FitContentLength,
    HoldRegistration,
    TranslateIdentity,
    TranslateRequestUri,
    TranslateUris,
    TranslateVia,
)
from siplab.alg_models.steps.media import CloseDialog, TranslateSdp
from siplab.alg_models.testing import check_example, check_model, check_robust
from siplab.lab.gateway.alg import (
    Card,
    Evidence,
    Example,
    Fault,
    FaultClass,
    Model,
    Policy,
    Recipe,
    Showing,
    Source,
    Step,
)
from siplab.lab.gateway.context import Context
from siplab.lab.gateway.nat_config import NatConfig
from siplab.lab.wire.headers import HostPort, sent_bys, split_list, uris, vias
from siplab.lab.wire.ip import TCP, UDP, Endpoint
from siplab.lab.wire.sdp import Sdp
from siplab.lab.wire.sip import Field, SipMessage

__all__ = [
    "CORRECT_STEPS",
    "TCP",
    "UDP",
    "Card",
    "CloseDialog",
    "Context",
    "Endpoint",
    "Evidence",
    "Example",
    "Fault",
    "FaultClass",
    "Field",
    "FitContentLength",
    "HoldRegistration",
    "HostPort",
    "Model",
    "NatConfig",
    "Outcome",
    "Packet",
    "Policy",
    "Recipe",
    "Sample",
    "Sdp",
    "Showing",
    "SipMessage",
    "Source",
    "Step",
    "TranslateIdentity",
    "TranslateRequestUri",
    "TranslateSdp",
    "TranslateUris",
    "TranslateVia",
    "all_samples",
    "check_example",
    "check_model",
    "check_robust",
    "cross",
    "described",
    "inbound",
    "outbound",
    "sent_bys",
    "split_list",
    "translate",
    "translated",
    "uris",
    "vias",
    "written",
]
