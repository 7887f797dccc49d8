"""docker-compose and Docker's Python library through the proxy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.lab import Host, Result, eventually
from tests.e2e.lab.features import PYTHON
from tests.e2e.lab.fixed import fixed, mac
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.namespaces import run

PROJECT = f"""
version: "3.7"
services:
  key:
    image: {IMAGE}
    command: stay
    labels: {{mooring.key: theirs}}
    networks: [own, shop]
  plain:
    image: {IMAGE}
    command: stay
    labels: [fixed-ip]
    networks: [own]
  many:
    image: {IMAGE}
    command: stay
    networks: [names]
  shop:
    image: {IMAGE}
    command: stay
    networks: [shop]
networks:
  own: {{driver: mooring, ipam: {{driver: mooring, config: [{{subnet: 10.79.0.0/24}}]}}}}
  names: {{driver: mooring, driver_opts: {{sticky: name}}, ipam: {{driver: mooring}}}}
  shop: {{external: true}}
"""
# What a program that uses the library does, in one: it says on one line of JSON what it saw.
PROGRAM = """
import io, json, os, struct, tarfile, threading, docker

client = docker.from_env()
seen = {}
seen["run"] = client.containers.run(IMAGE, ["echo", "said"], remove=True).decode()
events = client.events(decode=True, filters={"type": "container"})
web = client.containers.run(
    IMAGE, ["stay"], name="web", detach=True, network="one", labels={"fixed-ip": ""}, stop_signal="SIGTERM"
)
seen["event"] = next(events)["Action"]
events.close()
seen["exec"] = [web.exec_run(["sh", "-c", "echo out; echo err >&2; exit 3"], demux=True).exit_code]
seen["exec"] += [part.decode() for part in web.exec_run(["sh", "-c", "echo out; echo err >&2"], demux=True).output]
seen["streamed"] = b"".join(web.exec_run(["seq", "20000"], stream=True).output).decode().split()[-1]

packed = io.BytesIO()
with tarfile.open(fileobj=packed, mode="w") as tar:
    entry = tarfile.TarInfo("file")
    entry.size = 1 << 20
    tar.addfile(entry, io.BytesIO(bytes(1 << 20)))
seen["put"] = web.put_archive("/tmp", packed.getvalue())
seen["get"] = sum(map(len, web.get_archive("/tmp/file")[0])) > 1 << 20

dockerfile = io.BytesIO(f"FROM {IMAGE}\\nRUN echo built > /built\\n".encode())
image, log = client.images.build(fileobj=dockerfile, tag="made:1", rm=True)
seen["built"] = client.containers.run("made:1", ["cat", "/built"], remove=True).decode()
client.images.remove("made:1", force=True)

cat = client.containers.create(IMAGE, ["cat"], stdin_open=True, name="cat")
attached = cat.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
cat.start()
lines = cat.logs(stream=True, follow=True)
attached._sock.sendall(b"through\\n")
seen["attach"] = attached.read(8 + len("through\\n"))[8:].decode()
seen["log"] = next(lines).decode()
attached._sock.close()
attached.close()
cat.remove(force=True)
seen["logs end"] = [line.decode() for line in lines]

web.reload()
seen["address"] = web.attrs["NetworkSettings"]["Networks"]["one"]["IPAddress"]
web.restart(timeout=5)
web.reload()
seen["later"] = web.attrs["NetworkSettings"]["Networks"]["one"]["IPAddress"]
seen["stats"] = next(web.stats(decode=True, stream=True))["name"]
web.stop()
seen["wait"] = web.wait()["StatusCode"]
web.remove()
try:
    client.containers.get("web")
except docker.errors.NotFound as error:
    seen["gone"] = error.explanation
client.close()
print(json.dumps(seen))
"""


@pytest.fixture
def project(host: Host, tmp_path: Path) -> Path:
    """A folder with a compose file, and the network outside of it that it names."""
    (tmp_path / "docker-compose.yml").write_text(PROJECT)
    host.create_network("shop", "--subnet", "10.81.0.0/24", "-o", "sticky=name")
    return tmp_path


def _compose(host: Host, folder: Path, *argv: str) -> Result:
    command = [*host.release.compose, "-p", "demo", "-f", str(folder / "docker-compose.yml"), *argv]
    return run(command, timeout=120, environment=host.proxy.environment)


def _called(host: Host, service: str, number: int = 1) -> str:
    """What compose calls the container: version 2 writes a hyphen."""
    mark = "-" if len(host.release.compose) > 1 else "_"
    return mark.join(("demo", service, str(number)))


def _addresses(host: Host) -> dict[str, str]:
    """Container and network -> address, of those that run."""
    found = {}
    for container in host.engine.containers():
        inspected = host.engine.inspect(container)
        for network, endpoint in inspected["NetworkSettings"]["Networks"].items():
            found[f"{inspected['Name']} {network}"] = str(endpoint["IPAddress"])
    return found


@pytest.mark.needs("compose")
def test_compose_keeps_addresses(host: Host, project: Path) -> None:
    """Over recreation, restart, down and up, in networks of the project and outside of it."""
    _compose(host, project, "up", "-d", "--scale", "many=2")
    before, ether = _addresses(host), mac(host, _called(host, "shop"), "shop")
    assert len(before) == len(set(before.values())) == 6
    assert all(before.values())
    _compose(host, project, "restart", "-t", "3")
    assert _addresses(host) == before
    _compose(host, project, "up", "-d", "--force-recreate", "--scale", "many=2")
    after = _addresses(host)
    assert after == before
    _compose(host, project, "up", "-d", "--scale", "many=3")
    grown = _addresses(host)
    assert {name: grown[name] for name in after} == after
    assert len(set(grown.values())) == 7
    _compose(host, project, "down")
    assert fixed(host) == dict.fromkeys(grown.values(), "idle")
    _compose(host, project, "up", "-d", "--scale", "many=3")
    assert _addresses(host) == grown
    assert mac(host, _called(host, "shop"), "shop") == ether
    _compose(host, project, "down")


@pytest.mark.needs("compose")
def test_compose_shows_logs_runs_and_executes(host: Host, project: Path) -> None:
    """What it does besides through the library beneath it: one-off containers, exec, logs, ps."""
    _compose(host, project, "up", "-d", "shop")
    assert _compose(host, project, "exec", "-T", "shop", "echo", "works").output == "works"
    held = set(fixed(host))
    assert "oneoff" in _compose(host, project, "run", "-T", "--rm", "shop", "echo", "oneoff").output
    eventually(lambda: set(fixed(host)) == held, "the engine has removed it, which the command may not wait for")
    host.engine.docker("exec", _called(host, "shop"), "sh", "-c", "echo said > /proc/1/fd/1")
    assert "said" in _compose(host, project, "logs", "--no-color", "shop").output
    assert _called(host, "shop") in _compose(host, project, "ps").output
    _compose(host, project, "down")


@pytest.mark.needs("python3-docker")
def test_the_python_library_works(host: Host) -> None:
    """Run, exec, attach, logs, events, build, archives, statistics, wait; a labelled container keeps its address."""
    host.create_network("one", "--subnet", "10.77.0.0/24")
    program = f"IMAGE = {IMAGE!r}\n{PROGRAM}"
    said = run([PYTHON, "-c", program], timeout=120, environment=host.proxy.environment).output
    # At its end Python 3.13 may say that the library left a response open, on a line of its own.
    seen = json.loads(next(line for line in said.splitlines() if line.startswith("{")))
    assert seen.pop("address") == seen.pop("later")
    assert seen == {
        "run": "said\n", "event": "create", "exec": [3, "out\n", "err\n"], "streamed": "20000", "put": True,
        "get": True, "built": "built\n", "attach": "through\n", "log": "through\n", "logs end": [], "stats": "/web",
        "wait": 0, "gone": "No such container: web",
    }  # fmt: skip
    assert fixed(host) == {}


@pytest.mark.needs("compose plugin")
def test_compose_keeps_both_networks_of_a_service_whose_subnets_were_chosen(host: Host, tmp_path: Path) -> None:
    """From API 1.44 on it creates with all networks, so that each has a MAC: over recreation, and over down and up."""
    for name in ("left", "right"):
        host.create_network(name, "--ipv6")
    service = f"{{image: {IMAGE}, command: stay, labels: {{mooring.key: theirs}}, networks: [left, right]}}"
    text = f"services:\n  two: {service}\nnetworks:\n  left: {{external: true}}\n  right: {{external: true}}\n"
    (tmp_path / "docker-compose.yml").write_text(text)
    seen = []
    for step in ("up -d", "up -d --force-recreate", "restart -t 1", "down -t 1", "up -d"):
        _compose(host, tmp_path, *step.split())
        if not step.startswith("down"):
            name = _called(host, "two")
            seen.append([(host.addresses(name, network), mac(host, name, network)) for network in ("left", "right")])
        assert set(fixed(host)) == {address for addresses, _ in seen[0] for address in addresses}
    assert all(each == seen[0] for each in seen)
    _compose(host, tmp_path, "down")
