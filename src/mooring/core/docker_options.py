"""Docker's own names for options of networks.

Rules: each is a synonym of a word of ours, is accepted with its default value alone, or is the engine's own business;
which, is said here, and what it does in core/options.py.
"""

from __future__ import annotations

# Docker's name -> our word. Sources: libnetwork/drivers/bridge/labels.go, libnetwork/netlabel/labels.go.
SYNONYMS: dict[str, str] = {
    "com.docker.network.bridge.name": "bridge",
    "com.docker.network.bridge.enable_icc": "icc",
    "com.docker.network.bridge.enable_ip_masquerade": "masquerade",
    "com.docker.network.bridge.host_binding_ipv4": "binding",
    "com.docker.network.bridge.gateway_mode_ipv4": "gateway_mode4",
    "com.docker.network.bridge.gateway_mode_ipv6": "gateway_mode6",
    "com.docker.network.driver.mtu": "mtu",
    "com.docker.network.container_iface_prefix": "interface_prefix",
    "com.docker.network.host_ipv4": "source4",
    "com.docker.network.host_ipv6": "source6",
    "com.docker.network.driver.overlay.vxlanid_list": "vni",
}

# Docker's options that only their default value is accepted for: name -> (default, why no other).
FIXED: dict[str, tuple[object, str]] = {
    "com.docker.network.bridge.default_bridge": (False, "the engine's default bridge is the engine's own"),
    "com.docker.network.bridge.inhibit_ipv4": (
        False,
        "the bridge of a network with a gateway bears its address; use gateway=none",
    ),
    "com.docker.network.bridge.trusted_host_interfaces": (
        "",
        "not supported; use gateway_mode=nat-unprotected or gateway_mode=routed",
    ),
    "com.docker.network.bridge.firewalld_zone": ("", "Mooring keeps its rules in an nftables table of its own"),
}

# What the engine does itself for every driver's networks, with its bounds (libnetwork/osl/interface_linux.go).
BY_ENGINE: dict[str, tuple[int, int]] = {
    "com.docker.network.advertise_addr_nmsgs": (0, 3),
    "com.docker.network.advertise_addr_ms": (100, 2000),
}
