"""TLS with certificates on both sides: who gets in, who does not, and files that are no good."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest

from mooring.adapters.tls import mutual_tls
from mooring.core.faults import Unavailable
from tests.adapters.certificates import Pair, authority, signed

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two authorities, a server and a client of the first, a stranger of the second."""
    folder = tmp_path_factory.mktemp("tls")
    ca, other = authority(folder), authority(folder, "other")
    for name, by in (("server", ca), ("client", ca), ("stranger", other)):
        signed(folder, by, name)
    signed(folder, ca, "expired", days=0)
    return folder


def pair(folder: Path, name: str) -> Pair:
    """A certificate of the fixture."""
    return Pair(folder / f"{name}.pem", folder / f"{name}.key")


def server(folder: Path) -> ssl.SSLContext:
    """The server's context."""
    mine = pair(folder, "server")
    return mutual_tls(mine.cert, mine.key, folder / "ca.pem")


def client(folder: Path, name: str) -> ssl.SSLContext:
    """A client that trusts the first authority. name: its certificate, "" for none."""
    context = ssl.create_default_context(cafile=folder / "ca.pem")
    if name:
        mine = pair(folder, name)
        context.load_cert_chain(mine.cert, mine.key)
    return context


def greeting(ours: ssl.SSLContext, theirs: ssl.SSLContext) -> bytes:
    """What the server says to the client once it has let it in. Raises what the client meets."""
    left, right = socket.socketpair()

    def serve() -> None:
        try:
            with left, ours.wrap_socket(left, server_side=True) as stream:
                stream.sendall(b"welcome")
        except OSError:
            left.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with right, theirs.wrap_socket(right, server_hostname="127.0.0.1") as stream:
            return stream.recv(100)
    finally:
        thread.join()


def test_a_client_of_the_authority_is_let_in(folder: Path) -> None:
    """With TLS 1.3, and with 1.2."""
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        theirs = client(folder, "client")
        theirs.maximum_version = version
        assert greeting(server(folder), theirs) == b"welcome"


def test_an_authority_that_does_not_say_what_its_key_is_for_counts(tmp_path: Path) -> None:
    """As it does for the engine: the one of Docker's own instructions is so."""
    ca = authority(tmp_path, usage=False)
    for name in ("server", "client"):
        signed(tmp_path, ca, name)
    theirs = client(tmp_path, "client")
    theirs.verify_flags &= ~ssl.VERIFY_X509_STRICT
    assert greeting(server(tmp_path), theirs) == b"welcome"


@pytest.mark.parametrize("name", ["", "stranger", "expired"])
def test_nobody_else_is_let_in(folder: Path, name: str) -> None:
    """Not without a certificate, nor with one of another authority, nor with an old one."""
    try:
        assert greeting(server(folder), client(folder, name)) == b""
    except OSError as error:  # with TLS 1.3 a client hears of it when it reads
        assert isinstance(error, ssl.SSLError | ConnectionError)  # noqa: PT017  both ends are fine


def test_old_versions_of_tls_are_refused(folder: Path) -> None:
    """1.2 at least, and no authority of the system counts."""
    context = server(folder)
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert len(context.get_ca_certs()) == 1


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_file_that_is_not_there_is_named(folder: Path, which: int) -> None:
    """Each of the three."""
    files = [folder / "server.pem", folder / "server.key", folder / "ca.pem"]
    files[which] = folder / "absent.pem"
    with pytest.raises(Unavailable, match=r"cannot read .*absent\.pem: No such file"):
        mutual_tls(*files)


def test_files_that_do_not_fit_are_told(folder: Path, tmp_path: Path) -> None:
    """Another's key, and an authority that is none."""
    with pytest.raises(Unavailable, match=r"server\.pem with the key .*client\.key: key values mismatch"):
        mutual_tls(folder / "server.pem", folder / "client.key", folder / "ca.pem")
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    with pytest.raises(Unavailable, match=r"cannot use .*empty\.pem as an authority"):
        mutual_tls(folder / "server.pem", folder / "server.key", empty)


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked(folder: Path, tmp_path: Path) -> None:
    """A daemon has no terminal."""
    locked = tmp_path / "locked.key"
    argv = ["openssl", "pkey", "-in", str(folder / "server.key"), "-aes256", "-passout", "pass:x", "-out", str(locked)]
    subprocess.run(argv, check=True, capture_output=True)
    with pytest.raises(Unavailable, match="have no passphrase"):
        mutual_tls(folder / "server.pem", locked, folder / "ca.pem")
