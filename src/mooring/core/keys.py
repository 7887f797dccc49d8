"""The key of a fixed address: what it belongs to, by the labels `fixed-ip` and `mooring.key`, by compose's project,
service and number, by the container's name, or by its id.

Rule: a label means what it meant to Minions and Barrel.
"""

from __future__ import annotations

from collections.abc import Mapping

from mooring.core.networks import Sticky

FIXED_LABEL = "fixed-ip"
KEY_LABEL = "mooring.key"
# How the key of an address begins that belongs to a container and ends with it.
CONTAINER_KEY = "container:"
# How the key of a port's addresses begins (core/network_ports.py); nothing that a container does ends them.
PORT_KEY = "port:"
# How what a claim belongs to begins whose address is reserved on its host (core/reservations.py): no lease's key does.
RESERVED_KEY = "reserved:"
# Names the ports that a container is to have, by id or name, joined by commas.
PORT_LABEL = "mooring.port"
LONGEST_KEY = 200
_COMPOSE = ("com.docker.compose.project", "com.docker.compose.service", "com.docker.compose.container-number")


def is_on(value: str | None) -> bool:
    """Whether a `fixed-ip` label with this value means yes; None: there is no such label.

    Everything is on but `0` and `false`, in any case of letters; the empty text is on (Minions driver/helper.go,
    Barrel proxy/docker/helper.go).
    """
    return value is not None and value != "0" and value.lower() != "false"


def is_sound(key: str) -> bool:
    """Whether the text can be a key: printable, and not longer than a line."""
    return key.isprintable() and len(key) <= LONGEST_KEY


def key_in_words(key: str) -> str:
    """What an address belongs to, without the container's name, which a key does not have."""
    kind, _, text = key.partition(":")
    if kind == "compose" and text.count("/") == 2:
        project, service, number = text.split("/")
        return f"compose service {project}/{service}, number {number}"
    if kind in ("key", "name", "port") and text:
        return f"{kind} {text}"
    if key.startswith(CONTAINER_KEY):
        return f"container {text[:12]}"
    return f"key {key}"


def is_meant(key: str, what: str) -> bool:
    """Whether somebody who says this may mean the key: all of it, without its kind, or, of a compose service's replica,
    without the number."""
    kind, _, text = key.partition(":")
    said = {key, text} if kind in ("key", "name", "compose", "port") else {key}
    if kind == "compose":
        said |= {key.rpartition("/")[0], text.rpartition("/")[0]}
    return what != "" and what in said


def key_of(labels: Mapping[str, str], name: str, sticky: Sticky, container: str) -> str:
    """What an address of the container belongs to in a network with this stickiness; "" for nothing.

    name: the container's, "" when it is not known yet. container: its full id, or what stands for it until it has one.
    The keys are `key:<text of the label mooring.key>`, `compose:<project>/<service>/<number>`, `name:<name>` and
    `container:<id>`. `fixed-ip=0` says no, whatever the network says. `fixed-ip` means the container, as it did to
    Minions and Barrel, but where compose made it: compose removes it at each change of its file, and makes it anew.
    """
    fixed = labels.get(FIXED_LABEL)
    if fixed is not None and not is_on(fixed):
        return ""
    if (text := labels.get(KEY_LABEL, "")) and is_sound(text):
        return f"key:{text}"
    if sticky is Sticky.NAME or is_on(fixed):
        compose = [labels.get(each, "").replace("%", "%25").replace("/", "%2F") for each in _COMPOSE]
        # What `docker compose run` makes is nobody's successor, and its name is a random one.
        once = is_on(labels.get("com.docker.compose.oneoff", "false"))
        if all(compose) and all(map(is_sound, compose)) and not once:
            return "compose:" + "/".join(compose)
        if sticky is Sticky.NAME and name and not once:
            return f"name:{name.lstrip('/')}"
    if is_on(fixed) or sticky is not Sticky.OFF:
        return CONTAINER_KEY + container
    return ""


def compose_replica(labels: Mapping[str, str]) -> tuple[str, str]:
    """Project and service as `shop/web`, and the number, of a container that compose made to stay; "" for others."""
    project, service, number = (labels.get(each, "") for each in _COMPOSE)
    if not (project and service and number) or is_on(labels.get("com.docker.compose.oneoff", "false")):
        return "", ""
    return f"{project}/{service}", number


def compose_service(labels: Mapping[str, str]) -> str:
    """The service that a container is one of, "" for what compose did not make."""
    return labels.get(_COMPOSE[1], "") if labels.get(_COMPOSE[0]) else ""


def outlives(key: str) -> bool:
    """Whether the key means something after its container is gone."""
    return bool(key) and not key.startswith((CONTAINER_KEY, RESERVED_KEY))


def is_reservations(key: str) -> bool:
    """Whether what belongs to the key is reserved on a host, for whom the key says."""
    return key.startswith(RESERVED_KEY)


def is_ports(key: str) -> bool:
    """Whether what belongs to the key is a port's."""
    return key.startswith(PORT_KEY)
