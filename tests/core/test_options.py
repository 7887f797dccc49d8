"""Driver options: each is understood or refused by name, none is ignored."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core import options
from mooring.core.docker_options import FIXED, SYNONYMS
from mooring.core.faults import BadRequest
from mooring.core.networks import GatewayMode, Mode, NetworkOptions, Scope, StaticRoute
from mooring.core.options import parse_ipam_options, parse_network_options

BRIDGE = "com.docker.network.bridge."


def parse(internal: bool = False, ipv6: bool = False, **raw: str) -> NetworkOptions:
    """Parse options whose names are Python names."""
    return parse_network_options(raw, internal, ipv6=ipv6)


def refusal(raw: dict[str, str], internal: bool = False, ipv6: bool = False) -> str:
    """The text with which the options are refused."""
    with pytest.raises(BadRequest) as caught:
        parse_network_options(raw, internal, ipv6=ipv6)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_no_options_give_the_defaults() -> None:
    """A network without options is a NAT bridge network."""
    assert parse_network_options({}, internal=False) == NetworkOptions()


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"mode": "null"}, NetworkOptions(mode=Mode.NULL)),
        ({"bridge": "br-blue"}, NetworkOptions(bridge="br-blue")),
        ({"mtu": "9000"}, NetworkOptions(mtu=9000)),
        ({"mtu": "0"}, NetworkOptions()),
        ({"interface_prefix": "lan"}, NetworkOptions(interface_prefix="lan")),
        ({"icc": "off"}, NetworkOptions(icc=False)),
        ({"nat": "off"}, NetworkOptions(gateway_mode4=GatewayMode.ROUTED, gateway_mode6=GatewayMode.ROUTED)),
        ({"masquerade": "off"}, NetworkOptions(masquerade=False)),
        ({"peers": "blue"}, NetworkOptions(peers="blue")),
        ({"gateway": "none"}, NetworkOptions(gateway=False)),
        ({"gateway": "auto"}, NetworkOptions()),
        ({"tenant": "acme"}, NetworkOptions(tenant="acme")),
        ({"source6": "2001:db8::1"}, NetworkOptions(source6=ip_address("2001:db8::1"))),  # type: ignore[arg-type]
        ({"binding": "::1"}, NetworkOptions(binding=ip_address("::1"))),
        (
            {"gateway_mode": "routed"},
            NetworkOptions(gateway_mode4=GatewayMode.ROUTED, gateway_mode6=GatewayMode.ROUTED),
        ),
        ({"gateway_mode6": "nat-unprotected"}, NetworkOptions(gateway_mode6=GatewayMode.NAT_UNPROTECTED)),
        ({"mooring.icc": "off"}, NetworkOptions(icc=False)),
        ({"scope": "cluster"}, NetworkOptions(scope=Scope.CLUSTER)),
    ],
)
def test_own_words_mean_what_they_say(raw: dict[str, str], expected: NetworkOptions) -> None:
    """Each word sets its field and no other."""
    assert parse_network_options(raw, internal=False) == expected


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ({BRIDGE + "inhibit_ipv4": "true"}, "inhibit_ipv4=true is refused"),
        ({BRIDGE + "default_bridge": "true"}, "default_bridge=true is refused"),
        (
            {BRIDGE + "trusted_host_interfaces": "eth1:eth2"},
            "trusted_host_interfaces=eth1:eth2 is refused: not supported",
        ),
        ({BRIDGE + "firewalld_zone": "dmz"}, "firewalld_zone=dmz is refused"),
        ({BRIDGE + "host_binding_ipv4": "::1"}, "not an IPv4 address"),
        ({"com.docker.network.advertise_addr_nmsgs": "4"}, "a number from 0 to 3"),
        ({"com.docker.network.advertise_addr_ms": "99"}, "a number from 100 to 2000"),
        ({"com.docker.network.enable_ipv6": "perhaps"}, "must be on or off"),
        ({"com.docker.network.internal": "true"}, "use --internal"),
        ({"com.docker.network.host_ipv4": "2001:db8::1"}, "one IPv4 address"),
        ({"com.docker.network.host_ipv4": "0.0.0.0"}, "one IPv4 address"),
        ({"mode": "macvlan"}, "mode=macvlan is not supported yet"),
        ({"mode": "ipvlan"}, "mode=ipvlan is not supported yet"),
        ({"mode": "handoff", "mtu": "1400"}, "option mtu has no effect in mode handoff"),
        ({"mode": "handoff", "bridge": "br1"}, "option bridge=br1 is no bridge of VNICs"),
        ({"mode": "bridge", "bridge": "mb-0123456789ab"}, "bridge=mb-0123456789ab is for mode handoff only"),
        ({"mode": "brigde"}, "must be one of bridge, handoff, null, vxlan"),
        ({"parent": "eth0"}, "option parent is for the modes macvlan and ipvlan, not supported yet"),
        ({"mooring.sticky": "yes"}, "must be one of off, container, name"),
        ({"bridge": "a-name-of-16-byt"}, "1 to 15 letters"),
        ({"bridge": ""}, "1 to 15 letters"),
        ({"bridge": "br/0"}, "1 to 15 letters"),
        ({"bridge": "brü"}, "1 to 15 letters"),
        ({"bridge": "br 0"}, "1 to 15 letters"),
        ({"bridge": "all"}, "this name is reserved"),
        ({"bridge": ".."}, "this name is reserved"),
        ({"bridge": "mooring-dns"}, "this name is reserved"),
        ({"mtu": "67"}, "a number from 68 to 65535"),
        ({"mtu": "65536"}, "a number from 68 to 65535"),
        ({"mtu": "-1"}, "a number from 68"),
        ({"mtu": "1_500"}, "a number from 68"),
        ({"mtu": "٣٠٠"}, "a number from 68"),
        ({"mtu": "9" * 5000}, "a number from 68"),
        ({"interface_prefix": "much-too-long"}, "1 to 12 letters"),
        ({"icc": "maybe"}, "must be on or off"),
        ({"dns": "sometimes"}, "must be on, off or healthy"),
        ({"icc": ""}, "must be on or off"),
        ({"gateway_mode": "open"}, "must be one of nat, nat-unprotected, routed, isolated"),
        ({"gateway_mode": "isolated"}, "add --internal"),
        ({"gateway": "10.0.0.1"}, "--gateway"),
        ({"binding": "224.0.0.1"}, "multicast"),
        ({"binding": "fe80::1%eth0"}, "has a zone"),
        ({"binding": "::ffff:127.0.0.1"}, "IPv4-mapped; write 127.0.0.1"),
        ({"tenant": "a b"}, "1 to 63"),
        ({"peers": ""}, "1 to 63"),
        ({"mode": "null", "icc": "off"}, "option icc has no effect in mode null"),
        ({"nat": "on", "gateway_mode": "routed"}, "contradict each other"),
        ({"masquerade": "on", "gateway_mode": "routed"}, "without address translation"),
        ({"nat": "off", "source4": "192.0.2.1"}, "IPv4 is not translated"),
        ({"gateway_mode6": "routed", "source6": "2001:db8::1"}, "IPv6 is not translated"),
    ],
)
def test_bad_options_are_refused_by_name(raw: dict[str, str], reason: str) -> None:
    """One line says which option is wrong, and how."""
    text = refusal(raw)
    assert reason in text
    assert any(name.removeprefix("mooring.") in text for name in raw)


def test_an_unknown_option_is_refused_with_the_nearest_known_one() -> None:
    """A slip of the finger is told with what was meant."""
    assert "did you mean bridge?" in refusal({"brigde": "br0"})
    assert "did you mean com.docker.network.driver.mtu?" in refusal({"com.docker.network.drivers.mtu": "1400"})
    assert "known: " in refusal({"zzzzzzz": "1"})


def test_what_is_not_built_is_known_to_nobody() -> None:
    """It is refused by its name, and named in no other refusal, nor is what is refused whatever it says."""
    lists = [refusal(raw) for raw in ({"zzzzzzz": "1"}, {"mode": "zzzzzzz"}, {"vlann": "1"}, {"parnt": "eth0"})]
    lists.append(refusal({"com.docker.network.bridge.inhibit_ipv5": "true"}))
    for name in (*options.NOT_BUILT, *options.MODES_NOT_BUILT, *FIXED):
        assert [text for text in lists if re.search(rf"[ ,]{re.escape(name)}([,?]|$)", text)] == []
    for name in options.NOT_BUILT:
        assert "not supported yet" in refusal({name: "1"})


def test_a_huge_or_ugly_option_gives_a_short_line() -> None:
    """What is echoed is cut and has no control characters."""
    text = refusal({"x" * 1_000_000 + "\x1b[31m\n": "y"})
    assert len(text) < 1500
    assert text.isprintable()


def test_what_is_echoed_has_at_most_eighty_characters() -> None:
    """Eighty are shown whole, of more the first 77."""
    assert options.shown("x" * 80) == "x" * 80
    assert options.shown("x" * 81) == "x" * 77 + "..."
    assert options.shown("\n" * 90) == "?" * 77 + "..."


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"mtu": "000001500"}, NetworkOptions(mtu=1500)),
        ({"mtu": "68"}, NetworkOptions(mtu=68)),
        ({"mtu": "65535"}, NetworkOptions(mtu=65535)),
        ({"bridge": "a-name-of-15-by"}, NetworkOptions(bridge="a-name-of-15-by")),
        ({"bridge": "b"}, NetworkOptions(bridge="b")),
        ({"interface_prefix": "just-in-size"}, NetworkOptions(interface_prefix="just-in-size")),
        ({"peers": "p" * 63}, NetworkOptions(peers="p" * 63)),
        ({"tenant": "t" * 63}, NetworkOptions(tenant="t" * 63)),
        ({"com.docker.network.advertise_addr_nmsgs": "3"}, NetworkOptions()),
        ({"com.docker.network.advertise_addr_ms": "2000"}, NetworkOptions()),
    ],
)
def test_the_bounds_themselves_are_allowed(raw: dict[str, str], expected: NetworkOptions) -> None:
    """Of lengths and of numbers."""
    assert parse_network_options(raw, internal=False) == expected


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ({"mtu": "0000001500"}, "a number from 68 to 65535"),
        ({"peers": "p" * 64}, "1 to 63 letters"),
        ({"tenant": "t" * 64}, "1 to 63 letters"),
        ({"com.docker.network.advertise_addr_ms": "2001"}, "a number from 100 to 2000"),
        ({"bridge": "default"}, "reserved"),
        ({"source4": "127.0.0.1"}, "must be one IPv4 address of the host"),
        ({"source6": "192.0.2.1"}, "must be one IPv6 address of the host"),
    ],
)
def test_one_more_than_the_bound_is_refused(raw: dict[str, str], reason: str) -> None:
    """As what could never be."""
    assert reason in refusal(raw)


def test_synonyms_may_say_the_same_twice() -> None:
    """The same value under two names is one option."""
    assert parse_network_options({"icc": "off", BRIDGE + "enable_icc": "false"}, internal=False).icc is False


@pytest.mark.parametrize(
    "raw",
    [
        {"icc": "on", BRIDGE + "enable_icc": "false"},
        {"mtu": "1400", "com.docker.network.driver.mtu": "1500"},
        {"gateway_mode": "routed", BRIDGE + "gateway_mode_ipv6": "nat"},
        {"mooring.bridge": "a", "bridge": "b"},
    ],
)
def test_synonyms_with_different_values_are_a_contradiction(raw: dict[str, str]) -> None:
    """Both names are in the refusal."""
    text = refusal(raw)
    assert "contradict each other" in text
    assert all(name in text for name in raw)


def test_isolated_is_for_internal_networks() -> None:
    """With --internal there may be no gateway on the bridge."""
    assert parse(internal=True, gateway_mode="isolated").gateway_mode4 is GatewayMode.ISOLATED


def test_ipv6_needs_its_least_mtu() -> None:
    """RFC 8200: no link below 1280 bytes; without IPv6 the network may have one."""
    assert "at least 1280" in refusal({"mtu": "1279"}, ipv6=True)
    assert parse(ipv6=True, mtu="1280").mtu == 1280
    assert parse(mtu="1279").mtu == 1279


def test_routes_are_read_in_order() -> None:
    """With a next hop, and on-link; both families."""
    routes = parse(routes="10.0.0.0/8 via 10.32.0.9, 192.0.2.0/24,2001:db8::/32 via fd00::1").routes
    assert routes == (
        StaticRoute(ip_network("10.0.0.0/8"), ip_address("10.32.0.9")),
        StaticRoute(ip_network("192.0.2.0/24"), None),
        StaticRoute(ip_network("2001:db8::/32"), ip_address("fd00::1")),
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not `SUBNET`"),
        ("10.0.0.0/8,", "is not `SUBNET`"),
        ("10.0.0.0/8 10.0.0.1", "is not `SUBNET`"),
        ("10.0.0.0", "is not a subnet"),
        ("10.0.0.0/255.0.0.0", "is not a subnet"),
        ("10.0.0.0/33", "is not a subnet"),
        ("10.0.0.1/8", "the subnet is 10.0.0.0/8"),
        ("10.0.0.0/8 via ::1", "cannot be the next hop"),
        ("10.0.0.0/8 via 0.0.0.0", "cannot be the next hop"),
        ("10.0.0.0/8 via 224.0.0.1", "multicast"),
        ("10.0.0.0/8 via nowhere", "is not an IP address"),
        ("::ffff:0:0/96", "IPv4-mapped; write 0.0.0.0"),
        ("10.0.0.0/8, 10.0.0.0/8 via 10.32.0.9", "twice"),
    ],
)
def test_bad_routes_are_refused(text: str, reason: str) -> None:
    """The refusal names the option and the part that is wrong."""
    assert reason in refusal({"routes": text})


def test_every_own_word_has_a_field() -> None:
    """No word is parsed and then dropped."""
    names = set(NetworkOptions.__dataclass_fields__)
    assert set(options.PARSERS) == names - {"overlay"}  # which `mode` says


def test_ipam_options_are_tenant_and_gateway() -> None:
    """They come back under their own words."""
    assert parse_ipam_options({}) == {}
    assert parse_ipam_options({"mooring.tenant": "acme", "gateway": "none"}) == {"tenant": "acme", "gateway": "none"}
    with pytest.raises(BadRequest, match="did you mean tenant"):
        parse_ipam_options({"tennant": "acme"})
    with pytest.raises(BadRequest, match="must be none or auto"):
        parse_ipam_options({"gateway": "10.0.0.1"})
    with pytest.raises(BadRequest, match="1 to 63"):
        parse_ipam_options({"tenant": "a/b"})
    with pytest.raises(BadRequest, match="contradict"):
        parse_ipam_options({"tenant": "a", "mooring.tenant": "b"})


def test_ipam_options_name_subnet_pools_and_lengths_of_each_family() -> None:
    """What cannot be is refused by its name, before anybody looks for it."""
    words = {"pool": "lab", "pool6": "lab6", "prefixlen": "26", "prefixlen6": "80"}
    assert parse_ipam_options(words) == words
    assert parse_ipam_options({"mooring.pool": "lab"}) == {"pool": "lab"}
    for name, text in (("prefixlen", "33"), ("prefixlen", "x"), ("prefixlen", "0"), ("prefixlen6", "129"),
                       ("pool", ""), ("pool", "a b"), ("pool6", "a" * 64)):  # fmt: skip
        with pytest.raises(BadRequest, match=f"option {name}="):
            parse_ipam_options({name: text})
    parse_network_options({"mooring.pool": "lab", "prefixlen": "26"}, internal=False)  # the IPAM driver was told
    with pytest.raises(BadRequest, match="option prefixlen=x"):
        parse_network_options({"prefixlen": "x"}, internal=False)
    with pytest.raises(BadRequest, match="did you mean pool"):
        parse_ipam_options({"pol": "lab"})


@given(st.dictionaries(st.sampled_from([*options.PARSERS, *SYNONYMS, *FIXED]) | st.text(), st.text()))
def test_arbitrary_options_give_a_value_or_a_one_line_refusal(raw: dict[str, str]) -> None:
    """Nothing but BadRequest is raised, whatever is written."""
    text = ""
    try:
        parse_network_options(raw, internal=False)
    except BadRequest as fault:
        text = str(fault)
    assert "\n" not in text


@pytest.mark.parametrize(
    ("raw", "said"),
    [({}, False), ({"port_security": "no"}, True), ({"mooring.port_security": "yes"}, True), ({"mtu": "1400"}, False)],
)
def test_whether_port_security_is_said(raw: dict[str, str], said: bool) -> None:
    """Under either name, whatever it says."""
    assert options.says_port_security(raw) is said


def test_a_bridge_of_vnics_says_the_mode() -> None:
    """ciao's command line names nothing else."""
    for raw in (
        {"bridge": "mb-0123456789ab"},
        {"mode": "handoff", "com.docker.network.bridge.name": "mb-0123456789ab"},
    ):
        assert parse_network_options(raw, False).mode is Mode.HANDOFF
    assert parse_network_options({"bridge": "mb-012345678"}, False).mode is Mode.BRIDGE
