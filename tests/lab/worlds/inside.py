"""Functions that tests run inside a bubble, with ``bubble.call(inside.function, ...)``.

They return plain data, and the tests check it. Each network is built only once in a bubble.
"""

from __future__ import annotations

import os
import random
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any, Final, NamedTuple

from siplab.alg_models import catalogue, samples
from siplab.experiments.trial import run as trial
from siplab.experiments.trial import worker
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import UsageError
from siplab.lab.gateway.alg import Model
from siplab.lab.gateway.gateway import Side
from siplab.lab.sip.base import Action, Agent, Close, Listen, Send
from siplab.lab.wire import ip
from siplab.lab.wire.icmp import PORT_UNREACHABLE, icmp_error
from siplab.lab.wire.ip import Endpoint
from siplab.lab.worlds.base import World
from siplab.lab.worlds.emulated import bubble, sockets
from siplab.lab.worlds.emulated import namespaces as ns
from siplab.lab.worlds.emulated import world as world_module
from siplab.lab.worlds.emulated.live import LiveWorld
from siplab.lab.worlds.emulated.world import EmulatedLab
from siplab.lab.worlds.network import Network
from siplab.lab.worlds.trace import Lost
from tests import grid
from tests.lab.worlds.players import (
    EXCHANGES,
    LAPTOP,
    NETWORKS,
    NONE,
    PHONE,
    PUBLIC,
    REGISTRAR,
    Outcome,
    Talker,
    play,
)

FAR: Final = Endpoint("198.51.100.20", 40000)
# Seconds after which a wait fails instead of hanging; normally nothing takes nearly as long.
PATIENCE: Final = 30.0
_LABS: Final[dict[str, EmulatedLab]] = {}


def task(connection: Connection) -> None:
    """Task of a bubble: each request is a function and its arguments."""
    bubble.serve(connection, lambda function, *arguments: function(*arguments))


def lab(name: str = "home") -> EmulatedLab:
    if name not in _LABS:
        _LABS[name] = EmulatedLab(NETWORKS[name])
    return _LABS[name]


def plain(network: Network) -> Mapping[str, Model]:
    return dict.fromkeys(network.topology.gateways, NONE)


# -- datagrams through the kernel --------------------------------------------------------------------


def exchange(name: str) -> Outcome:
    chosen = EXCHANGES[name]
    running = lab(chosen.network)
    return play(running.trial(plain(running.network), 0), chosen)


class Answered(NamedTuple):
    """Who received a datagram with a low TTL, or an error about it."""

    heard: list[tuple[Endpoint, bytes]]
    unreachable: list[Endpoint]
    lost: list[str]
    problems: list[str]
    trace: str


def with_ttl(ttl: int, payload: bytes, world: World | None = None) -> Answered:
    """The phone sends the registrar a datagram with ``ttl``; by default in an emulated world."""
    running = lab() if world is None else None
    world = running.trial(plain(running.network), 0) if running else world
    assert world is not None
    phone, registrar = Talker(PHONE), Talker(REGISTRAR)
    world.add("phone", phone)
    world.add("registrar", registrar)
    if isinstance(world, world_module.EmulatedWorld):
        sock = world._open[PHONE]
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        sock.sendto(payload, REGISTRAR)
    packet = ip.udp(PHONE, REGISTRAR, payload, ttl=ttl, dont_fragment=False)
    world._arrivals.extend(world._forwarder.send("phone", packet))  # type: ignore[attr-defined]
    world.idle(0.01)
    problems = world.close()
    lost = [each.node for each in world.trace if isinstance(each, Lost)]
    return Answered(registrar.heard, phone.unreachable, lost, problems, world.trace.to_json_lines())


def pending_neighbours() -> list[str]:
    """The addresses that hosts and routers of the home network are still resolving on their links."""
    rows: list[str] = []
    running = lab()
    for name, namespace in running.fabric.namespaces.items():
        with ns.inside(namespace):
            done = subprocess.run(["ip", "neigh"], capture_output=True, text=True, check=True)
        rows += [
            f"{name}: {line}"
            for line in done.stdout.splitlines()
            if line.split()[-1] not in ("PERMANENT", "NOARP")
        ]
    return rows


# -- when things go wrong ----------------------------------------------------------------------------


def _run(command: str, namespace: int) -> None:
    with ns.inside(namespace):
        subprocess.run(command.split(), check=True)


class TrialAnswer(NamedTuple):
    outcome: str
    errors: list[str]


def broken_link(spec: TrialSpec, host: str, patience: float) -> list[TrialAnswer]:
    """A trial in which a host's link goes down, then the same trial on a fresh lab."""
    labs = worker.EmulatedLabs()
    before = world_module.PATIENCE
    world_module.PATIENCE = patience  # type: ignore[misc]

    def broken(network: Network, models: Mapping[str, Model], seed: object) -> World:
        world = labs.world(network, models, seed)
        assert isinstance(world, world_module.EmulatedWorld)
        _run("ip link set eth0 down", world._lab.fabric.namespaces[host])
        return world

    try:
        first, _ = trial.run(spec, broken)
    finally:
        world_module.PATIENCE = before  # type: ignore[misc]
    labs.discard(trial.network(spec.topology))
    second, _ = trial.run(spec, labs.world)
    labs.discard(trial.network(spec.topology))
    return [TrialAnswer(each.outcome, each.errors) for each in (first, second)]


def _flood(running: EmulatedLab, count: int) -> None:
    """Datagrams from the phone to the registrar, while nobody serves the queue."""
    sock = sockets.open_udp(running.fabric.namespaces["phone"], Endpoint(PHONE.ip, 40000))
    for number in range(count):
        sock.sendto(b"%d" % number, REGISTRAR)
    sock.close()
    queue = running.queues["router", Side.INSIDE]
    _until(lambda: sum(queue.drops()) + waiting(running) > 0)


def waiting(running: EmulatedLab) -> int:
    """Packets in the queues that have no verdict yet."""
    return sum(_counters(queue)[2] for queue in running.queues.values())


def _counters(queue: Any) -> list[int]:
    """This queue's row of /proc/net/netfilter/nfnetlink_queue."""
    for line in os.pread(queue._counters, 4096, 0).decode().splitlines():
        row = [int(each) for each in line.split()]
        if row[0] == queue.number:
            return row
    raise LookupError("the queue is not bound")


def _until(done: Callable[[], bool]) -> None:
    """Wait for the kernel; raises ``TimeoutError`` when it takes too long."""
    deadline = time.monotonic() + PATIENCE
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError("the kernel did not come to an end")
        time.sleep(0.001)


def serve(world: LiveWorld, condition: Callable[[], bool]) -> None:
    """Serve a live world until ``condition`` holds; the world itself wakes up for packets only."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("what was waited for did not happen")
        world.run_until(condition, 0.01)


class Flooded(NamedTuple):
    problems: list[str]
    passed_on: int  # packets that the flooded world passed on
    heard: list[tuple[Endpoint, bytes]]  # datagrams received in the next world
    problems_after: list[str]


def overflow(count: int) -> Flooded:
    """Flood the queue of a live world that does not serve it; then use the network again."""
    running = EmulatedLab(NETWORKS["home"])
    world = LiveWorld(running, plain(running.network), 0)
    _flood(running, count)
    problems = world.close()
    passed_on = len(world.trace.passages)
    after = running.trial(plain(running.network), 0)
    phone, registrar = Talker(PHONE), Talker(REGISTRAR)
    after.add("phone", phone)
    after.add("registrar", registrar)
    after.perform(phone, [Send(PHONE, REGISTRAR, b"after the flood")])
    after.idle(0.01)
    problems_after = after.close()
    running.close()
    return Flooded(problems, passed_on, registrar.heard, problems_after)


class Shutter(Agent):
    """Listens at two ports; as soon as a datagram comes to one, it closes the other."""

    def __init__(self) -> None:
        super().__init__()
        self.ports = [REGISTRAR._replace(port=7000), REGISTRAR._replace(port=7001)]
        self.heard: list[bytes] = []

    def start(self, now: float) -> list[Action]:
        return [Listen(each) for each in self.ports]

    def receive(self, payload: bytes, source: Endpoint, local: Endpoint, now: float) -> list[Action]:
        self.heard.append(payload)
        self.ports.remove(local)
        (other,) = self.ports
        return [Close(other)]


def closed_in_between() -> tuple[list[bytes], list[str]]:
    """Two datagrams arrive at once in a live world; the first one makes the agent close the second's port."""
    running = lab()
    world = LiveWorld(running, plain(running.network), 0)
    shutter, sender = Shutter(), Talker(FAR)
    world.add("registrar", shutter)
    world.add("far-phone", sender)
    world.perform(sender, [Send(FAR, each, b"x") for each in shutter.ports])
    world.run_until(lambda: bool(shutter.heard), PATIENCE)
    world.idle(0.05)
    return shutter.heard, world.close()


def flooded_trial(spec: TrialSpec, count: int) -> TrialAnswer:
    """A trial in which more packets arrive in the queue than it can hold."""
    labs = worker.EmulatedLabs()

    def flooded(network: Network, models: Mapping[str, Model], seed: object) -> World:
        world = labs.world(network, models, seed)
        assert isinstance(world, world_module.EmulatedWorld)
        _flood(world._lab, count)
        world._drain()  # the trial itself succeeds; only the counters show the loss
        return world

    result, _ = trial.run(spec, flooded)
    labs.discard(trial.network(spec.topology))
    return TrialAnswer(result.outcome, result.errors)


def stray_packet(spec: TrialSpec) -> TrialAnswer:
    """A trial during which a packet arrives that none of its agents sent."""
    labs = worker.EmulatedLabs()
    worlds: list[World] = []

    def make(network: Network, models: Mapping[str, Model], seed: object) -> World:
        worlds.append(labs.world(network, models, seed))
        return worlds[0]

    chosen = trial.network(spec.topology)
    world = make(chosen, plain(chosen), 0)
    assert isinstance(world, world_module.EmulatedWorld)
    _flood(world._lab, 1)
    problems = world.close()
    labs.discard(chosen)
    return TrialAnswer("error" if problems else "pass", problems)


# -- noise -----------------------------------------------------------------------------------------


class Noise(NamedTuple):
    sent: int
    queued: int  # packets that the kernel gave to the queues
    judged: int  # packets that the gateway handled
    waiting: int
    errors: list[str]
    problems: list[str]
    alive: bool


def noise(spec: str, count: int, seed: int) -> Noise:
    """Random datagrams and random IP packets through the queue of a model, from both sides."""
    running = lab()
    rng = random.Random(seed)
    world = LiveWorld(running, {"router": catalogue.load().get(spec)}, seed)
    before = [_counters(queue)[7] for queue in running.queues.values()]
    phone, registrar = Talker(PHONE), Talker(REGISTRAR)
    world.add("phone", phone)
    world.add("registrar", registrar)
    raw = {host: sockets.RawSender(running.fabric.namespaces[host]) for host in ("phone", "registrar")}

    sent = 0
    for number in range(count):
        outbound = number % 2 == 0
        agent, target = (phone, REGISTRAR) if outbound else (registrar, PUBLIC)
        if number % 4 < 2:
            world.perform(agent, [Send(agent.local, target, _payload(rng))])
            sent += 1
        else:
            try:
                raw["phone" if outbound else "registrar"].send(_packet(rng, agent.local, target))
                sent += 1
            except OSError:
                pass  # the kernel would not even send it
        if number % 50 == 49:
            serve(world, lambda: waiting(running) == 0)
    # Check that the router still works, on ports that no ALG inspects: this is not about SIP.
    asking, asked = Talker(Endpoint(PHONE.ip, 6000)), Talker(Endpoint(REGISTRAR.ip, 6000))
    world.add("phone", asking)
    world.add("registrar", asked)
    world.perform(asking, [Send(asking.local, asked.local, b"are you there?")])
    there = world.run_until(lambda: any(each == b"are you there?" for _, each in asked.heard), PATIENCE)
    world.perform(asked, [Send(asked.local, asked.heard[-1][0] if asked.heard else PUBLIC, b"yes")])
    back = world.run_until(lambda: any(each == b"yes" for _, each in asking.heard), PATIENCE)

    def all_judged() -> bool:
        queued = sum(_counters(queue)[7] for queue in running.queues.values()) - sum(before)
        return waiting(running) == 0 and queued == len(world.trace.passages)

    serve(world, all_judged)
    judged = len(world.trace.passages)
    queued = sum(_counters(queue)[7] for queue in running.queues.values()) - sum(before)
    left = waiting(running)
    errors = world.trace.model_errors
    for each in raw.values():
        each.close()
    return Noise(sent, queued, judged, left, errors, world.close(), there and back)


def _payload(rng: random.Random) -> bytes:
    """Random bytes, or a SIP message with a few changed bits, bytes or lines."""
    if rng.random() < 0.3:
        return rng.randbytes(rng.choice((0, 1, 4, 100, 1400, 3000)))
    data = bytearray(
        rng.choice(list(samples.all_samples().values())).payload.replace(b"192.168.1.20", PHONE.ip.encode())
    )
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(data))
        kind = rng.randrange(4)
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del data[at : at + rng.randrange(1, 40)]
        elif kind == 2:
            data[at:at] = rng.choice(
                (b"\r\n", b"\0", b";;", b"<sip:", b":99999", b"[::1]", b"%", b"\xff" * 9)
            )
        else:
            data[at:at] = bytes(data[: rng.randrange(200)])
        if not data:
            break
    return bytes(data)


def _packet(rng: random.Random, source: Endpoint, target: Endpoint) -> bytes:
    """An IP packet of any protocol with any flags, lengths and options, which the kernel still routes."""
    kind = rng.randrange(5)
    if kind == 0:
        body = ip.udp(source, target, _payload(rng)[:1400])[20:]
        protocol = ip.UDP
    elif kind == 1:
        segment = ip.tcp(
            source, target, _payload(rng)[:1300], seq=rng.getrandbits(32), flags=rng.getrandbits(6)
        )
        body, protocol = segment[20:], ip.TCP
    elif kind == 2:
        offending = ip.udp(target, source, _payload(rng)[:100])
        body, protocol = icmp_error(source.ip, PORT_UNREACHABLE, offending)[20:], ip.ICMP
    else:
        body, protocol = rng.randbytes(rng.randrange(0, 200)), rng.choice((1, 2, 6, 17, 41, 47, 50, 132, 255))
    damaged = bytearray(body)
    for _ in range(rng.randrange(3)):
        if damaged:
            damaged[rng.randrange(len(damaged))] = rng.getrandbits(8)
    options = rng.choice((b"", b"", b"\x01\x01\x01\x00", b"\x01" * 8))
    flags = rng.choice((0, 0x4000, 0x2000, 0x2000 | rng.randrange(64), rng.randrange(64)))
    header = bytearray(20)
    header[0] = 0x40 | (20 + len(options)) // 4
    header[1] = rng.getrandbits(8)
    header[2:4] = (20 + len(options) + len(damaged)).to_bytes(2, "big")
    header[4:6] = rng.getrandbits(16).to_bytes(2, "big")
    header[6:8] = flags.to_bytes(2, "big")
    header[8] = rng.choice((1, 2, 64, 255))
    header[9] = protocol
    header[12:16] = ip.pack_ip(source.ip)
    header[16:20] = ip.pack_ip(target.ip)
    return bytes(header) + options + bytes(damaged)


# -- trials, for the comparison of worlds --------------------------------------------------------------


class Run(NamedTuple):
    """One trial: its result as plain data, its trace, and the SIP bytes at every tap."""

    result: dict[str, Any]
    trace: str
    sip: list[tuple[float, str, bool, str, str, bytes]]


_TRIAL_LABS: Final = worker.EmulatedLabs()


def run(spec: TrialSpec, *, emulated: bool = True) -> Run:
    result, trace = trial.run(spec, _TRIAL_LABS.world if emulated else trial.simulated)
    row = result.as_json()
    row.pop("world")
    sip = [
        (each.now, each.tap, each.leaving, str(each.source), str(each.destination), each.payload)
        for each in trace.sip()
    ]
    return Run(row, trace.to_json_lines(), sip)


def digest(spec: TrialSpec, *, emulated: bool = True) -> str:
    """The digest of the trial's result and whole trace."""
    return grid.digest(*trial.run(spec, _TRIAL_LABS.world if emulated else trial.simulated))


# -- a lab that runs until it is killed ------------------------------------------------------------------


def busy(connection: Connection) -> None:
    """Task of a bubble: programs on every host, until the end of the bubble."""
    running = EmulatedLab(NETWORKS["home"])
    world = LiveWorld(running, plain(running.network), 0)
    programs = [
        world.start(host, ["sh", "-c", "sleep 600 & sleep 600"], stdout=subprocess.DEVNULL)
        for host in running.fabric.nodes
    ]
    phone = Talker(PHONE)
    world.add("phone", phone)
    connection.send(len(programs))
    world.run_until(lambda: False, 600.0)


class Stubborn(Exception):  # noqa: N818 - a name for a test
    """An exception that does not survive pickling."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"{one} {other}")


def raise_stubbornly() -> None:
    raise Stubborn("can't be", "pickled")


# -- programs in real time -------------------------------------------------------------------------------


def refused_then_heard() -> tuple[list[tuple[Endpoint, bytes]], list[Endpoint], list[str]]:
    """An agent sends to a closed port and, while the error about that is pending, to an open one."""
    running = lab()
    world = LiveWorld(running, plain(running.network), 0)
    phone, laptop = Talker(PHONE), Talker(LAPTOP)
    world.add("phone", phone)
    world.add("laptop", laptop)
    for number in range(5):
        world.perform(phone, [Send(PHONE, Endpoint(LAPTOP.ip, 9), b"x"), Send(PHONE, LAPTOP, b"%d" % number)])
    serve(world, lambda: len(laptop.heard) == 5 and bool(phone.unreachable))
    return laptop.heard, phone.unreachable, world.close()


def statuses() -> list[int | None]:
    """Exit statuses of programs, waited for in all the ways there are."""
    running = lab()
    world = LiveWorld(running, plain(running.network), 0)
    quick = world.start("phone", ["sh", "-c", "exit 3"])
    found = [world.wait(quick), world.wait(quick)]
    slow = world.start("phone", ["sleep", "600"])
    found.append(world.wait(slow, 0.01))
    world.stop(slow)
    world.stop(slow)
    found.append(world.wait(slow))
    stubborn = world.start("phone", ["sleep", "600"])
    left = world.start("registrar", ["sleep", "600"])
    stubborn.kill()
    found.append(world.wait(stubborn))
    world.close()
    found.append(left.returncode)
    return found


def refusals() -> list[str]:
    """What is said about programs that can't be started."""
    running = lab()
    world = LiveWorld(running, plain(running.network), 0)
    found = []
    for host, program in (
        ("nowhere", "true"),
        ("phone", "no-such-program"),
        ("phone", "/usr/lib/no/kamailio"),
    ):
        try:
            world.start(host, [program])
        except UsageError as error:
            found.append(str(error))
    world.close()
    return found
