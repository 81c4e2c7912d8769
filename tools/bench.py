"""``make bench``: what the lab costs, measured, with the spread and as JSON.

(a) CPU time per packet through the netfilter queue, beside a bare accept() and a scapy
    parse-and-rebuild of the same packets, in alternating rounds of the same run;
(b) simulated trials per second: register and call, both with digest;
    what a SIP message costs in every model of the catalogue;
    and the whole scoreboard of a detector; above all what a random trial costs, what is not run because it
    comes out alike, and what a call costs among many at once (``--only sweep``);
(c) an emulated lab up and down, against the same namespaces and links made by plain ``ip``;
(d) one trial on a running emulated lab;
(e) the detection server under a flood of noise (``--only detect`` for this alone);
(f) how the time of all readers of messages grows with hostile messages (``--only shapes``);
(g) how much SIPp can send through a router before its queue drops (``--only sipp``);
(h) how long a capture of 100,000 packets takes to read;
(i) what a trial costs that an executor runs and writes, beside a bare loop (``--only executors``);
(j) what a trial costs in the sandbox, in Chromium (``--only sandbox``);
(k) what a trial costs with the default endpoints, beside the strict ones (``--only endpoints``).

Packets per second would say how busy the machine is; CPU time per packet is what stays the same.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import select
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from siplab.alg_models import catalogue, samples
from siplab.experiments.score import plan as planning
from siplab.experiments.score import tally
from siplab.experiments.trial import run as trial
from siplab.experiments.trial import worker
from siplab.experiments.trial.spec import TrialSpec
from siplab.experiments.trial.stage import Setup, Stage
from siplab.experiments.trial.worker import EmulatedLabs
from siplab.lab.phone.registration import RegistrationState
from siplab.lab.server.registrar import Binding
from siplab.lab.wire.ip import Endpoint
from siplab.lab.worlds.emulated import capability
from siplab.lab.worlds.emulated import namespaces as ns
from siplab.lab.worlds.emulated.bubble import Bubble, serve
from siplab.lab.worlds.emulated.live import LiveWorld
from siplab.lab.worlds.emulated.world import EmulatedLab
from tools import bench_sandbox, bench_sipp
from tools.bench_captures import LIMIT as CAPTURES_LIMIT
from tools.bench_captures import PACKETS as CAPTURED_PACKETS
from tools.bench_captures import captures_bench
from tools.bench_combined import combined_bench
from tools.bench_detect import detect_bench
from tools.bench_endpoints import endpoints_bench
from tools.bench_executors import executors_bench
from tools.bench_media import media_bench
from tools.bench_shapes import LIMIT, shapes_bench
from tools.bench_sweep import office_bench, sharing_bench, sweep_bench

ROUNDS = 7
PACKETS = 6000
SCAPY_PACKETS = 600
WINDOW = 32
PHONE, SERVER = Endpoint("192.168.1.102", 5060), Endpoint("198.51.100.10", 5060)
RTP_PHONE, RTP_FAR = Endpoint("192.168.1.102", 49170), Endpoint("198.51.100.20", 40000)


def spread(values: list[float]) -> dict[str, float]:
    """Median, least and greatest."""
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
        "rounds": len(values),
    }


# -- (a) the queue ---------------------------------------------------------------------------


def _payloads() -> dict[str, tuple[Endpoint, Endpoint, bytes]]:
    own = samples.PHONE.ip.encode(), PHONE.ip.encode()
    invite = samples.all_samples()["invite"].payload.replace(*own)
    body = invite.partition(b"\r\n\r\n")[2]
    invite = invite.replace(b"Content-Length: 110", b"Content-Length: %d" % len(body))
    return {
        "RTP, 172 bytes": (RTP_PHONE, RTP_FAR, b"\x80\x00" + bytes(170)),
        "REGISTER": (PHONE, SERVER, samples.all_samples()["register"].payload.replace(*own)),
        "INVITE with SDP": (PHONE, SERVER, invite),
    }


def _bare(packet: Any) -> None:
    packet.accept()


def _scapy(packet: Any) -> None:
    from scapy.layers.inet import IP, UDP

    parsed = IP(packet.get_payload())
    parsed.src = "203.0.113.7"
    del parsed.chksum, parsed.len
    del parsed[UDP].chksum, parsed[UDP].len
    packet.set_payload(bytes(parsed))
    packet.accept()


class _Generator:
    """A process of its own that keeps ``WINDOW`` datagrams under way from one host to another."""

    def __init__(self, lab: EmulatedLab, source: Endpoint, target: Endpoint, payload: bytes) -> None:
        nodes = lab.network.addresses
        with ns.inside(lab.fabric.namespaces[nodes[source.ip]]):
            self._out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with ns.inside(lab.fabric.namespaces[nodes[target.ip]]):
            self._in = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._out.bind(tuple(source))
        self._in.bind(tuple(target))
        self._target, self._payload = tuple(target), payload

    def start(self, count: int) -> int:
        """Fork; returns the child's process id."""
        child = os.fork()
        if child:
            return child
        if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
            os.sched_setaffinity(0, {1})
        self._in.settimeout(20.0)  # a busy machine
        sent = received = 0
        try:
            while received < count:
                while sent < count and sent - received < WINDOW:
                    self._out.sendto(self._payload, self._target)
                    sent += 1
                self._in.recv(65535)
                received += 1
        except TimeoutError:
            os._exit(1)
        os._exit(0)

    def close(self) -> None:
        self._out.close()
        self._in.close()


def _cpu_per_packet(lab: EmulatedLab, make: Callable[[], Any], load: _Generator, count: int) -> float:
    """Microseconds of this process's CPU time per packet."""
    owner = make()
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF)
    child = load.start(count)
    ended = os.pidfd_open(child)
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    for queue in lab.queues.values():
        poll.register(queue, select.POLLIN)
    queues = {queue.fileno(): queue for queue in lab.queues.values()}
    while True:
        ready = {descriptor for descriptor, _ in poll.poll()}
        for descriptor in ready - {ended}:
            queues[descriptor].run()
        if ready == {ended}:
            break
    after = resource.getrusage(resource.RUSAGE_SELF)
    os.close(ended)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if isinstance(owner, LiveWorld):
        problems = owner.close()
    else:
        problems, lab.world = [], None
    if status or problems:
        raise RuntimeError(f"packets were lost: {problems or 'the generator waited in vain'}")
    used = (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)
    return used / count * 1e6


class _Callback:
    """Stands in a world's place and hands packets to a plain function."""

    def __init__(self, lab: EmulatedLab, function: Callable[[Any], None]) -> None:
        self._function = function
        lab.world = self  # type: ignore[assignment]

    def queued(self, gateway: str, side: object, packet: Any) -> None:
        self._function(packet)


def queue_bench() -> dict[str, Any]:
    """Runs inside a bubble."""
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {0})
    lab = EmulatedLab(trial.network("home"))
    correct = catalogue.load().get("correct")
    rows: dict[str, Any] = {}
    for name, (source, target, payload) in _payloads().items():
        load = _Generator(lab, source, target, payload)
        modes: dict[str, tuple[Callable[[], Any], int]] = {
            "bare accept()": (lambda: _Callback(lab, _bare), PACKETS),
            "siplab, correct": (lambda: LiveWorld(lab, {"router": correct}, 0), PACKETS),
            "scapy rebuild": (lambda: _Callback(lab, _scapy), SCAPY_PACKETS),
        }
        times: dict[str, list[float]] = {mode: [] for mode in modes}
        for _ in range(ROUNDS):  # alternating, so that a busy moment hits all alike
            for mode, (make, count) in modes.items():
                times[mode].append(_cpu_per_packet(lab, make, load, count))
        load.close()
        row = {mode: spread(values) for mode, values in times.items()}
        ours = statistics.median(times["siplab, correct"])
        rows[name] = {
            "cpu_us_per_packet": row,
            "times_bare": round(ours / statistics.median(times["bare accept()"]), 2),
            "cheaper_than_scapy": round(statistics.median(times["scapy rebuild"]) / ours, 1),
        }
    lab.close()
    return rows


# -- (b) the simulated world ------------------------------------------------------------------------


def simulated_bench() -> dict[str, Any]:
    """Trials per second of CPU time: every trial has another seed, so nothing can be remembered.

    Once signalling only, and once the whole scenario ``outgoing-call``: the far phone registers as
    well, and both send a few RTP packets.
    """
    worker.prepare()
    net = trial.network("home")
    none = catalogue.load().get("none")
    silent = {"media_packets": 0}

    def signalling(seed: int) -> None:
        """Alice registers, calls Bob, whom the server knows, and hangs up; each request challenged."""
        world = trial.simulated(net, {"router": none}, seed)
        stage = Stage(world, Setup({"router": "none"}, phone=silent, far_phone=silent), seed)
        phone, far, server = stage.phone, stage.far_phone, stage.server
        here = Endpoint(server.config.ip, stage.setup.sip_port)
        known = Binding(
            far.contact,
            None,
            here,
            expires_at=3600.0,
            call_id=b"",
            cseq=0,
            source=here,
            natted=False,
            made_at=0.0,
        )
        server.bindings[server.aor("bob")] = [known]
        stage.do(phone, phone.register)
        assert stage.until(lambda: phone.registration.state is RegistrationState.REGISTERED, 5.0)
        stage.do(phone, lambda now: phone.call("bob@lab.test", now))
        assert stage.until(lambda: phone.calls[0].confirmed, 5.0)
        stage.do(phone, phone.hang_up)
        assert stage.until(lambda: far.calls[0].over, 5.0)
        assert not world.close()

    def with_media(seed: int) -> None:
        result, _ = trial.run(TrialSpec("home", "none", "outgoing-call(duration=1)", seed=seed))
        assert result.outcome == "pass", result

    rates: dict[str, Any] = {}
    for name, play in (("signalling", signalling), ("with_media", with_media)):
        rows = []
        for index in range(ROUNDS):
            began = time.process_time()
            for seed in range(index * 200, index * 200 + 200):
                play(seed)
            rows.append(200 / (time.process_time() - began))
        rates[name] = spread(rows)
    return rates


def models_bench() -> dict[str, Any]:
    """Microseconds of CPU per SIP message through each model's gateway, beside ``correct``."""
    chosen = {
        name: samples.all_samples()[name] for name in ("register", "register-ok", "invite", "invite-ok")
    }
    known = catalogue.load()

    def cost(spec: str) -> float:
        rounds = []
        for _ in range(ROUNDS):
            spent = 0.0
            for sample in chosen.values():
                gateway = samples.gateway_for(known.get(spec))
                for packet in sample.packets:
                    gateway.handle(packet.data, packet.side, packet.at)
                last = sample.packets[-1]
                began = time.process_time()
                for _ in range(200):
                    gateway.handle(last.data, last.side, last.at)
                spent += time.process_time() - began
            rounds.append(spent / (200 * len(chosen)) * 1e6)
        return statistics.median(rounds)

    base = cost("correct")
    costs = {model.id: cost(model.id) for model in known}
    dearest = max(costs, key=lambda name: costs[name])
    return {
        "correct_us": round(base, 2),
        "dearest": dearest,
        "dearest_us": round(costs[dearest], 2),
        "times_correct": round(costs[dearest] / base, 2),
        "us_per_message": {name: round(value, 2) for name, value in costs.items()},
    }


def score_bench() -> dict[str, Any]:
    """Seconds of CPU for a detector's whole scoreboard: every model and clean control, reach measured."""
    worker.prepare()
    rows = planning.subjects()
    costs: dict[str, Any] = {"routers": len(rows)}
    for detector in ("mirror", "combined"):
        plan = planning.plan([detector], rows)
        rounds = []
        for _ in range(3):
            began = time.process_time()
            results = [trial.run(spec)[0] for spec in plan.trials]
            tally.scores(plan, results)
            rounds.append(time.process_time() - began)
        costs[detector] = spread(rounds)
    return costs


# -- (c) up and down -----------------------------------------------------------------------------------


def lab_bench() -> dict[str, Any]:
    """Runs inside a bubble."""
    net = trial.network("home")
    EmulatedLab(net).close()  # imports and caches
    ours: list[float] = []
    plain: list[float] = []
    for index in range(ROUNDS):
        began = time.perf_counter()
        EmulatedLab(net).close()
        ours.append((time.perf_counter() - began) * 1e3)
        began = time.perf_counter()
        _plain_ip(net, f"b{index}")
        plain.append((time.perf_counter() - began) * 1e3)
    return {
        "siplab_ms": spread(ours),
        "plain_ip_ms": spread(plain),
        "times_plain": round(statistics.median(ours) / statistics.median(plain), 2),
    }


def _plain_ip(net: Any, prefix: str) -> None:
    """The same namespaces, links and addresses with one ``ip`` command each, as a script has them."""

    def command(*words: str) -> None:
        subprocess.run(["ip", *words], check=True)

    names = {node: f"{prefix}-{node}" for node in net.node_addresses}
    for name in names.values():
        command("netns", "add", name)
    for segment, members in net.members.items():
        routers = [row for row in members if row[0] in net.topology.routers]
        hub = routers[0][0]
        if len(members) > 2:
            command("-n", names[hub], "link", "add", segment, "type", "bridge")
            command("-n", names[hub], "link", "set", segment, "up")
        for index, (node, address) in enumerate(row for row in members if row[0] != hub):
            port = f"{segment}.{index}" if len(members) > 2 else segment
            device = segment if node in net.topology.routers else "eth0"
            command(
                "link", "add", device, "netns", names[node], "type", "veth", "peer", port, "netns", names[hub]
            )
            if len(members) > 2:
                command("-n", names[hub], "link", "set", port, "master", segment, "up")
            command("-n", names[node], "addr", "add", f"{address}/24", "dev", device)
            command("-n", names[node], "link", "set", device, "up")
        command("-n", names[hub], "addr", "add", f"{dict(members)[hub]}/24", "dev", segment)
        command("-n", names[hub], "link", "set", segment, "up")
    for node, routes in net.routes.items():
        for target, via in routes:
            command("-n", names[node], "route", "add", target or "default", "via", via)
    for name in names.values():
        command("netns", "del", name)


# -- (d) trials on a running lab -----------------------------------------------------------------------


def trial_bench() -> dict[str, Any]:
    """Runs inside a bubble."""
    labs = EmulatedLabs()
    times: dict[str, list[float]] = {}
    for name in ("register", "outgoing-call", "incoming-call(idle=70)"):
        rows = times.setdefault(name, [])
        for index in range(41):
            spec = TrialSpec("home", "correct", name, seed=index)
            began = time.perf_counter()
            result, _ = trial.run(spec, labs.world)
            rows.append((time.perf_counter() - began) * 1e3)
            assert result.outcome == "pass", result
    return {name: spread(rows[1:]) for name, rows in times.items()}


# -- all of it ---------------------------------------------------------------------------------------------

_INSIDE = {"queue": queue_bench, "lab": lab_bench, "trial": trial_bench}


_BARE_PROGRAM = """
import typer
app = typer.Typer(help="A program.")
@app.command()
def one(count: int = 1) -> None:
    "One."
@app.command()
def two(count: int = 1) -> None:
    "Two."
app()
"""


def help_bench() -> dict[str, Any]:
    """CPU of ``siplab --help``, and how many times that of the smallest program with typer's help."""

    def cost(*arguments: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments, "--help"], stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    pairs = [(cost("-m", "siplab"), cost("-c", _BARE_PROGRAM)) for _ in range(ROUNDS)]
    return {
        "ms": spread([1000 * own for own, _ in pairs]),
        "times_bare": round(statistics.median(one / other for one, other in pairs), 2),
    }


def inside(connection: Connection) -> None:
    """Task of the bubble."""
    worker.prepare()
    serve(connection, lambda name: _INSIDE[name]())


def _sweep() -> dict[str, Any]:
    return {"sweep": sweep_bench(), "sharing": sharing_bench(), "office": office_bench()}


def _queue() -> dict[str, Any]:
    with Bubble("tools.bench:inside") as bubble:
        found: dict[str, Any] = bubble.call("queue")
        return found


def _sandbox() -> dict[str, Any]:
    return bench_sandbox.sandbox_bench(spread, ROUNDS)


def main() -> int:
    """Measure, print, write ``out/bench.json``."""
    console = Console()
    alone: dict[str, Callable[[], Any]] = {
        "queue": _queue,
        "sweep": _sweep,
        "detect": detect_bench,
        "combined": combined_bench,
        "shapes": shapes_bench,
        "sipp": bench_sipp.measure,
        "executors": executors_bench,
        "sandbox": _sandbox,
        "endpoints": endpoints_bench,
    }
    if len(sys.argv) == 3 and sys.argv[1] == "--only" and sys.argv[2] in alone:
        with console.status(sys.argv[2]):
            console.print_json(json.dumps(alone[sys.argv[2]]()))
        return 0
    if sys.argv[1:]:
        print(f"bench: the one option is --only {' or --only '.join(alone)}", file=sys.stderr)
        return 2
    results: dict[str, Any] = {"python": sys.version.split()[0], "kernel": os.uname().release}
    with console.status("siplab --help"):
        results["help"] = help_bench()
    with console.status("a random sweep"):
        results |= _sweep()
    with console.status("executors"):
        results["executors"] = executors_bench()
    with console.status("simulated trials"):
        results["simulated"] = simulated_bench()
    with console.status("kinds of endpoints"):
        results["endpoints"] = endpoints_bench()
    with console.status("models"):
        results["models"] = models_bench()
    with console.status("scoreboards"):
        results["score"] = score_bench()
    with console.status("conversation of combined"):
        results["combined"] = combined_bench()
    with console.status("an hour of media"):
        results["hour"] = media_bench(spread, ROUNDS)
    with console.status("captures"):
        results["captures"] = captures_bench(spread, 3)
    with console.status("detection server"):
        results["detect"] = detect_bench()
    with console.status("hostile messages"):
        results["shapes"] = shapes_bench()
    if bench_sandbox.can_be_measured():
        with console.status("the sandbox in a browser"):
            results["sandbox"] = _sandbox()
    obstacle = capability.obstacle()
    if obstacle is None:
        with Bubble("tools.bench:inside") as bubble:
            for name in _INSIDE:
                with console.status(name):
                    results[name] = bubble.call(name)
        if bench_sipp.can_be_measured():
            with console.status("SIPp"):
                results["sipp"] = bench_sipp.measure()
    _print(results, console, obstacle)
    path = Path("out/bench.json")
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(results, indent=2) + "\n")
    console.print(f"written to {path}")
    return 0


def _print(results: dict[str, Any], console: Console, obstacle: str | None) -> None:
    def show(values: dict[str, float], unit: str) -> str:
        return f"{values['median']:.1f} {unit} ({values['min']:.1f} to {values['max']:.1f})"

    table = Table("what", "measured: median (spread)", "against")
    help_ = results["help"]
    table.add_row(
        "siplab --help", show(help_["ms"], "ms CPU"), f"{help_['times_bare']} x a bare typer program"
    )
    table.add_row(
        f"a capture of {CAPTURED_PACKETS} packets read",
        show(results["captures"], "s CPU"),
        f"at most {CAPTURES_LIMIT:.0f} s",
    )
    sweep, sharing, office = results["sweep"], results["sharing"], results["office"]
    table.add_row(
        f"a random trial: {sweep['trials']} over models, scenarios, networks, remedies",
        f"{sweep['mean_ms']} ms CPU in the mean, {sweep['median_ms']} the middle one",
        f"dearest: {sweep['dearest_ms']} ms, {sweep['dearest']}",
    )
    table.add_row(
        f"{sharing['trials']} trials of {sharing['models']} models: not run, as they come out alike",
        f"{sharing['not_run']:.0%}",
        f"{sharing['times_faster']} x faster than --no-share",
    )
    few, *_, many = office["ms_per_call"]
    table.add_row(
        f"a call among {many} at once",
        f"{office['ms_per_call'][many]} ms CPU",
        f"{office['times_the_fewest']} x one among {few}",
    )
    for name, costs in results["executors"].items():
        if "bare" not in name:
            table.add_row(
                f"a trial stored as Parquet, by the executor {name}",
                f"{costs['cpu_ms']} ms CPU",
                f"{costs['of_the_bare_loops_rate_by_cpu']} of a bare loop's rate (goal 0.9)",
            )
    for name, what in (
        ("signalling", "register + call with digest"),
        ("with_media", "outgoing-call, media and all"),
    ):
        rate = show(results["simulated"][name], "per CPU second")
        table.add_row(f"simulated trials: {what}", rate, "")
    for scenario, costs in results["endpoints"].items():
        table.add_row(
            f"{scenario}: the default endpoints, beside the strict ones",
            f"{costs['cpu_ratio']} x CPU",
            f"{costs['cpu_ratio_per_record']} x for a record of the trace",
        )
    for model, costs in results["hour"].items():
        table.add_row(
            f"an hour of a call, simulated, model {model}", show(costs, "s CPU"), "360,000 RTP packets"
        )
    models = results["models"]
    table.add_row(
        f"a message through the dearest model, {models['dearest']}",
        f"{models['dearest_us']} us CPU",
        f"{models['times_correct']} x correct ({models['correct_us']} us)",
    )
    for detector in ("mirror", "combined"):
        cost = show(results["score"][detector], "s CPU")
        table.add_row(f"scoreboard of {detector}", cost, f"{results['score']['routers']} routers")
    grown = results["combined"]
    table.add_row(
        "conversation of combined, beside what it was without what real calls contain",
        f"{grown['cpu_ratio']} x CPU",
        f"{grown['packets_ratio']} x packets",
    )
    flood = results["detect"]
    table.add_row(
        "detection server: noise dealt with",
        f"{flood['dealt_with_per_second']} a second, {flood['cpu_us_per_packet']} us CPU each",
        f"{flood['sent_per_second']} a second sent, {flood['grown_kib']} KiB grown",
    )
    hostile = results["shapes"]
    slowest = hostile["slowest"][0]
    table.add_row(
        f"hostile messages: {hostile['shapes']} shapes x {hostile['readers']} readers",
        f"time grows with n^{hostile['greatest_growth']} at most",
        f"{len(hostile['above_the_limit'])} above n^{LIMIT}; slowest {slowest['ms']} ms for 60,000 bytes",
    )
    if "sandbox" in results:
        in_browser = results["sandbox"]
        table.add_row(
            "sandbox in Chromium: a trial, all processes of the browser",
            show(in_browser["further"], "s CPU"),
            f"at most {bench_sandbox.LIMIT} s; the first one, with Python: {in_browser['first']} s",
        )
    if obstacle is not None:
        console.print(table)
        console.print(f"no emulated world here: {obstacle}")
        return
    for name, row in results["queue"].items():
        for mode, values in row["cpu_us_per_packet"].items():
            note = ""
            if mode.startswith("siplab"):
                note = (
                    f"{row['times_bare']} x bare accept(), {row['cheaper_than_scapy']} x cheaper than scapy"
                )
            table.add_row(f"queue, {name}: {mode}", show(values, "us CPU"), note)
    up = results["lab"]
    table.add_row("lab up and down", show(up["siplab_ms"], "ms"), f"{up['times_plain']} x plain ip")
    table.add_row("the same by plain ip", show(up["plain_ip_ms"], "ms"), "")
    for name, values in results["trial"].items():
        table.add_row(f"trial on a running lab: {name}", show(values, "ms"), "")
    if "sipp" in results:
        sipp = results["sipp"]
        sound = sipp["calls_with_sound"]
        table.add_row(
            f"SIPp: {sound['calls']} calls with sound at once",
            f"{sound['packets_per_second']} packets a second",
            "; ".join(sound["problems"]) or "none dropped in a queue",
        )
        table.add_row("SIPp: calls a second before a queue drops", f"{sipp['highest_call_rate']}", "")
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
