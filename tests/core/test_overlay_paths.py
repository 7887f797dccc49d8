"""What is said of hosts that do not answer through the tunnels."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

from mooring.core.cluster_hosts import ClusterHost, TunnelEnd, Underlay
from mooring.core.findings import Finding
from mooring.core.overlay_paths import Answer, Answers, Echo, Path, path_findings

WEB2 = ClusterHost(
    id="B", name="web2", machine="m", boot="b", underlay=Underlay("192.0.2.2", "eth0", 1500), version="1", joined=0.0,
    tunnel=TunnelEnd(("k",), 51821),
)  # fmt: skip
HERE, OUTER = ip_address("192.0.2.1"), Echo(ip_address("192.0.2.1"), ip_address("192.0.2.2"))
INNER = Echo(ip_address("fd00::1"), ip_address("fd00::2"))


def path(name: str, number: int = 9, containers: int = 0) -> Path:
    """To 10.<number>.0.202, and so many containers."""
    source = ip_address(f"10.{number}.0.201")
    own = Echo(source, ip_address(f"10.{number}.0.202"))
    others = (Echo(source, ip_address(f"10.{number}.0.{last}")) for last in range(2, 2 + containers))
    return Path(
        host=WEB2, network=name, port=4790, here=HERE, small=(own, *others), full=(replace(own, size=1450),),
        outer=OUTER, longest=1500,
    )  # fmt: skip


def encrypted(found: Path) -> Path:
    """The same within WireGuard."""
    return replace(found, port=51821, inner=INNER)


def answered(*paths: Path, **but: Answer) -> dict[Echo, Answer]:
    """Everything is, but for kinds of echoes."""
    answers: dict[Echo, Answer] = {}
    for each in paths:
        for kind in ("small", "full", "outer", "inner"):
            told = getattr(each, kind)
            echoes = told if isinstance(told, tuple) else (told,) if told is not None else ()
            answers |= dict.fromkeys(echoes, but.get(kind, Answer.YES))
    return answers


def findings(*paths: Path, answers: Answers | None = None, **but: Answer) -> list[Finding]:
    """What is found."""
    return list(path_findings(paths, answered(*paths, **but) if answers is None else answers, 7.0))


NO = Answer.NO


def test_nothing_is_found_where_all_is_well() -> None:
    """Nor where nobody is asked, or could be."""
    assert findings(path("web"), encrypted(path("safe"))) == []
    assert findings() == []
    unasked = Answer.UNASKED
    assert findings(path("web"), small=unasked, full=unasked, outer=unasked) == []


def test_a_tunnel_that_is_shut_is_told_with_its_port() -> None:
    """The hosts reach each other, and what goes in UDP does not pass."""
    (found,) = findings(path("web"), small=NO, full=NO)
    assert found.text == (
        "host web2 does not answer in network web, in which it takes part: what is sent to its containers may be lost"
    )
    assert found.proof.endswith("192.0.2.2 in the underlay answers")
    assert found.remedy.startswith("let UDP port 4790 pass between 192.0.2.1 and 192.0.2.2, both ways")


def test_a_host_that_is_not_reached_at_all_is_told_as_such() -> None:
    """What is between them comes before any port."""
    (found,) = findings(path("web"), small=NO, full=NO, outer=NO)
    assert found.proof.endswith("192.0.2.2 in the underlay does not answer either")
    assert found.remedy.startswith("see whether 192.0.2.2 is reached from here")


def test_a_host_is_told_of_once() -> None:
    """With some of the networks; encrypted ones have a way of their own."""
    plain = [path(name, number) for number, name in enumerate("abcde")]
    found = findings(*plain, encrypted(path("safe")), small=NO, full=NO, inner=NO)
    assert ["networks a, b, c and 2 more" in each.text for each in found] == [True, False]
    assert ["UDP port 4790" in each.remedy for each in found] == [True, False]
    assert ["UDP port 51821" in each.remedy for each in found] == [False, True]


def test_a_network_that_is_silent_beside_one_that_answers_is_not_the_ports_fault() -> None:
    """The same for an encrypted one where WireGuard passes."""
    web, db = path("web"), path("db", 8)
    (found,) = findings(web, db, answers=answered(web) | answered(db, small=NO, full=NO))
    assert "does not answer in network db, in which it takes part, but does in network web" in found.text
    assert "UDP" not in found.remedy
    (found,) = findings(encrypted(web), small=NO, full=NO)
    assert "UDP" not in found.remedy


def test_a_container_answers_for_its_host() -> None:
    """Whose firewall drops pings; how long packets may be is not asked of containers."""
    web = path("web", containers=2)
    silent = answered(web, small=NO, full=NO)
    assert findings(web, answers=silent | {web.small[2]: Answer.YES}) == []


def test_full_packets_that_do_not_pass_are_told() -> None:
    """With what the path would have to carry."""
    (found,) = findings(path("web"), full=NO)
    assert found.text == (
        "host web2 answers small packets in network web, and none of 1450 bytes, which containers send"
    )
    assert "an MTU of 1500" in found.remedy
    assert findings(path("web"), full=Answer.UNASKED) == []
