"""What Docker tells of a container itself, beside its places in networks: its state, and parts of its configuration.

Rules: as in engine_answers.
"""

from __future__ import annotations

import re

import msgspec


class _Form(msgspec.Struct, rename="pascal"):
    """Docker's fields are in Pascal case."""


class _RestartPolicy(_Form):
    name: str | None = ""


class HostConfigAnswer(_Form):
    """Its HostConfig."""

    network_mode: str | None = ""
    restart_policy: _RestartPolicy | None = None

    @property
    def restarts(self) -> bool:
        """Whether the engine starts it by itself ("no" and "" are the same to it)."""
        return self.restart_policy is not None and self.restart_policy.name not in ("", "no", None)


class _Health(_Form):
    status: str | None = ""


class StateAnswer(_Form):
    """Its State. error: what its last start failed of, until one succeeds (moby daemon/start.go)."""

    running: bool | None = False
    health: _Health | None = None
    error: str | None = ""
    started_at: str | None = ""

    @property
    def has_run(self) -> bool:
        """Whether it was ever started: else the time is Go's zero."""
        return bool(self.started_at) and not (self.started_at or "").startswith("0001-")

    @property
    def is_healthy(self) -> bool:
        """What the last check said."""
        return self.health is not None and self.health.status == "healthy"


class _HealthCheck(_Form):
    test: list[str] | None = None


class ConfigAnswer(_Form):
    """Its Config."""

    labels: dict[str, str] | None = None
    mac_address: str | None = ""
    healthcheck: _HealthCheck | None = None

    @property
    def is_checked(self) -> bool:
        """Whether there is a health check: NONE switches an image's off."""
        test = self.healthcheck.test if self.healthcheck is not None else None
        return bool(test) and test != ["NONE"]


# How `Up 5 minutes (unhealthy)` ends where a health check does not succeed (moby container/state.go, String).
_NOT_HEALTHY = ("(unhealthy)", "(health: starting)")
# Such a status has no word on the check.
_NO_HEALTH = re.compile(r"^Restarting |\(Paused\)$")


def healthy_by_status(status: str) -> bool | None:
    """Container.healthy, by what a list says of its state in words."""
    return None if _NO_HEALTH.search(status) else not status.endswith(_NOT_HEALTHY)
