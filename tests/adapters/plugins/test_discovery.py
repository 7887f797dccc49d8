"""Where plugins are found, in the order of dockerd's, and what is told of those that cannot be."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from mooring.adapters.plugins.discovery import Kind, Places, PluginAddress, Tls, find, names
from mooring.core.faults import BadRequest, NotFound


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """Three empty folders."""
    made = Places(tmp_path / "run", (tmp_path / "etc", tmp_path / "lib"))
    for folder in (made.sockets, *made.specs):
        folder.mkdir()
    return made


def put_socket(path: Path) -> Path:
    """A socket's file, which nobody listens on."""
    path.parent.mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))
    return path


def put(path: Path, text: str) -> Path:
    """A file with the text."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_the_places_are_those_of_dockerd() -> None:
    """As its documentation and moby pkg/plugins/discovery.go have them."""
    assert Places() == Places(
        Path("/run/docker/plugins"), (Path("/etc/docker/plugins"), Path("/usr/lib/docker/plugins"))
    )


@pytest.mark.parametrize("inner", ["echo.sock", "echo/echo.sock"])
def test_a_socket_is_found(places: Places, inner: str) -> None:
    """In the folder, or in one of the plugin's name (moby TestLocalSocket)."""
    path = put_socket(places.sockets / inner)
    assert find("echo", places) == PluginAddress("echo", Kind.UNIX, path=str(path))
    assert str(find("echo", places)) == f"unix://{path}"
    assert names(places) == ("echo",)


def test_a_link_to_a_socket_is_one_and_a_file_is_none(places: Places, tmp_path: Path) -> None:
    """Under a second name it is a second plugin."""
    (places.sockets / "other.sock").symlink_to(put_socket(tmp_path / "real.sock"))
    put(places.sockets / "file.sock", "")
    assert find("other", places).path == str(places.sockets / "other.sock")
    assert names(places) == ("other",)
    with pytest.raises(NotFound):
        find("file", places)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("unix:///var/lib/spec.sock\n", PluginAddress("s", Kind.UNIX, path="/var/lib/spec.sock")),
        ("tcp://localhost:8080", PluginAddress("s", Kind.TCP, host="localhost", port=8080)),
        ("http://localhost", PluginAddress("s", Kind.TCP, host="localhost", port=80)),
        ("tcp://[::1]:8080", PluginAddress("s", Kind.TCP, host="::1", port=8080)),
        ("https://h:1/some/path", PluginAddress("s", Kind.TLS, host="h", port=1, tls=Tls(verify=False))),
    ],
)
@pytest.mark.parametrize("inner", ["s.spec", "s/s.spec"])
def test_a_spec_is_one_url(places: Places, text: str, expected: PluginAddress, inner: str) -> None:
    """White space around it does not count (moby TestFileSpecPlugin)."""
    put(places.specs[1] / inner, text)
    assert find("s", places) == expected
    assert names(places) == ("s",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"Name":"other","Addr":"tcp://h:80"}', PluginAddress("j", Kind.TCP, host="h", port=80)),
        ('{"Addr":"https://h:80"}', PluginAddress("j", Kind.TLS, host="h", port=80)),
        (
            '{"Addr":"https://h:80","TLSConfig":{"CAFile":"/ca","CertFile":"/c","KeyFile":"/k"}}',
            PluginAddress("j", Kind.TLS, host="h", port=80, tls=Tls(True, "/ca", "/c", "/k")),
        ),
        (
            '{"Addr":"https://h:80","TLSConfig":{"InsecureSkipVerify":true,"CAFile":"/ca"}}',
            PluginAddress("j", Kind.TLS, host="h", port=80, tls=Tls(False, "/ca")),
        ),
        (
            '{"Addr":"https://h:80","TLSConfig":{"CertFile":"/c","KeyFile":"/k"}}',
            PluginAddress("j", Kind.TLS, host="h", port=80, tls=Tls(False, "", "/c", "/k")),
        ),
        (
            '{"Addr":"tcp://h:80","TLSConfig":{"CAFile":"/ca"}}',
            PluginAddress("j", Kind.TLS, host="h", port=80, tls=Tls(True, "/ca")),
        ),
    ],
)
def test_a_json_file_says_address_and_tls(places: Places, text: str, expected: PluginAddress) -> None:
    """The file's name counts, not the one in it; without CAFile nothing is verified (moby TestFileJSONSpecPlugin)."""
    put(places.specs[0] / "j.json", text)
    assert find("j", places) == expected


def test_the_first_place_counts(places: Places) -> None:
    """Socket, then for each folder `.spec`, the one in a folder of its own, and `.json`."""
    etc, lib = places.specs
    order = [places.sockets / "x.sock", etc / "x.spec", etc / "x/x.spec", etc / "x.json", lib / "x.spec"]
    for number, path in enumerate(reversed(order)):
        if path.suffix == ".sock":
            put_socket(path)
        else:
            put(path, f"tcp://h:{number}1" if path.suffix == ".spec" else f'{{"Addr":"tcp://h:{number}1"}}')
    ports = []
    for path in order:
        ports.append(find("x", places).port)
        path.unlink()
    assert ports == [0, 31, 21, 11, 1]


def test_what_is_nowhere_is_not_found(places: Places) -> None:
    """The places are named, missing folders do not matter."""
    places.specs[0].rmdir()
    with pytest.raises(NotFound) as caught:
        find("nobody", places)
    for folder in (places.sockets, *places.specs):
        assert str(folder) in str(caught.value)
    assert names(places) == ()


@pytest.mark.parametrize("name", ["", "a/b", "..", ".", "a..b", "/etc/passwd", "x\n", "\0", "\udc80", "n" * 201])
def test_names_that_are_no_part_of_a_path_are_refused(places: Places, name: str) -> None:
    """Before any file is looked at."""
    with pytest.raises(BadRequest, match="not the name of a plugin"):
        find(name, places)


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        ("x.spec", "", "not an address"),
        ("x.spec", "localhost:8080", "not an address"),
        ("x.spec", "ftp://localhost:80", "begin it with unix://"),
        ("x.spec", "tcp://localhost", "host and port"),
        ("x.spec", "tcp://localhost:99999", "not a URL"),
        ("x.spec", "tcp://[::1", "not a URL"),
        ("x.spec", "tcp://h:1 tcp://h:2", "not a URL"),
        ("x.spec", "tcp://h:1\x00", "not a URL"),
        ("x.spec", "tcp://hö:1", "host and port"),
        ("x.spec", "unix://relative.sock", "not an absolute path"),
        ("x.spec", "unix:///" + "p" * 120, "at most 107 bytes"),
        ("x.spec", "u" * 70_000, "larger than"),
        ("x.json", "", "truncated"),
        ("x.json", "[]", "Expected `object`"),
        ("x.json", "[" * 70_000, "larger than"),
        ("x.json", '{"Addr":7}', "Expected `str`"),
        ("x.json", "{}", "not an address"),
        ("x.json", '{"Addr":"https://h:1","TLSConfig":{"CertFile":"/c"}}', "go together"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_file(places: Places, file: str, text: str, reason: str) -> None:
    """In one line; no other place is tried instead."""
    path = put(places.specs[0] / file, text)
    put(places.specs[1] / "x.spec", "tcp://h:1")
    with pytest.raises(BadRequest) as caught:
        find("x", places)
    assert str(path) in str(caught.value)
    assert reason in str(caught.value)
    assert str(caught.value).isprintable()


def test_what_is_no_file_is_not_opened(places: Places) -> None:
    """A pipe would make us wait for ever."""
    os.mkfifo(places.specs[0] / "pipe.spec")
    (places.specs[0] / "gone.json").symlink_to("/nowhere")
    for name in ("pipe", "gone"):
        with pytest.raises(BadRequest, match="not a file"):
            find(name, places)


def test_all_names_are_told(places: Places) -> None:
    """Each once, whether it can be used or not; what has another suffix is nothing of ours."""
    put_socket(places.sockets / "one.sock")
    put(places.specs[0] / "one.spec", "tcp://h:1")
    put(places.specs[0] / "two/two.json", "broken")
    put(places.specs[1] / "three.json", "{}")
    put(places.specs[1] / "README", "")
    put(places.specs[1] / "a..b.spec", "")
    assert names(places) == ("one", "three", "two")
