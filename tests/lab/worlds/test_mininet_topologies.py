"""Mininet's own ``Topo`` classes as topologies: networks, routers, roles, bad lines; and odd ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from siplab import topologies
from siplab.experiments.trial import runner
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import UsageError
from tests.command import siplab

pytest.importorskip("mininet.topo", reason="no Python package mininet here: pip install 'siplab[emulated]'")

HOME = """
from mininet.topo import Topo

class Home(Topo):
    def build(self, delay="5ms"):
        lan, lan2, wan = [self.addSwitch(name) for name in ("s1", "s2", "s3")]
        self.addLink(lan, lan2)
        router = self.addHost("router", ip="192.168.1.1/24")
        for name, switch, ip in (("phone", lan, "192.168.1.102/24"), ("laptop", lan2, "192.168.1.103/24"),
                                 ("registrar", wan, "198.51.100.10/24")):
            host = self.addHost(name, ip=ip, defaultRoute="via 192.168.1.1")
            quality = {"delay": delay} if switch == wan else {"bw": 10}
            self.addLink(host, switch, **quality)
        self.addLink(lan, router, bw=10)
        self.addLink(router, wan, delay=delay, params1={"ip": "198.51.100.7/24"})
        self.addLink(self.addHost("far-phone", ip="198.51.100.20/24"), wan, delay=delay)

topos = {"home": Home, "far": lambda: Home(delay="1s")}
"""


@pytest.fixture
def home(tmp_path: Path) -> str:
    path = tmp_path / "net.py"
    path.write_text(HOME)
    return str(path)


def test_a_home_of_mininets(home: str) -> None:
    made = topologies.load(f"{home}:home")
    assert {name: (each.network, each.role) for name, each in made.hosts.items()} == {
        "phone": ("s1", "phone"),
        "laptop": ("s1", ""),
        "registrar": ("s3", "server"),
        "far-phone": ("s3", "far-phone"),
    }
    router = made.routers["router"]
    assert (router.inside, router.outside) == ({"s1": "192.168.1.1"}, {"s3": "198.51.100.7"})
    assert (made.networks["s1"].bandwidth, made.networks["s1"].delay) == (10, 0)
    assert made.networks["s3"].delay == pytest.approx(0.01)
    assert topologies.load(f"{home}:far").networks["s3"].delay == pytest.approx(2.0)
    assert topologies.short_name(f"{home}:far") == "net:far"


def test_a_trial_runs_on_it(home: str) -> None:
    clean, broken = runner.run_all(
        [TrialSpec(f"{home}:home", model, scenario="register") for model in ("none", "semicolon-loss")],
        world="simulated",
    )
    assert (clean.outcome, broken.outcome) == ("pass", "fail")


@pytest.mark.needs("emulated")
def test_mininets_bandwidth_is_a_token_bucket_and_the_delay_is_the_labs(home: str) -> None:
    command = ("tc", "qdisc", "show", "dev", "eth0")
    done = siplab("exec", "--topology", f"{home}:home", "phone", "--", *command, process=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("qdisc tbf")
    assert "rate 10Mbit" in done.stdout


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ("topos = {", "x = {", ""),  # the class alone is found too
        ('"192.168.1.102/24"', '"192.168.1.300/24"', "'phone': '192.168.1.300/24' does not appear to be"),
        ('"192.168.1.102/24"', '"192.168.2.102/24"', "network 's1' has several subnets"),
        ('("phone"', '("Phone"', "hosts.Phone"),
        ("self.addLink(lan, lan2)", "self.addLink(lan, lan2, bw=1)", "link s1-s2 joins two switches"),
        ("self.addLink(lan, router, bw=10)", "self.addLink(lan, router)", "its links differ in 'bw'"),
        ('params1={"ip": "198.51.100.7/24"}', "", "'router' has no address on 's3'"),
        ('delay="5ms"', 'delay="quick"', "network 's3': delay 'quick' is not written 5ms"),
        ("lan, lan2, wan =", "lan, wan =", "ValueError: too many values"),
        ('{"home": Home,', '{"work": Home,', "name one of its topologies: "),
        ("topos", "1/0\ntopos", "ZeroDivisionError"),
    ],
)
def test_a_strange_one_is_told_in_one_line(home: str, before: str, after: str, complaint: str) -> None:
    text = HOME.replace(before, after, 1)
    assert text != HOME
    Path(home).write_text(text)
    name = "Home" if "x = {" in text else "home"
    if not complaint:
        assert topologies.load(f"{home}:{name}").id == "home"
        return
    with pytest.raises(UsageError) as caught:
        topologies.load(f"{home}:{name}")
    (line,) = str(caught.value).splitlines()
    assert complaint in line
    assert "net.py" in line
