"""`siplab detect`: detectors on a real network."""

from __future__ import annotations

import json
import os
import socket
import ssl
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from siplab.experiments.commands import probe_packs
from siplab.experiments.commands.options import AsJson, as_numbers, names, numbers
from siplab.experiments.detect import run as running
from siplab.experiments.detect.probe_pack import PackRequest
from siplab.experiments.detect.report import EXITS, print_report
from siplab.experiments.detect.serving import Service
from siplab.experiments.output import console
from siplab.lab.errors import CapabilityError, UsageError
from siplab.lab.probing.detection_server import DetectionServer
from siplab.lab.worlds import host_sockets

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Detectors on a real network: a server outside, this machine inside.",
)
_PORTS: Final = ("5060", "6060")
_SECONDS: Final = 90.0  # that an examination takes at most


@app.command()
def serve(
    host: Annotated[
        list[str], names(help="An address to listen at; repeatable. Default: all of this machine.")
    ] = [],  # noqa: B006
    port: Annotated[list[str], numbers(help="A port for SIP, UDP and TCP; repeatable.")] = list(_PORTS),  # noqa: B006
    tls_cert: Annotated[
        Path | None, typer.Option(help="Certificate (PEM, with its chain): serve TLS too.")
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(help="Its key (PEM), unless it is in the same file.")
    ] = None,
    tls_self_signed: Annotated[
        bool, typer.Option("--tls-self-signed", help="Serve TLS with a certificate made for this run.")
    ] = False,
    tls_port: Annotated[int, typer.Option(min=1, max=65535, help="The port for TLS.")] = running.TLS_PORT,
    public_clients: Annotated[
        bool, typer.Option(help="Serve the Base64 mirror and P-AL-SA clients too.")
    ] = True,
    json_log: Annotated[bool, typer.Option("--json-log", help="Log lines are JSON.")] = False,
) -> None:
    """Run the detection server on a public machine, until SIGTERM or Ctrl-C."""
    context = _context(tls_cert, tls_key, tls_self_signed)
    secret, ports = os.urandom(32), tuple(dict.fromkeys(as_numbers(port, "--port", 1)))
    addresses = [host_sockets.resolve(each) for each in host] or _everywhere()
    servers = [(ip, DetectionServer(ip, ports, secret, public=public_clients)) for ip in addresses]
    log = _json_log if json_log else _plain_log
    tls = (tls_port, context) if context is not None else None
    service = Service(servers, log, streams=ports, tls=tls)
    service.on_signals()
    service.say("listening", at=service.listening)
    try:
        service.run()
    finally:
        service.say("stopped", **service.numbers())
        service.close()


@app.command()
def run(
    server: Annotated[str, typer.Argument(help="Name or address of a machine with `siplab detect serve`.")],
    port: Annotated[int, typer.Option(min=1, max=65535, help="The server's SIP port.")] = 5060,
    tls_port: Annotated[
        int, typer.Option(min=0, max=65535, help="The server's TLS port; 0: leave TLS out.")
    ] = running.TLS_PORT,
    detector: Annotated[str, typer.Option(help=f"One of {', '.join(running.DETECTORS)}.")] = "combined",
    only_udp: Annotated[bool, typer.Option("--only-udp", help="Leave TCP and TLS out.")] = False,
    local_port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port to speak SIP from; 0: 5060, or another if in use.")
    ] = 0,
    ipv4: Annotated[bool, typer.Option("--ipv4", "-4", help="The server's IPv4 address.")] = False,
    ipv6: Annotated[bool, typer.Option("--ipv6", "-6", help="The server's IPv6 address.")] = False,
    timeout: Annotated[
        float | None,
        typer.Option(
            min=1, max=7200, help="Seconds for everything. Default: 90; with --probe-pack what it takes."
        ),
    ] = None,
    probe_pack: Annotated[
        bool,
        typer.Option(
            "--probe-pack",
            help="No detector: play one script of all kinds of messages, and say which models do the same as "
            "the router. Takes four minutes.",
        ),
    ] = False,
    long: Annotated[
        bool, typer.Option("--long", help="With --probe-pack: silences of up to an hour, too.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="With --probe-pack: a folder for the pair file of what crossed.")
    ] = None,
    pcap: Annotated[
        bool, typer.Option("--pcap", help="With --probe-pack and --out: captures of both sides, too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Find out whether something between this machine and SERVER meddles with SIP.

    Exit status: 0 clean (with --probe-pack: played to its end), 1 an ALG, 3 undecided, 2 bad input.
    """
    if ipv4 and ipv6:
        raise UsageError("--ipv4 and --ipv6 can't be had at once: run it twice")
    family = socket.AF_INET if ipv4 else socket.AF_INET6 if ipv6 else socket.AF_UNSPEC
    errors = console.errors()
    if probe_pack:
        address = host_sockets.resolve(server, family or socket.AF_INET)
        pack = PackRequest(address, port, long, timeout or 0.0)
        raise typer.Exit(probe_packs.live(pack, out, pcap=pcap, as_json=as_json, errors=errors))
    request = running.Request(
        host_sockets.resolve(server, family),
        port,
        tls_port,
        detector,
        not only_udp,
        local_port,
        timeout or _SECONDS,
    )
    report = running.run(request, lambda text: errors.print(text, style="dim"))
    if as_json:
        console.print_json(report.as_json())
    else:
        print_report(report, console.output())
    raise typer.Exit(EXITS[report.verdict])


# -- helpers ---------------------------------------------------------------------------------------------


def _everywhere() -> Sequence[str]:
    """All addresses of this machine: both families, where it has both."""
    found = []
    for ip in host_sockets.WILDCARDS:
        try:
            with socket.socket(host_sockets.family_of(ip), socket.SOCK_DGRAM) as probe:
                probe.bind((ip, 0))
        except OSError:
            continue
        found.append(ip)
    return found


def _context(cert: Path | None, key: Path | None, self_signed: bool) -> ssl.SSLContext | None:
    if cert is None and key is not None:
        raise UsageError("--tls-key needs --tls-cert")
    if cert is not None and self_signed:
        raise UsageError("name one of --tls-cert and --tls-self-signed")
    if cert is None and not self_signed:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if cert is None:
        _self_sign(context)
        return context
    for each in (cert, key):
        if each is not None and not each.is_file():
            raise UsageError(f"{each}: no such file")
    try:
        context.load_cert_chain(cert, key, password=lambda: "")
    except (ssl.SSLError, OSError, ValueError) as error:
        raise UsageError(f"{cert}: no certificate with its key in PEM: {error}") from None
    return context


def _self_sign(context: ssl.SSLContext) -> None:
    try:
        import trustme
    except ImportError:
        raise CapabilityError("--tls-self-signed needs trustme: pip install 'siplab[tls]'") from None
    made = trustme.CA().issue_cert("detect.invalid")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "certificate.pem"
        file.touch(mode=0o600)
        file.write_bytes(made.private_key_and_cert_chain_pem.bytes())
        context.load_cert_chain(file)


def _plain_log(event: str, **details: Any) -> None:
    parts = []
    for name, value in details.items():
        text = ", ".join(value) if isinstance(value, list) else str(value)
        parts.append(text if name in ("at", "who", "what") else f"{name} {text}")
    _print(f"siplab detect: {event}" + (f" {'; '.join(parts)}" if parts else ""))


def _json_log(event: str, **details: Any) -> None:
    _print(json.dumps({"time": round(time.time(), 3), "event": event, **details}))


def _print(line: str) -> None:
    try:
        print(console.visible(line), flush=True)
    except BrokenPipeError:  # nobody reads the log: the server goes on
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123
