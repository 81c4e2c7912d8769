"""A machine with a router on its bench, played by namespaces: run by ``unshare --net``.

``standin.py KIND PAIR``: sends a part of the probe pack through the router and writes the pair file. KIND is
the kernel's NAT (``masquerade``, ``random-ports``; ``sip-helper``: with its SIP ALG), or a model of the
catalogue behind the netfilter queue. ``standin.py KIND``: the router only, until standard input ends.
"""

from __future__ import annotations

import os
import random
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, product
from pathlib import Path
from typing import Any

from siplab.alg_models.catalogue import load
from siplab.experiments.bench.bench import Bench, Plan
from siplab.experiments.probe_pack import pair_file
from siplab.experiments.probe_pack.script import script
from siplab.lab.gateway.gateway import Gateway
from siplab.lab.gateway.sides import Side
from siplab.lab.wire import ip as wire
from siplab.lab.wire.fragments import fragmented
from siplab.lab.worlds.emulated import namespaces as ns
from siplab.lab.worlds.emulated import offload
from siplab.lab.worlds.emulated.ethernet_port import EthernetPort
from siplab.lab.worlds.emulated.queue import PacketQueue
from siplab.lab.worlds.open_loop import Script

LAN, WAN = "lan0", "wan0"
KERNEL = ("masquerade", "random-ports", "sip-helper")
INSIDE, ROUTER = "192.168.88.50/24", "192.168.88.1"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@contextmanager
def router(kind: str) -> Iterator[None]:
    """The router is there, and its cards of this machine are cabled to it."""
    namespace = ns.new_network()
    for card, far in ((LAN, "r-lan"), (WAN, "r-wan")):
        ip("link", "add", card, "type", "veth", "peer", "name", far)
        ip("addr", "add", "10.9.0.2/24" if card == LAN else "10.9.1.2/24", "dev", card)
        ip("link", "set", card, "up")
        subprocess.run(
            ["ip", "link", "set", far, "netns", f"/proc/self/fd/{namespace}"],
            check=True,
            pass_fds=[namespace],
        )
    with ns.inside(namespace):
        for words in (
            f"addr add {ROUTER}/24 dev r-lan",
            "addr add 203.0.113.7/24 dev r-wan",
            "link set lo up",
            "link set r-lan up",
            "link set r-wan up",
            "route add default via 203.0.113.1",
        ):
            ip(*words.split())
        for far in ("r-lan", "r-wan"):
            offload.turn_off(namespace, far)
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        _firewall("-A", "INPUT", "-i", "r-wan", "-j", "DROP")
    worker = None
    if kind in KERNEL:
        with ns.inside(namespace):
            ports = ("--random",) if kind == "random-ports" else ()
            _firewall("-t", "nat", "-A", "POSTROUTING", "-o", "r-wan", "-j", "MASQUERADE", *ports)
            for card, protocol in product(("r-lan", "r-wan"), ("udp", "tcp") if kind == "sip-helper" else ()):
                to_sip = f"-i {card} -p {protocol} --dport 5060 -j CT --helper sip"
                _firewall("-t", "raw", "-A", "PREROUTING", *to_sip.split())
    else:
        with ns.inside(namespace):
            for number, card in enumerate(("r-lan", "r-wan")):
                words = f"-i {card} -j NFQUEUE --queue-num {number}"
                _firewall("-t", "mangle", "-A", "PREROUTING", *words.split())
        worker = subprocess.Popen(
            [sys.executable, __file__, "--model", kind, str(namespace)],
            pass_fds=[namespace],
            stdout=subprocess.PIPE,
        )
        assert worker.stdout is not None
        worker.stdout.readline()  # it is ready
    try:
        yield
    finally:
        if worker is not None:
            worker.kill()
            worker.wait()
        os.close(namespace)


def _firewall(*words: str) -> None:
    subprocess.run(["iptables", "-w", *words], check=True)


def model(kind: str, namespace: int) -> None:
    """A model of the catalogue does the router's work."""
    gateway = Gateway(
        load().get(kind),
        public_ip="203.0.113.7",
        inside_networks=["192.168.88.0/24"],
        inside_addresses=[ROUTER],
        rng=random.Random(1),
    )
    ns.enter(namespace, ns.NEWNET)
    here = os.open("/proc/self/ns/net", os.O_RDONLY)
    out = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)

    numbers = cycle(range(1, 65536))  # else the kernel gives each fragment one of its own

    def taken(side: Side) -> Any:
        def take(held: Any) -> None:
            packet = held.get_payload()
            held.drop()
            for each in gateway.handle(packet, side, 0.0):
                for piece in (
                    fragmented(each.packet, identification=next(numbers)) if each.side is not None else ()
                ):
                    out.sendto(piece, (wire.unpack_ip(piece[16:20]), 0))

        return take

    queues = [
        PacketQueue(here, number, taken(side)) for number, side in enumerate((Side.INSIDE, Side.OUTSIDE))
    ]
    print("ready", flush=True)
    while True:
        for each in select.select(queues, (), ())[0]:
            each.run()


def main() -> None:
    kind = sys.argv[1]
    with router(kind):
        if len(sys.argv) == 2:
            print("ready", flush=True)
            sys.stdin.read()
            return
        here = os.open("/proc/self/ns/net", os.O_RDONLY)
        bench = Bench(
            Plan(lan_address=INSIDE, wan_static=True, patience=30.0),
            EthernetPort(here, LAN),
            EthernetPort(here, WAN),
        )
        bench.connect(lambda text: print(text, file=sys.stderr))
        pack = script(5.0)
        some = tuple(each for each in pack.conversations if not each.name.startswith("case-"))[::3]
        pair_file.write(Path(sys.argv[2]), bench.play(Script(some)))


if __name__ == "__main__":
    if sys.argv[1] == "--model":
        model(sys.argv[2], int(sys.argv[3]))
    else:
        main()
