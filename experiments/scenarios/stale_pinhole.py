"""What nobody notices: a stranger knocks at ports of the router that should be shut, or never were open.

An ALG opens ways in from the internet. Does it close them when the call or the registration is over, and
does it open any for somebody who has no right to it?
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from annotated_types import Ge

from siplab.experiments.scenarios.call_checks import connect, hang_up
from siplab.experiments.scenarios.register import register, sign_in
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage
from siplab.lab.phone.registration import RegistrationState
from siplab.lab.probing.raw_udp import RawUdp
from siplab.lab.sip.base import Action
from siplab.lab.sip.messages import endpoint_at, name_addr_of, uri_of
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage
from siplab.lab.worlds.trace import Received

_KNOCK: Final = b"anybody home?"
_SYMPTOM: Final = "Nobody notices: anybody on the internet can send packets into the home."
_FROM: Final = 7777  # the port that a stranger knocks from
_BROWSER, _SERVICE = 40500, 40502
_SIP: Final = 5060


@dataclass(frozen=True)
class Stranger:
    """``after``: a call, when it knocks at the phone's media ports, those that were announced and those that
    its media came from; the end of a registration, when it comes from the provider's host; or a web page
    that has a browser in the home send a REGISTER for another port there (CVE-2020-28041), when it is at
    that. ``pause``: seconds until it knocks.
    """

    after: Literal["call", "sign-off", "web-page"] = "call"
    pause: Annotated[float, Ge(0)] = 10.0

    def run(self, stage: Stage) -> None:
        found = {"call": self._call, "sign-off": self._sign_off, "web-page": self._web_page}[self.after](
            stage
        )
        if found is None:
            stage.check("stays shut", True, _SYMPTOM, "nothing from the home arrived, there is no door")
            return
        role, doors = found
        host, address = stage.host(role)
        stranger = RawUdp(Endpoint(address, _FROM))
        stage.world.add(host, stranger)
        stage.idle(self.pause)
        for door in doors:
            stage.do(stranger, lambda now, at=door: stranger.say(_KNOCK, at))  # type: ignore[misc]
        stage.idle(1.0)
        home = stage.host("phone")[0]
        reached = [
            record.local
            for record in stage.world.trace
            if isinstance(record, Received) and record.payload == _KNOCK and record.host == home
        ]
        stage.check(
            "stays shut",
            not reached,
            _SYMPTOM,
            f"knocked at {' and '.join(map(str, doors))}" + "".join(f", reached {each}" for each in reached),
            "media" if self.after == "call" else "signalling",
        )

    def _call(self, stage: Stage) -> tuple[str, list[Endpoint]] | None:
        phone, far = sign_in(stage)
        talk = connect(stage, caller=phone, callee=far, target="bob@lab.test")
        if talk is None:
            return None
        stage.idle(2.0)
        announced = talk.incoming.remote_rtp
        hang_up(stage, talk)
        home = stage.host("phone")[0]
        bindings = stage.server.registrar.lookup(stage.phone.config.user)
        public = {each.source.ip for each in bindings}
        # A provider's relay stands between the phones: the phone's port is what the relay was sent from.
        used = [announced] if announced is not None else []
        used += [
            record.remote
            for record in stage.world.trace
            if isinstance(record, Received) and record.host != home and record.local.port % 2 == 0
            if record.local.port != _SIP
        ]
        rtp = dict.fromkeys(each for each in used if each.ip in public)
        doors = [door for each in rtp for door in (each, each._replace(port=each.port + 1))]
        return ("far-phone", doors) if doors else None

    def _sign_off(self, stage: Stage) -> tuple[str, list[Endpoint]] | None:
        if not register(stage):
            return None
        phone, server = stage.phone, stage.server
        bindings = server.registrar.lookup(phone.config.user)
        door = _endpoint(bindings[0].contact) if bindings else None
        stage.do(phone, lambda now: phone.unregister(now, everything=True))
        registration = phone.registration
        stage.until(lambda: registration.state is not RegistrationState.REGISTERED, 35.0)
        stage.idle(120.0)  # whatever the NAT keeps for what went out has ended
        return ("server", [door]) if door is not None else None

    def _web_page(self, stage: Stage) -> tuple[str, list[Endpoint]] | None:
        home, address = stage.host("phone")
        away, site = stage.host("far-phone")
        browser, service = RawUdp(Endpoint(address, _BROWSER)), RawUdp(Endpoint(address, _SERVICE))
        page = RawUdp(Endpoint(site, 5060))
        stage.world.add(home, browser)
        stage.world.add(home, service)
        stage.world.add(away, page)
        posted = _forged(browser.local, service.local, page.local)

        def post(now: float) -> list[Action]:
            return browser.say(posted, page.local)

        stage.do(browser, post)
        stage.idle(1.0)
        if not page.heard:
            return None
        # The site reads in what arrives where the router would let it in.
        contact = SipMessage.parse(page.heard[0][0]).value(b"contact")
        door = _endpoint(name_addr_of(contact).uri)
        return ("far-phone", [door]) if door is not None else None


def _forged(browser: Endpoint, service: Endpoint, site: Endpoint) -> bytes:
    return (
        b"REGISTER sip:%(site)s SIP/2.0\r\n"
        b"Via: SIP/2.0/UDP %(browser)s;branch=z9hG4bK1\r\n"
        b"Max-Forwards: 70\r\n"
        b"From: <sip:guest@%(site)s>;tag=1\r\n"
        b"To: <sip:guest@%(site)s>\r\n"
        b"Call-ID: 1\r\n"
        b"CSeq: 1 REGISTER\r\n"
        b"Contact: <sip:guest@%(service)s>\r\n"
        b"Expires: 3600\r\n"
        b"Content-Length: 0\r\n\r\n"
    ) % {
        b"site": str(site).encode(),
        b"browser": str(browser).encode(),
        b"service": str(service).encode(),
    }


def _endpoint(uri: bytes) -> Endpoint | None:
    found = uri_of(uri)
    return endpoint_at(found.host, found.port) if found is not None else None


ITEM = Item("stale-pinhole", "After a call a stranger knocks at the media port that it had.", Stranger())
