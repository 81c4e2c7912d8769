"""A stage on which real programs play phones or the server, beside the lab's own agents.

Time is the wall clock's, and nothing waits longer than ``longest`` seconds. A scenario that waits longer does
not apply. A few seconds of a call show how it would go on.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final, cast

from siplab.experiments.programs import kinds, placeholders
from siplab.experiments.programs.endpoints.control import Control, CtrlTcpControl, LinesControl, Printed
from siplab.experiments.programs.endpoints.phone import Config, ProgramPhone
from siplab.experiments.programs.endpoints.recording import Arrivals, Ear, Files, Listener
from siplab.experiments.programs.endpoints.rtpengine import RelayCounters
from siplab.experiments.programs.endpoints.server import ProgramServer
from siplab.experiments.programs.endpoints.sip_view import SipView, unconfirmed
from siplab.experiments.programs.endpoints.started import Started
from siplab.experiments.programs.hosted import Hosted
from siplab.experiments.programs.kind import DEFAULT_PORTS, CtrlTcp, Lines, holds
from siplab.experiments.programs.kinds import Chosen
from siplab.experiments.trial import certificates
from siplab.experiments.trial.roles import NotApplicableError
from siplab.experiments.trial.spec import needs_emulated
from siplab.experiments.trial.stage import PASSWORDS, TONES, Setup, Stage, pure_tone
from siplab.lab.errors import UsageError
from siplab.lab.media.audio import tone, write_wav
from siplab.lab.phone.phone import Phone
from siplab.lab.server.server import SipServer
from siplab.lab.worlds.base import World
from siplab.lab.worlds.emulated import host_files, processes
from siplab.lab.worlds.emulated.live import LiveWorld
from siplab.lab.worlds.topology import DOMAIN

LONGEST: Final = 8.0  # seconds that anything is waited for
TALK: Final = 4.2  # seconds that show whether a call is confirmed: RFC 3261's third repetition is over
GIVEN_UP_AFTER: Final = 32.0  # seconds without an ACK: 64 * T1 (RFC 3261 section 13.3.1.4)
_RING_TIME: Final = 0.6
_SETTLING: Final = 0.15
_INSIDE: Final = ("phone", "second-phone")
_LONGEST_TONE: Final = 120  # seconds; at its end the file begins again
_PORT_STEP: Final = 200  # between the media ports of two phones on one host


class ProgramStage(Stage):
    """``longest``: seconds that anything is waited for. With a higher value calls are played in full."""

    def __init__(self, world: World, setup: Setup, seed: object, folder: Path | None = None) -> None:
        if not isinstance(world, LiveWorld):
            raise UsageError(needs_emulated(f"'{next(iter(setup.programs.values()), 'an image')}'"))
        super().__init__(world, setup, seed, folder)
        self.says = pure_tone  # real phones' hearing is measured by tones, so all phones send tones
        self.longest = setup.longest or LONGEST
        self._world = world
        self._before = processes.present()
        # A Unix socket's path has at most 107 characters, so this one is short wherever files are kept.
        self._temporary = tempfile.TemporaryDirectory(dir=host_files.SHARED, ignore_cleanup_errors=True)
        self._place = Path(self._temporary.name)
        self._started: list[Started] = []
        self._real: list[ProgramPhone] = []
        self._real_server: ProgramServer | None = None
        self._relay: tuple[str, int] | None = None  # host and port of the relay's counters
        self._passed_over: list[tuple[float, float]] = []  # when, and how many seconds of a call were skipped
        self.hosted = Hosted(world, setup)

    def begin(self) -> None:
        self.hosted.start()

    # -- who is there ------------------------------------------------------------------------------

    @cached_property
    def server(self) -> SipServer:
        """The registrar and proxy. A real one offers what ``ServerRole`` has."""
        spec = self.setup.programs.get("server")
        host, address = self.host("server")
        if host in self.hosted.images:
            if spec is not None:
                raise UsageError(f"the server can't be '{spec}': the topology has an image on {host}")
            self._real_server = ProgramServer(f"the image on {host}", address)
            return cast(SipServer, self._real_server)
        if spec is None:
            return super().server
        chosen = self._with_settings(kinds.get(spec, "server"), self.setup.server)
        started = self._start("server", host, address, chosen, {})
        relay = chosen.kind.relay
        if relay is not None and (relay.when is None or chosen.values[relay.when]):
            self._relay = host, relay.port
        self._real_server = ProgramServer.of(self._world, address, chosen, started.folder)
        return cast(SipServer, self._real_server)

    def start_relay(self, spec: str) -> None:
        """Start a program beside the server, on its host. Raises ``UsageError``, ``WorldError``."""
        chosen = kinds.get(spec, "relay")
        host, address = self.host("server")
        self._start(chosen.kind.id, host, address, chosen, {})

    def _phone(self, role: str, user: str, rtp_port: int, changes: Mapping[str, Any]) -> Phone:
        inside = role in _INSIDE
        if self.has(role) and self.host(role)[0] in self.hosted.images:
            return self._contained_phone(role, user)
        spec = self.setup.programs.get("phone" if inside else "far-phone")
        if spec is None:
            return super()._phone(role, user, rtp_port, changes)
        server, port = self.server.config.ip, self.setup.sip_port  # it must run before anybody sends to it
        if inside and self.outbound_proxy is not None:
            server, port = self.outbound_proxy.config.ip, self.setup.edge_port or port
        if inside and self.setup.stun:
            raise NotApplicableError(f"program '{spec}' is not told of a STUN server")
        asked = dict(self.setup.phone if inside else self.setup.far_phone)
        ring_time = asked.pop("ring_time", _RING_TIME)
        chosen = self._with_settings(kinds.get(spec, "phone"), asked)
        host, address = self.host(role)
        number = sum(each.config.ip == address for each in self._real)  # number of phones there so far
        ports: dict[str, int] = {**DEFAULT_PORTS, **{str(k): v for k, v in chosen.kind.ports.items()}}
        sip_port = ports["sip"] + 10 * number
        low, high = (ports[each] + _PORT_STEP * number for each in ("rtp_low", "rtp_high"))
        control = chosen.kind.control
        values: dict[str, str] = {
            "user": user,
            "password": PASSWORDS[user],
            "server_ip": server,
            "port": str(port),
            "sip_port": str(sip_port),
            "rtp_low": str(low),
            "rtp_high": str(high),
            "control_port": str(control.port + number if isinstance(control, CtrlTcp) else 0),
            "tone": str(self._tone(user)),
        }
        view = SipView(self._world.trace, host, sip_port)
        ear = Ear([frequency for name, frequency in TONES.items() if name != user])
        heard = chosen.kind.heard
        listener = Listener(
            None if heard is None else Files(self._place / user, heard.files, ear),
            Arrivals(self._world.trace, host, range(low, high + 1), ear),
            until_change=heard is not None and heard.until_change,
            relay=self._counters(view),
        )
        running: list[Started] = []

        def launch() -> Control:
            running.append(self._start(user, host, address, chosen, values))
            return self._control_of(chosen, host, running[0], int(values["control_port"]))

        phone = ProgramPhone(
            Config(user, address, sip_port, ring_time),
            f"program '{chosen.kind.id}'",
            chosen.kind.can,
            view,
            ear,
            launch,
            listener,
            lambda: running[0].failure if running else "",
            lambda done: self._world.run_until(done, self.longest),
        )
        self._real.append(phone)
        self.world.add(host, phone)
        return cast(Phone, phone)

    def _contained_phone(self, role: str, user: str) -> Phone:
        """The phone in the container on a host. It takes the orders of the kind that the topology names.

        Raises ``NotApplicableError`` for a setting that its image is not known to have.
        """
        host, address = self.host(role)
        where, image = f"the image on {host}", self.hosted.images[host]
        if not image.kind:
            raise NotApplicableError(f"{where} takes no orders, as a phone of a scenario must")
        if any(each.config.ip == address for each in self._real):
            raise NotApplicableError(f"{where} is one phone")
        inside = role in _INSIDE
        if inside and (self.outbound_proxy is not None or self.setup.stun):
            raise NotApplicableError(f"{where} is not told of another server")
        _ = self.server  # it must run before anybody sends to it
        chosen = kinds.get(image.kind, "phone")
        control = chosen.kind.control
        if not isinstance(control, CtrlTcp):
            raise UsageError(f"{where}: kind '{image.kind}': a container takes orders by ctrl-tcp alone")
        asked = dict(self.setup.phone if inside else self.setup.far_phone)
        ring_time = asked.pop("ring_time", _RING_TIME)
        for name, value in asked.items():
            changed = chosen.set(name, value)
            if changed is None or changed.values != chosen.values:
                raise NotApplicableError(f"{where} is not known to have '{name}: {value}'")
        ports: dict[str, int] = {**DEFAULT_PORTS, **{str(k): v for k, v in chosen.kind.ports.items()}}
        view = SipView(self._world.trace, host, ports["sip"])
        ear = Ear([frequency for name, frequency in TONES.items() if name != user])
        arrivals = Arrivals(self._world.trace, host, range(ports["rtp_low"], ports["rtp_high"] + 1), ear)

        def launch() -> Control:
            printed = Printed(self.hosted.start_one(host), control.happenings)
            return CtrlTcpControl(self._world, host, control.port, printed)

        phone = ProgramPhone(
            Config(user, address, ports["sip"], ring_time),
            where,
            chosen.kind.can,
            view,
            ear,
            launch,
            Listener(None, arrivals, until_change=False, relay=self._counters(view)),
            lambda: self.hosted.failure_of(host),
            lambda done: self._world.run_until(done, self.longest),
        )
        self._real.append(phone)
        self.world.add(host, phone)
        return cast(Phone, phone)

    def _counters(self, view: SipView) -> RelayCounters | None:
        return None if self._relay is None else RelayCounters(self._world, *self._relay, view)

    def _control_of(self, chosen: Chosen, host: str, started: Started, port: int) -> Control:
        control = chosen.kind.control
        if isinstance(control, CtrlTcp):
            printed = Printed(started.processes[control.program], control.happenings)
            return CtrlTcpControl(self._world, host, port, printed)
        if isinstance(control, Lines):
            begin = [started.filled(line, "control.begin") for line in control.begin]
            once = any(each.once for each in chosen.kind.programs if each.name == control.program)
            return LinesControl(started.processes[control.program], control, begin, once=once)
        raise UsageError(f"program '{chosen.kind.id}': a phone needs a 'control' of kind ctrl-tcp or lines")

    def _with_settings(self, chosen: Chosen, asked: Mapping[str, Any]) -> Chosen:
        for name, value in asked.items():
            changed = chosen.set(name, value)
            if changed is None:
                raise NotApplicableError(f"program '{chosen.kind.id}' has no '{name}: {value}'")
            chosen = changed
        return chosen

    def _start(
        self, name: str, host: str, address: str, chosen: Chosen, values: Mapping[str, str]
    ) -> Started:
        every = {
            **placeholders.addresses(self._world.network.topology),
            **{f"password_{user}": password for user, password in PASSWORDS.items()},
            "domain": DOMAIN,
            "host": host,
            "own_ip": address,
            "port": str(self.setup.sip_port),
            **values,
        }
        every["tls_port"] = str(int(every["port"]) + 1)
        every["certificates"] = str(self._place / name / "certificates")
        if chosen.kind.certificates is not None and holds(chosen.kind.certificates, chosen.values):
            certificates.write(Path(every["certificates"]), DOMAIN, self.host("server")[1])
        started = Started(self._world, host, name, chosen, self._place / name, every)
        self._started.append(started)
        return started

    def _tone(self, user: str) -> Path:
        path = self._place / user / "tone.wav"
        path.parent.mkdir(exist_ok=True)
        if not path.exists():
            frames = tone(TONES[user]).frames
            write_wav(path, (frames[at % len(frames)] for at in range(50 * _LONGEST_TONE)))
        return path

    # -- what happens ------------------------------------------------------------------------------

    def until(self, done: Callable[[], bool], timeout: float) -> bool:
        found = super().until(done, min(timeout, self.longest))
        super().idle(_SETTLING)  # another phone may be about to report the same
        return found

    def idle(self, seconds: float) -> None:
        if seconds > self.longest:
            raise NotApplicableError(
                f"the scenario waits {seconds:g} s by the wall clock; {self.longest:g} s is the longest"
                " (--longest)"
            )
        super().idle(seconds)

    def talk(self, callee: Phone, seconds: float) -> None:
        spent = seconds if self.setup.longest >= seconds else min(seconds, TALK)
        super().idle(spent)
        self._passed_over.append((self.now, seconds - spent))

    def doomed(self, callee: Phone) -> str:
        call = callee.calls[-1] if callee.calls else None
        if not isinstance(callee, ProgramPhone) or call is None:
            return ""
        since = call.established_at or call.started
        lasted = self.now - since + sum(skipped for at, skipped in self._passed_over if at >= since)
        return unconfirmed(callee.view.seen, call.started, self.now) if lasted >= GIVEN_UP_AFTER else ""

    def finish(self) -> list[str]:
        failures = [*(each.failure for each in self._started), self.hosted.failure]
        troubles = [each for each in failures if each]
        for phone in self._real:
            phone.close()
        if self._real_server is not None:
            self._real_server.close()
        for each in reversed(self._started):
            each.end()
        self.hosted.end(self._place)
        processes.end_all_but(self._before)
        self._keep()
        self._temporary.cleanup()
        return [f"a program ended before the trial did: {each}" for each in troubles]

    def _keep(self) -> None:
        """Copy what the programs wrote to the folder that the user named. Sockets are left out."""
        if self.folder is None:
            return
        if self.folder.exists():
            shutil.rmtree(self.folder)
        for path in sorted(self._place.rglob("*")):
            if path.is_file() and not path.is_symlink():
                target = self.folder / path.relative_to(self._place)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
