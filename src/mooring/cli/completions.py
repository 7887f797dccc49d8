"""`mooring completion`."""

from __future__ import annotations

import click

VARIABLE = "_MOORING_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script for a shell.

    \b
    Example:
      mooring completion bash > /etc/bash_completion.d/mooring
      mooring completion zsh > "${fpath[1]}/_mooring"
      mooring completion fish > ~/.config/fish/completions/mooring.fish
    """
    click.echo(script(context.find_root().command, shell))


def script(command: click.Command, shell: str) -> str:
    """The completion script of the command for the shell."""
    from click.shell_completion import ShellComplete, get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None  # Choice lets only known shells through
    # The base class's `source`: bash's own starts a bash to look at its version, which is not our business here.
    return ShellComplete.source(kind(command, {}, "mooring", VARIABLE))
