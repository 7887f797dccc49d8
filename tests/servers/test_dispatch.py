"""A door answers by its table, whatever stands in it."""

from __future__ import annotations

import json

from mooring.servers.http import Request
from mooring.servers.plugin.dispatch import Method, ProtocolDoor, fail, one_line
from mooring.wire import remote_api as api


async def test_only_what_is_in_the_table_is_answered() -> None:
    """An unknown method is 404, another verb 405, a blind retry 400, and a mistake one line without a traceback."""

    async def mistake(_: api.Message) -> api.Message:
        raise ValueError("boom")

    door = ProtocolDoor({"NetworkDriver.Leave": Method(mistake)})
    body = json.dumps({"NetworkID": "n", "EndpointID": "e"}).encode()
    asked = [
        Request("POST", "/NetworkDriver.Join", "", body),
        Request("GET", "/NetworkDriver.Leave", "", body),
        Request("POST", "/NetworkDriver.Leave", "", b""),
        Request("POST", "/NetworkDriver.Leave", "", body),
    ]
    replies = [await door(each) for each in asked]
    assert [each.status for each in replies] == [404, 405, 400, 500]
    assert json.loads(replies[-1].body)["Err"] == (
        "internal error in NetworkDriver.Leave (ValueError), see mooring's log"
    )


def test_a_refusal_is_one_line_under_both_keys() -> None:
    """Of a size that people read."""
    assert json.loads(fail(409, "a\nb").body) == {"Err": "a b", "Error": "a b"}
    assert len(one_line("x" * 5000)) == 1000
