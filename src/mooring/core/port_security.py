"""A container says only what is its own (no spoofing of addresses, MACs, ARP or neighbour discovery): the frames that
come from its port of a bridge are checked, by an nftables table of the bridge family.

Rules: what comes from the MAC and an address of the endpoint passes after one lookup, but for ICMPv6; ARP names
its own MAC and address as the sender (RFC 826), neighbour discovery its own MAC (RFC 4861, 4.6.1), a neighbour
advertisement its own address as the target (4.4), as does a probe for duplicates (RFC 4862, 5.4.2); router
advertisements and redirects are the host's, and nobody serves DHCP: what comes to a client's port (RFC 2131, RFC 8415)
says which router and which nameserver to use. A port that is not `guarded` is not looked at.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from ipaddress import IPv6Address

from mooring.core.endpoints import Endpoint
from mooring.core.networks import Network
from mooring.core.plumbing import Add, Alter, GuardedPort, Member, Op, Remove
from mooring.core.rulesets import TableText

SETS = """\
    # Ports that are checked.
    set guarded { type ifname; }
    # What a port may send from: its MAC with each of its addresses.
    set sources4 { type ifname . ether_addr . ipv4_addr; }
    set sources6 { type ifname . ether_addr . ipv6_addr; }
    # What a port may say in neighbour discovery that it has: behind the ICMPv6 header's 8 bytes.
    set targets6 { typeof iifname . ether saddr . @th,64,128; }
    # The MAC that a port may say there that it has: in the one option.
    set links6 { typeof iifname . @th,208,48; }
"""

CHAINS = """\
    # Before the bridge learns a MAC from the frame. The port of a DHCP client is looked at before anything else of the
    # packet, by its place: of all others that costs two loads and comparisons, which the kernel does without a call.
    chain prerouting {
        type filter hook prerouting priority -300; policy accept;
        @th,16,16 68 meta l4proto udp iifname @guarded drop
        @th,16,16 546 meta l4proto udp iifname @guarded drop
        iifname . ether saddr . ip saddr @sources4 accept
        meta protocol ip6 meta l4proto != icmpv6 iifname . ether saddr . ip6 saddr @sources6 accept
        iifname @guarded goto checked
    }

    # What is for all in an overlay crosses to other hosts where its option says so. Nobody asks there where an address
    # is, since all is known, and each host is its own containers' gateway: so neither that, nor what the host says to
    # all, nor advertisements of routers, leaves it. Neighbour discovery is types 133 to 137 (RFC 4861, 4).
    chain crossing {
        type filter hook forward priority -200; policy accept;
        oifname "mx-*" ether type arp drop
        oifname "mx-*" meta protocol ip6 icmpv6 type 133-137 drop
    }

    chain speaking {
        type filter hook output priority -200; policy accept;
        oifname "mx-*" ether daddr & 01:00:00:00:00:00 == 01:00:00:00:00:00 drop
    }

    # Behind a VLAN tag, too, which the kernel has taken off: where nothing else says so, nft would compare the Ethernet
    # header's type, that of the tag. A tag of VLAN 0 is a priority only, and the receiver sees the frame as untagged.
    chain checked {
        ether type arp goto resolution
        meta protocol ip6 icmpv6 type { nd-router-advert, nd-redirect } drop
        meta protocol ip6 icmpv6 type nd-neighbor-advert iifname . ether saddr . @th,64,128 != @targets6 drop
        ip6 saddr :: icmpv6 type nd-neighbor-solicit iifname . ether saddr . @th,64,128 != @targets6 drop
        meta protocol ip6 icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } jump told
        ip6 saddr != :: icmpv6 type nd-router-solicit ip6 length > 8 iifname . @th,80,48 != @links6 drop
        iifname . ether saddr . ip6 saddr @sources6 accept
        drop
    }

    # Who has asked or answered takes the MAC from the option, which is one (RFC 4861, 4.3 and 4.4); a probe for
    # duplicates has a nonce there (RFC 7527), and is believed by nobody.
    chain told {
        ip6 length > 32 drop
        ip6 saddr != :: ip6 length 32 iifname . @th,208,48 != @links6 drop
    }

    # The frame's MAC and the one in it are the port's.
    chain resolution {
        iifname . ether saddr . arp saddr ip @sources4 iifname . arp saddr ether . arp saddr ip @sources4 accept
        drop
    }
"""

PORT_SECURITY = TableText("bridge", SETS, CHAINS)


def port_guards(network: Network, endpoint: Endpoint, port: str) -> Iterator[GuardedPort]:
    """What guards the endpoint's port (the name of its veth on the host).

    None where the network's option says so, nor for who has no address of ours or is a next hop of the network's
    routes: what passes through it is others'.
    """
    hops = {route.via for route in network.options.routes}
    if not network.options.port_security or not endpoint.mac or hops & set(endpoint.addresses):
        return
    if not endpoint.addresses:
        return
    mine = f'"{port}" . {endpoint.mac}'
    # Unspecified: who asks for an address, or whether anybody has it.
    link = f'"{port}" . {int(endpoint.mac.replace(":", ""), 16):#x}'
    elements = {
        ("guarded", f'"{port}"'),
        ("links6", link),
        ("sources4", f"{mine} . 0.0.0.0"),
        ("sources6", f"{mine} . ::"),
    }
    for address in (*endpoint.addresses, link_local(endpoint.mac)):
        elements.add((f"sources{address.version}", f"{mine} . {address}"))
        if address.version == 6:
            elements.add(("targets6", f"{mine} . {int(address):#x}"))
    yield GuardedPort(port, frozenset(elements), network.domain)


def guards_of(members: Iterable[Member]) -> Iterator[GuardedPort]:
    """The elements of the table, by port."""
    found: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    for member in members:
        found[member.element.split('"')[1]].add((member.container, member.element))
    return (GuardedPort(port, frozenset(elements)) for port, elements in found.items())


def member_ops(op: Op) -> list[Add | Remove | Alter]:
    """The op, in elements."""
    before = op.before if isinstance(op, Alter) else op.fact if isinstance(op, Remove) else None
    after = op.after if isinstance(op, Alter) else op.fact if isinstance(op, Add) else None
    had = before.elements if isinstance(before, GuardedPort) else frozenset[tuple[str, str]]()
    gets = after.elements if isinstance(after, GuardedPort) else frozenset[tuple[str, str]]()
    if not had and not gets:
        return [op]
    gone = [Remove(Member(*element)) for element in sorted(had - gets)]
    return [*gone, *(Add(Member(*element)) for element in sorted(gets - had))]


def link_local(mac: str) -> IPv6Address:
    """The address that the kernel makes from a MAC (RFC 4291, appendix A)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    identifier = bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:]
    return IPv6Address(b"\xfe\x80" + bytes(6) + identifier)
