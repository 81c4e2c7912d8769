"""The project's own networks, topology files in general, and the errors about wrong ones."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path
from typing import Any

import pytest

from siplab import topologies
from siplab.experiments.commands import schemas
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.pairs import STRICT
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import UsageError
from siplab.lab.gateway.nat_config import Dependence, PortAllocation
from siplab.lab.worlds.network import Network, NextHop
from siplab.lab.worlds.topology import Topology

FOLDER = Path(topologies.__file__).parent
EI, AD, APD = Dependence


# -- the project's own networks ----------------------------------------------------------------------


@pytest.mark.parametrize("name", topologies.available())
def test_a_topology_that_comes_along(name: str) -> None:
    text = (FOLDER / f"{name}.yaml").read_text()
    assert text.startswith("# "), "a comment says what it stands for"
    topology = topologies.load(name)
    assert topology.id == name
    assert {"phone", "server", "far-phone"} <= {host.role for host in topology.hosts.values()}
    Network(topology)


@pytest.mark.parametrize("name", topologies.available())
def test_addresses_change_their_length_when_they_are_translated(name: str) -> None:
    """Otherwise Content-Length faults would not show."""
    topology = topologies.load(name)
    for router in topology.gateways.values():
        ever = (*router.outside.values(), *router.later.values())
        public = {len(address) for address in ever if ":" not in address}
        behind = {
            len(address)
            for host in topology.hosts.values()
            for network, address in host.all_interfaces.items()
            if network in router.inside and ":" not in address
        }
        assert not public & behind


@pytest.mark.parametrize(
    ("name", "mapping", "filtering"),
    [
        ("nat-full-cone", EI, EI),
        ("nat-restricted-cone", EI, AD),
        ("nat-port-restricted-cone", EI, APD),
        ("nat-adm-eif", AD, EI),
        ("nat-adm-adf", AD, AD),
        ("nat-adm-apdf", AD, APD),
        ("nat-apdm-eif", APD, EI),
        ("nat-apdm-adf", APD, AD),
        ("nat-symmetric", APD, APD),
    ],
)
def test_every_kind_of_nat_is_there(name: str, mapping: Dependence, filtering: Dependence) -> None:
    nat = topologies.load(name).routers["router"].nat
    assert (nat.mapping, nat.filtering) == (mapping, filtering)


# -- parameters --------------------------------------------------------------------------------------


def test_parameters_change_the_router_and_the_network_at_its_outside() -> None:
    plain, changed = topologies.load("home"), topologies.load("home(udp_timeout=15, loss=0.5)")
    assert changed.routers["router"].nat.udp_timeout == 15
    assert changed.networks["wan"].loss == 0.5
    assert changed.networks["lan"] == plain.networks["lan"]
    assert changed.hosts == plain.hosts
    assert plain.routers["router"].nat.udp_timeout == 60


def test_parameters_leave_routers_alone_that_have_a_model_of_their_own() -> None:
    changed = topologies.load("double-nat(port_allocation=random,delay=0.1)")
    assert changed.routers["router"].nat.port_allocation is PortAllocation.RANDOM
    assert changed.routers["hub"] == topologies.load("double-nat").routers["hub"]
    assert changed.networks["between"].delay == 0.1
    assert changed.networks["wan"].delay == 0


def test_parameters_of_a_variant_and_of_a_file(tmp_path: Path) -> None:
    both = topologies.load("nat-symmetric(mtu=1280)")
    assert both.routers["router"].nat.mapping is APD
    assert both.networks["wan"].mtu == 1280
    file = tmp_path / "slow.yaml"
    file.write_text("id: slow\nsummary: Slow.\nlike: home(delay=0.3)\n")
    slow = topologies.load(f"{file}(jitter=0.1)")
    assert (slow.id, slow.networks["wan"].delay, slow.networks["wan"].jitter) == ("slow", 0.3, 0.1)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("hom", "unknown topology 'hom'; did you mean home?; or the path of a file"),
        ("zzz", "see 'siplab topologies'"),
        ("home(colour=red)", "topology 'home' has no parameter 'colour' (parameters: mtu, loss, "),
        (
            "home(loss=2)",
            "topology 'home(loss=2)', parameter 'loss': Input should be less than or equal to 1",
        ),
        ("home(udp_timeout=0)", "udp_timeout must be above 0 seconds"),
        ("home(jitter=1)", "'jitter' 1 is more than 'delay' 0"),
        ("home(mapping=odd)", "parameter 'mapping': Input should be 'endpoint-independent'"),
        ("home(loss)", "'loss' is not written parameter=value"),
        ("./no-such.yaml", "no-such.yaml: no such file"),
    ],
)
def test_a_wrong_name_or_parameter(spec: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        topologies.load(spec)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_of_another_kind_is_no_unknown_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.txt").write_text("id: net\n")
    with pytest.raises(UsageError, match=r"net\.txt: a topology's file ends in \.yaml, \.yml or \.py"):
        topologies.load("net.txt")


def test_a_short_name_has_no_folders() -> None:
    assert topologies.short_name("/a/b.c/net.yaml(loss=0.1)") == "net(loss=0.1)"
    assert topologies.short_name("nets/net.yml") == "net"
    assert topologies.short_name("home(loss=0.1)") == "home(loss=0.1)"


# -- several addresses -------------------------------------------------------------------------------


def test_a_host_on_two_networks_has_a_way_out_for_each_ip_version() -> None:
    network = Network(topologies.load("dual-stack"))
    assert network.routes["phone"] == [(None, "192.168.1.1"), (None, "2001:db8:1::1")]
    assert network.next_hop("phone", "198.51.100.10") is not None
    hop = network.next_hop("phone", "2001:db8:3::10")
    assert hop is not None
    assert (hop.node, hop.network) == ("router", "lan6")
    assert network.next_hop("internet", "2001:db8:1::102") is not None
    assert network.next_hop("internet", "192.168.1.102") is None


def test_a_pbx_is_on_both_of_its_networks() -> None:
    network = Network(topologies.load("office-pbx"))
    assert network.next_hop("desk-1", "192.168.10.250") == NextHop("pbx", "desks", None, True)
    assert network.next_hop("desk-1", "198.51.100.10") is None  # a PBX forwards no packets
    assert network.next_hop("pbx", "198.51.100.10") is not None
    for address in ("192.168.1.250", "192.168.10.250"):
        assert ipaddress.ip_address(address)
        assert network.addresses[address] == "pbx"


def test_two_homes_may_have_the_same_subnet(tmp_path: Path) -> None:
    """Most real ones have; each router knows its own hosts only."""
    text = (FOLDER / "two-sites.yaml").read_text()
    for old, new in (("172.16.20.0/24", "192.168.1.0/24"), ("172.16.20.20", "192.168.1.77")):
        text = text.replace(old, new)
    file = tmp_path / "same-subnet.yaml"
    file.write_text(text.replace("172.16.20.1}", "192.168.1.254}"))
    network = Network(topologies.load(str(file)))
    assert network.next_hop("phone", "192.168.1.103") == NextHop("laptop", "lan", None, True)
    assert network.next_hop("phone", "192.168.1.77") is None
    assert network.next_hop("far-phone", "192.168.1.102") is None
    outcomes = {
        model: trial.run(TrialSpec(str(file), model, "outgoing-call").between(STRICT))[0].outcome
        for model in ("none", "router=correct,far-router=correct")
    }
    assert outcomes == {"none": "fail", "router=correct,far-router=correct": "pass"}


# -- mistakes ----------------------------------------------------------------------------------------

GOOD = """\
id: mine
summary: Mine.
networks:
  lan: {subnet: 192.168.1.0/24}
  wan: {subnet: 203.0.113.0/24}
hosts:
  phone: {network: lan, address: 192.168.1.102, role: phone}
  server: {network: wan, address: 203.0.113.10}
routers:
  router:
    inside: {lan: 192.168.1.1}
    outside: {wan: 203.0.113.7}
    nat: {udp_timeout: 60}
"""


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("id: mine", "id: My Net", 1, ["field 'id'", "lower-case"]),
        ("summary: Mine.\n", "", 1, ["field 'summary'", "required"]),
        ("subnet: 192.168.1.0/24", "subnet: 192.168.1.7/24", 4, ["networks.lan.subnet", "host bits"]),
        ("subnet: 203.0.113.0/24", "subnet: 203.0.113.0/24, loss: 2", 5, ["networks.wan.loss"]),
        ("203.0.113.0/24}", "203.0.113.0/24, reorder: 0.1}", 5, ["networks.wan.reorder", "needs a 'delay'"]),
        ("203.0.113.0/24}", "203.0.113.0/24, delay: 1, jitter: 2}", 5, ["networks.wan.jitter", "more than"]),
        ("203.0.113.0/24}", "203.0.113.0/24, mtu: 100}", 5, ["networks.wan.mtu", "576"]),
        ("{network: lan,", "{network: lam,", 7, ["hosts.phone", "'lam'", "(lan, wan)"]),
        ("address: 192.168.1.102", "address: 192.168.2.102", 7, ["hosts.phone", "outside lan's subnet"]),
        ("address: 192.168.1.102", "address: 192.168.1.1", 11, ["routers.router.inside.lan", "both"]),
        ("address: 192.168.1.102", "address: here", 7, ["hosts.phone.address", "not an IP address"]),
        ("role: phone", "roll: phone", 7, ["hosts.phone.roll", "unknown field"]),
        ("role: phone", "addresses: {lan: 192.168.1.9}", 7, ["addresses.lan", "named twice"]),
        (
            "role: phone",
            "addresses: {wan: 1.2.3.4}",
            7,
            ["hosts.phone.addresses.wan", "outside wan's subnet"],
        ),
        ("  router:\n", "  phone:\n", 10, ["routers.phone", "both a host and a router"]),
        ("    inside: {lan: 192.168.1.1}\n", "", 10, ["routers.router", "needs both"]),
        ("{wan: 203.0.113.7}", "{wan: 203.0.113.7, lan: 192.168.1.2}", 12, ["router.outside", "IP version"]),
        (
            "{wan: 203.0.113.7}",
            "{wan: 203.0.113.7}\n    later: {wan: 203.0.114.7}",
            13,
            ["routers.router.later.wan", "outside wan's subnet"],
        ),
        (
            "{wan: 203.0.113.7}",
            "{wan: 203.0.113.7}\n    later: {wan: 203.0.113.7}",
            13,
            ["routers.router.later.wan", "given to both"],
        ),
        (
            "{wan: 203.0.113.7}",
            "{wan: 203.0.113.7}\n    later: {lan: 192.168.1.9}",
            13,
            ["routers.router.later.lan", "only an IPv4 address outside can change"],
        ),
        ("udp_timeout: 60", "udp_timeout: soon", 13, ["routers.router.nat.udp_timeout", "valid number"]),
        ("udp_timeout: 60", "udp_time: 60", 13, ["routers.router.nat.udp_time"]),
        ("udp_timeout: 60", "mapping: full-cone", 13, ["nat.mapping", "endpoint-independent"]),
        ("udp_timeout: 60", "dmz_host: phone", 13, ["nat", "dmz_host: 'phone' is not an IPv4 address"]),
        (
            "udp_timeout: 60",
            "static_mappings: [{port: 5060, inside: phone}]",
            13,
            ["nat.static_mappings.0", "'phone' is not an IPv4 address"],
        ),
        ("  lan: {", "  default: {", 4, ["default", "the kernel needs"]),
        ("  lan: {", "  the-local-area-network: {", 4, ["15 lower-case letters"]),
        ("hosts:\n", "hosts: [\n", 8, ["not YAML"]),
        ("summary: Mine.\n", "summary: Mine.\nlike: home\n", 4, ["field 'networks'"]),
    ],
)
def test_a_mistake_is_told_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, words: list[str]
) -> None:
    assert GOOD.count(old) == 1
    file = tmp_path / "mine.yaml"
    file.write_text(GOOD.replace(old, new))
    with pytest.raises(UsageError) as caught:
        topologies.load(str(file))
    message = str(caught.value)
    assert message.startswith(f"{file}:{line}: "), message
    assert "\n" not in message
    for word in words:
        assert word in message, message


def test_the_good_one_is_good(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(GOOD)
    assert topologies.load(str(file)).routers["router"].nat.udp_timeout == 60


def test_a_plain_router_translates_nothing(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    text = GOOD.replace("    inside: {lan: 192.168.1.1}\n", "    interfaces: {lan: 192.168.1.1}\n")
    file.write_text(text.replace("    outside: {wan: 203.0.113.7}\n", ""))
    with pytest.raises(UsageError, match="does not translate: no 'nat' here"):
        topologies.load(str(file))


def test_a_variant_of_itself_or_of_nothing(tmp_path: Path) -> None:
    file = tmp_path / "round.yaml"
    file.write_text(f"id: round\nsummary: Round.\nlike: {file}\n")
    with pytest.raises(UsageError, match="is 'like' itself"):
        topologies.load(str(file))
    file.write_text("id: round\nsummary: Round.\nlike: nowhere\n")
    with pytest.raises(UsageError, match=r"round.yaml: field 'like': unknown topology 'nowhere'"):
        topologies.load(str(file))


# -- the schema --------------------------------------------------------------------------------------


def test_the_schema_knows_every_field_of_the_files() -> None:
    schema = schemas.schema("topology")
    full, variant = (schema["$defs"][name]["properties"] for name in ("Topology", "Variant"))
    assert {"networks", "hosts", "routers"} <= set(full)
    assert set(variant) == {"id", "summary", "like"}
    network: dict[str, Any] = schema["$defs"]["NetworkSpec"]["properties"]
    assert {"loss", "delay", "jitter", "reorder", "duplicate", "mtu"} <= set(network)
    assert "static_mappings" in schema["$defs"]["NatConfig"]["properties"]
    json.dumps(schema)


def test_a_topology_survives_being_data() -> None:
    for name in topologies.available():
        topology = topologies.load(name)
        assert Topology.model_validate(json.loads(topology.model_dump_json())) == topology
