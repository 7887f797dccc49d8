"""`mooring context install|rm`: a Docker context that points at the proxy.

Rules: what is there already is success, and what points elsewhere is somebody's and stays; the `docker` command makes
the change where it is installed, and else the files are written as it writes them (docker/cli, cli/context/store).
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import click

from mooring.cli.options import dry_run_option, format_option

if TYPE_CHECKING:
    from pathlib import Path

NAME = "mooring"
# docker/cli, cli/context/store/store.go
_NAMES = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.+-]+")
# Seconds that the `docker` command may take; it only writes a file.
DEADLINE = 20.0


def _named(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if not _NAMES.fullmatch(value) or value == "default":
        raise click.BadParameter(f"{value!r} is not a valid name of a Docker context")
    return value


_name_option = click.option(
    "--name", default=NAME, show_default=True, callback=_named, metavar="NAME", help="The context's name."
)
_socket_option = click.option("--socket", metavar="PATH", help="The proxy's socket.  [docker.sock in --run-dir]")


@click.group()
def context() -> None:
    """The Docker context by which `docker` commands go through Mooring's proxy.

    \b
    Example:
      mooring context install && docker context use mooring
    """


@context.command()
@_name_option
@_socket_option
@click.option("--force", is_flag=True, help="Also overwrite a context of that name that points elsewhere.")
@dry_run_option
@format_option
@click.pass_context
def install(invocation: click.Context, name: str, socket: str | None, force: bool, dry_run: bool, form: str) -> None:
    """Create the Docker context that points to the proxy's socket, for this user. An existing one is not changed.

    \b
    Example:
      mooring context install
      mooring context install --name lab --socket /run/lab/docker.sock
    """
    from mooring.core.faults import Conflict

    host = _host(invocation, socket)
    before = points_at(name)
    if before == host:
        _say(name, host, "unchanged", dry_run, form)
        return
    if before is not None and not force:
        raise Conflict(
            f"a Docker context {name} that is not Mooring's already exists",
            holder=before or "a context without a Docker endpoint",
            hint="choose another --name, or overwrite it with --force",
        )
    if not dry_run:
        verb = "create" if before is None else "update"
        if not _docker("context", verb, name, "--docker", f"host={host}"):
            write(name, host)
    _say(name, host, "created" if before is None else "changed", dry_run, form)
    if os.environ.get("DOCKER_HOST"):
        click.echo("mooring: warning: DOCKER_HOST is set and overrides every context", err=True)


@context.command()
@_name_option
@_socket_option
@click.option("--force", is_flag=True, help="Also one that points elsewhere, or is in use.")
@dry_run_option
@format_option
@click.pass_context
def rm(invocation: click.Context, name: str, socket: str | None, force: bool, dry_run: bool, form: str) -> None:
    """Remove the Docker context that points at the proxy. Removing one that does not exist succeeds.

    \b
    Example:
      mooring context rm
    """
    from mooring.core.faults import Conflict

    host = _host(invocation, socket)
    before = points_at(name)
    if before is None:
        _say(name, host, "does not exist", dry_run, form)
        return
    if before != host and not force:
        raise Conflict(
            f"the Docker context {name} points to {before or 'no Docker endpoint'}, not to {host}",
            hint="remove it with --force",
        )
    if _current() == name and not force:
        raise Conflict(f"the Docker context {name} is in use", hint="`docker context use default`, or --force")
    if not dry_run and not _docker("context", "rm", "--force", name):
        remove(name)
    _say(name, before, "removed", dry_run, form)


def remove_ours(host: str, dry_run: bool) -> str:
    """This user has no context of the usual name that points there; its name if there was one, or ""."""
    if points_at(NAME) != host:
        return ""
    if not dry_run and not _docker("context", "rm", "--force", NAME):
        remove(NAME)
    return NAME


def _host(invocation: click.Context, socket: str | None) -> str:
    run_dir = str(invocation.find_root().params["run_dir"])
    return "unix://" + os.path.abspath(socket or os.path.join(run_dir, "docker.sock"))


def _say(name: str, host: str, outcome: str, dry_run: bool, form: str) -> None:
    from mooring.cli.tables import printed

    if not printed({"name": name, "host": host, "outcome": outcome, "dry_run": dry_run}, form):
        click.echo(f"context {name} ({host}): {outcome}" + (" (--dry-run)" if dry_run else ""))


def _directory() -> Path:
    """Where the `docker` command keeps what is this user's."""
    from pathlib import Path

    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")


def _folder(kind: str, name: str) -> Path:
    from hashlib import sha256

    return _directory() / "contexts" / kind / sha256(name.encode()).hexdigest()


def points_at(name: str) -> str | None:
    """The Docker endpoint of the context, "" when it has none; None when there is no such context.

    Raises Unavailable for a file that cannot be read.
    """
    found = _read(_folder("meta", name) / "meta.json")
    if found is None:
        return None
    endpoints = found.get("Endpoints")
    docker = endpoints.get("docker") if isinstance(endpoints, dict) else None
    return str(docker.get("Host") or "") if isinstance(docker, dict) else ""


def _current() -> str:
    """The context that `docker` uses by its configuration."""
    found = _read(_directory() / "config.json") or {}
    return str(found.get("currentContext") or "")


def _read(path: Path) -> dict[str, object] | None:
    """The JSON object in the file, None when there is no file. Raises Unavailable."""
    import json

    from mooring.core.faults import Unavailable

    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise Unavailable(f"{path} cannot be read: {error}", hint="put it right by hand") from error
    if not isinstance(found, dict):
        raise Unavailable(f"{path} is not what Docker writes", hint="put it right by hand")
    return found


def _docker(*words: str) -> bool:
    """Have the `docker` command do it; False when there is none. Raises Unavailable with what it says."""
    import shutil
    import subprocess

    from mooring.core.faults import Unavailable

    docker = shutil.which("docker")
    if docker is None:
        return False
    try:
        done = subprocess.run([docker, *words], capture_output=True, text=True, check=False, timeout=DEADLINE)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"`docker {' '.join(words)}` did not work: {error}") from error
    if done.returncode:
        raise Unavailable(f"`docker {' '.join(words)}` says: {done.stderr.strip() or done.returncode}")
    return True


def write(name: str, host: str) -> None:
    """The context as the `docker` command would have it; what else it has stays."""
    folder = _folder("meta", name)
    found = _read(folder / "meta.json") or {"Name": name, "Metadata": {}}
    endpoints = found.get("Endpoints")
    others = endpoints if isinstance(endpoints, dict) else {}
    _replace(folder / "meta.json", {**found, "Endpoints": {**others, "docker": {"Host": host, "SkipTLSVerify": False}}})


def document(name: str, host: str) -> tuple[str, bytes]:
    """Where the context is in Docker's folder of a user, and what is there."""
    import json
    from hashlib import sha256

    found = {"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": False}}}
    path = f"contexts/meta/{sha256(name.encode()).hexdigest()}/meta.json"
    return path, json.dumps(found, separators=(",", ":")).encode()


def remove(name: str) -> None:
    """No context of the name, and the configuration does not name it either."""
    import shutil

    shutil.rmtree(_folder("meta", name), ignore_errors=True)
    shutil.rmtree(_folder("tls", name), ignore_errors=True)
    if _current() == name:
        found = _read(_directory() / "config.json") or {}
        _replace(_directory() / "config.json", {key: each for key, each in found.items() if key != "currentContext"})


def _replace(path: Path, content: dict[str, object]) -> None:
    """The file has the content, whole or not at all, and its mode stays."""
    import json

    path.parent.mkdir(parents=True, exist_ok=True)
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    indent = "\t" if path.name == "config.json" else None
    fresh.write_text(json.dumps(content, indent=indent, separators=None if indent else (",", ":")))
    fresh.chmod(mode)
    fresh.replace(path)
