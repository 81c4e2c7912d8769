"""The known and explained differences between kernel and model (docs/calibration.md)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from siplab.experiments.calibration.corpus import Datagram
from siplab.experiments.calibration.outcome import Left


class Known(NamedTuple):
    """A kind of difference, with its reason."""

    id: str
    reason: str
    matches: Callable[[Datagram, Sequence[Left], Sequence[Left]], bool]


def _shared_port(sent: Datagram, kernel: Sequence[Left], model: Sequence[Left]) -> bool:
    """An outbound datagram leaves by the phone's own port in the model, by another one in the kernel."""
    if not sent.outbound or not kernel or not model:
        return False
    return kernel[0].source.port != model[0].source.port == sent.source.port


def _reply_elsewhere(sent: Datagram, kernel: Sequence[Left], model: Sequence[Left]) -> bool:
    """The kernel sends an outbound datagram to another port of the same peer than the model does."""
    if not sent.outbound or not kernel or not model:
        return False
    real, modelled = kernel[0], model[0]
    return (
        real.destination.ip == modelled.destination.ip
        and real.destination.port != modelled.destination.port == sent.destination.port
    )


KNOWN: Final = (
    Known(
        "shared-port",
        "a phone that sends from one port and listens at another is called at the public port of the first, "
        "and its answers leave by that one; the lab's NAT has one inside endpoint for each public port",
        _shared_port,
    ),
    Known(
        "reply-elsewhere",
        "the kernel sends what goes back to a caller to the port in the caller's Via; "
        "the lab's gateway can deliver elsewhere only on the inside",
        _reply_elsewhere,
    ),
)


def known(sent: Datagram, kernel: Sequence[Left], model: Sequence[Left]) -> Known | None:
    """The known kind of a difference, if it is of one."""
    for each in KNOWN:
        if each.matches(sent, kernel, model):
            return each
    return None
