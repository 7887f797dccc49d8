"""Root file systems for machines with a real systemd, made of the Debian packages of the machine's own suite.

Rules: a root is made once and kept in the user's cache, by suite and by what it is made of; it has what Mooring needs,
in a virtual environment of its own Python, but not Mooring, which is put on top for each machine.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.e2e.lab.namespaces import LabError, run
from tests.e2e.lab.releases import release

PROJECT = Path(__file__).resolve().parents[3]
PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "docker.io", "iptables", "nftables", "python3", "python3-venv",
    "busybox-static", "iproute2", "procps", "ca-certificates",
)  # fmt: skip
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# Where Mooring is installed in the root.
HOME = "opt/mooring"
SLIM = ("path-exclude=/usr/share/doc/*", "path-exclude=/usr/share/man/*", "path-exclude=/usr/share/locale/*")


def root() -> Path:
    """The root, made if it is not there, which takes a minute or two. Nothing may be written to it. Raises LabError."""
    if shutil.which("mmdebstrap") is None:
        raise LabError("mmdebstrap is not installed (packaging/debian-packages.txt)")
    own = release("")
    packages = (*PACKAGES, "docker-cli") if own.version[0] > 20 else PACKAGES
    locked = run([str(PROJECT / ".venv/bin/uv"), "export", "--quiet", "--frozen", "--no-hashes", "--no-emit-project",
                  "--no-dev", "--no-header", "--no-annotate", "--project", str(PROJECT)]).output  # fmt: skip
    mark = hashlib.sha256("\n".join((*packages, locked)).encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mooring-lab"
    cache.mkdir(parents=True, exist_ok=True)
    found = cache / f"systemd-{own.suite}-{mark}"
    with _locked(cache / f"systemd-{own.suite}.lock"):
        if not found.exists():
            for old in cache.glob(f"systemd-{own.suite}-*"):
                shutil.rmtree(old, ignore_errors=True)
            _make(found, own.suite, packages, locked)
    return found


def _make(folder: Path, suite: str, packages: tuple[str, ...], locked: str) -> None:
    scratch = Path(tempfile.mkdtemp(prefix="making-", dir=folder.parent))
    made = scratch / "root"
    try:
        options = [f"--include={','.join(packages)}", '--aptopt=Acquire::Languages "none"', "--variant=minbase"]
        options += [f"--dpkgopt={each}" for each in SLIM]
        source = f"deb [signed-by={KEYRING}] {_mirror(suite)} {suite} main"
        run(["mmdebstrap", "--quiet", *options, suite, str(made), source], timeout=1800)
        run(["chroot", str(made), "/usr/bin/python3", "-m", "venv", f"/{HOME}"], timeout=120)
        library = next((made / HOME / "lib").glob("python3*"))
        (scratch / "locked.txt").write_text(locked)
        pip = [str(PROJECT / ".venv/bin/pip"), "install", "--quiet", "--target", str(library / "site-packages")]
        which = ["--python-version", library.name.removeprefix("python"), "--only-binary=:all:", "--no-deps"]
        run([*pip, *which, "-r", str(scratch / "locked.txt")], timeout=900)
        made.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _mirror(suite: str) -> str:
    """The Debian archive that the machine itself uses."""
    said = run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages"]).output
    for line in said.splitlines():
        words = line.split()
        if len(words) == 2 and words[1] == suite:
            return words[0]
    raise LabError(f"no archive of {suite} among the machine's apt sources")


class Disk:
    """A root of its own for one machine: the common one with a folder laid over it. It is only mounted by those who use
    it, in mount namespaces of their own, so that nothing stays mounted.

    folder: of the lab. mount: shell commands that mount it at `path`.
    """

    def __init__(self, folder: Path) -> None:
        self.path, self.upper = folder / "root", folder / "upper"
        for name in ("root", "upper/var/lib/docker", "work", "docker"):
            (folder / name).mkdir(parents=True)
        layers = f"lowerdir={root()},upperdir={self.upper},workdir={folder}/work"
        # The engine's data are beside it: its storage driver does not work upon an overlay.
        self.mount = (
            f"mount -t overlay -o {layers} overlay {self.path}\n"
            f"mount --bind {folder}/docker {self.path}/var/lib/docker\n"
        )

    def write(self, name: str, content: bytes, mode: int = 0o644) -> None:
        """Write the file while nobody has the disk mounted."""
        path = self.upper / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)

    def run(self, *argv: str) -> None:
        """Run it outside, with the disk mounted."""
        # By hand, since a namespace's own mounts may outlive its last process for a moment.
        unmount = f"umount {self.path}/var/lib/docker; umount {self.path}"
        enter = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", f'{self.mount}"$@"\n{unmount}', "sh"]
        run([*enter, *argv], timeout=120)

    def add(self, package: str) -> None:
        """The package's files are there too, as they come: none of its scripts has run."""
        cache = root().parent / f"packages-{root().name}"
        cache.mkdir(exist_ok=True)
        with _locked(cache / "lock"):
            if not list(cache.glob(f"{package}_*.deb")):
                run(["sh", "-ec", f'cd "{cache}" && apt-get -q download {package}'], timeout=120)
        # Not by dpkg: /lib is a link, and stays one.
        unpack = f'dpkg-deb --fsys-tarfile "$1" | tar -x -C {self.path} --keep-directory-symlink'
        self.run("sh", "-ec", unpack, "sh", str(next(cache.glob(f"{package}_*.deb"))))

    def install(self, units: bool = True) -> None:
        """Mooring as it is checked out is there, and if wanted with its units, as packaging/README.md says."""
        with tempfile.TemporaryDirectory(prefix="mooring-wheel-") as scratch:
            build = ["build", "--wheel", "--quiet", "--out-dir", scratch, str(PROJECT)]
            if not run([str(PROJECT / ".venv/bin/uv"), *build], timeout=120, check=False).ok:
                pip = [sys.executable, "-m", "pip", "wheel"]  # which knows more ways to an index
                run([*pip, "--quiet", "--no-deps", "--wheel-dir", scratch, str(PROJECT)], timeout=300)
            wheel = next(Path(scratch).glob("mooring_net-*.whl"))
            self.write(f"{HOME}/{wheel.name}", wheel.read_bytes())
        pip = [f"/{HOME}/bin/pip", "install", "--quiet", "--no-index", "--no-deps", f"/{HOME}/{wheel.name}"]
        self.run("chroot", str(self.path), *pip)
        if not units:
            return
        for unit in (PROJECT / "packaging/systemd").iterdir():
            self.write(f"etc/systemd/system/{unit.name}", unit.read_bytes())
        override = f"[Service]\nExecStart=\nExecStart=/{HOME}/bin/mooring serve\n"
        self.write("etc/systemd/system/mooring.service.d/override.conf", override.encode())
        enabled = ["mooring.socket", "mooring-api.socket", "mooring-proxy.socket", "mooring.service"]
        self.run("chroot", str(self.path), "systemctl", "--quiet", "enable", *enabled)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
