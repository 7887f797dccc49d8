"""Our nftables table as text, and what its sets and maps hold.

Rules: the rules are constant and all that varies is an element of a set or a map, so that cost does not grow with the
number of networks or ports; a verdict is only about packets that touch a bridge of ours; what we forward bears one mark
bit, by which Docker's own FORWARD chain can let it pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from hashlib import sha256
from ipaddress import ip_address

from mooring.core.dns_places import ADDRESS4, ADDRESS6, PORT
from mooring.core.networks import Address, GatewayMode, Network, Subnet
from mooring.core.plumbing import Add, Alter, Member, Op, Remove, Ruleset
from mooring.core.port_bindings import PortBinding, Protocol
from mooring.core.rulesets import TableText
from mooring.core.tunnel_places import INNER, LINKS

TABLE = "mooring"
# Of our chain at the hook of what is forwarded: before those of others, whose usual priority is 0.
PRIORITY = -5

# The bit of the packet mark which says that our forward chain has accepted the packet. Kubernetes, Calico, Cilium,
# Tailscale and Docker's swarm leave this one alone by default or use it in other places than DOCKER-USER.
ACCEPTED_MARK = 0x20000000
# The bit which says that a new connection of a container of ours goes into what may be a network of Docker's, and not
# by a published port: what Docker's own isolation is for, of which ours are no part.
FOREIGN_MARK = 0x10000000

SETS = """\
    # Every bridge of ours, and the host's bridges that are known to be none of Docker's.
    set bridges { type ifname; }
    set uplinks { type ifname; }
    # Bridges of internal networks: nothing leaves, nothing comes in, but for the host itself.
    set internal { type ifname; }
    # A bridge paired with itself, where its containers reach each other (within) or do not (apart).
    set within { type ifname . ifname; }
    set apart { type ifname . ifname; }
    # Networks with the same word have the same group: the group of a bridge, and the bridges of a group.
    map groups { type ifname : mark; }
    set members { type mark . ifname; }
    # Outgoing traffic takes the address of the interface that it leaves by, or a given one.
    set masquerade4 { type ifname; }
    set masquerade6 { type ifname; }
    map source4 { type ifname : ipv4_addr; }
    map source6 { type ifname : ipv6_addr; }
    # Reached by its own published port, a network must answer by way of the host.
    set hairpin4 { type ipv4_addr . ifname; flags interval; }
    set hairpin6 { type ipv6_addr . ifname; flags interval; }
    # In a tenant's routing domain: its way to the host, paired with a bridge that the host's programs reach.
    set from_host { type ifname . ifname; }
    # Bridges of a tenant's routing domain: who names a source that is not theirs is no one that anybody could answer,
    # and the answer to him would go to whoever has the address outside.
    set strict { type ifname; }
    # Open to the outside: all of it, or to ping only.
    set open4 { type ifname; }
    set open6 { type ifname; }
    set pingable4 { type ifname; }
    set pingable6 { type ifname; }
    # Tunnels between hosts: the ports at which their packets come, and the hosts that they may come from.
    set tunnel_ports { type inet_service; }
    set tunnels4 { type ipv4_addr . inet_service; }
    set tunnels6 { type ipv6_addr . inet_service; }
    # Published ports: at one address of the host, at every address of the host, at the container's own address.
    map published4 { type inet_proto . ipv4_addr . inet_service : ipv4_addr . inet_service; }
    map published6 { type inet_proto . ipv6_addr . inet_service : ipv6_addr . inet_service; }
    map wildcard4 { type inet_proto . inet_service : ipv4_addr . inet_service; }
    map wildcard6 { type inet_proto . inet_service : ipv6_addr . inet_service; }
    set routed4 { type inet_proto . ipv4_addr . inet_service; }
    set routed6 { type inet_proto . ipv6_addr . inet_service; }
    # The same of containers of other hosts, where nothing of this host's is published, and where those containers are:
    # their answers must come back by this host.
    map ingress_at4 { type inet_proto . ipv4_addr . inet_service : ipv4_addr . inet_service; }
    map ingress_at6 { type inet_proto . ipv6_addr . inet_service : ipv6_addr . inet_service; }
    map ingress4 { type inet_proto . inet_service : ipv4_addr . inet_service; }
    map ingress6 { type inet_proto . inet_service : ipv6_addr . inet_service; }
    set elsewhere4 { type ipv4_addr . ifname; }
    set elsewhere6 { type ipv6_addr . ifname; }
"""

CHAINS = f"""\
    # Our bridges route to loopback (route_localnet), for the host's own connections to 127.0.0.1; so nobody else may
    # name a loopback address, neither to reach the host's services nor a port that is published at 127.0.0.1 only.
    chain raw {{
        type filter hook prerouting priority raw; policy accept;
        iifname != "lo" ip daddr 127.0.0.0/8 drop
        iifname @bridges ip saddr 127.0.0.0/8 drop
        udp dport @tunnel_ports fib daddr type local jump came
    }}

    # Each flow in a tunnel has a source port of its own, and its answers another: tracked, each would be a connection
    # that is never answered, on both hosts, and would fill the table beside those of the containers themselves.
    chain came {{
        ip saddr . udp dport @tunnels4 notrack
        ip6 saddr . udp dport @tunnels6 notrack
    }}

    chain went {{
        type filter hook output priority raw; policy accept;
        ip daddr . udp dport @tunnels4 notrack
        ip6 daddr . udp dport @tunnels6 notrack
    }}

    # A port is published at an address only as long as the host has it: later it may be another machine's.
    # The kernel takes no packet for ::1 from another interface than lo (net/ipv6/route.c, rt6_need_strict), so answers
    # could not come back: left alone, a client is refused at once and tries 127.0.0.1.
    # At the DNS server's addresses nothing is published, whatever port 53 of the others is.
    chain translate {{
        ip6 daddr {{ ::1, {ADDRESS6} }} return
        ip daddr {ADDRESS4} return
        meta nfproto ipv4 fib daddr type local dnat ip to meta l4proto . ip daddr . th dport map @published4
        meta nfproto ipv6 fib daddr type local dnat ip6 to meta l4proto . ip6 daddr . th dport map @published6
        meta nfproto ipv4 fib daddr type local dnat ip to meta l4proto . th dport map @wildcard4
        meta nfproto ipv6 fib daddr type local dnat ip6 to meta l4proto . th dport map @wildcard6
        meta nfproto ipv4 fib daddr type local dnat ip to meta l4proto . ip daddr . th dport map @ingress_at4
        meta nfproto ipv6 fib daddr type local dnat ip6 to meta l4proto . ip6 daddr . th dport map @ingress_at6
        meta nfproto ipv4 fib daddr type local dnat ip to meta l4proto . th dport map @ingress4
        meta nfproto ipv6 fib daddr type local dnat ip6 to meta l4proto . th dport map @ingress6
    }}

    chain prerouting {{
        type nat hook prerouting priority -105; policy accept;
        iifname @internal return
        meta l4proto {{ tcp, udp, sctp }} jump translate
    }}

    chain output {{
        type nat hook output priority -105; policy accept;
        meta l4proto {{ tcp, udp, sctp }} jump translate
    }}

    # An internal network sees of the host only the addresses on its own bridge, and the DNS server. What is in a tunnel
    # is believed (RFC 7348, section 7), so it comes from the other hosts only, and never from a container.
    chain input {{
        type filter hook input priority -5; policy accept;
        udp dport @tunnel_ports goto tunnelled
        iifname @internal ip daddr {ADDRESS4} meta l4proto {{ tcp, udp }} th dport {PORT} accept
        iifname @internal ip6 daddr {ADDRESS6} meta l4proto {{ tcp, udp }} th dport {PORT} accept
        iifname @internal fib daddr . iif type != {{ local, broadcast, multicast }} drop
        ct state new,invalid iifname @strict fib saddr . iif oif missing drop
    }}

    # What claims to be from within the encrypted underlay comes from there, and what is for there goes there.
    chain tunnelled {{
        iifname @bridges drop
        ip6 saddr {INNER} iifname != "{LINKS}*" drop
        ip saddr . udp dport @tunnels4 accept
        ip6 saddr . udp dport @tunnels6 accept
        drop
    }}

    chain escaping {{
        type filter hook output priority -5; policy accept;
        ip6 daddr {INNER} oifname != "{LINKS}*" oifname != "lo" drop
        ip6 saddr {INNER} oifname != "{LINKS}*" oifname != "lo" drop
    }}

    # A container's packet to another host's tunnel would come there from this host's address, once it is translated.
    # Who routes between hosts has no bridge of containers there.
    chain smuggled {{
        iifname @uplinks return
        meta iifkind != "bridge" iifname != @bridges return
        ip daddr . udp dport @tunnels4 drop
        ip6 daddr . udp dport @tunnels6 drop
    }}

    chain allow {{
        meta mark set meta mark | {ACCEPTED_MARK:#010x}
        accept
    }}

    # Packets into our networks.
    chain inward {{
        ct state established,related goto allow
        iifname . oifname @within goto allow
        iifname @internal drop
        oifname @internal drop
        ct status dnat goto allow
        meta l4proto . ip daddr . th dport @routed4 goto allow
        meta l4proto . ip6 daddr . th dport @routed6 goto allow
        iifname @bridges goto across
        meta iifkind "bridge" iifname != @uplinks drop
        meta nfproto ipv4 oifname @open4 goto allow
        meta nfproto ipv6 oifname @open6 goto allow
        icmp type echo-request oifname @pingable4 goto allow
        icmpv6 type echo-request oifname @pingable6 goto allow
        drop
    }}

    # From one network of ours to another. The mark carries the group for the length of two rules: a set cannot be
    # asked with the result of a map in any other way.
    chain across {{
        iifname . oifname @apart drop
        meta mark set iifname map @groups
        meta mark . oifname @members meta mark set {ACCEPTED_MARK:#010x} accept
        drop
    }}

    # From our networks to elsewhere. What Docker's own bridges let in is for Docker to say, so no mark for them, and a
    # bridge may be Docker's from its first packet on, long before anybody has told us: those that are not are listed. A
    # packet that belongs to no connection cannot be translated and would show a private address to the wire; the kernel
    # tracks no neighbour discovery, which somebody may send through a router (nf_conntrack_proto_icmpv6.c).
    chain outward {{
        iifname @internal drop
        meta nfproto ipv4 iifname @masquerade4 ct state invalid drop
        meta nfproto ipv6 iifname @masquerade6 ct state invalid,untracked drop
        ct state new iifname @strict fib saddr . iif oif missing drop
        oifname @uplinks goto allow
        meta oifkind "bridge" goto foreign
        goto allow
    }}

    # It is for DOCKER-USER to let in, and to keep out at its end: Docker's own chains behind it let reach a published
    # port at the container's own address whoever comes from no network of Docker's (engines before 28), and everything
    # where FORWARD accepts by default. What came to the host's address is translated by now.
    chain foreign {{
        ct state established,related accept
        ct status dnat accept
        meta mark set meta mark | {FOREIGN_MARK:#010x}
        accept
    }}

    chain forward {{
        type filter hook forward priority {PRIORITY}; policy accept;
        ip6 daddr {INNER} drop
        udp dport @tunnel_ports jump smuggled
        oifname @bridges goto inward
        iifname @bridges goto outward
    }}

    chain postrouting {{
        type nat hook postrouting priority 95; policy accept;
        oifname @bridges goto homeward
        snat ip to iifname map @source4
        snat ip6 to iifname map @source6
        meta nfproto ipv4 iifname @masquerade4 masquerade
        meta nfproto ipv6 iifname @masquerade6 masquerade
    }}

    # Into our networks the source is kept, but where the answer would not find back.
    chain homeward {{
        ip saddr 127.0.0.0/8 masquerade
        ip6 saddr ::1 masquerade
        ct status dnat ip saddr . oifname @hairpin4 masquerade
        ct status dnat ip6 saddr . oifname @hairpin6 masquerade
        ct status dnat ip daddr . oifname @elsewhere4 masquerade
        ct status dnat ip6 daddr . oifname @elsewhere6 masquerade
        ct status dnat return
        iifname . oifname @from_host masquerade
    }}
"""

FIREWALL = TableText("inet", SETS, CHAINS)

# Bridges that every engine may make, whatever networks it tells of.
DOCKER_BRIDGES = ("docker0", "docker_gwbridge")

# What leads to containers of other hosts, and what does so here.
_INGRESS = {"ingress": "wildcard", "ingress_at": "published"}

# What nftables takes as an interface name within quotes, and not as a pattern. The kernel allows more; nobody uses it.
_PLAIN_NAME = re.compile(r"[\w.+=@~-]{1,15}", re.ASCII)


def ruleset() -> Ruleset:
    """The fact that the table is this version's."""
    return FIREWALL.ruleset


def network_members(network: Network) -> Iterator[Member]:
    """The elements that say what a network's bridge may do."""
    bridge = f'"{network.bridge}"'
    options = network.options
    yield Member("bridges", bridge)
    yield Member("within" if options.icc else "apart", f"{bridge} . {bridge}")
    if network.internal:
        yield Member("internal", bridge)
        return
    if options.peers:
        group = peer_group(options.peers)
        yield Member("groups", bridge, group)
        yield Member("members", f"{group} . {bridge}")
    for version, segments in ((4, network.ipv4), (6, network.ipv6)):
        if not segments:
            continue
        mode = network.gateway_mode(version)
        if mode in (GatewayMode.NAT, GatewayMode.NAT_UNPROTECTED):
            yield from _outgoing(network, version, bridge)
            for segment in segments:
                yield Member(f"hairpin{version}", f"{prefix_words(segment.subnet)} . {bridge}")
        if mode is GatewayMode.NAT_UNPROTECTED:
            yield Member(f"open{version}", bridge)
        if mode is GatewayMode.ROUTED:
            yield Member(f"pingable{version}", bridge)


def foreign_bridge_members(bridges: Iterable[str]) -> Iterator[Member]:
    """The elements that treat these bridges of the host as any other way out. bridges: their names; those that are no
    plain interface name are passed over, as are the two that are always Docker's."""
    for name in sorted({*bridges}.difference(DOCKER_BRIDGES)):
        if _PLAIN_NAME.fullmatch(name):
            yield Member("uplinks", f'"{name}"')


def port_members(network: Network, port_binding: PortBinding) -> Iterator[Member]:
    """The elements that open one published port. Internal networks publish nothing."""
    version = port_binding.target.version
    mode = network.gateway_mode(version)
    protocol = int(port_binding.protocol)
    if network.internal or mode is GatewayMode.ISOLATED:
        return
    if mode is GatewayMode.ROUTED:
        yield Member(f"routed{version}", f"{protocol} . {port_binding.target} . {port_binding.target_port}")
        return
    target = f"{port_binding.target} . {port_binding.target_port}"
    if port_binding.host is None:
        yield Member(f"wildcard{version}", f"{protocol} . {port_binding.host_port}", target)
    else:
        yield Member(f"published{version}", f"{protocol} . {port_binding.host} . {port_binding.host_port}", target)


def ingress_members(network: Network, port_binding: PortBinding) -> Iterator[Member]:
    """The elements that lead from this host to a published port of another host's container in the network."""
    version, protocol = port_binding.target.version, int(port_binding.protocol)
    target = f"{port_binding.target} . {port_binding.target_port}"
    if port_binding.host is None:
        yield Member(f"ingress{version}", f"{protocol} . {port_binding.host_port}", target)
    else:
        yield Member(f"ingress_at{version}", f"{protocol} . {port_binding.host} . {port_binding.host_port}", target)
    yield Member(f"elsewhere{version}", f'{port_binding.target} . "{network.bridge}"')


def is_ingress(member: Member) -> bool:
    """Whether it is one of these."""
    return member.container[:-1] in _INGRESS or member.container[:-1] == "elsewhere"


def port_binding_of(member: Member) -> PortBinding | None:
    """What the element publishes, None when it is no element of a published port. The inverse of
    `port_members`."""
    kind, version = member.container[:-1], member.container[-1:]
    if kind not in ("routed", "wildcard", "published") or version not in ("4", "6"):
        return None
    words, target = member.element.split(" . "), member.value.split(" . ")
    try:
        protocol = Protocol(int(words[0]))
        if kind == "routed":
            return PortBinding(protocol, None, 0, ip_address(words[1]), int(words[2]))
        host = ip_address(words[1]) if kind == "published" else None
        return PortBinding(protocol, host, int(words[-1]), ip_address(target[0]), int(target[1]))
    except (ValueError, IndexError):
        return None


def ingress_binding_of(member: Member) -> PortBinding | None:
    """What the element leads to on another host, None when it is none of these."""
    kind, version = member.container[:-1], member.container[-1:]
    if kind not in _INGRESS:
        return None
    return port_binding_of(replace(member, container=f"{_INGRESS[kind]}{version}"))


def port_changes(ops: Iterable[Op]) -> tuple[list[PortBinding], list[PortBinding]]:
    """What the ops publish from now on, and what no longer, here or on another host. A port that moves is in both."""
    opened: list[PortBinding] = []
    closed: list[PortBinding] = []
    for op in ops:
        gone = op.before if isinstance(op, Alter) else op.fact if isinstance(op, Remove) else None
        come = op.after if isinstance(op, Alter) else op.fact if isinstance(op, Add) else None
        for fact, found in ((gone, closed), (come, opened)):
            if not isinstance(fact, Member):
                continue
            if (port_binding := port_binding_of(fact) or ingress_binding_of(fact)) is not None:
                found.append(port_binding)
    return opened, closed


def peer_group(word: str) -> str:
    """The number that stands for a word of `peers`, as nftables spells a mark. Never 0."""
    return f"0x{int.from_bytes(sha256(word.encode()).digest()[:4], 'big') | 1:08x}"


def _outgoing(network: Network, version: int, bridge: str) -> Iterator[Member]:
    source: Address | None = network.options.source4 if version == 4 else network.options.source6
    if source is not None:
        yield Member(f"source{version}", bridge, str(source))
    elif network.options.masquerade:
        yield Member(f"masquerade{version}", bridge)


def prefix_words(subnet: Subnet) -> str:
    """As nftables spells it: a prefix of full length is an address."""
    return str(subnet) if subnet.prefixlen < subnet.max_prefixlen else str(subnet.network_address)
