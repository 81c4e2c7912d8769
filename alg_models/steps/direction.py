"""A step for some messages only: those of one direction, or only requests or responses."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.lab.gateway.alg import Context, Step
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class Except:
    """Apply ``step``, except to messages of these directions and kinds."""

    step: Step
    outbound_requests: bool = False
    outbound_responses: bool = False
    inbound_requests: bool = False
    inbound_responses: bool = False

    def apply(self, message: SipMessage, context: Context) -> None:
        if message.is_response:
            left_out = self.outbound_responses if context.outbound else self.inbound_responses
        else:
            left_out = self.outbound_requests if context.outbound else self.inbound_requests
        if not left_out:
            self.step.apply(message, context)
