"""Settings of what the site's nameservers get."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest

from mooring.config import ConfigurationInvalid, load
from mooring.config.zones import network_names, place, zones


def loaded(**flags: str) -> object:
    """The settings by flags."""
    return load(flags, {}, "0123456789abcdef").zones


@pytest.mark.parametrize(
    ("text", "address", "port"),
    [
        ("192.0.2.1", "192.0.2.1", 53),
        ("192.0.2.1:5353", "192.0.2.1", 5353),
        ("2001:db8::1", "2001:db8::1", 53),
        ("[2001:db8::1]:5353", "2001:db8::1", 5353),
    ],
)
def test_a_place_is_an_address_with_or_without_a_port(text: str, address: str, port: int) -> None:
    """Of both families."""
    assert place(text) == (ip_address(address), port)


@pytest.mark.parametrize("text", ["", "ns1.example.org", "0.0.0.0:53", "192.0.2.1:0", "192.0.2.1:70000", "[::]:1", 5])
def test_every_other_place_is_refused(text: object) -> None:
    """A name, every address at once, no port."""
    with pytest.raises(ValueError, match="must be an address"):
        place(text)


def test_lists_are_lists_or_text_with_commas() -> None:
    """And names are as they are in DNS."""
    assert zones("Docker.example.org., 32.10.in-addr.arpa") == ("docker.example.org", "32.10.in-addr.arpa")
    assert network_names(["Web"]) == ("web",)
    for wrong in (5, ["a b"]):
        with pytest.raises(ValueError, match=r"list|network"):
            network_names(wrong)


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ({"dns_transfer": "192.0.2.1"}, "dns_transfer: needs dns_keys"),
        ({"dns_update": "192.0.2.1", "dns_update_zones": "mooring"}, "dns_update: needs dns_keys"),
        ({"dns_notify": "192.0.2.1"}, "dns_notify: needs dns_transfer"),
        ({"dns_update": "192.0.2.1", "dns_keys": "/k"}, "needs a zone in dns_update_zones that dns_zone mooring is in"),
        (
            {"dns_update": "192.0.2.1", "dns_keys": "/k", "dns_update_zones": "10.in-addr.arpa"},
            "needs a zone in dns_update_zones",
        ),
        ({"dns_transfer": "192.0.2.1", "dns_keys": "/k", "dns_zone": ".".join(["a" * 60] * 4)}, "is too long"),
        ({"dns_transfer": "nowhere"}, "must be an address"),
    ],
)
def test_what_does_not_fit_together_is_a_problem(flags: dict[str, str], problem: str) -> None:
    """In one line, which says what is missing."""
    with pytest.raises(ConfigurationInvalid, match=problem):
        loaded(**flags)


def test_all_of_it_fits_together() -> None:
    """As docs/names.md has it."""
    found = load(
        {
            "dns_zone": "a.docker.example.org", "dns_keys": "/etc/mooring/dns.keys", "dns_transfer": "192.0.2.1:5353",
            "dns_notify": "192.0.2.53", "dns_update": "192.0.2.53", "dns_export": "web,shop",
            "dns_update_zones": "docker.example.org,32.10.in-addr.arpa",
        },
        {},
        "0123456789abcdef",
    ).zones  # fmt: skip
    assert found.wanted
    assert (found.keys, found.export) == (Path("/etc/mooring/dns.keys"), ("web", "shop"))
    assert found.update_zones == ("docker.example.org", "32.10.in-addr.arpa")
