"""The network between the machines of the lab: one bridge in a namespace of its own, and plain machines at it.

Rules: machine number n has 198.18.0.n and fd00:198:18::n; the outside machine is number 254 and everybody's default
gateway, so that a packet which should have stayed at home ends there and nowhere else.
"""

from __future__ import annotations

from tests.e2e.lab.namespaces import Namespace, run

OUTSIDE = 254


def address4(number: int) -> str:
    """The machine's IPv4 address on the underlay."""
    return f"198.18.0.{number}"


def address6(number: int) -> str:
    """The machine's IPv6 address on the underlay."""
    return f"fd00:198:18::{number:x}"


def mac(number: int) -> str:
    """Of the machine's link to the underlay: the same for ever, so that a rebooted one is found."""
    return f"02:00:c6:12:00:{number:02x}"


class Underlay:
    """A bridge to which machines are plugged, and the outside machine."""

    def __init__(self) -> None:
        self.namespace = Namespace("underlay", "ip link add under type bridge mcast_snooping 0\nip link set under up\n")
        self.outside = Machine(self)

    def plug(self, machine: Namespace, number: int) -> None:
        """The machine has a link eth0 with its addresses and default routes."""
        port = f"port{number}"
        self.namespace.run("ip", "link", "del", port, check=False)
        enter = self.namespace.enter  # net only: `netns PID` is looked up in the machine's own /proc
        add = ["ip", "link", "add", port, "type", "veth", "peer", "name", "eth0"]
        add += ["address", mac(number), "netns", str(machine.pid)]
        run(enter(add, network_only=True))
        self.namespace.run("ip", "link", "set", port, "master", "under", "up")
        script = [
            "link set eth0 up",
            f"address add {address4(number)}/24 dev eth0",
            f"address add {address6(number)}/64 dev eth0 nodad",
        ]
        if number != OUTSIDE:
            script += [f"route add default via {address4(OUTSIDE)}", f"route add ::/0 via {address6(OUTSIDE)}"]
        machine.run("ip", "-batch", "-", stdin="\n".join(script) + "\n")

    def cut(self, number: int) -> None:
        """The machine's cable is pulled."""
        self.namespace.run("ip", "link", "set", f"port{number}", "down")

    def mend(self, number: int) -> None:
        """The machine's cable is in again."""
        self.namespace.run("ip", "link", "set", f"port{number}", "up")

    def close(self) -> None:
        """The bridge and the outside machine are gone."""
        self.outside.close()
        self.namespace.close()


class Machine:
    """A machine without an engine at the underlay."""

    def __init__(self, underlay: Underlay, number: int = OUTSIDE) -> None:
        self.namespace = Namespace(f"machine{number}")
        self.ipv4, self.ipv6 = address4(number), address6(number)
        underlay.plug(self.namespace, number)

    @property
    def network(self) -> str:
        """The path of its network namespace."""
        return self.namespace.network

    def close(self) -> None:
        """The machine is gone."""
        self.namespace.close()
