"""The pinholes of Broadcom's ALG. A signalling flow has pinholes for its media and for further signalling."""

from __future__ import annotations

from typing import Final

from siplab.alg_models.exact._broadcom_generations import Ending
from siplab.lab.gateway.alg import Context
from siplab.lab.wire.ip import UDP, Endpoint

FIRST_PORT: Final = 1024
_EXPECTED: Final = 180.0  # seconds that a signalling pinhole waits for its first packet
_ENDED: Final = 5.0  # seconds
_SIGNALLING: Final = ("broadcom", "signalling")


class Pinholes:
    """The pinholes that the message's flow has open.

    ``media``: the inside media endpoints that the flow opened pinholes to (the ALG's memory, changed here).
    ``seconds``: the idle time of the flow.
    """

    def __init__(self, context: Context, media: dict[Endpoint, None], seconds: float) -> None:
        self._context, self._media, self._seconds = context, media, seconds
        self._media_owner = ("broadcom", "media", context.inside, context.remote)
        self._signalling_owner = (*_SIGNALLING, context.inside, context.remote)

    def open_media(self, inside: Endpoint, first: int) -> Endpoint | None:
        """A public endpoint for media, at the first free port of ``first``, ``first + 2``..., or ``None``."""
        outside = self._context.open_port(inside, self._media_owner, self._seconds, first=first, step=2)
        if outside is not None:
            self._media[inside] = None
        return outside

    def prolong(self) -> None:
        """Extend the media pinholes, which live as long as the signalling flow."""
        context = self._context
        owner = self._media_owner
        for endpoint in list(self._media):
            binding = context.nat.find(UDP, endpoint, context.remote, context.now)
            if binding is None:
                del self._media[endpoint]
            else:
                context.nat.open_pinhole(binding, None, context.now + self._seconds, owner)

    def end(self, how: Ending) -> None:
        """End all media of the flow, of whichever call: 5 s after the last packet, at once, or not at all."""
        context = self._context
        if how == "nothing":
            return
        if how == "at-once":
            context.close_pinholes(self._media_owner)
            self._media.clear()
            return
        for endpoint in self._media:
            binding = context.nat.find(UDP, endpoint, context.remote, context.now)
            if binding is not None:
                context.nat.limit_idle(binding, _ENDED, context.now)

    def expect(self, inside: Endpoint) -> Endpoint:
        """The public endpoint for another signalling port of the sender; at most one pinhole per flow."""
        context = self._context
        owner = self._signalling_owner
        binding = context.nat.find(UDP, inside, None, context.now)
        if binding is not None and any(
            hole.owner == owner and context.now < hole.expires for hole in binding.pinholes
        ):
            return binding.outside
        context.close_pinholes(owner)
        found = context.open_port(inside, owner, _EXPECTED, first=max(inside.port, FIRST_PORT))
        if found is None:
            context.drop("out of UDP ports")
        return found or context.outside

    def admit_registrar(self, *, register: bool) -> None:
        """Admit the registrar's address, any port, at the flow's public port. Every packet prolongs this."""
        context = self._context
        binding = context.binding
        owner = ("broadcom", "registrar", context.inside, context.remote)
        if binding is None:
            return
        known = any(hole.owner == owner for hole in binding.pinholes)
        if known or register:
            end = context.now + self._seconds
            context.nat.open_pinhole(binding, Endpoint(context.remote.ip, 0), end, owner).inspected = True

    def expect_at_own_port(self) -> None:
        """Admit everybody at the flow's own public port, because a Via named another port."""
        context = self._context
        binding, owner = context.binding, self._signalling_owner
        if binding is None or any(
            hole.owner == owner and context.now < hole.expires for hole in binding.pinholes
        ):
            return
        context.close_pinholes(owner)
        context.nat.open_pinhole(binding, None, context.now + _EXPECTED, owner)

    def divert(self) -> None:
        """Deliver a packet that came by a signalling pinhole to the inside port equal to the public port.

        Only SIP from the server port is diverted, since the ALG inspects nothing else.
        """
        context = self._context
        binding = context.binding
        if context.outbound or binding is None or binding.reserved or context.remote in binding.remotes:
            return
        if any(hole.owner[:2] == _SIGNALLING for hole in binding.pinholes if isinstance(hole.owner, tuple)):
            context.deliver_elsewhere(Endpoint(context.inside.ip, context.outside.port))
