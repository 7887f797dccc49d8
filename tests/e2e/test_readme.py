"""The README's first page, word for word, as somebody who copies it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.lab import Host, Result, eventually
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.namespaces import run

README = Path(__file__).parents[2] / "README.md"
# What the lab's host has been given already: the units and the context.
DONE = ("mooring setup", "docker context use mooring")


class Reader:
    """Does what the page says, in a folder of his own. The lab has none of the page's images."""

    def __init__(self, host: Host, folder: Path) -> None:
        page = README.read_text().split("## Five minutes", 1)[1]
        file, commands = (page.split(f"```{kind}\n", 1)[1].split("```", 1)[0] for kind in ("yaml", "console"))
        folder.mkdir()
        self._host, self._file = host, folder / "compose.yml"
        self._file.write_text(re.sub(r"image: .*", f"image: {IMAGE}\n    command: stay", file))
        lines = [line[2:].split(" # ")[0] for line in commands.splitlines()]
        self.commands = [word.strip() for line in lines for word in line.split(";")]

    def do(self, command: str) -> Result:
        """Run the line."""
        name, *argv = command.split()
        if name == "mooring":
            return self._host.mooring(*argv)
        assert (name, argv[0]) == ("docker", "compose")
        compose = [*self._host.release.compose, "--file", str(self._file)]
        return run([*compose, *argv[1:]], timeout=180, environment=self._host.proxy.environment)

    def places(self) -> dict[str, tuple[str, str]]:
        """Address and MAC of each container."""
        found = {}
        for container in self._host.engine.containers():
            inspected = self._host.engine.inspect(container)
            (place,) = inspected["NetworkSettings"]["Networks"].values()
            found[inspected["Name"]] = (place["IPAddress"], place["MacAddress"])
        return found


@pytest.fixture
def reader(host: Host, tmp_path: Path) -> Iterator[Reader]:
    """He has not begun."""
    reader = Reader(host, tmp_path / "five-minutes")
    yield reader
    reader.do("docker compose down --timeout 1")


@pytest.mark.needs("compose plugin")
def test_the_first_page_does_what_it_says(host: Host, reader: Reader) -> None:
    """Its commands in their order; then what it promises in words."""
    pictures = []
    for command in reader.commands:
        if command in DONE:
            continue
        said = reader.do(command).output
        if command.startswith("mooring lease ls"):
            pictures.append(reader.places())
            missing = [word for pair in pictures[-1].values() for word in pair if word not in said]
            assert missing == [], said
    first, again = pictures
    assert len(first) == 3
    assert again == first
    for more in ("up -d --force-recreate --timeout 1", "up -d --scale web=1 --timeout 1", "up -d", "restart -t 1"):
        reader.do(f"docker compose {more}")
        assert reader.places().items() <= first.items(), more
    assert reader.places() == first
    host.reboot()
    reader.do("docker compose up -d")
    eventually(lambda: reader.places() == first, "the same addresses after a reboot", timeout=30)
