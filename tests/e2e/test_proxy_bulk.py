"""Much data through the proxy: copies, images, builds, with checksums."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.lab import DockerClient, Host
from tests.e2e.lab.images import IMAGE

GIB = 1 << 30
BLOCK = os.urandom(8 << 20)
PIECE = 1 << 20
SLOW = 300.0  # seconds after which something hangs
pytestmark = pytest.mark.usefixtures("quiet")  # whose streams are silent while this runs: test_silence.py

# A gibibyte is unpacked twice by the engine, and packed once in a temporary folder of its own.
NEEDED = 5 * GIB


def _noise() -> Iterator[bytes]:
    """A gibibyte without a period that a buffer could have: each block begins elsewhere."""
    for number in range(GIB // len(BLOCK)):
        at = number * 40961 % len(BLOCK)
        yield BLOCK[at:]
        yield BLOCK[:at]


def _packed(name: str) -> Iterator[bytes]:
    """A tar archive of a file with the noise."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = GIB, 0o644
    yield entry.tobuf()
    yield from _noise()
    yield bytes(tarfile.RECORDSIZE)


def _sha256(pieces: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def _feed(client: DockerClient, pieces: Iterator[bytes], *argv: str) -> str:
    """The docker command reads the pieces; what it said."""
    with client.command(*argv, stdin=subprocess.PIPE) as command:
        assert command.stdin is not None
        for piece in pieces:
            command.stdin.write(piece)
        said, _ = command.communicate(timeout=SLOW)
        assert command.returncode == 0, said
        return said.decode()


def _drain(client: DockerClient, sink: Callable[[io.BufferedReader], Any], *argv: str) -> Any:
    """The docker command writes to the sink; what that made of it."""
    with client.command(*argv) as command:
        assert isinstance(command.stdout, io.BufferedReader)
        made = sink(command.stdout)
        assert command.wait(SLOW) == 0
        return made


def _pieces(stream: io.BufferedReader) -> Iterator[bytes]:
    return iter(lambda: stream.read(PIECE), b"")


def _member_sha256(*names: str) -> Callable[[io.BufferedReader], str]:
    """Reads a tar stream, and gives the checksum of the one member whose name ends so, in one of these ways."""

    def read(stream: io.BufferedReader) -> str:
        found = ""
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            for entry in tar:
                if entry.name.endswith(names) and (content := tar.extractfile(entry)) is not None:
                    found = _sha256(iter(lambda: content.read(PIECE), b""))
        for _ in _pieces(stream):
            pass
        return found

    return read


@pytest.fixture(scope="module")
def checksum() -> str:
    """Of the noise."""
    return _sha256(_noise())


@pytest.fixture
def roomy(host: Host) -> Host:
    """The host, on a disk with room for this."""
    free = shutil.disk_usage(host.folder).free
    if free < NEEDED:
        pytest.skip(f"needs {NEEDED >> 30} GiB of disk in {host.folder}, has {free >> 30}")
    return host


def test_a_gibibyte_is_copied_in_and_out(roomy: Host, checksum: str) -> None:
    """`docker cp` into a container and out of it: the same checksum."""
    roomy.run_container("web")
    _feed(roomy.proxy, _packed("noise"), "cp", "-", "web:/")
    assert _drain(roomy.proxy, _member_sha256("noise"), "cp", "web:/noise", "-") == checksum


def test_an_image_of_a_gibibyte_is_loaded_and_saved(roomy: Host) -> None:
    """`docker load` of an archive made by hand and `docker save`: the layer has the checksum that the image names."""
    layer = _sha256(_packed("noise"))
    files = {"type": "layers", "diff_ids": [f"sha256:{layer}"]}
    config = {"os": "linux", "architecture": "amd64", "config": {}, "rootfs": files}
    try:
        assert "Loaded image: noise:1" in _feed(roomy.proxy, _archive(config), "load")
        assert roomy.engine.api("GET", "/images/noise:1/json")["RootFS"]["Layers"] == [f"sha256:{layer}"]
        # Engines from 25 on save the layout of OCI, in which a layer is called after its checksum.
        assert _drain(roomy.proxy, _member_sha256("/layer.tar", f"/{layer}"), "save", "noise:1") == layer
    finally:
        roomy.engine.docker("rmi", "-f", "noise:1", check=False)


def _archive(config: dict[str, Any]) -> Iterator[bytes]:
    """What `docker save` would have made of an image with this configuration and the noise for its layer."""
    manifest = [{"Config": "config.json", "RepoTags": ["noise:1"], "Layers": ["layer.tar"]}]
    for name, document in (("manifest.json", manifest), ("config.json", config)):
        content = json.dumps(document).encode()
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        yield entry.tobuf() + content + bytes(-len(content) % tarfile.BLOCKSIZE)
    layer = tarfile.TarInfo("layer.tar")
    layer.size = tarfile.BLOCKSIZE + GIB + tarfile.RECORDSIZE
    yield layer.tobuf()
    yield from _packed("noise")
    yield bytes(-layer.size % tarfile.BLOCKSIZE + tarfile.RECORDSIZE)


def test_an_export_becomes_an_image_again(host: Host) -> None:
    """`docker export | docker import -`: a container of the image has what the first one had."""
    host.proxy.docker("run", "--name", "first", IMAGE, "sh", "-c", "echo kept > /kept")
    exported = _drain(host.proxy, io.BufferedReader.read, "export", "first")
    try:
        _feed(host.proxy, iter([exported]), "import", "-c", 'CMD ["cat", "/kept"]', "-", "second:1")
        assert host.proxy.docker("run", "--rm", "second:1").output == "kept"
    finally:
        host.engine.docker("rmi", "-f", "second:1", check=False)


@pytest.mark.parametrize("buildkit", ["0", "1"])
def test_images_are_built(host: Host, buildkit: str, tmp_path: Path) -> None:
    """By the classic builder and by BuildKit, which speaks HTTP/2 over two upgraded connections; a failure is told."""
    (tmp_path / "noise").write_bytes(BLOCK)
    (tmp_path / "scratch").write_text("FROM scratch\nADD noise /noise\nCOPY noise /again\n")
    (tmp_path / "run").write_text(
        f"FROM {IMAGE}\nARG made\nCOPY noise /\nRUN sha256sum < /noise > /sum && echo $made\n"
    )
    (tmp_path / "fail").write_text(f"FROM {IMAGE}\nRUN echo going && exit 9\n")
    wanted = hashlib.sha256(BLOCK).hexdigest()
    try:
        for name in ("scratch", "run"):
            status, said = _build(host.proxy, buildkit, tmp_path, name, "-t", f"{name}:1")
            assert status == 0, said
        assert "well-made" in said
        assert host.proxy.docker("run", "--rm", "run:1", "cat", "/sum").output.split() == [wanted, "-"]
        host.proxy.docker("create", "--name", "empty", "scratch:1", "none")
        assert _drain(host.proxy, _member_sha256("again"), "cp", "empty:/again", "-") == wanted
        status, said = _build(host.proxy, buildkit, tmp_path, "fail")
        assert status != 0
        assert "going" in said
        assert "9" in said
    finally:
        host.engine.clear()
        host.engine.docker("rmi", "-f", "run:1", "scratch:1", check=False)
        host.engine.docker("image", "prune", "-f")


def _build(client: DockerClient, buildkit: str, folder: Path, name: str, *options: str) -> tuple[int, str]:
    argv = ("build", "--no-cache", "--build-arg", "made=well-made", "-f", str(folder / name), *options, str(folder))
    with client.command(*argv, environment={"DOCKER_BUILDKIT": buildkit, "BUILDKIT_PROGRESS": "plain"}) as command:
        said, _ = command.communicate(timeout=SLOW)
        return command.returncode, said.decode()
