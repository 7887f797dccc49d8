"""A configuration file for a host that has none: every key with what it means, and its default commented out."""

from __future__ import annotations

import json
from textwrap import fill

from mooring.config import SETTINGS

_HEAD = """\
# Mooring's configuration. Nothing has to be set: what is commented out is the default.
# `mooring serve --check` reports what is wrong in it; `systemctl restart mooring` reloads it, containers go on.
"""
_TABLES = """
# Where subnets come from when a network is created without --subnet. These replace the default of their family.
#[[subnet_pools]]
#name = "here"
#prefixes = ["10.32.0.0/12"]
#length = 24

# Where the proxy in front of the engine's socket listens. Tables replace the default listener,
# /run/mooring/docker.sock; to keep it, write it down as well.
#[[proxy]]
#listen = "unix:///run/mooring/docker.sock"
#group = "docker"
#show_ports = true      # lists and inspections of containers show the ports that Mooring publishes
#
#[[proxy]]
#listen = "unix:///run/mooring/read-only.sock"
#group = "docker"
#read_only = true
"""


def template() -> str:
    """The file."""
    parts = [_HEAD]
    for setting in SETTINGS:
        meaning = fill(
            setting.help[0].upper() + setting.help[1:] + ".", 118, initial_indent="# ", subsequent_indent="# "
        )
        parts.append(f"\n{meaning}\n#{setting.key} = {json.dumps(setting.default)}\n")
    return "".join((*parts, _TABLES))
