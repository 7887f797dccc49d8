"""The routes of Docker's API, as the engine has them: which steps a path has to it, and which of them is a name.

Rules: a name in most routes is `{name:.*}` (moby api/server/router, from 28 on daemon/server/router): whatever is
between two words, slashes included, such as an alias that `--link` made or an image's name; of several routes the first
one holds. The table has every route of the engines 20.10 to 29, since what one of them lacks it answers with 404.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

# `{name}` is `.*` to the engine, `{id}` a single step. In the order in which the engine looks.
_TABLE: Final = """
GET /containers/{name}/checkpoints
POST /containers/{name}/checkpoints
DELETE /containers/{id}/checkpoints/{id}
HEAD /containers/{name}/archive
GET /containers/json
GET /containers/{name}/export
GET /containers/{name}/changes
GET /containers/{name}/json
GET /containers/{name}/top
GET /containers/{name}/logs
GET /containers/{name}/stats
GET /containers/{name}/attach/ws
GET /exec/{name}/json
GET /containers/{name}/archive
POST /containers/create
POST /containers/{name}/kill
POST /containers/{name}/pause
POST /containers/{name}/unpause
POST /containers/{name}/restart
POST /containers/{name}/start
POST /containers/{name}/stop
POST /containers/{name}/wait
POST /containers/{name}/resize
POST /containers/{name}/attach
POST /containers/{name}/copy
POST /containers/{name}/exec
POST /exec/{name}/start
POST /exec/{name}/resize
POST /containers/{name}/rename
POST /containers/{name}/update
POST /containers/prune
POST /commit
PUT /containers/{name}/archive
DELETE /containers/{name}
GET /images/json
GET /images/search
GET /images/get
GET /images/{name}/get
GET /images/{name}/history
GET /images/{name}/json
GET /images/{name}/attestations
POST /images/load
POST /images/create
POST /images/{name}/push
POST /images/{name}/tag
POST /images/prune
DELETE /images/{name}
OPTIONS /{name}
GET /_ping
HEAD /_ping
GET /events
GET /info
GET /version
GET /system/df
POST /auth
GET /volumes
GET /volumes/{name}
POST /volumes/create
POST /volumes/prune
PUT /volumes/{name}
DELETE /volumes/{name}
POST /build
POST /build/prune
POST /build/cancel
POST /session
POST /swarm/init
POST /swarm/join
POST /swarm/leave
GET /swarm
GET /swarm/unlockkey
POST /swarm/update
POST /swarm/unlock
GET /services
GET /services/{id}
POST /services/create
POST /services/{id}/update
DELETE /services/{id}
GET /services/{id}/logs
GET /nodes
GET /nodes/{id}
DELETE /nodes/{id}
POST /nodes/{id}/update
GET /tasks
GET /tasks/{id}
GET /tasks/{id}/logs
GET /secrets
POST /secrets/create
DELETE /secrets/{id}
GET /secrets/{id}
POST /secrets/{id}/update
GET /configs
POST /configs/create
DELETE /configs/{id}
GET /configs/{id}
POST /configs/{id}/update
GET /plugins
GET /plugins/{name}/json
GET /plugins/privileges
DELETE /plugins/{name}
POST /plugins/{name}/enable
POST /plugins/{name}/disable
POST /plugins/pull
POST /plugins/{name}/push
POST /plugins/{name}/upgrade
POST /plugins/{name}/set
POST /plugins/create
GET /distribution/{name}/json
GET /networks
GET /networks/{name}
POST /networks/create
POST /networks/{name}/connect
POST /networks/{name}/disconnect
POST /networks/prune
DELETE /networks/{name}
POST /grpc
GET /debug/vars
GET /debug/pprof/
GET /debug/pprof/cmdline
GET /debug/pprof/profile
GET /debug/pprof/symbol
GET /debug/pprof/trace
GET /debug/pprof/{id}
"""

NAMES: Final = frozenset({"{name}", "{id}"})
# Longer paths are matched each time: a client must not fill our memory with them.
_SHORT: Final = 512


@dataclass(frozen=True, slots=True)
class Route:
    """One of them. steps: words, and where a name stands one of NAMES."""

    method: str
    steps: tuple[str, ...]


def _routes() -> Iterator[tuple[Route, re.Pattern[str]]]:
    for line in _TABLE.split("\n"):
        if line:
            method, path = line.split()
            patterns = {"{name}": "(.*)", "{id}": "([^/]+)"}
            steps = tuple(path[1:].split("/"))
            pattern = "".join("/" + patterns.get(step, re.escape(step)) for step in steps)
            yield Route(method, tuple(step for step in steps if step)), re.compile(pattern)


_PATTERNS: Final = tuple(_routes())
ROUTES: Final = tuple(route for route, _ in _PATTERNS)
METHODS: Final = frozenset(route.method for route in ROUTES)
SECTIONS: Final = tuple(sorted({route.steps[0] for route in ROUTES} - NAMES))


def steps_of(method: str, path: str) -> tuple[str, ...] | None:
    """The path's steps as the engine has them, each name being one; None when no engine has such a route.

    path: decoded, without a version.
    """
    return _known(method, path) if len(path) <= _SHORT else _find(method, path)


def _find(method: str, path: str) -> tuple[str, ...] | None:
    if path == "/networks/":  # a route of its own, and the same list
        path = "/networks"
    for route, pattern in _PATTERNS:
        if route.method == method and (found := pattern.fullmatch(path)) is not None:
            names = iter(found.groups())
            return tuple(next(names) if step in NAMES else step for step in route.steps)
    return None


_known = lru_cache(maxsize=1024)(_find)
