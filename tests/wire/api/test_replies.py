"""The API's replies keep what they once had."""

from __future__ import annotations

import msgspec
import pytest

from mooring import client
from mooring.core.findings import Diagnosis, Finding, Report
from mooring.wire.api import Problem, VersionReply

# What v1 was published with: a client that knows only these fields must find them for ever.
PUBLISHED = {
    client.LeaseRow: [
        "address", "space", "subnet", "pool", "network", "state", "holder", "mac", "name", "endpoint", "since", "until",
    ],
    client.Reason: ["verdict", "space", "subnet", "network", "state", "text"],
    client.Explanation: ["address", "reasons"],
    client.NetworkRow: ["id", "mode", "bridge", "internal", "subnets", "endpoints", "created"],
    Problem: ["message", "kind"],
}  # fmt: skip


@pytest.mark.parametrize(("kind", "fields"), list(PUBLISHED.items()), ids=lambda each: getattr(each, "__name__", ""))
def test_a_reply_never_loses_a_field(kind: type[msgspec.Struct], fields: list[str]) -> None:
    """The fields are there, in their old places; what came since is behind them and has a default."""
    assert list(kind.__struct_fields__[: len(fields)]) == fields
    assert len(kind.__struct_defaults__) >= len(kind.__struct_fields__) - len(fields)


def test_a_reply_of_an_older_daemon_can_be_read() -> None:
    """A lease without the newer fields reads as one that has none of that."""
    old = dict.fromkeys(PUBLISHED[client.LeaseRow], "") | {"since": 1.0, "until": None}
    row = msgspec.json.decode(msgspec.json.encode(old), type=client.LeaseRow)
    assert (row.key, row.holders, row.active, row.whom) == ("", [], False, "")


def test_a_reply_of_a_newer_daemon_can_be_read() -> None:
    """A field that this version does not know is passed over."""
    row = msgspec.json.decode(b'{"version": "9", "api": ["v1"], "mood": "good"}', type=VersionReply)
    assert row == VersionReply("9", ["v1"])


def test_a_diagnosis_is_sent_as_it_was_published() -> None:
    """Names, order and kinds of the fields are those that clients know."""
    finding = Finding("subject", "text", "proof", 1.0, "remedy", True)
    assert msgspec.json.encode(Diagnosis(2.0, (finding,), ("done",), dry_run=True)) == (
        b'{"at":2.0,"findings":[{"subject":"subject","text":"text","proof":"proof","since":1.0,"remedy":"remedy",'
        b'"fixable":true}],"done":["done"],"dry_run":true,"notes":[]}'
    )
    assert msgspec.json.encode(Report(3.0, ("repaired",))) == b'{"at":3.0,"repaired":["repaired"],"findings":[]}'
