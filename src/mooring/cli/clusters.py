"""`mooring cluster init|join|token|status|leave|publish` and `mooring cluster hosts ls|inspect|drain|forget`."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from mooring.cli.listings import Column, Listing, Style, listed_options, truth
from mooring.cli.options import Connection, F, dry_run_option, format_option, pass_connection
from mooring.cli.suggestions import cluster_hosts, networks

if TYPE_CHECKING:
    from typing import TextIO

    from mooring.client import ClusterHostRow, ClusterJoinReply, ClusterView


@click.group()
def cluster() -> None:
    """Hosts that share one store (etcd): make a cluster, join it, see who is in it.

    Networks over them are made with `docker network create -o scope=cluster` or `-o mode=vxlan` on each.

    \b
    Example:
      mooring cluster init --endpoint https://10.0.0.1:2379 --ca ca.pem --certificate c.pem --key c.key
      mooring cluster join TOKEN
    """


def _place_options(command: F) -> F:
    """`--name`, `--underlay`, `--dry-run` and `--format`."""
    named = click.option("--name", default="", metavar="NAME", help="This host's name in the cluster.  [its own]")
    reached = click.option(
        "--underlay", default="", metavar="IF|ADDRESS", help="Where other hosts reach this one.  [towards the etcd]"
    )
    return named(reached(dry_run_option(format_option(command))))


@cluster.command("init")
@click.option("--endpoint", "endpoints", multiple=True, required=True, metavar="URL", help="A member of the etcd.")
@click.option("--ca", type=click.File(), metavar="FILE", help="Who signed the etcd's certificates, PEM.")
@click.option("--certificate", type=click.File(), metavar="FILE", help="This cluster's client certificate, PEM.")
@click.option("--key", type=click.File(), metavar="FILE", help="Its key, PEM.")
@click.option("--user", default="", metavar="NAME", help="An account of the etcd's, where it has accounts.")
@click.option("--password-file", type=click.File(), metavar="FILE", help="Its password.")
@click.option("--prefix", default="mooring/", metavar="TEXT", help="What all keys begin with.", show_default=True)
@_place_options
@pass_connection
def init(
    connection: Connection,
    /,
    endpoints: tuple[str, ...],
    prefix: str,
    user: str,
    name: str,
    underlay: str,
    dry_run: bool,
    form: str,
    **files: TextIO | None,
) -> None:
    """Make a cluster in an etcd that is there, with this host in it, and print the token for the next ones.

    The etcd is 3.4 or newer, and compacts its history by itself (--auto-compaction-retention=1h). The token has the
    key in it: keep it as you keep the key.

    \b
    Example:
      mooring cluster init --endpoint https://10.0.0.1:2379 --endpoint https://10.0.0.2:2379 \\
        --ca ca.pem --certificate client.pem --key client.key
    """
    texts = {what: file.read() if file is not None else "" for what, file in files.items()}
    reply = connection.client.init_cluster(
        list(endpoints),
        ca=texts["ca"], certificate=texts["certificate"], key=texts["key"], user=user,
        password=texts["password_file"].strip(), prefix=prefix, name=name, underlay=underlay, dry_run=dry_run,
    )  # fmt: skip
    _told(reply, form)
    if form == "table" and reply.token:
        click.echo(f"\nOn each further host: mooring cluster join {reply.token}")


@cluster.command("join")
@click.argument("token")
@_place_options
@pass_connection
def join(connection: Connection, token: str, name: str, underlay: str, dry_run: bool, form: str) -> None:
    """Take this host into the cluster of TOKEN; - reads it from standard input.

    The daemon reaches the etcd, compares clock, version, MTU and address with the hosts that are there, and keeps its
    membership in the state folder. A second time, the token's certificates and endpoints replace those that it has.

    \b
    Example:
      mooring cluster join mooring1.AbC...
      mooring cluster join - --underlay wg0 --dry-run < token
    """
    if token == "-":
        token = sys.stdin.read()
    _told(connection.client.join_cluster(token, name=name, underlay=underlay, dry_run=dry_run), form)


def _told(reply: ClusterJoinReply, form: str) -> None:
    from mooring.cli.tables import clean, printed

    if printed(reply, form):
        return
    for check in reply.checks:
        click.echo(clean(f"{check.what}: {check.text}" + ("" if check.verdict == "ok" else f" [{check.verdict}]")))
    refused = any(check.verdict == "refused" for check in reply.checks)
    state = "would be refused by" if refused else ("would be in" if reply.dry_run else "is in")
    which = f"cluster {reply.cluster}" if reply.cluster else "a new cluster"
    click.echo(f"{reply.name} {state} {which}{'' if reply.changed else ', as before'}")


@cluster.command("token")
@click.option("--endpoint", "endpoints", multiple=True, metavar="URL", help="Other members of the etcd than now.")
@click.option("--ca", type=click.File(), metavar="FILE", help="Another authority, PEM.")
@click.option("--certificate", type=click.File(), metavar="FILE", help="Another client certificate, PEM.")
@click.option("--key", type=click.File(), metavar="FILE", help="Its key, PEM.")
@format_option
@pass_connection
def token(connection: Connection, /, endpoints: tuple[str, ...], form: str, **files: TextIO | None) -> None:
    """Print what other hosts join with. It is a secret: the etcd's client key is in it.

    With options it is a token with these in place of what this host uses: each host, this one too, takes them over by
    joining with it. So members of the etcd and certificates are replaced.

    \b
    Example:
      mooring cluster token | ssh web2 mooring cluster join -
      mooring cluster token --certificate new.pem --key new.key > token; mooring cluster join - < token
    """
    from mooring.cli.tables import printed
    from mooring.client import ClusterTokenReply
    from mooring.core.cluster_tokens import read_token, token_of

    reply = connection.client.cluster_token()
    changed: dict[str, Any] = {what: file.read() for what, file in files.items() if file is not None}
    if endpoints:
        changed["endpoints"] = endpoints
    access = replace(read_token(reply.token), **changed)
    reply = ClusterTokenReply(token_of(access))
    if not printed(reply, form):
        click.echo(reply.token)


@cluster.command("status")
@format_option
@pass_connection
def show_status(connection: Connection, form: str) -> None:
    """Show the cluster that this host is in, and what is wrong with its store.

    \b
    Example:
      mooring cluster status
    """
    from mooring.cli.tables import printed

    view = connection.client.cluster()
    if not printed(view, form):
        _print(view)


def _print(view: ClusterView) -> None:
    from mooring.cli.tables import print_facts, since

    if not view.id:
        click.echo(view.unreached or "This host is in no cluster.")
        return
    made = f"{since(view.made)} by {view.by}" if view.made is not None else ""
    heard = f"{view.heard} of {view.hosts} heard" if view.hosts is not None else ""
    confirmed = f"{view.confirmed:.0f} s ago" if view.confirmed is not None else "not confirmed"
    away = f", for {view.unreached_for:.0f} s" if view.unreached_for is not None else ""
    drained = "yes: it takes no new addresses of networks of the cluster" if view.drained else ""
    print_facts([
        ("Cluster", view.id), ("Made", made), ("This host", f"{view.name} ({view.host})"),
        ("Store", ", ".join(view.endpoints)), ("Prefix", view.prefix), ("Hosts", heard), ("Last heard", confirmed),
        ("Drained", drained), ("Unreached", view.unreached and f"{view.unreached}{away}"),
        *(("Waiting", line) for line in view.waiting), *(("Complaint", line) for line in view.complaints),
    ])  # fmt: skip


@cluster.command("leave")
@click.option("--force", is_flag=True, help="Also while it has something there, or the cluster cannot be reached.")
@dry_run_option
@format_option
@pass_connection
def leave(connection: Connection, force: bool, dry_run: bool, form: str) -> None:
    """Take this host out of its cluster. Refused while it has something there.

    After --force its record stays there in both cases, until `mooring cluster hosts forget` on another host.

    \b
    Example:
      mooring cluster leave
    """
    from mooring.cli.tables import printed

    reply = connection.client.leave_cluster(force=force, dry_run=dry_run)
    if not printed(reply, form):
        click.echo(f"{reply.name} {'would leave' if dry_run else 'has left'} cluster {reply.cluster}")


@cluster.command("publish")
@click.argument("network", metavar="NETWORK", shell_complete=networks)
@dry_run_option
@format_option
@pass_connection
def publish(connection: Connection, network: str, dry_run: bool, form: str) -> None:
    """Make NETWORK, which is this host's alone, one of the cluster, as if it had been made with -o scope=cluster.

    Its containers go on with their addresses and interfaces. Every address that is in use, or kept for a key, is
    claimed in the cluster. It is refused where one is another host's, where the subnet overlaps another network of the
    cluster, and where an option is not as on the hosts that take part; then nothing has changed. How many addresses are
    still to be claimed is said meanwhile.

    \b
    Example:
      mooring cluster publish web --dry-run
      mooring cluster publish web
    """
    from mooring.cli.long_requests import PATIENCE, awaited
    from mooring.cli.tables import clean, printed

    if not network.strip():
        raise click.BadParameter("must not be empty", param_hint="NETWORK")
    patient = connection.client
    patient.timeout = PATIENCE
    reply = awaited(
        lambda: patient.publish_network(network.strip(), dry_run=dry_run),
        lambda: [f"still waiting: {line}" for line in connection.client.cluster().waiting],
    )
    if printed(reply, form):
        return
    who = f"network {reply.name or reply.network[:12]} ({', '.join(reply.subnets)})"
    if not reply.changed:
        click.echo(clean(f"{who} is one of the cluster already"))
        return
    count = f"{reply.addresses} address{'' if reply.addresses == 1 else 'es'}"
    click.echo(clean(f"{count} {'would be' if dry_run else 'are' if reply.addresses != 1 else 'is'} claimed"))
    if reply.asked:
        click.echo(clean(f"asked for, as another host gives them: {', '.join(reply.asked[:10])}"))
    click.echo(clean(f"other hosts in it: {', '.join(reply.hosts) or 'none yet'}"))
    click.echo(clean(f"{who} {'would be' if dry_run else 'is'} one of the cluster"))


@cluster.group()
def hosts() -> None:
    """Show the hosts of the cluster, drain those that are to rest, and forget those that are gone.

    \b
    Example:
      mooring cluster hosts ls
    """


FILTERS = ("drained", "heard", "name")


@hosts.command("ls")
@listed_options(FILTERS)
@pass_connection
def list_hosts(connection: Connection, style: Style) -> None:
    """List the hosts of the cluster. A host that is not heard is off, or does not reach the cluster's store.

    \b
    Example:
      mooring cluster hosts ls
      mooring cluster hosts ls --filter heard=no
    """
    _listing().show(connection.client.cluster_hosts(), style)


def _listing() -> Listing[ClusterHostRow]:
    from mooring.cli.tables import since

    return Listing(
        (
            Column("ID", lambda row, _: row.id),
            Column("NAME", lambda row, _: row.name + (" *" if row.here else "")),
            Column("ADDRESS", lambda row, _: row.address),
            Column("HEARD", lambda row, _: "yes" if row.heard else "no"),
            Column("DRAINED", lambda row, _: "yes" if row.drained else "no"),
            Column("VERSION", lambda row, _: row.version),
            Column("LINK", lambda row, _: row.link, wide=True),
            Column("MTU", lambda row, _: str(row.mtu), wide=True),
            Column("JOINED", lambda row, _: since(row.joined), wide=True),
        ),
        lambda row, _: row.id,
        {
            "drained": lambda row, value: row.drained is truth(value),
            "heard": lambda row, value: row.heard is truth(value),
            "name": lambda row, value: value in row.name,
        },
    )


@hosts.command("inspect")
@click.argument("host", metavar="HOST", shell_complete=cluster_hosts)
@format_option
@pass_connection
def inspect(connection: Connection, host: str, form: str) -> None:
    """Show what the cluster knows of HOST, a name or an id.

    \b
    Example:
      mooring cluster hosts inspect web2
    """
    from mooring.cli.tables import print_facts, printed, since

    if not host.strip():
        raise click.BadParameter("must not be empty", param_hint="HOST")
    row = connection.client.cluster_host(host.strip())
    if not printed(row, form):
        print_facts([
            ("Host", f"{row.name} ({row.id}){', this one' if row.here else ''}"),
            ("Heard", "yes" if row.heard else "no"), ("Drained", "yes" if row.drained else "no"),
            ("Reached at", f"{row.address} on {row.link}, MTU {row.mtu}"), ("Version", row.version),
            ("Joined", since(row.joined)),
        ])  # fmt: skip


@hosts.command("drain")
@click.argument("host", metavar="HOST", shell_complete=cluster_hosts)
@click.option("--off", is_flag=True, help="It takes new addresses again.")
@dry_run_option
@format_option
@pass_connection
def drain(connection: Connection, host: str, off: bool, dry_run: bool, form: str) -> None:
    """Let HOST, a name or an id, take no new addresses of networks of the cluster.

    Containers that run there go on, those with fixed addresses of the host can be started again, and what is empty goes
    back to the others. It lasts over restarts, until --off.

    \b
    Example:
      mooring cluster hosts drain web3
    """
    from mooring.cli.tables import printed

    reply = connection.client.drain_cluster_host(host.strip(), off=off, dry_run=dry_run)
    if not printed(reply, form):
        state = ("would be" if dry_run else "is") + (" drained no more" if off else " drained")
        click.echo(f"{reply.host.name} ({reply.host.id}) {state}")


@hosts.command("forget")
@click.argument("host", metavar="HOST", shell_complete=cluster_hosts)
@dry_run_option
@format_option
@pass_connection
def forget(connection: Connection, host: str, dry_run: bool, form: str) -> None:
    """Take HOST, which is gone for good, out of the cluster, with all that it has there. Refused while it is heard.

    What it had may be given to others at once: it must be off, and stay off until it has joined anew.

    \b
    Example:
      mooring cluster hosts forget web3
    """
    from mooring.cli.tables import printed

    reply = connection.client.forget_cluster_host(host.strip(), dry_run=dry_run)
    if not printed(reply, form):
        click.echo(f"{reply.host.name} ({reply.host.id}) {'would be' if dry_run else 'is'} forgotten")
