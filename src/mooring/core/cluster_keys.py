"""Where the hosts of a cluster keep what they agree on: one prefix a kind, below it address space and subnet.

Rules: what identifies a value is in its key; keys of one subnet sort as its addresses do, and those of one block are
all that begin with its own prefix, so that whoever claims a block reads nothing else.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address, ip_network
from urllib.parse import quote, unquote

from mooring.core.networks import Address, Subnet

# Hexadecimal digits that a block leaves open: 16 addresses of IPv4, 256 of IPv6 (core.blocks.LENGTHS).
_OPEN = {4: 1, 6: 2}


@lru_cache(maxsize=4096)
def place(space: str, subnet: Subnet) -> str:
    """How a subnet of an address space is written in keys: `default/0a200000p16`."""
    return f"{quote(space, safe='')}/{subnet.network_address.packed.hex()}p{subnet.prefixlen}"


def block_prefix(space: str, subnet: Subnet) -> str:
    """What the keys of all blocks of the subnet begin with."""
    return f"block/{place(space, subnet)}/"


def block_key(space: str, subnet: Subnet, index: int) -> str:
    """Where the block with the number is."""
    return f"{block_prefix(space, subnet)}{index:016x}"


def address_prefix(space: str, subnet: Subnet) -> str:
    """What the keys of all claimed addresses of the subnet begin with."""
    return f"addr/{place(space, subnet)}/"


def address_key(space: str, subnet: Subnet, address: Address) -> str:
    """Where the claim of the address is."""
    return f"{address_prefix(space, subnet)}{address.packed.hex()}"


def addresses_of_block(space: str, subnet: Subnet, first: Address) -> str:
    """What the keys of all claimed addresses of one block begin with. first: its first address."""
    return address_key(space, subnet, first)[: -_OPEN[subnet.version]]


def identity_prefix(space: str, subnet: Subnet) -> str:
    """What the keys begin with that say which address of the subnet belongs to a key of a container's."""
    return f"key/{place(space, subnet)}/"


def identity_key(space: str, subnet: Subnet, key: str) -> str:
    """Where it is written which address of the subnet belongs to the key (core/keys.py)."""
    return f"{identity_prefix(space, subnet)}{quote(key, safe=':')}"


def want_prefix(space: str, subnet: Subnet) -> str:
    """What the keys of all requests to owners of blocks of the subnet begin with."""
    return f"want/{place(space, subnet)}/"


def want_key(space: str, subnet: Subnet, address: Address) -> str:
    """Where the owner of the block that has the address is asked for it."""
    return f"{want_prefix(space, subnet)}{address.packed.hex()}"


def networks_prefix(space: str = "") -> str:
    """What the keys of all networks of the address space ("" for any), and of who takes part in them, begin with."""
    return f"net/{quote(space, safe='')}/" if space else "net/"


def network_key(space: str, subnet: Subnet) -> str:
    """Where the network that has the subnet is."""
    return f"net/{place(space, subnet)}"


def member_key(space: str, subnet: Subnet, host: str) -> str:
    """Where it is written that the host takes part in the network that has the subnet."""
    return f"{network_key(space, subnet)}/{quote(host, safe='')}"


PARTS = ("block/", "want/", "addr/", "key/")
"""What the keys of everything that hosts keep of subnets begin with."""
EVERYWHERE = "everywhere/"
"""What the keys of all networks begin with that every host is to have."""


def everywhere_key(name: str) -> str:
    """Where it is written that every host is to have the network of that name."""
    return f"{EVERYWHERE}{quote(name, safe='')}"


def answer_key(name: str, host: str) -> str:
    """Where a host says what it did about that."""
    return f"{everywhere_key(name)}/{quote(host, safe='')}"


VNIS = "vni/"
"""What the keys of all VNIs begin with."""


def vni_key(vni: int) -> str:
    """Where it is written which network has the VNI."""
    return f"{VNIS}{vni:08x}"


def placed(key: str) -> tuple[str, Subnet, str]:
    """Address space, subnet and last part of a key of a kind that has them. Raises ValueError for another text."""
    _, space, subnet, last = key.split("/")
    digits, _, length = subnet.partition("p")
    return unquote(space), ip_network((bytes.fromhex(digits), int(length))), unquote(last)


def address_in(last: str) -> Address:
    """The address that the last part of a key spells. Raises ValueError."""
    return ip_address(bytes.fromhex(last))
