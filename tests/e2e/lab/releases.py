"""Which engine a lab runs: the machine's own, or that of another Debian suite, unpacked beside it.

Rules: the programs of another suite are unpacked into a folder of the user's cache and never installed; the machine's
packages and sources are not touched; what a suite serves is taken as it is found, and its version is said. The docker
command and its plugins are always those of the engine's own suite.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import platform
import re
import shutil
import sys
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.lab.namespaces import LabError, run

SUITES = {"20": "bookworm", "26": "trixie", "28": "sid"}


@dataclass(frozen=True, slots=True)
class Kit:
    """What is unpacked together. lead: the package whose version names the folder. before: the folder's first word."""

    lead: str
    packages: tuple[str, ...]
    before: str = ""


ENGINE = Kit("docker.io", ("docker.io", "docker-cli", "docker-compose", "docker-buildx", "containerd", "runc"))
ETCD = Kit("etcd-server", ("etcd-server",), "etcd-")
COMPLETE = "complete"  # a file in the folder: everything is unpacked; its age is that of the last look at the suite
LOOK_AGAIN = 7 * 86400.0  # seconds


@dataclass(frozen=True)  # no slots: cached_property wants a dictionary
class Release:
    """An engine's programs. suite: Debian's name. folder: where they are unpacked, None when they are installed."""

    suite: str
    folder: Path | None = None

    @property
    def path(self) -> str:
        """PATH for the engine and its clients."""
        usual = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
        return f"{self.folder}/usr/sbin:{self.folder}/usr/bin:{usual}" if self.folder else f"/usr/bin:/usr/sbin:{usual}"

    @property
    def cli_plugins(self) -> Path:
        """The folder of compose and buildx, which an old suite has not."""
        return (self.folder or Path("/")) / "usr/libexec/docker/cli-plugins"

    def program(self, name: str) -> str:
        """The path of dockerd, docker, ... Raises LabError when there is none."""
        found = shutil.which(name, path=self.path)
        if found is None:
            raise LabError(f"{name} is not installed (packaging/debian-packages.txt)")
        return found

    @functools.cached_property
    def compose(self) -> tuple[str, ...]:
        """The command before compose's own arguments; () where the suite has none."""
        if (self.cli_plugins / "docker-compose").exists():
            return (self.program("docker"), "compose")
        alone = Path("/usr/bin/docker-compose")  # version 1, a program by itself
        return (str(alone),) if self.folder is None and alone.exists() else ()

    @functools.cached_property
    def version(self) -> tuple[int, ...]:
        """The engine's, as (28, 5, 2)."""
        said = run([self.program("dockerd"), "--version"]).output
        match = re.search(r"version (\d+)\.(\d+)\.(\d+)", said)
        if match is None:
            raise LabError(f"dockerd --version says {said!r}")
        return tuple(int(part) for part in match.groups())

    def __str__(self) -> str:
        others = []
        for name in ("containerd", "runc"):
            match = re.search(r" v?(\d\S*)", run([self.program(name), "--version"]).output)
            others.append(f"{name} {match[1] if match else 'of no known version'}")
        engine = ".".join(str(part) for part in self.version)
        return f"Docker {engine} of {self.suite}, {', '.join(others)}"


def selected() -> Release:
    """The engine that the environment variable ENGINE names (20, 26 or 28), or the machine's own."""
    return release(os.environ.get("ENGINE", ""))


@functools.cache
def release(name: str) -> Release:
    """The engine of that name, "" for the machine's own; fetched when it is not there. Raises LabError."""
    own = _codename()
    if not name or SUITES.get(name) == own:
        return Release(own)
    if name not in SUITES:
        raise LabError(f"there is no engine {name}; there are {', '.join(SUITES)}")
    return Release(SUITES[name], unpacked(SUITES[name], ENGINE))


def unpacked(suite: str, kit: Kit) -> Path:
    """The folder with that of the suite; fetched when it is not there. Raises LabError."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mooring-lab"
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / f"{suite}.lock"):
        return _unpacked(cache, suite, kit)


def _unpacked(cache: Path, suite: str, kit: Kit) -> Path:
    """The newest folder of the suite; what was unpacked before serves when the suite cannot be reached."""
    there = sorted(cache.glob(f"{kit.before}{suite}-*/{COMPLETE}"), key=lambda stamp: stamp.stat().st_mtime)
    newest = there[-1] if there else None
    if newest and time.time() - newest.stat().st_mtime < LOOK_AGAIN:
        return newest.parent
    try:
        return _fetched(cache, suite, kit)
    except LabError as error:
        if newest is None:
            raise
        print(f"lab: {suite} could not be looked at, what is there from before is taken: {error}", file=sys.stderr)
        return newest.parent


def _fetched(cache: Path, suite: str, kit: Kit) -> Path:
    apt = cache / f"{suite}.apt"
    for name in ("lists/partial", "cache/archives/partial", "empty"):
        (apt / name).mkdir(parents=True, exist_ok=True)
    (apt / "status").touch()
    mirror, keyring = _mirror()
    (apt / "sources").write_text(f"deb [signed-by={keyring}] {mirror} {suite} main\n")
    settings = {
        "Dir::Etc::SourceList": apt / "sources",
        "Dir::Etc::SourceParts": apt / "empty",
        "Dir::Etc::PreferencesParts": apt / "empty",
        "Dir::State::Lists": apt / "lists",
        "Dir::State::Status": apt / "status",
        "Dir::Cache": apt / "cache",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Acquire::Check-Valid-Until": "false",
        "Acquire::Retries": 3,
    }
    options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
    run(["apt-get", *options, "-q", "update"], timeout=600)
    known = run(["apt-cache", *options, "pkgnames", "docker"]).output.split()
    wanted = [name for name in kit.packages if name in known or not name.startswith("docker")]
    planned = run(["apt-get", *options, "--print-uris", "download", *wanted]).output
    match = re.search(rf"{re.escape(kit.lead)}_(\S+?)_", planned)
    if match is None:
        raise LabError(f"{suite} serves no {kit.lead}: {planned}")
    folder = cache / f"{kit.before}{suite}-{urllib.parse.unquote(match[1])}"
    if not (folder / COMPLETE).exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        packages = apt / "packages"
        shutil.rmtree(packages, ignore_errors=True)
        packages.mkdir()
        fetch = " ".join(["apt-get", *options, "-q", "download", *wanted])
        run(["sh", "-c", f"cd {packages} && {fetch}"], timeout=900)
        for package in packages.glob("*.deb"):
            run(["dpkg-deb", "-x", str(package), str(folder)], timeout=120)
        shutil.rmtree(packages)
        _without_what_does_not_run(folder)
    (folder / COMPLETE).touch()
    return folder


def _without_what_does_not_run(folder: Path) -> None:
    """A newer suite's runc wants a newer C library than an older Debian has; the machine's own serves instead."""
    for name in ("usr/bin/runc", "usr/sbin/runc"):
        program = folder / name
        if program.exists() and not run([str(program), "--version"], check=False).ok:
            program.unlink()


def _mirror() -> tuple[str, str]:
    """The address of the Debian archive that the machine itself uses, and the keyring."""
    said = run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages"]).output
    for line in said.splitlines():
        words = line.split()
        if len(words) == 2 and words[1] == _codename():
            return words[0], "/usr/share/keyrings/debian-archive-keyring.gpg"
    raise LabError(f"no archive of {_codename()} among the machine's apt sources")


@functools.cache
def _codename() -> str:
    """The suite of the machine itself."""
    return platform.freedesktop_os_release().get("VERSION_CODENAME", "")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
