"""`mooring dns ls|hosts|lookup|add|rm`; the rest is in dns_serving."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mooring.cli.listings import Column, Listing, Style, listed_options, one_of
from mooring.cli.options import Connection, dry_run_option, format_option, pass_connection
from mooring.cli.suggestions import dns_records, networks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mooring.client import DnsReply, DnsRow


@click.group()
def dns() -> None:
    """Names of containers, as the host's DNS server tells them, and records beside them.

    \b
    Example:
      mooring dns ls
      mooring dns lookup db.web
    """


FILTERS = ("address", "host", "name", "network", "note", "origin")


@dns.command("ls")
@listed_options(FILTERS)
@pass_connection
def list_names(connection: Connection, style: Style) -> None:
    """List the names of containers in Mooring's networks, those of the cluster's other hosts too, and the records.

    \b
    Example:
      mooring dns ls
      mooring dns ls --filter network=web
      mooring dns ls --filter host=web2
      mooring dns ls --filter origin=stored -o wide
    """
    _listing(connection).show(connection.client.dns_names(), style)


def _listing(connection: Connection) -> Listing[DnsRow]:
    from mooring.cli.tables import since

    return Listing(
        (
            Column("NAME", lambda row, _: row.name),
            Column("ADDRESSES", lambda row, _: ", ".join(row.addresses) or "not healthy"),
            Column("NETWORK", lambda row, _: row.network or "-"),
            Column("HOST", lambda row, _: (row.host or "-") + ("" if row.heard else " (not heard)")),
            Column("ORIGIN", lambda row, _: row.origin),
            Column("NOTE", lambda row, _: row.note or "-"),
            Column("NAMES", lambda row, _: ", ".join(row.names), wide=True),
            Column("SINCE", lambda row, _: since(row.created) if row.created is not None else "-", wide=True),
        ),
        lambda row, _: row.name,
        {
            "address": lambda row, value: value in row.addresses,
            "host": lambda row, value: value == row.host,
            "name": lambda row, value: value in row.name or value in row.names,
            "network": lambda row, value: value == row.network or (bool(value) and row.network_id.startswith(value)),
            "note": lambda row, value: value in row.note,
            "origin": lambda row, value: row.origin == one_of(("container", "stored"), value),
        },
        {"network": connection.client.network},
    )


@dns.command("hosts")
@click.option("--network", default="", metavar="NETWORK", help="Of this network alone.", shell_complete=networks)
@format_option
@pass_connection
def hosts(connection: Connection, network: str, form: str) -> None:
    """Print the names that the host sees, in the form of /etc/hosts: a line for each address, the complete names.

    \b
    Example:
      mooring dns hosts
      mooring dns hosts --network web
    """
    from mooring.cli.tables import clean, printed

    rows = connection.client.dns_names(network=network)
    if printed(rows, form):
        return
    for line in _hosts(rows):
        click.echo(clean(line))


def _hosts(rows: Iterable[DnsRow]) -> Iterator[str]:
    """Lines of hosts(5), IPv4 first and in the order of addresses. A reader takes the first name for the canonical one:
    it is what PTR tells, and aliases stand behind it."""
    from ipaddress import ip_address

    canonical: dict[str, set[str]] = {}
    others: dict[str, set[str]] = {}
    for row in rows:
        behind = row.name.removeprefix(row.names[0])
        for address in row.addresses:
            canonical.setdefault(address, set()).add(row.name)
            others.setdefault(address, set()).update(name + behind for name in row.names[1:])
    for address in sorted(canonical, key=lambda each: (ip_address(each).version, ip_address(each))):
        first = canonical[address]
        yield " ".join((address, *sorted(first), *sorted(others[address] - first)))


@dns.command("lookup")
@click.argument("name")
@click.option("--type", "kind", default="", metavar="TYPE", help="A, AAAA, PTR or SRV.  [A; PTR of an address]")
@click.option("--network", default="", metavar="NETWORK", help="As somebody in this network asks.  [the host]",
              shell_complete=networks)  # fmt: skip
@format_option
@pass_connection
def look_up(connection: Connection, name: str, kind: str, network: str, form: str) -> None:
    """Say what the DNS server answers to a question for NAME, which may be an address.

    \b
    Example:
      mooring dns lookup db.web
      mooring dns lookup db --network web
      mooring dns lookup 10.32.0.2
    """
    from mooring.cli.tables import clean, printed

    answer = connection.client.look_up_name(name, type=kind, network=network)
    if printed(answer, form):
        return
    for record in answer.records:
        # As a zone file has remarks.
        where = f" ; on {answer.hosts[record]}" if record in answer.hosts else ""
        click.echo(clean(record + where))
    if not answer.records:
        said = {
            "absent": "nobody has the name, and no other nameserver is asked",
            "empty": f"the name is there, without {answer.type} records",
            "refused": "not known here, or not yet, and nobody else may be asked",
        }.get(answer.verdict, "not known here: the host's nameservers are asked")
        click.echo(clean(f"{answer.name}: {said}"))


@dns.command("add")
@click.argument("name")
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
@click.option("--network", default="", metavar="NETWORK", help="Only in this network.", shell_complete=networks)
@click.option("--note", default="", metavar="TEXT", help="Why.")
@click.option("--until", default="", metavar="TIME", help="When it ends: 7d from now, or a date and time (UTC).")
@dry_run_option
@format_option
@pass_connection
def add(
    connection: Connection, name: str, addresses: tuple[str, ...], network: str, note: str, until: str, dry_run: bool,
    form: str,
) -> None:  # fmt: skip
    """Give NAME addresses: for everybody, or in one network. A record that is there gets the new ones.

    \b
    Example:
      mooring dns add nas 192.0.2.9 --note "the NAS in Berlin"
      mooring dns add db 192.0.2.10 2001:db8::10 --network web --until 7d
    """
    import time

    from mooring.core.times import point_of

    end = point_of(until, time.time()) if until else None
    reply = connection.client.add_dns_record(name, addresses, network=network, note=note, until=end, dry_run=dry_run)
    _tell(reply, f"has {', '.join(reply.record.addresses)}", form)


@dns.command("rm")
@click.argument("name", shell_complete=dns_records)
@click.option("--network", default="", metavar="NETWORK", help="The record of this network.", shell_complete=networks)
@dry_run_option
@format_option
@pass_connection
def remove(connection: Connection, name: str, network: str, dry_run: bool, form: str) -> None:
    """End the record NAME. Names of containers end with these.

    \b
    Example:
      mooring dns rm nas
    """
    _tell(connection.client.remove_dns_record(name, network=network, dry_run=dry_run), "has no record any more", form)


def _tell(reply: DnsReply, what: str, form: str) -> None:
    from mooring.cli.tables import clean, printed

    if printed(reply, form):
        return
    if not reply.changed:
        what += " already"
    click.echo(clean(f"{reply.record.name} {'(not done, only tried) ' if reply.dry_run else ''}{what}"))
