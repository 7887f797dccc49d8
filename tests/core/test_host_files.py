"""The text of hosts files and of resolv.conf."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.faults import BadRequest
from mooring.core.host_files import (
    DEFAULTS,
    NEW_HOSTS,
    ResolvConf,
    check_names,
    digest,
    host_lines,
    merge,
    ndots,
    parse,
    resolv_conf,
    upstreams,
)
from mooring.core.requests import SandboxSpec
from tests.core.named_records import sandbox

V4, V6 = ip_address("10.9.0.2"), ip_address("fd09::2")
FRIES = "search fries.example\nnameserver 12.34.56.78\nnameserver 2001:4860:4860::8888\n"
PUBLIC4 = "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"
PUBLIC6 = "nameserver 2001:4860:4860::8888\nnameserver 2001:4860:4860::8844\n"


def test_resolv_conf_is_read_as_the_system_reads_it() -> None:
    """Comments go, the last search list counts, options add up, what is not known is kept (resolvconf_test.go)."""
    text = (
        "# a comment\n;another\n\nnameserver 1.2.3.4 more\nnameserver 1.2.3.4.5\nnameserver\ndomain old.example\n"
        "search a.example b.example\nsearch\noptions ndots:1\n\toptions edns0 trust-ad\nsortlist 10.0.0.0/8\n"
        "nameserver fe80::1%eth0\noptions\n"
    )
    conf = parse(text)
    assert conf == ResolvConf(
        (ip_address("1.2.3.4"), ip_address("fe80::1%eth0")),
        ("a.example", "b.example"),
        ("ndots:1", "edns0", "trust-ad"),
        ("sortlist 10.0.0.0/8",),
    )
    assert parse(str(conf)) == conf
    assert str(parse("")) == ""


@given(st.text("namesrvoptichd.:#; \t\n1", max_size=80))
def test_any_text_is_read_and_what_was_read_is_written(text: str) -> None:
    """Nothing raises, and writing and reading it again changes nothing."""
    conf = parse(text)
    assert parse(str(conf)) == conf


@pytest.mark.parametrize(
    ("options", "value"),
    [
        ("", None),
        ("edns0", None),
        ("ndots:0 edns0", 0),
        ("ndots:2 ndots:1", 1),
        ("ndots ndots: ndots:-1 ndots:x", None),
    ],
)
def test_ndots_is_the_last_number(options: str, value: int | None) -> None:
    """What is no number does not count."""
    assert ndots(options.split()) == value


def test_with_the_resolver_it_is_the_only_nameserver() -> None:
    """The host's search list and options stay, and names are tried as they are first (TestResolvConf)."""
    expected = "nameserver 127.0.0.11\nsearch fries.example\noptions ndots:0\n"
    assert resolv_conf(sandbox(), FRIES, ipv6=True) == expected
    assert resolv_conf(sandbox(), None, ipv6=False) == "nameserver 127.0.0.11\noptions ndots:0\n"
    assert upstreams(sandbox(), FRIES) == (ip_address("12.34.56.78"), ip_address("2001:4860:4860::8888"))


@pytest.mark.parametrize(
    ("host", "own", "written"),
    [
        ("options ndots:1", (), "ndots:1"),
        ("options trust-ad", (), "trust-ad ndots:0"),
        ("options ndots:1 trust-ad", ("ndots:2",), "ndots:2"),
        ("options ndots:1", ("edns0",), "edns0 ndots:0"),
        ("options ndots:-1 foo:bar ndots ndots:", (), "foo:bar ndots:0"),
        ("options ndots:1 foo:bar ndots ndots:", (), "ndots:1 foo:bar"),
    ],
)
def test_options_of_the_sandbox_take_the_place_of_the_hosts(host: str, own: tuple[str, ...], written: str) -> None:
    """A bad ndots is replaced, a good one stays (TestRCTransformForIntNS, TestRCTransformForIntNSInvalidNdots)."""
    text = resolv_conf(sandbox(dns_options=own), host, ipv6=False)
    assert text == f"nameserver 127.0.0.11\noptions {written}\n"


def test_what_the_sandbox_says_counts() -> None:
    """Nameservers go to the resolver, the search list into the file; a single dot stands for no list."""
    own = sandbox(dns=(V4,), search=("own.example",))
    assert resolv_conf(own, FRIES, ipv6=True) == "nameserver 127.0.0.11\nsearch own.example\noptions ndots:0\n"
    assert upstreams(own, FRIES) == (V4,)
    assert "search" not in resolv_conf(sandbox(search=(".",)), FRIES, ipv6=True)


@pytest.mark.parametrize(
    ("host", "ipv6", "written"),
    [
        ("nameserver 10.0.0.1\n", False, "nameserver 10.0.0.1\n"),
        ("nameserver 10.0.0.1\nnameserver fd00::1\n", True, "nameserver 10.0.0.1\nnameserver fd00::1\n"),
        ("nameserver 10.0.0.1\nnameserver fd00::1\n", False, "nameserver 10.0.0.1\n"),
        ("nameserver 127.0.0.53\n", False, PUBLIC4),
        ("nameserver 127.0.0.53\nnameserver ::1\n", True, PUBLIC4 + PUBLIC6),
        ("nameserver 127.0.0.53\nnameserver fd00::1\n", True, "nameserver fd00::1\n"),
        ("nameserver 127.0.0.53\nnameserver fd00::1\n", False, PUBLIC4),
        ("nameserver fe80::1%eth0\n", True, PUBLIC4 + PUBLIC6),
        ("nameserver ::ffff:127.0.0.53\n", False, PUBLIC4),
        ("nameserver ::ffff:10.0.0.1\n", False, "nameserver 10.0.0.1\n"),
        (None, False, PUBLIC4),
    ],
)
def test_without_the_resolver_only_what_can_be_reached_is_there(host: str | None, ipv6: bool, written: str) -> None:
    """Public nameservers when nothing is left (TestRCTransformForLegacyNw)."""
    assert resolv_conf(sandbox(resolver=False), host, ipv6=ipv6) == written


def test_nameservers_that_the_user_names_are_not_judged() -> None:
    """A loopback address may well be the sandbox's own."""
    own = sandbox(resolver=False, dns=(ip_address("127.0.0.1"), ip_address("::1")))
    assert resolv_conf(own, FRIES, ipv6=False) == "nameserver 127.0.0.1\nnameserver ::1\nsearch fries.example\n"


def test_the_hosts_namespace_has_the_hosts_file() -> None:
    """Byte by byte, unless something else is wanted (TestHost)."""
    odd = "# mine\nnameserver 127.0.0.53\n\noptions\tedns0\n"
    assert resolv_conf(sandbox(kind="host"), odd, ipv6=False) == odd
    assert resolv_conf(sandbox(kind="host"), None, ipv6=False) == ""
    searched = resolv_conf(sandbox(kind="host", search=("x",)), odd, ipv6=False)
    assert searched == "nameserver 127.0.0.53\nsearch x\noptions edns0\n"


def test_the_resolver_always_has_somebody_to_ask() -> None:
    """Loopback addresses are the host's; one that needs a link of the host's is no use."""
    assert upstreams(sandbox(), "nameserver 127.0.0.53\nnameserver fe80::1%eth0") == (ip_address("127.0.0.53"),)
    assert upstreams(sandbox(), "nameserver fe80::1%eth0") == upstreams(sandbox(), None) == DEFAULTS


def test_a_new_hosts_file_knows_localhost_in_both_families() -> None:
    """Six lines, and then ours."""
    known = {line.split("\t")[0]: line.split("\t")[1].split() for line in NEW_HOSTS.splitlines()}
    assert known["127.0.0.1"] == ["localhost"]
    assert "localhost" in known["::1"]
    assert len(known) == 6
    assert all(ip_address(address) for address in known)


@pytest.mark.parametrize(
    ("hostname", "domain", "names"),
    [("web", "", "web"), ("web", "example.com", "web.example.com web"), ("web.example.com", "", "web.example.com web")],
)
def test_every_address_has_the_hostname(hostname: str, domain: str, names: str) -> None:
    """With its domain and without."""
    made = sandbox(hostname=hostname, domain=domain)
    assert host_lines(made, [V4, V6]) == [f"10.9.0.2\t{names}", f"fd09::2\t{names}"]


def test_extra_hosts_come_first_and_are_all_that_the_nameless_have() -> None:
    """Neither a sandbox without a hostname nor the host's has lines of its own; no line is there twice."""
    hosts = (("db", V4), ("db", V6), ("db", V4))
    extra = ["10.9.0.2\tdb", "fd09::2\tdb"]
    assert host_lines(sandbox(hosts=hosts), [V4]) == [*extra, "10.9.0.2\tweb"]
    assert host_lines(sandbox(hosts=hosts, hostname="", domain="x"), [V4]) == extra
    assert host_lines(sandbox(hosts=hosts, kind="host"), [V4]) == extra


def test_only_our_lines_change() -> None:
    """What is ours and gone is dropped, what is new is appended, a line that somebody else has written stays."""
    text = "127.0.0.1\tlocalhost\n# note\n\n10.9.0.2\tweb\n10.9.0.9 printer"
    assert merge(text, ["10.9.0.2\tweb"], ["10.9.0.3\tweb"]) == (
        "127.0.0.1\tlocalhost\n# note\n\n10.9.0.9 printer\n10.9.0.3\tweb\n"
    )
    assert merge(text, [], ["10.9.0.2\tweb"]) == text
    assert merge(text, ["10.9.0.2\tweb"], []) == "127.0.0.1\tlocalhost\n# note\n\n10.9.0.9 printer"
    assert merge("", [], ["a"]) == "a\n"
    assert merge("a\n", ["a"], []) == ""


LINES = st.lists(st.sampled_from(["ours 1", "ours 2", "ours 3"]), unique=True)


@given(st.lists(st.sampled_from(["theirs", "", "# more"])), LINES, LINES)
def test_ours_can_be_changed_over_and_over(theirs: list[str], first: list[str], second: list[str]) -> None:
    """Others' lines keep their order, and ours are exactly those of the last time."""
    text = "".join(f"{line}\n" for line in theirs)
    text = merge(merge(text, [], first), first, second)
    lines = text.split("\n")[:-1]
    assert [line for line in lines if not line.startswith("ours")] == theirs
    assert sorted(line for line in lines if line.startswith("ours")) == sorted(second)
    assert merge(text, second, second) == text


def test_a_digest_tells_texts_apart() -> None:
    """Also those that are no UTF-8; empty lines at the end are nothing."""
    assert digest("a") != digest("b")
    assert digest("a\n\n\n") == digest("a\n") == digest("a")
    assert digest("a\n\nb") != digest("a\nb")
    assert digest("\udce9") == digest("\udce9")


BAD = ("a b", "a\tb", "a\nnameserver 6.6.6.6", "a#b", ";a", "a\0", "\x7f", "\u2028", "\ud800", "\xa0")


@pytest.mark.parametrize("bad", [*BAD, ""])
def test_what_would_break_a_file_is_refused_by_name(bad: str) -> None:
    """White space, control characters and comment signs, wherever they are."""
    wishes = [
        (SandboxSpec(search=("ok", bad)), "search"),
        (SandboxSpec(dns_options=(bad,)), "option"),
        (SandboxSpec(hosts=((bad, V4),)), "extra host"),
    ]
    if bad:
        wishes += [(SandboxSpec(hostname=bad), "hostname"), (SandboxSpec(domain=bad), "domain")]
    for spec, named in wishes:
        with pytest.raises(BadRequest, match=named):
            check_names(spec)


def test_an_address_can_bring_in_nothing_else() -> None:
    """Python takes anything behind the % of an IPv6 address."""
    sly = IPv6Address("fe80::1%x\nnameserver 6.6.6.6")
    for spec in (SandboxSpec(dns=(sly,)), SandboxSpec(hosts=(("a", sly),))):
        with pytest.raises(BadRequest):
            check_names(spec)


@pytest.mark.parametrize(
    "path",
    ["relative", "/etc/hosts", "/etc/resolv.conf", "/etc//hosts", "//etc/hosts", "/etc/./hosts", "/srv/../etc/hosts",
     "/srv/", "/", "/a\0b", "/a\nb"],
)  # fmt: skip
def test_paths_are_plain_and_never_the_hosts_own(path: str) -> None:
    """However it is spelled, and for either file."""
    for spec in (SandboxSpec(hosts_path=path), SandboxSpec(resolv_conf_path=path)):
        with pytest.raises(BadRequest):
            check_names(spec)


@pytest.mark.parametrize("other", ["/files/c1", "/files/c1.hash"])
def test_a_file_is_one_thing_only(other: str) -> None:
    """Hosts file, resolv.conf, or the note beside one of them."""
    for hosts, resolv in (("/files/c1", other), (other, "/files/c1")):
        with pytest.raises(BadRequest, match="both"):
            check_names(SandboxSpec(hosts_path=hosts, resolv_conf_path=resolv))


def test_what_is_usual_is_fine() -> None:
    """Nothing at all, names of other alphabets, options with values."""
    check_names(SandboxSpec())
    check_names(
        SandboxSpec(
            hostname="web-1.example.com", domain="bücher.example", search=(".", "_tcp.example."), dns=(V4, V6),
            dns_options=("ndots:2", "edns0"), hosts=(("host.internal", IPv4Address("172.17.0.1")),),
            hosts_path="/srv/c1/hosts", resolv_conf_path="/srv/c1/resolv.conf",
        )
    )  # fmt: skip
