"""Settings of what the site's nameservers get."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_address
from pathlib import Path

from mooring.config.readers import absolute_path, dns_zone
from mooring.core.host_names import dns_label
from mooring.core.zones import Place, ZoneSettings, is_in_zone, is_reverse

ZONE_KEYS = ("dns_keys", "dns_transfer", "dns_notify", "dns_update", "dns_update_zones", "dns_export")
PORT = 53
MOST_ZONE = 200


def optional_path(value: object) -> Path | None:
    """An absolute path, or nothing."""
    return None if value == "" else absolute_path(value)


def place(value: object) -> Place:
    """An address, with or without a port: 192.0.2.1, 192.0.2.1:5353, [2001:db8::1]:5353."""
    try:
        if not isinstance(value, str):
            raise ValueError
        text, port = value.strip(), PORT
        if text.startswith("[") or text.count(":") == 1:
            text, _, number = text.rpartition(":")
            port = int(number)
        address = ip_address(text.strip("[]"))
        if not 0 < port < 65536 or address.is_unspecified or address.is_multicast:
            raise ValueError
    except ValueError:
        raise ValueError("must be an address such as 192.0.2.1 or 192.0.2.1:5353") from None
    return address, port


def optional_place(value: object) -> Place | None:
    """An address with or without a port, or nothing."""
    return None if value == "" else place(value)


def places(value: object) -> tuple[Place, ...]:
    """A list of addresses, or text with commas between them."""
    return tuple(map(place, _items(value, "a list of addresses")))


def zones(value: object) -> tuple[str, ...]:
    """A list of zones, or text with commas between them."""
    return tuple(map(dns_zone, _items(value, "a list of zones")))


def network_names(value: object) -> tuple[str, ...]:
    """A list of names of networks as they are in DNS, or text with commas between them."""
    found = _items(value, "a list of names of networks")
    for name in found:
        if not isinstance(name, str) or not dns_label(name):
            raise ValueError(f"{name!r} is not the name of a network")
    return tuple(dns_label(str(name)) for name in found)


def _items(value: object, what: str) -> list[object]:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list):
        raise ValueError(f"must be {what}")
    return value


def zone_settings(values: Mapping[str, object], say: Callable[[str], None]) -> ZoneSettings:
    """All of them together. say: is told what does not fit together. Those that cannot be are None."""
    keys, transfer, notify, update, update_zones, export = (values[key] for key in ZONE_KEYS)
    zone = values["dns_zone"]
    wants = [key for key, value in (("dns_transfer", transfer), ("dns_update", update)) if value]
    if wants and keys is None:
        say(f"{wants[0]}: needs dns_keys, the file of the key that both sides know (`tsig-keygen mooring`)")
    if wants and isinstance(zone, str) and len(zone) > MOST_ZONE:
        say(f"dns_zone: is too long for names of nameservers in it, more than {MOST_ZONE} characters")
    if notify and not transfer:
        say("dns_notify: needs dns_transfer, the address that those who are told get the zone from")
    if update and isinstance(update_zones, tuple) and isinstance(zone, str):
        forward = [each for each in update_zones if not is_reverse(each)]
        if not any(is_in_zone(zone, each) for each in forward):
            say(f"dns_update: needs a zone in dns_update_zones that dns_zone {zone} is in")
    return ZoneSettings(zone, keys, transfer, notify, update, update_zones, export)  # type: ignore[arg-type]
