"""Keep-alives from the server to registered phones, by which providers keep NAT bindings.

The rules of this file:

- ``natted``: the server sends them only to phones that seem to be behind NAT, like nathelper's
  ``ping_nated_only``. The server's ``nat_tests`` decide which phones do.
- So a router that hides the NAT well switches keep-alives off. That is not the server's fault.
- Any answer of the phone to OPTIONS, or to NOTIFY with ``Event: keep-alive``, refreshes the binding. Four
  zero bytes, nathelper's other way, get no answer; they work only with NATs that inbound packets refresh.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from siplab.lab.server.core import ServerCore
from siplab.lab.server.registrar import Binding, Registrar
from siplab.lab.sip.dialog import next_hop
from siplab.lab.sip.messages import Incoming, Request, hostport, protocol_of, token
from siplab.lab.sip.transaction_fsm import Answered, ClientTransaction
from siplab.lab.wire.ip import Endpoint

_ZEROS: Final = bytes(4)


class NatKeepalive:
    """The keep-alives of one server. ``sent`` counts them."""

    def __init__(self, server: ServerCore, registrar: Registrar) -> None:
        self._server = server
        self._registrar = registrar
        self.sent = 0
        registrar.watchers.append(self._watch)

    def _watch(self, aor: str, binding: Binding, request: Incoming, now: float) -> None:
        """A phone has registered, or has refreshed its registration."""
        config = self._server.config
        if config.ping == "all" or (config.ping == "natted" and binding.natted):
            self._wait(aor, binding, now)

    def _wait(self, aor: str, binding: Binding, now: float) -> None:
        due = now + self._server.config.ping_interval
        self._server.layer.timers.start(due, self._ping, (aor, binding))

    def _ping(self, argument: tuple[str, Binding], now: float) -> None:
        aor, binding = argument
        server = self._server
        if not any(each is binding for each in self._registrar.bindings.get(aor, ())):
            return  # refreshed since, expired or removed
        remote = binding.received or next_hop(binding.contact)
        if remote is not None and server.config.ping_kind == "zero-bytes":
            if binding.transport == "udp":
                self.sent += 1
                server.layer.send(binding.local, remote, _ZEROS)
        elif remote is not None:
            event = b"Event: keep-alive\r\n" if server.config.ping_kind == "notify" else b""
            self._request(server.config.ping_kind.upper().encode(), binding, remote, now, _ignore, event)
        self._wait(aor, binding, now)

    def ask(self, user: str, now: float, done: Callable[[int, float], None]) -> None:
        """Ask a registered phone by OPTIONS whether it answers; ``done`` gets status and time (seconds).

        The status is 408 without an answer, and 480 without a registration.
        """
        for binding in self._registrar.lookup(user)[-1:]:
            remote = binding.received or next_hop(binding.contact)
            if remote is not None:

                def answered(
                    _: ClientTransaction, status: int, response: Incoming | None, then: float
                ) -> None:
                    if status >= 200:
                        done(status, then)

                self._request(b"OPTIONS", binding, remote, now, answered)
                return
        done(480, now)

    def _request(
        self,
        method: bytes,
        binding: Binding,
        remote: Endpoint,
        now: float,
        answered: Answered,
        lines: bytes = b"",
    ) -> None:
        server = self._server
        branch, tag = server.layer.branch(), token(server.layer.rng)
        request = Request(
            method,
            binding.contact,
            sent_by=binding.local,
            branch=branch,
            via=protocol_of(binding.transport) + hostport(binding.local) + b";branch=" + branch,
            from_=b"<sip:ping@" + server.config.domain.encode() + b">;tag=" + tag,
            from_tag=tag,
            to=b"<" + binding.contact + b">",
            call_id=token(server.layer.rng) + b"@" + server.config.ip.encode(),
            cseq=1,
        ).compose(lines)
        self.sent += 1
        server.layer.request(request, binding.local, remote, now, answered)


def _ignore(_: ClientTransaction, status: int, response: Incoming | None, now: float) -> None:
    """The next keep-alive is sent whatever the answer is."""
