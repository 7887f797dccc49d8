"""The daemon and its host, asked about by a program."""

from __future__ import annotations

from typing import Any

from mooring.client.asking import Asking
from mooring.core.findings import Diagnosis
from mooring.core.readiness import Readiness
from mooring.core.views import Explanation, HostStatus
from mooring.wire.api import Backup, BackupReply, FixFindings, LiveReply, ProblemKind, VersionReply


class Host(Asking):
    """The daemon and what it knows of its host."""

    def version(self) -> VersionReply:
        """What runs, and which versions of the API it serves."""
        return self._get(VersionReply, "version")

    def status(self) -> HostStatus:
        """How the daemon is: counts, sockets, and the last look at the kernel with its findings."""
        return self._get(HostStatus, "status")

    def live(self) -> LiveReply:
        """The daemon answers: a restart would mend nothing. It may still be reading its records."""
        return self._get(LiveReply, "live")

    def ready(self) -> Readiness:
        """What is ready, and since when. Raises Unavailable, with what is waited for, until the records are read and
        the kernel was compared with them."""
        return self._get(Readiness, "ready")

    def explain(self, what: str) -> Explanation:
        """All that is known of any address, subnet or network, or of all that somebody holds."""
        return self._get(Explanation, "explain", what)

    def diagnosis(self) -> Diagnosis:
        """What is not as it should be, with proof, age and remedy."""
        return self._get(Diagnosis, "doctor")

    def fix_findings(self, *, dry_run: bool = False) -> Diagnosis:
        """What can be put right is; what was done, and what is left. dry_run: what would be."""
        return self._post(Diagnosis, "doctor", FixFindings(dry_run))

    def backup(self, path: str) -> BackupReply:
        """A consistent copy of the store is written to a new file on the daemon's host. path: absolute."""
        return self._post(BackupReply, "backup", Backup(path))

    def problem(self, kind: str) -> ProblemKind:
        """What a kind of refusal means: `not-found`, say."""
        return self._get(ProblemKind, "problems", kind)

    def openapi(self) -> dict[str, Any]:
        """The API's description (OpenAPI 3.1)."""
        return self._get(dict[str, Any], "openapi.json")
