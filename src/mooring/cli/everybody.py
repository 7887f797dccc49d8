"""The Docker context of every user of a host.

Docker has no contexts but a user's own, so each gets one, and those that are made later find it in /etc/skel.

Rule: what belongs to a user is written by a process that has that user's rights and no more, so that no link in a home
leads root anywhere.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from mooring.cli import contexts
from mooring.core.faults import Fault

# What Debian, Fedora and systemd give to people (login.defs(5), UID_MIN and UID_MAX; nss-systemd(8)).
PEOPLE = range(1000, 60000)


def people() -> Iterator[pwd.struct_passwd]:
    """root, and everybody who has a home of their own on this host."""
    seen = set()
    for entry in pwd.getpwall():
        if entry.pw_uid in seen or (entry.pw_uid and entry.pw_uid not in PEOPLE):
            continue
        with suppress(OSError):
            if Path(entry.pw_dir).is_dir() and os.stat(entry.pw_dir).st_uid == entry.pw_uid:
                seen.add(entry.pw_uid)
                yield entry


def for_new_users(host: str) -> dict[Path, bytes]:
    """What is to be in /etc/skel, below the root."""
    path, content = contexts.document(contexts.NAME, host)
    return {Path("etc/skel/.docker") / path: content}


def install(user: pwd.struct_passwd, host: str, dry_run: bool) -> str:
    """The user has a context that points there, unless there is one of the name already; what was done, "" for
    nothing, or why nothing could be done, in brackets."""

    def work() -> str:
        before = contexts.points_at(contexts.NAME)
        if before is not None:
            return "" if before == host else f"(points at {before or 'nothing'}, left unchanged)"
        if not dry_run:
            contexts.write(contexts.NAME, host)
        return "created"

    return as_user(user, work)


def remove(user: pwd.struct_passwd, host: str, dry_run: bool) -> str:
    """The user has no context of the name that points there; as `install`."""

    def work() -> str:
        if contexts.points_at(contexts.NAME) != host:
            return ""
        if not dry_run:
            contexts.remove(contexts.NAME)
        return "removed"

    return as_user(user, work)


def as_user(user: pwd.struct_passwd, work: Callable[[], str]) -> str:
    """What `work` returns in a process of the user's, or in brackets how it failed."""
    import hashlib  # noqa: F401 - what the work imports may not be readable for the user
    import json  # noqa: F401
    import shutil  # noqa: F401

    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        said = "(failed)"
        try:
            if os.geteuid() == 0:
                os.initgroups(user.pw_name, user.pw_gid)
                os.setgid(user.pw_gid)
                os.setuid(user.pw_uid)
            os.umask(0o022)
            os.environ.pop("DOCKER_CONFIG", None)
            os.environ["HOME"] = user.pw_dir
            said = work()
        except (Fault, OSError) as error:
            said = f"({error})"
        finally:
            os.write(writing, said.encode()[:4000])
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode(errors="replace")
    os.waitpid(child, 0)
    return said or ""
