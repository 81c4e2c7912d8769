"""`siplab bench-router`: a real router between two network cards of this machine."""

from __future__ import annotations

import ipaddress
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from siplab.experiments.bench import findings
from siplab.experiments.bench.bench import SCENARIOS, WAN, Bench, Plan
from siplab.experiments.captures.comparison import Verdict
from siplab.experiments.commands.compare_captures import STATUS
from siplab.experiments.commands.learn import told
from siplab.experiments.commands.options import grouped
from siplab.experiments.learning import cards
from siplab.experiments.output import console, files
from siplab.experiments.probe_pack import pair_file
from siplab.lab.counting import number_of
from siplab.lab.errors import CapabilityError, UsageError
from siplab.lab.worlds.emulated import namespaces as ns
from siplab.lab.worlds.emulated.ethernet_port import EthernetPort
from siplab.lab.worlds.emulated.guardian import BORROWED, Guardian, ask_to_take, describe
from siplab.lab.worlds.pair import Pair

app = typer.Typer(add_completion=False)


@dataclass
class Connection:
    """How it is connected, and what it is."""

    lan_address: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS/PREFIX", help="The first of four free addresses inside; else DHCP is asked."
        ),
    ] = ""
    lan_router: Annotated[
        str, typer.Option(metavar="ADDRESS", help="The router's inside address, beside --lan-address.")
    ] = ""
    wan_static: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS/PREFIX", help=f"The router has this address outside already; else it gets {WAN}."
        ),
    ] = ""
    name: Annotated[str, typer.Option(help="Maker and model of the router, for the card.")] = "Router"
    firmware: Annotated[str, typer.Option(help="Its firmware, for the card.")] = ""


@app.command("bench-router")
@grouped
def bench_router(
    lan: Annotated[str, typer.Option(metavar="IFACE", help="The card that is cabled to a LAN port of it.")],
    wan: Annotated[str, typer.Option(metavar="IFACE", help="The card that is cabled to its WAN port.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where captures, model and card go.")
    ] = Path("bench"),
    full: Annotated[
        bool, typer.Option("--full/--quick", help="With silences of up to an hour, or without.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Take the cards without being asked.")] = False,
    *,
    connection: Connection,
) -> None:
    """Put a real router between two network cards.

    The probe pack and four calls go through it. Out come captures of both sides, a verdict, a learnt model
    and a draft of a vendor's card. The cards leave this machine meanwhile, and are given back as they were
    whatever happens. Needs root, and `pip install 'siplab[captures]'`. Exit status: 0 clean, 1 an ALG, 2 bad
    input, 3 undecided.
    """
    if os.getuid() != 0:
        raise UsageError("bench-router moves network cards of this machine: only root may")
    if find_spec("scapy") is None:
        raise UsageError("bench-router needs scapy: pip install 'siplab[captures]'")
    if lan == wan:
        raise UsageError("--lan and --wan are two cards: one on each side of the router")
    plan = _plan(connection, full=full)
    for card in (lan, wan):
        describe(card)
    files.prepare(out)
    minutes, seconds = divmod(round(plan.seconds()), 60)
    console.say(f"this takes about {minutes} min {seconds} s from when the router is ready")
    with _lent(lan, wan, yes=yes) as (inside, outside):
        bench = Bench(plan, inside, outside)
        try:
            bench.connect(console.say)
            pack, calls = _played(bench, plan)
        finally:
            captures = [out / "lan.pcapng", out / "wan.pcapng"]
            for port, path in zip((inside, outside), captures, strict=True):
                findings.write_frames(port.frames, path)
    pair_path = out / "pack.pair.json"
    pair_file.write(pair_path, pack)
    console.say("learning a model")
    found = findings.found_in(pack, calls, pair_path)
    subject = cards.Subject(connection.name, connection.firmware, date.today(), tuple(captures))
    written = findings.write(found, out, subject)
    _print(found)
    console.say(f"written: {', '.join(map(str, [*captures, pair_path, *written]))}")
    if found.verdict is not Verdict.CLEAN:
        raise typer.Exit(STATUS[found.verdict])


def _plan(given: Connection, *, full: bool) -> Plan:
    for option, value in (("--lan-address", given.lan_address), ("--wan-static", given.wan_static)):
        try:
            if value and ("/" not in value or ipaddress.ip_interface(value).version != 4):
                raise ValueError
        except ValueError:
            raise UsageError(f"{option} '{value}' is no IPv4 address such as 192.168.1.50/24") from None
    try:
        _ = given.lan_router and ipaddress.IPv4Address(given.lan_router)
    except ValueError:
        raise UsageError(f"--lan-router '{given.lan_router}' is no IPv4 address") from None
    if given.lan_router and not given.lan_address:
        raise UsageError("--lan-router goes with --lan-address")
    return Plan(
        given.lan_address, given.lan_router, given.wan_static or WAN, bool(given.wan_static), full=full
    )


@contextmanager
def _lent(lan: str, wan: str, *, yes: bool) -> Iterator[tuple[EthernetPort, EthernetPort]]:
    """Both cards, each alone in a network namespace; they are back, as they were, when this ends."""
    with ExitStack() as stack:
        guardians = []
        for name in (lan, wan):
            guardians.append(guardian := Guardian(name))
            stack.callback(console.say, f"{name} is back")
            stack.callback(guardian.close)
        if not yes:
            for guardian in guardians:
                console.say(guardian.card.told())
            typer.confirm("Go on?", abort=True, err=True)
        ports = []
        for guardian in guardians:
            try:
                namespace = ns.new_network()
            except OSError as error:
                raise CapabilityError(f"no network namespace: {error.strerror}") from None
            stack.callback(os.close, namespace)
            ask_to_take(guardian.channel.fileno(), namespace, "")
            port = EthernetPort(namespace, BORROWED)
            stack.callback(port.close)
            ports.append(port)
        yield ports[0], ports[1]


def _played(bench: Bench, plan: Plan) -> tuple[Pair, list[Pair]]:
    script = plan.script()
    began = time.monotonic()
    console.say(f"the probe pack: {number_of(len(script.steps()), 'packet')}, {script.seconds:.0f} s")
    pack = bench.play(script)
    console.say(f"the probe pack is through, after {time.monotonic() - began:.0f} s")
    calls: list[Pair] = []
    for scenario in SCENARIOS:
        result, pairs = bench.call(scenario)
        console.say(f"{scenario}: {result.outcome}")
        calls += pairs
    return pack, calls


def _print(found: findings.Findings) -> None:
    output = console.output()
    style = {Verdict.CLEAN: "green", Verdict.ALG: "red", Verdict.UNDECIDED: "yellow"}[found.verdict]
    output.print(Text(found.verdict.value, style=style))
    for line in found.sentences:
        console.print_folded(line, output, 2, hanging=2)
    told(found.learnt, output)
