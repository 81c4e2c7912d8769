"""A router between two network cards: addresses for both sides, then the probe pack and calls through it.

The rules of this file:

- The outside is that of the lab's home network. The router's address is ``203.0.113.7`` unless it has another
  one; its provider has the first address of that network, and the whole internet is behind the provider.
- The inside is the router's own. The lab's hosts get its addresses by DHCP, or use those that follow a given
  one.
"""

from __future__ import annotations

import ipaddress
import select
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from siplab import topologies
from siplab.alg_models import samples
from siplab.experiments.bench.dhcp import Client, Lease, Server
from siplab.experiments.bench.real_router import RealRouter
from siplab.experiments.learning.observations import from_trace
from siplab.experiments.probe_pack import script as packs
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.counting import number_of
from siplab.lab.errors import UsageError
from siplab.lab.gateway.alg import Model
from siplab.lab.gateway.sides import Emission, Side
from siplab.lab.wire import ip
from siplab.lab.wire.ip import MalformedPacketError
from siplab.lab.worlds.emulated.ethernet_port import EthernetPort
from siplab.lab.worlds.network import Network
from siplab.lab.worlds.open_loop import Script, Step, play
from siplab.lab.worlds.pair import PUBLIC_IP, Pair
from siplab.lab.worlds.simulated import SimulatedWorld
from siplab.lab.worlds.topology import Topology
from siplab.lab.worlds.trace import Passage

SCENARIOS: Final = ("register", "outgoing-call", "incoming-call", "hold")
TOPOLOGY: Final = "home"
WAN: Final = f"{PUBLIC_IP}/24"
_QUICK: Final = 30.0  # seconds: longer conversations of the pack are left out
_AGAIN: Final = 1.0  # seconds after which a request is repeated
_PACK_HOSTS: Final = (samples.PHONE.ip, samples.SECOND_PHONE.ip, "192.168.1.2", "192.168.1.5")


@dataclass(frozen=True)
class Plan:
    """How a router is connected.

    ``lan_address``: of our first host inside (``192.168.1.50/24``), if the router is ``lan_router``; empty:
    by DHCP. ``wan_address``: the router's own outside address; ``wan_static``: the router has it already,
    else DHCP gives it. ``patience``: seconds to wait for the router.
    """

    lan_address: str = ""
    lan_router: str = ""
    wan_address: str = WAN
    wan_static: bool = False
    full: bool = False
    patience: float = 120.0

    def script(self) -> Script:
        """The probe pack; without silences if the bench should be quick."""
        return packs.script(packs.HOUR if self.full else _QUICK)

    def seconds(self) -> float:
        """How many seconds it takes, without the router's start."""
        calls = (trial.run(TrialSpec(TOPOLOGY, "none", scenario=each))[0].duration for each in SCENARIOS)
        return self.script().seconds + sum(calls)


class Bench:
    """A connected router: ``lan`` and ``wan`` are our ends of its cables."""

    def __init__(self, plan: Plan, lan: EthernetPort, wan: EthernetPort) -> None:
        self._plan, self._lan, self._wan = plan, lan, wan
        outside = ipaddress.ip_interface(plan.wan_address)
        self.public = str(outside.ip)
        self._provider = str(next(each for each in outside.network.hosts() if each != outside.ip))
        lease = Lease(self.public, str(outside.netmask), self._provider)
        self._server = Server(lease, given=b"static" if plan.wan_static else b"")
        self._leases: list[Lease] = []

    def connect(self, say: Callable[[str], None]) -> None:
        """Give both sides their addresses. Raises ``UsageError`` if the router does not cooperate."""
        self._wan.add({self._provider: self._wan.hardware})
        if not self._plan.wan_static:
            say("waiting for the router to ask for an address on its WAN side")
            if not self._until(lambda: bool(self._server.given), lambda: None):
                raise UsageError(
                    "the router asked for no address on its WAN side: is it set to DHCP? Else give it "
                    f"{self.public} with the gateway {self._provider}, and say "
                    f"--wan-static {self._plan.wan_address}"
                )
            say(f"the router has {self.public}")
        if not self._until(self._is_known(self._wan), lambda: self._wan.ask(self.public, self._provider)):
            raise UsageError(f"nobody on the WAN side has {self.public}: are the cables right?")
        self._leases = self._static() if self._plan.lan_address else self._by_dhcp(say)
        first = self._leases[0]
        if not self._until(self._is_known(self._lan), lambda: self._lan.ask(first.router, first.address)):
            raise UsageError(f"the router does not answer at {first.router} on its LAN side")
        say(f"inside: {', '.join(each.address for each in self._leases)}; the router is {first.router}")

    def _static(self) -> list[Lease]:
        first = ipaddress.ip_interface(self._plan.lan_address)
        router = self._plan.lan_router or str(next(first.network.hosts()))
        found = [Lease(str(first.ip + n), str(first.netmask), router) for n in range(len(_PACK_HOSTS))]
        for each in found:
            self._lan.add({each.address: self._lan.new_host()})
        return found

    def _by_dhcp(self, say: Callable[[str], None]) -> list[Lease]:
        say("asking the router for addresses on its LAN side")
        found: list[Lease] = []
        for number in range(len(_PACK_HOSTS)):
            hardware = self._lan.new_host()
            client = Client(hardware)
            if not self._until(
                lambda client=client: client.lease is not None,  # type: ignore[misc]
                lambda client=client, hardware=hardware: self._lan.broadcast(client.start(), hardware),  # type: ignore[misc]
                client,
            ):
                raise UsageError(
                    f"the router gave {number_of(number, 'address')} on its LAN side, "
                    f"{len(_PACK_HOSTS)} are needed: say which may be used with --lan-address ADDRESS/PREFIX"
                )
            assert client.lease is not None
            self._lan.add({client.lease.address: hardware})
            found.append(client.lease)
        return found

    @staticmethod
    def _is_known(port: EthernetPort) -> Callable[[], bool]:
        return lambda: port.router != b"\xff" * 6

    def _until(self, done: Callable[[], bool], ask: Callable[[], None], client: Client | None = None) -> bool:
        """Serve both sides until ``done``; call ``ask`` repeatedly. Returns whether it was done in time."""
        end, again = time.monotonic() + self._plan.patience, 0.0
        while not done():
            now = time.monotonic()
            if now > end:
                return False
            if now >= again:
                ask()
                again = now + _AGAIN
            select.select([self._lan, self._wan], (), (), max(0.0, min(again, end) - now))
            for packet in self._wan.read():
                if (answer := self._server.take(packet)) is not None:
                    self._wan.broadcast(answer, self._wan.hardware)
            for packet in self._lan.read():
                if client is not None and (answer := client.take(packet)) is not None:
                    self._lan.broadcast(answer, client.hardware)
        return True

    # -- what is sent through it -------------------------------------------------------------------

    def _router(self, inside: str) -> RealRouter:
        ports = {Side.INSIDE: self._lan, Side.OUTSIDE: self._wan}
        return RealRouter(ports, inside, self.public, self._server.take)

    def play(self, script: Script) -> Pair:
        """Send an open-loop script of the home network through the router."""
        hosts = dict(zip(_PACK_HOSTS, (each.address for each in self._leases), strict=True))
        moved = _playable(script.moved({**hosts, samples.ROUTER: self._leases[0].router}))
        outside = {ip.parse(step.packet).src for _, _, step in moved.steps() if step.side is Side.OUTSIDE}
        reached = {ip.parse(step.packet).dst for _, _, step in moved.steps() if step.side is Side.INSIDE}
        known = {*self._lan.hosts, self._leases[0].router, moved.public, self.public}
        self._wan.add(dict.fromkeys((outside | reached) - known, self._wan.hardware))
        return play(moved, self._router(self._leases[0].address))

    def call(self, scenario: str) -> tuple[TrialResult, list[Pair]]:
        """Run a scenario of the lab, with its default phones and server, through the router."""
        network = Network(self._topology())
        router = self._router(self._leases[0].address)
        outside = {
            each.address: self._wan.hardware
            for each in network.topology.hosts.values()
            if each.address not in self._lan.hosts
        }
        self._wan.add(outside)

        def world(_: Network, models: Mapping[str, Model], seed: object) -> SimulatedWorld:
            return _BenchWorld(network, models, seed, router)

        result, trace = trial.run(TrialSpec(TOPOLOGY, "none", scenario=scenario), world)
        return result, from_trace(trace, public=self.public)

    def _topology(self) -> Topology:
        """The home network, with the addresses in use."""
        first, second = self._leases[:2]
        data = topologies.load(TOPOLOGY).model_dump()
        inside = ipaddress.ip_network(f"{first.address}/{first.mask}", strict=False)
        data["networks"]["lan"]["subnet"] = str(inside)
        data["hosts"]["phone"]["address"], data["hosts"]["laptop"]["address"] = first.address, second.address
        data["routers"]["router"]["inside"]["lan"] = first.router
        data["networks"]["wan"]["subnet"] = str(ipaddress.ip_interface(self._plan.wan_address).network)
        data["routers"]["router"]["outside"]["wan"] = self.public
        data["routers"]["internet"]["interfaces"]["wan"] = self._provider
        return Topology.model_validate(data)


def _playable(script: Script) -> Script:
    """The script without IPv6, for which a bench has no network."""
    return Script(
        tuple(
            type(each)(each.name, steps, each.ports, each.begins)
            for each in script.conversations
            if (steps := tuple(step for step in each.steps if _is_ipv4(step)))
        ),
        script.public,
    )


def _is_ipv4(step: Step) -> bool:
    try:
        return ip.parse(step.packet).version == 4
    except MalformedPacketError:
        return False


class _BenchWorld(SimulatedWorld):
    """The lab's agents with a real router as gateway. Time is the wall clock's."""

    kind = "bench"

    def __init__(
        self, network: Network, models: Mapping[str, Model], seed: object, router: RealRouter
    ) -> None:
        super().__init__(network, models, seed)
        self._router = router

    def cross(self, gateway: str, side: Side, packet: bytes) -> list[Emission]:
        emissions = self._router.handle(packet, side, self.now)
        self.trace.add(Passage(self.now, gateway, side, packet, emissions))
        return emissions

    def _horizon(self, until: float) -> float:
        return self.now  # nobody knows when a real router forgets something, so every packet is sent
