"""`mooring completion`."""

from __future__ import annotations

import click

VARIABLE = "_MOORING_COMPLETE"


# As click's own, but that words are those of the line: bash breaks them at colons, and an IPv6 address is one word.
# What it has of the word already, up to the last colon, is not said again; one that goes on (`state=`) gets no space.
_BASH = r"""_mooring_completion() {
    local IFS=$'\n' line word prefix type value response
    local -a words
    line=${COMP_LINE:0:COMP_POINT}
    IFS=$' \t' read -r -a words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    word=${words[${#words[@]}-1]}
    prefix=${word%"${word##*[:=]}"}
    [[ $word == --*=* && $word != *:* ]] && prefix=
    response=$(env COMP_WORDS="${words[*]}" COMP_CWORD=$((${#words[@]} - 1)) @VARIABLE@=bash_complete "$1")
    COMPREPLY=()
    for line in $response; do
        IFS=',' read -r type value <<< "$line"
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain)
                COMPREPLY+=("${value#"$prefix"}")
                [[ $value == *= ]] && compopt -o nospace 2>/dev/null ;;
        esac
    done
    return 0
}
complete -o nosort -F _mooring_completion mooring
"""


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
    if shell == "bash":
        return _BASH.replace("@VARIABLE@", VARIABLE)
    # The base class's `source`: bash's own starts a bash to look at its version, which is not our business here.
    return ShellComplete.source(kind(command, {}, "mooring", VARIABLE))
