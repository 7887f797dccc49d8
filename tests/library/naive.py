"""A naive model of the library: what a line does to whom, in dictionaries, and what a house should look like then.

Rules: the name of an endpoint says its network, and names of networks and sandboxes say their settings, so that a line
says all; the model knows nothing of steps, records or drivers.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

# Settings by name. The second host sandbox and the second at a path are refused.
NETWORKS = {
    "web": "",
    "back": "families=4",
    "inner": "internal=1",
    "far": "driver=far",
    "other": "ipam=other",
    "bare": "driver=null",
    "hosts": "driver=host",
}
SANDBOXES = {
    "one": "ports=8081:80",
    "two": "ports=8082:80",
    "keyless": "kind=external ports=8083:80",
    "outside": "kind=external path=/proc/7/ns/net",
    "again": "kind=external path=/proc/7/ns/net",
    "host": "kind=host",
    "host2": "kind=host",
}
PATHS = ("/proc/7/ns/net", "/proc/8/ns/net", "/proc/9/ns/net")
ENDPOINTS = (*(f"{network}-{letter}" for network in NETWORKS for letter in "ab"),)
LINES = (
    *(f"network {name} {settings}".strip() for name, settings in NETWORKS.items()),
    *(f"sandbox {name} {settings}".strip() for name, settings in SANDBOXES.items()),
    *(f"endpoint {name.partition('-')[0]} {name}" for name in ENDPOINTS),
)


@dataclass(frozen=True)
class Place:
    """Where an endpoint is, "" for nowhere."""

    sandbox: str = ""
    priority: int = 0


@dataclass(frozen=True)
class Model:
    """paths: of sandboxes that have a namespace of others; "" while it is not told. seen: names that ever were. there:
    paths at which there is a namespace."""

    networks: frozenset[str] = frozenset()
    endpoints: dict[str, Place] = field(default_factory=dict)
    sandboxes: frozenset[str] = frozenset()
    paths: dict[str, str] = field(default_factory=dict)
    seen: frozenset[str] = frozenset()
    there: frozenset[str] = frozenset(PATHS)

    def after(self, line: str) -> tuple[str, Model]:
        """`ok` or the name of the fault, and the model then."""
        verb, *words = line.split()
        names = [word for word in words if "=" not in word]
        options = dict(word.split("=", 1) for word in words if "=" in word)
        if verb in ("network", "endpoint", "sandbox"):
            made = names[-1]
            outcome, after = getattr(self, f"_{verb}")(*names)
            return outcome, replace(after, seen=after.seen | {made}) if outcome == "ok" else self
        if any(name not in self.seen for name in names if name not in PATHS):
            return "NotFound", self
        outcome, after = getattr(self, f"_{verb.replace('-', '_')}")(*names, **options)
        return outcome, after if outcome == "ok" else self

    def _network(self, name: str) -> tuple[str, Model]:
        return ("Conflict" if name in self.networks else "ok"), replace(self, networks=self.networks | {name})

    def _no_network(self, name: str) -> tuple[str, Model]:
        if name not in self.networks:
            return "NotFound", self
        if any(endpoint.startswith(f"{name}-") for endpoint in self.endpoints):
            return "Conflict", self
        return "ok", replace(self, networks=self.networks - {name})

    def _endpoint(self, network: str, name: str) -> tuple[str, Model]:
        if network not in self.networks:
            return "NotFound", self
        return ("Conflict" if name in self.endpoints else "ok"), self.placed(name, Place())

    def _no_endpoint(self, name: str, force: str = "") -> tuple[str, Model]:
        if name not in self.endpoints:
            return "NotFound", self
        if self.endpoints[name].sandbox and not force:
            return "Conflict", self
        return "ok", replace(self, endpoints={key: place for key, place in self.endpoints.items() if key != name})

    def _sandbox(self, name: str) -> tuple[str, Model]:
        settings = dict(word.split("=") for word in SANDBOXES[name].split())
        path = settings.get("path", "")
        if path and path not in self.there:
            return "NotFound", self
        if name in self.sandboxes or (path and path in self.paths.values()):
            return "Conflict", self
        if settings.get("kind") == "host" and any(other.startswith("host") for other in self.sandboxes):
            return "Conflict", self
        paths = {**self.paths, name: path} if settings.get("kind") == "external" else self.paths
        return "ok", replace(self, sandboxes=self.sandboxes | {name}, paths=paths)

    def _no_sandbox(self, name: str) -> tuple[str, Model]:
        return "ok", self.without(name)

    def _join(self, name: str, sandbox: str, priority: str = "0") -> tuple[str, Model]:
        if name not in self.endpoints or sandbox not in self.sandboxes:
            return "NotFound", self
        network = name.partition("-")[0]
        at_host = sandbox.startswith("host")
        if network != "bare" and at_host != (network == "hosts"):
            return "Conflict", self
        if self.endpoints[name].sandbox not in ("", sandbox):
            return "Conflict", self
        return "ok", self.placed(name, Place(sandbox, int(priority)))

    def _leave(self, name: str, sandbox: str) -> tuple[str, Model]:
        if name not in self.endpoints or sandbox not in self.sandboxes:
            return "NotFound", self
        return ("ok" if self.endpoints[name].sandbox == sandbox else "Conflict"), self.placed(name, Place())

    def _refresh(self, name: str, hostname: str = "") -> tuple[str, Model]:
        return ("ok" if name in self.sandboxes else "NotFound"), self

    def _key(self, name: str, path: str) -> tuple[str, Model]:
        if name not in self.sandboxes or path not in self.there:
            return "NotFound", self
        if name not in self.paths or any(path == taken for who, taken in self.paths.items() if who != name):
            return "Conflict", self
        return "ok", replace(self, paths={**self.paths, name: path})

    def placed(self, name: str, place: Place) -> Model:
        """With the endpoint there."""
        return replace(self, endpoints={**self.endpoints, name: place})

    def without(self, *names: str) -> Model:
        """With the sandboxes gone, and their endpoints nowhere."""
        places = {key: Place() if place.sandbox in names else place for key, place in self.endpoints.items()}
        paths = {name: path for name, path in self.paths.items() if name not in names}
        return replace(self, sandboxes=self.sandboxes - set(names), endpoints=places, paths=paths)

    def rebooted(self) -> Model:
        """No namespace is left: that of the host is another, and one that was not told may still come."""
        gone = [name for name in self.sandboxes if not name.startswith("host") and self.paths.get(name) != ""]
        return self.without(*gone)

    def lost(self, path: str) -> Model:
        """The namespace of others at the path is gone."""
        return replace(self.without(*(n for n, p in self.paths.items() if p == path)), there=self.there - {path})

    def visible(self) -> object:
        """What a house shows of it."""
        return (
            set(self.networks),
            {name: (place.sandbox, place.priority) for name, place in self.endpoints.items()},
            {name: self.paths.get(name, "") for name in self.sandboxes},
        )
