"""TLS with certificates on both sides: who gets in, who does not, and files that are no good."""

from __future__ import annotations

import logging
import shutil
import socket
import ssl
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from mooring.adapters.host.tls import MutualTls, mutual_tls
from mooring.core.faults import Unavailable
from tests.adapters.certificates import Pair, authority, revocations, signed

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


class Ends:
    """Both ends of a connection, whose bytes go by memory."""

    def __init__(self, ours: MutualTls, theirs: ssl.SSLContext, session: ssl.SSLSession | None = None) -> None:
        there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.server = ours.wrap(there, back)
        self.client = theirs.wrap_bio(back, there, server_hostname="127.0.0.1", session=session)

    def shake(self) -> Ends:
        """Hands; and the client hears something, which may come with what a later session would need."""
        for _ in range(4):
            for end in (self.client, self.server):
                with suppress(ssl.SSLWantReadError):
                    end.do_handshake()
        return self.exchange()

    def exchange(self) -> Ends:
        """A byte each way."""
        self.server.write(b"s")
        self.client.write(b"c")
        assert (self.client.read(1), self.server.read(1)) == (b"s", b"c")
        return self


@pytest.fixture
def own(folder: Path, tmp_path: Path) -> Path:
    """A copy of the folder, whose files may change, with an empty revocation list."""
    for file in folder.glob("*.*"):
        shutil.copy(file, tmp_path)
    revocations(tmp_path, pair(tmp_path, "ca"))
    return tmp_path


def changing(folder: Path, crl: bool = True) -> MutualTls:
    """The server of these files."""
    mine = pair(folder, "server")
    return MutualTls(mine.cert, mine.key, folder / "ca.pem", folder / "crl.pem" if crl else None)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_no_session_is_resumed(own: Path, version: ssl.TLSVersion) -> None:
    """By ticket, by number, or by a key of before: the certificate is asked for each time."""
    ours, theirs = changing(own), client(own, "client")
    theirs.maximum_version = version
    first = Ends(ours, theirs).shake().client
    assert first.version() == {"TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}[version.name]
    assert first.session is None or not first.session.has_ticket
    again = Ends(ours, theirs, first.session).shake()
    assert not again.client.session_reused
    assert not again.server.session_reused
    assert again.server.getpeercert() is not None


def test_who_is_revoked_is_refused_from_the_next_connection_on(own: Path) -> None:
    """The one that lives goes on; others get in as before."""
    ours, theirs, other = changing(own), client(own, "client"), client(own, "server")
    theirs.maximum_version = ssl.TLSVersion.TLSv1_2  # in which the client is told within the handshake
    living = Ends(ours, theirs).shake()
    revocations(own, pair(own, "ca"), [pair(own, "client")])
    with pytest.raises(ssl.SSLCertVerificationError, match="certificate revoked"):
        Ends(ours, theirs, living.client.session).shake()
    living.exchange()
    Ends(ours, other).shake()
    revocations(own, pair(own, "ca"))
    Ends(ours, theirs).shake()


def test_a_list_beside_the_authority_counts(own: Path) -> None:
    """In one file with it."""
    crl = revocations(own, pair(own, "ca"), [pair(own, "client")])
    with (own / "ca.pem").open("a") as file:
        file.write(crl.read_text())
    with pytest.raises(ssl.SSLCertVerificationError, match="certificate revoked"):
        Ends(changing(own, crl=False), client(own, "client")).shake()


def test_an_old_list_lets_nobody_in(own: Path) -> None:
    """It cannot say who was revoked since."""
    crl = own / "crl.pem"
    ours = changing(own)
    Ends(ours, client(own, "client")).shake()
    other = authority(own, "another")
    revocations(own, other, name="foreign")
    shutil.copy(own / "foreign.pem", crl)
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get certificate CRL"):
        Ends(ours, client(own, "client")).shake()


def test_a_new_authority_and_a_new_certificate_hold_from_then_on(own: Path) -> None:
    """Of clients, and ours; also where the file is a link that leads elsewhere from now on."""
    ours, stranger = changing(own, crl=False), client(own, "stranger")
    with pytest.raises(ssl.SSLError):
        Ends(ours, stranger).shake()
    ca = own / "ca.pem"
    ca.rename(own / "first.pem")
    ca.symlink_to(own / "other.pem")
    Ends(ours, stranger).shake()
    with pytest.raises(ssl.SSLError):
        Ends(ours, client(own, "client")).shake()
    before = Ends(ours, stranger).shake().client.getpeercert(binary_form=True)
    signed(own, Pair(own / "first.pem", own / "ca.key"), "server")
    after = Ends(ours, stranger).shake().client.getpeercert(binary_form=True)
    assert before != after


@pytest.mark.parametrize("name", ["server.pem", "server.key", "ca.pem", "crl.pem"])
def test_a_file_in_the_middle_of_being_written_changes_nothing(
    own: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Empty, cut off, gone: the old one is used, one line says so, and the whole one holds when it is there."""
    caplog.set_level(logging.INFO)
    ours, file = changing(own), own / name
    whole = file.read_bytes()
    for part in (b"", whole[: len(whole) // 2], None):
        caplog.clear()
        file.unlink() if part is None else file.write_bytes(part)
        for _ in range(3):
            Ends(ours, client_of(own, name, whole)).shake()
        assert len(caplog.records) == 1
        assert "the previous certificates" in caplog.text
        assert str(file) in caplog.text
    caplog.clear()
    file.write_bytes(whole)
    Ends(ours, client(own, "client")).shake()
    assert [record.levelname for record in caplog.records] == ["INFO"]


def client_of(folder: Path, name: str, whole: bytes) -> ssl.SSLContext:
    """The client, who trusts what was whole before."""
    context = ssl.create_default_context(
        cadata=(whole if name == "ca.pem" else (folder / "ca.pem").read_bytes()).decode()
    )
    mine = pair(folder, "client")
    context.load_cert_chain(mine.cert, mine.key)
    return context


def test_a_list_that_is_none_is_told(own: Path) -> None:
    """At the start."""
    (own / "crl.pem").write_bytes((own / "ca.pem").read_bytes())
    with pytest.raises(Unavailable, match=r"cannot use .*crl\.pem as a revocation list: it has none"):
        changing(own)
