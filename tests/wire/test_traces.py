"""Recorded conversations of engines 20.10, 25, 28 and master: what was said is read, and written again without loss.

In Go's JSON an absent field, a null and a zero value are the same; so they are in the comparison.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mooring.core.faults import Fault
from mooring.wire import remote_api as api
from mooring.wire.remote_options import decode_mac, exposed_ports, ipv6_elsewhere, network_options, port_requests

TRACES = sorted((Path(__file__).parents[1] / "data" / "traces").glob("*.jsonl"))


def calls(path: Path) -> Iterator[dict[str, Any]]:
    """Every recorded call of a method."""
    for line in path.read_text().splitlines():
        call = json.loads(line)
        if "m" in call:
            yield call


def substance(value: Any) -> Any:
    """The value without what Go takes for absent."""
    if isinstance(value, dict):
        return {key: kept for key, inner in value.items() if (kept := substance(inner))}
    if isinstance(value, list):
        return [substance(inner) for inner in value]
    return value


def test_there_are_conversations_of_every_engine() -> None:
    """The data is there, and every method that engines are known to send is in it, but one that none sends."""
    assert {path.name.split("-")[0] for path in TRACES} == {"20.10.24", "25.0.14", "28.5.2", "master"}
    seen = {call["m"] for path in TRACES for call in calls(path)}
    assert set(api.METHODS) - seen == {"NetworkDriver.DiscoverDelete"}
    assert seen <= set(api.METHODS)


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_requests_survive_decoding_and_encoding(path: Path) -> None:
    """Every request with a body; those without were blind retries or ask nothing."""
    for call in calls(path):
        if "req" not in call:
            continue
        request = api.decode_request(call["m"], json.dumps(call["req"]).encode())
        assert substance(json.loads(api.encode_request(request))) == substance(call["req"])


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_replies_survive_decoding_and_encoding(path: Path) -> None:
    """Every reply that the engine took for success."""
    for call in calls(path):
        # The recording also tried the engines with an empty body, with errors and with other statuses.
        if call.get("code") != 200 or not isinstance(call["resp"], dict) or {"Err", "Error"} & call["resp"].keys():
            continue
        reply = api.decode_reply(call["m"], 200, json.dumps(call["resp"]).encode())
        assert substance(json.loads(api.encode_reply(reply))) == substance(call["resp"])


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_error_replies_are_faults(path: Path) -> None:
    """What the engine took for an error, a client of ours takes for one."""
    for call in calls(path):
        if "code" not in call or (call["code"] == 200 and not {"Err", "Error"} & set(call["resp"])):
            continue
        with pytest.raises(Fault):
            api.decode_reply(call["m"], call["code"], json.dumps(call["resp"]).encode())


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_recorded_options_are_understood(path: Path) -> None:
    """Ports, MACs and the user's options in every recorded request have the types that we expect."""
    for call in calls(path):
        options = (call.get("req") or {}).get("Options")
        if not call["m"].startswith("NetworkDriver."):
            continue
        port_requests(options)
        exposed_ports(options)
        ipv6_elsewhere(options)
        decode_mac(options)
        if call["m"] == "NetworkDriver.CreateNetwork":
            network_options(options)
