"""Netlink: sockets, events, and whose links are whose."""
