"""The body of a network's creation, as far as a proxy reads and patches it.

Rules: as in mooring.wire.docker_bodies; a subnet is put in only for a family for which the body names none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from mooring.core.docker_requests import NetworkSpec
from mooring.core.networks import Subnet
from mooring.wire.go_json import Members, Unread, encoded, read, with_value

_CONFIG = ("IPAM", "Config")


def network_spec(body: bytes) -> NetworkSpec | None:
    """What a creation asks for, None when the body is not of that shape."""
    try:
        top = read(body)
        ipam = top.members("IPAM")
        named = [_family(entry) for entry in _configs(body, ipam)]
        wanted = [4] if top.last("EnableIPv4") is None or top.flag("EnableIPv4") else []
        wanted += [6] if top.flag("EnableIPv6") else []
        return NetworkSpec(
            top.text("Name"),
            top.text("Driver"),
            ipam.text("Driver"),
            top.members("Options").texts(),
            ipam.members("Options").texts(),
            tuple(family for family in wanted if family not in named),
        )
    except Unread:
        return None


def with_subnets(body: bytes, subnets: Sequence[Subnet]) -> bytes:
    """The body with these subnets too. One that `network_spec` cannot read comes back as it is."""
    try:
        ipam = read(body).members("IPAM")
        entries = [msgspec.json.encode(entry) for entry in _configs(body, ipam) if entry]
        added = [b'{"Subnet":' + encoded(str(subnet)) + b"}" for subnet in subnets]
        return with_value(body, _CONFIG, b"[" + b",".join((*entries, *added)) + b"]")
    except Unread:
        return body


def with_ipam_options(body: bytes, options: Mapping[str, str]) -> bytes:
    """The body with these options of the IPAM driver too. One that `network_spec` cannot read comes back as it is."""
    try:
        told = read(body).members("IPAM").members("Options").texts()
        return with_value(body, ("IPAM", "Options"), msgspec.json.encode({**told, **options}))
    except Unread:
        return body


def _configs(body: bytes, ipam: Members) -> list[dict[str, object]]:
    """The elements of IPAM.Config. Raises Unread for another shape."""
    member = ipam.last("Config")
    if member is None:
        return []
    try:
        return msgspec.json.decode(body[member.start : member.end], type=list[dict[str, object]] | None) or []
    except (msgspec.MsgspecError, ValueError):
        raise Unread from None


def _family(entry: Mapping[str, object]) -> int:
    """4 or 6, which the element names a subnet of; 0 for none."""
    subnet = next((value for name, value in entry.items() if name.lower() == "subnet"), None)
    if not isinstance(subnet, str) or not subnet:
        return 0
    return 6 if ":" in subnet else 4
