"""The README's first page, word for word, as somebody who copies it: a shell runs its lines."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.lab import Host, eventually
from tests.e2e.lab.daemons import SOURCE
from tests.e2e.lab.images import IMAGE, archive
from tests.e2e.lab.namespaces import run

README = Path(__file__).parents[2] / "README.md"
# What the lab's host has been given already: the units and the context.
DONE = ("mooring setup", "docker context use mooring")
# The page speaks of a project that the reader has already.
OWN = """
services:
  zigbee:
    image: koenkk/zigbee2mqtt
  hass:
    image: homeassistant/home-assistant
    ports: ["8123:8123"]
    depends_on: [zigbee]
"""
APPS = ("shop", "home", "mqtt")
EVERY = f"for app in {' '.join(APPS)}; do (cd $app; docker compose %s) & done; wait"


class Reader:
    """Does what the page says, in a folder of his own. The lab has none of the page's images."""

    def __init__(self, host: Host, folder: Path) -> None:
        page = README.read_text().split("## Five minutes", 1)[1].split("\n## ", 1)[0]
        self._host, self.folder = host, folder
        for app in APPS:
            (folder / app).mkdir(parents=True)
        self.write("home/compose.yml", OWN)
        for block in page.split("```yaml\n# ")[1:]:
            self.write(*block.split("```", 1)[0].split("\n", 1))
        lines = page.split("```console\n", 1)[1].split("```", 1)[0].splitlines()
        self.commands = [line[2:].split("  # ")[0].strip() for line in lines]
        program = folder / "bin/mooring"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m mooring "$@"\n')
        program.chmod(0o755)

    def write(self, name: str, text: str) -> None:
        """The file is there, with an image that the lab has."""
        (self.folder / name).write_text(re.sub(r"image: .*", f"image: {IMAGE}\n    command: stay", text))

    def edit(self, name: str, before: str, after: str) -> None:
        """The reader changes each such place in the file."""
        text = (self.folder / name).read_text()
        assert before in text
        (self.folder / name).write_text(text.replace(before, after))

    def do(self, line: str) -> str:
        """Give the line to a shell; what it says."""
        environment = self._host.proxy.environment
        environment |= {
            "PATH": f"{self.folder}/bin:{environment['PATH']}",
            "PYTHONPATH": str(SOURCE),
            "MOORING_RUN_DIR": str(self._host.daemon.api_socket.parent),
        }
        return run(["sh", "-ec", f"cd {self.folder}; {line}"], timeout=240, environment=environment).output

    def places(self) -> dict[str, tuple[str, str, str]]:
        """Addresses and MAC of each container; all of them run."""
        found = {}
        for container in self._host.engine.containers():
            inspected = self._host.engine.inspect(container)
            (place,) = inspected["NetworkSettings"]["Networks"].values()
            found[inspected["Name"]] = (place["IPAddress"], place["GlobalIPv6Address"], place["MacAddress"])
        return found


@pytest.fixture
def reader(host: Host, tmp_path: Path) -> Iterator[Reader]:
    """He has not begun; his own project is up."""
    reader = Reader(host, tmp_path / "five-minutes")
    reader.do("mv home/compose.override.yml later; cd home; docker compose up -d; mv ../later compose.override.yml")
    yield reader
    reader.do(EVERY % "down --timeout 1")


def newer_image(host: Host) -> None:
    """The image that the files name is another one, as after `docker compose pull`."""
    name, tag = IMAGE.split(":")
    host.engine.api("POST", f"/images/create?fromSrc=-&repo={name}&tag={tag}&message=newer", archive())


@pytest.mark.needs("compose plugin")
def test_the_first_page_does_what_it_says(host: Host, reader: Reader) -> None:
    """Its commands in their order; then what it promises in words, for its three files at once."""
    pictures = []
    for command in reader.commands:
        if command in DONE:
            continue
        said = reader.do(command)
        if command.startswith("mooring lease ls"):
            pictures.append(reader.places())
            missing = [word for place in pictures[-1].values() for word in place if word not in said]
            assert missing == [], said
    first, again = pictures
    assert set(first) == {
        "/shop-db-1",
        "/shop-web-1",
        "/shop-web-2",
        "/home-zigbee-1",
        "/home-hass-1",
        "/mqtt-broker-1",
    }
    assert first["/mqtt-broker-1"][0] == "10.80.0.18"
    assert first["/mqtt-broker-1"][1]
    assert again == first

    def still(line: str) -> None:
        """After the line everything is where it was."""
        reader.do(line)
        assert reader.places() == first, line

    before = set(host.engine.containers())
    for app in APPS:
        reader.edit(f"{app}/compose.yml", "command: stay", "command: stay\n    environment: [MODE=other]")
    still(EVERY % "up -d --timeout 1")
    changed = set(host.engine.containers())
    newer_image(host)
    still(EVERY % "up -d --timeout 1")
    assert not changed & (before | set(host.engine.containers()))
    still(EVERY % "up -d --force-recreate --timeout 1")
    reader.do("cd shop; docker compose up -d --scale web=1 --timeout 1")
    assert reader.places().items() < first.items()
    still("cd shop; docker compose up -d --scale web=2")
    for file in ("shop/compose.yml", "home/compose.override.yml", "mqtt/compose.yml"):
        reader.edit(file, "ipam: {driver: mooring", "labels: [edited]\n    ipam: {driver: mooring")
    reader.do(EVERY % "up -d --timeout 1")
    # A newer compose puts the same containers into the new network, and engines before 29.3 draw a MAC then.
    assert {name: place[:2] for name, place in reader.places().items()} == {name: first[name][:2] for name in first}
    still(f"{EVERY % 'down --timeout 1'}; docker network prune -f; {EVERY % 'up -d'}")
    host.reboot()
    reader.do(EVERY % "up -d")
    eventually(lambda: reader.places() == first, "the same addresses after a reboot", timeout=30)
