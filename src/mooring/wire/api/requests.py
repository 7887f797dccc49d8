"""Bodies of the API's requests.

Rules: what a body leaves out has its default; a field that is not known is refused; a body may gain fields, with a
default, but never loses or changes one; what is the default is not sent, so that a daemon of before takes it. Addresses
are text, times seconds since the epoch, durations seconds.
"""

from __future__ import annotations

import math

import msgspec

from mooring.core.faults import BadRequest


class Reserve(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The addresses from first to last are for whom it says.

    first, last: IP addresses; last "" for one address. space: the address space, "" for the only one that has them.
    whom: a container's name, a pattern for one, or a label selector; "" is nobody. note: why. until: when it ends, null
    for never. dry_run: nothing is done, only tried.
    """

    first: str
    last: str = ""
    space: str = ""
    whom: str = ""
    note: str = ""
    until: float | None = None
    dry_run: bool = False


class Release(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Nobody has the address by a reservation, a cooldown, or a key without a container.

    force: an idle one goes although its container is there. space, dry_run: as in Reserve.
    """

    address: str
    space: str = ""
    force: bool = False
    dry_run: bool = False


class Hold(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The address is fixed for the container that has it, or for the key.

    key: "" for its container. hold: seconds that the key keeps it without a container, null as it was. space, dry_run:
    as in Reserve.
    """

    address: str
    space: str = ""
    key: str = ""
    hold: float | None = None
    dry_run: bool = False

    def __post_init__(self) -> None:
        if self.hold is not None and (self.hold <= 0 or not math.isfinite(self.hold)):
            raise BadRequest("hold: the hold time must be more than 0 seconds")


class MoveLease(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What comes to this host from another one of the cluster: the address, or all that the key has.

    force: also from a host that is not heard. space, dry_run: as in Reserve."""

    what: str
    space: str = ""
    force: bool = False
    dry_run: bool = False


class CreateSubnetPool(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A subnet pool is in the store.

    prefixes: subnets of one family. space: the address space that it belongs to, "" for `default`. length: prefix
    length of a network's subnet, null for the usual. min_length, max_length: what networks may ask for, null for all.
    position: its turn among the default ones, 0 for one that is used by name only. note: one line. dry_run: as in
    Reserve.
    """

    name: str
    prefixes: tuple[str, ...]
    space: str = ""
    length: int | None = None
    min_length: int | None = None
    max_length: int | None = None
    position: int = 0
    note: str = ""
    dry_run: bool = False


class SetSubnetPool(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A stored subnet pool is as it says; what is null or empty stays.

    new_name: what it is called from now on. add, remove: subnets. The others: as in CreateSubnetPool.
    """

    name: str
    new_name: str = ""
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    length: int | None = None
    min_length: int | None = None
    max_length: int | None = None
    position: int | None = None
    note: str | None = None
    dry_run: bool = False


class RemoveSubnetPool(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A stored subnet pool is gone. dry_run: as in Reserve."""

    name: str
    dry_run: bool = False


class FixContainer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The container (name or id) asks for its fixed addresses at its next start. dry_run: as in Reserve."""

    container: str
    dry_run: bool = False

    def __post_init__(self) -> None:
        if not self.container.strip():
            raise BadRequest("fix: the container must not be empty")


class Attach(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The container (name or id) is in the network. addresses: at most one of each family; those that are reserved for
    it there, or any, if none is given."""

    container: str
    network: str
    addresses: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _named(self.container, self.network, "attach")


class Detach(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The container (name or id) is not in the network. dry_run: only say what it has there."""

    container: str
    network: str
    dry_run: bool = False

    def __post_init__(self) -> None:
        _named(self.container, self.network, "detach")


class AttachNamespace(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The network namespace has an endpoint in the network, for whoever asks to move its interface in and confirm that.

    namespace: which one it is, `BOOT:COOKIE` (id of the host's boot, SO_NETNS_COOKIE of a socket in it). name: what it
    is called here. addresses: as in Attach. taken: names of the interfaces in it. containers: full ids of containers
    that its processes are of, as their cgroups say.
    """

    namespace: str
    name: str
    network: str
    addresses: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _named(self.namespace, self.network, "attach")


class ConfirmNamespace(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What was to be in the namespace is there. namespace: as in AttachNamespace."""

    namespace: str
    network: str

    def __post_init__(self) -> None:
        _named(self.namespace, self.network, "confirm")


class DetachNamespace(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The namespace is not in the network. namespace: as in AttachNamespace, "" for one that is gone. dry_run: only say
    what it has there. unconfirmed: only when nobody has confirmed that it is there."""

    name: str
    network: str
    namespace: str = ""
    dry_run: bool = False
    unconfirmed: bool = False

    def __post_init__(self) -> None:
        _named(self.name, self.network, "detach")


class Expose(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The host has these addresses in the network; one of each family, if none is given and it has none."""

    network: str
    addresses: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _named("host", self.network, "expose")


class Hide(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The host does not have these addresses in the network, or none that `expose` gave it, if none is given."""

    network: str
    addresses: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _named("host", self.network, "hide")


def _named(container: str, network: str, what: str) -> None:
    if not container.strip() or not network.strip():
        raise BadRequest(f"{what}: the names must not be empty")


class FixFindings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the doctor finds and can put right is put right. dry_run: as in Reserve."""

    dry_run: bool = False


class Backup(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A copy of the store is written. path: absolute, of a new file, on the daemon's host."""

    path: str

    def __post_init__(self) -> None:
        if not self.path.startswith("/") or "\0" in self.path:
            raise BadRequest("backup: the path must be absolute")


class Deny(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """No network gets an address in the subnet from now on. note: why. dry_run: as in Reserve."""

    subnet: str
    note: str = ""
    dry_run: bool = False


class Allow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The entry of the deny list for exactly this subnet ends. dry_run: as in Reserve."""

    subnet: str
    dry_run: bool = False


class AddDnsRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The name has these addresses. network: its ID, a prefix of it, its name or subnet; "" for everybody. note: why.
    until: seconds since the epoch, null for one that somebody has to remove. dry_run: as in Reserve."""

    name: str
    addresses: tuple[str, ...]
    network: str = ""
    note: str = ""
    until: float | None = None
    dry_run: bool = False


class RemoveDnsRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The record of the name ends. network, dry_run: as in AddDnsRecord."""

    name: str
    network: str = ""
    dry_run: bool = False


class CreatePort(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A network port exists.

    network: its ID, a prefix of it, or its name. subnets, addresses: at most one of each family; without any the port
    has one address of each family of the network. mac, name: "" to choose one. tenant: whose the network has to be, ""
    for anybody's. note: one line. dry_run: as in Reserve.
    """

    network: str
    subnets: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    mac: str = ""
    name: str = ""
    tenant: str = ""
    note: str = ""
    dry_run: bool = False

    def __post_init__(self) -> None:
        if not self.network.strip():
            raise BadRequest("port: the network must not be empty")


class SetPort(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A network port (id or name) has the note. dry_run: as in Reserve."""

    port: str
    note: str = ""
    dry_run: bool = False


class RemovePort(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A network port (id or name) is gone. force: although containers that do not run name it. dry_run: as in
    Reserve."""

    port: str
    force: bool = False
    dry_run: bool = False


class CreateVnic(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An interface for the container that gets the address is there, before any container.

    tenant: "" for nobody's in particular. mac: "" for one that follows from the rest. mtu: bytes, null for 1500.
    gateway: the container's next hop, "" for the first address of the subnet, `none` for none. routes: each `SUBNET` or
    `SUBNET via ADDRESS`. instance: whose it is, as the launcher says. adopt: the name of an interface of the host that
    it shall be, "" to make one. wait: seconds, for the Docker network of another tenant with an equal subnet.
    """

    subnet: str
    address: str
    tenant: str = ""
    mac: str = ""
    mtu: int | None = None
    gateway: str = ""
    routes: tuple[str, ...] = ()
    instance: str = ""
    adopt: str = ""
    wait: float = 10.0

    def __post_init__(self) -> None:
        if not 0 <= self.wait <= 20:
            raise BadRequest("wait: must be from 0 to 20 seconds")


class RemoveVnic(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A VNIC is gone; one that is not there is gone already.

    vnic: its ID, address, or the name of its interface. tenant: whose, when several have the address. force: also while
    a container has it. dry_run: as in Reserve.
    """

    vnic: str
    tenant: str = ""
    force: bool = False
    dry_run: bool = False
