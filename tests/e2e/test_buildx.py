"""Buildx with the engine's own builder, through the proxy: HTTP/2 over two upgraded connections, files in both ways."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.lab import Host, LabError, eventually
from tests.e2e.lab.images import IMAGE

pytestmark = [pytest.mark.needs("buildx"), pytest.mark.usefixtures("quiet")]
SLOW = 300.0  # seconds after which something hangs
NOISE = os.urandom(8 << 20)
DOCKERFILE = f"""
FROM {IMAGE} AS made
ARG word
COPY noise /noise
RUN sha256sum < /noise > /sum && echo "$word" > /word
RUN --mount=type=secret,id=token sha256sum < /run/secrets/token > /token
FROM scratch AS files
COPY --from=made /noise /sum /word /token /
FROM made
CMD ["cat", "/sum", "/word", "/token"]
"""


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A folder with a Dockerfile of three stages and eight MiB that nothing compresses."""
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "noise").write_bytes(NOISE)
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "token").write_bytes(b"secret\n")
    return folder


def buildx(host: Host, *argv: str) -> str:
    """What `docker buildx` through the proxy says. Raises LabError when it fails."""
    return host.proxy.docker("buildx", *argv, timeout=SLOW).output


def build(host: Host, context: Path, *options: str, word: str = "well-made") -> str:
    """What the build says. Raises LabError when it fails."""
    secret = f"id=token,src={context.parent / 'token'}"
    return buildx(
        host, "build", "--progress", "plain", "--no-cache", "--secret", secret, "--build-arg", f"word={word}", *options,
        str(context),
    )  # fmt: skip


def sums(word: str = "well-made") -> list[str]:
    """What a container of the image says."""
    return [hashlib.sha256(NOISE).hexdigest(), "-", word, hashlib.sha256(b"secret\n").hexdigest(), "-"]


def test_the_engines_own_builder_builds(host: Host, context: Path, tmp_path: Path) -> None:
    """Into the engine with a secret, and out of it into a folder, byte by byte; a container of it gets an address."""
    assert "docker" in buildx(host, "ls")
    assert "running" in buildx(host, "inspect", "default").lower()
    host.create_network("one", "--subnet", "10.77.0.0/24")
    try:
        build(host, context, "--tag", "built:1", "--load")
        ran = host.proxy.docker("run", "--rm", "--network", "one", "--label", "fixed-ip", "built:1").output
        assert ran.split() == sums()
        out = tmp_path / "out"
        build(host, context, "--target", "files", "--output", f"type=local,dest={out}")
        assert (out / "noise").read_bytes() == NOISE
        assert sorted(path.name for path in out.iterdir()) == ["noise", "sum", "token", "word"]
    finally:
        host.engine.clear()
        host.engine.docker("rmi", "-f", "built:1", check=False)
        host.engine.docker("builder", "prune", "--all", "--force", check=False)


def test_several_build_at_once(host: Host, context: Path) -> None:
    """Each gets its own files and its own words."""
    try:
        with ThreadPoolExecutor(4) as pool:
            words = [f"word{number}" for number in range(4)]
            list(pool.map(lambda word: build(host, context, "--tag", f"{word}:1", word=word), words))
        for word in words:
            assert host.proxy.docker("run", "--rm", f"{word}:1").output.split() == sums(word)
    finally:
        host.engine.clear()
        host.engine.docker("rmi", "-f", *(f"{word}:1" for word in words), check=False)
        host.engine.docker("builder", "prune", "--all", "--force", check=False)


def test_a_build_that_fails_or_is_given_up_ends(host: Host, context: Path) -> None:
    """The failure is told with what was said before it; ^C ends the step in the engine, and the proxy goes on."""
    (context / "Dockerfile").write_text(f"FROM {IMAGE}\nRUN echo going && exit 9\n")
    with pytest.raises(LabError, match=r"(?s)going.*exit code: 9"):
        build(host, context)
    (context / "Dockerfile").write_text(f"FROM {IMAGE}\nRUN echo going && sleep 4321\n")
    argv = ("buildx", "build", "--progress", "plain", "--no-cache", str(context))
    with host.proxy.command(*argv) as command:
        eventually(lambda: sleeping(host), "the step runs", SLOW)
        command.send_signal(signal.SIGINT)
        said, _ = command.communicate(timeout=SLOW)
        assert command.returncode != 0
        assert b"going" in said
    eventually(lambda: not sleeping(host), "the step has ended", SLOW)
    (context / "Dockerfile").write_text(f"FROM {IMAGE}\nRUN echo fine\n")
    assert "fine" in build(host, context)


def sleeping(host: Host) -> bool:
    """A build step of the host sleeps."""
    listed = subprocess.run(
        host.namespace.enter(["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"]), capture_output=True, check=False
    )
    return b"sleep 4321" in listed.stdout.replace(b"&& sleep", b"")
