"""Completion of commands and options by a shell: a script, made from the parsers, without a package of its own."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping
from functools import partial
from typing import Any

from dynamics.interface.commands.options import add_plain

NAME = "fusion-dynamics"
Parsers = Mapping[str, argparse.ArgumentParser]


def add_completion(commands: Any) -> None:
    command = add_plain(
        commands, "completion", partial(_completion, commands), "completion of commands and options by your shell",
        usage="SHELL", example="bash",
        description="Prints a script for the shell's own start file:\n\n"
        'in ~/.bashrc: eval "$(fusion-dynamics completion bash)"\n\n'
        'in ~/.zshrc, after compinit: eval "$(fusion-dynamics completion zsh)"\n\n'
        "in ~/.config/fish/config.fish: fusion-dynamics completion fish | source",
    )  # fmt: skip
    command.add_argument("shell", metavar="SHELL", choices=tuple(SCRIPTS), help=", ".join(SCRIPTS))


def _completion(commands: Any, options: argparse.Namespace) -> int:
    print(SCRIPTS[options.shell](commands.choices))
    return 0


def _options(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """argparse has no public list of them."""
    return [action for action in parser._actions if action.option_strings]


def _flags(parser: argparse.ArgumentParser) -> str:
    return " ".join(flag for action in _options(parser) for flag in action.option_strings if flag != "-h")


def _listed(action: argparse.Action) -> str:
    """The values that an option or argument may have, where these are listed."""
    return " ".join(map(str, action.choices or ()))


def _arguments(parser: argparse.ArgumentParser) -> str:
    """The values of arguments without a flag."""
    return " ".join(filter(None, (_listed(action) for action in parser._actions if not action.option_strings)))


def _bash(commands: Parsers) -> str:
    """What is no command, option or listed value is a file, which `-o default` completes."""
    cases = []
    for name, parser in commands.items():
        values = "".join(
            f' {"|".join(action.option_strings)}) values="{_listed(action)}" ;;'
            for action in _options(parser)
            if action.choices
        )
        after = f"; case $before in{values} esac" if values else ""
        cases.append(f'        {name}) flags="{_flags(parser)}" values="{_arguments(parser)}"{after} ;;')
    return "\n".join([
        "_fusion_dynamics() {",
        '    local flags="--help --version" values="" now="${COMP_WORDS[COMP_CWORD]}"',
        '    local before="${COMP_WORDS[COMP_CWORD-1]}"',
        "    case ${COMP_WORDS[1]} in",
        *cases,
        "    esac",
        f'    [ "$COMP_CWORD" -gt 1 ] || values="{" ".join(commands)}"',
        '    case $now in -*) values="$flags" ;; esac',
        '    COMPREPLY=($(compgen -W "$values" -- "$now"))',
        "}",
        f"complete -o default -F _fusion_dynamics {NAME}",
    ])  # fmt: skip


def _zsh(commands: Parsers) -> str:
    """zsh runs what is written for bash."""
    return f"autoload -U +X bashcompinit && bashcompinit\n{_bash(commands)}"


def _fish(commands: Parsers) -> str:
    lines = [f"complete -c {NAME} -n __fish_use_subcommand -f -a {shlex.quote(' '.join(commands))}"]
    for name, parser in commands.items():
        there = f"complete -c {NAME} -n '__fish_seen_subcommand_from {name}'"
        for action in _options(parser):
            words = [f"-l {flag[2:]}" if flag[:2] == "--" else f"-s {flag[1:]}" for flag in action.option_strings]
            if action.nargs != 0:  # it takes a value: one of a list, or else a file
                words.append(f"-x -a {shlex.quote(_listed(action))}" if action.choices else "-r")
            lines.append(f"{there} {' '.join(words)} -d {shlex.quote(action.help or '')}")
        if _arguments(parser):
            lines.append(f"{there} -f -a {shlex.quote(_arguments(parser))}")
    return "\n".join(lines)


SCRIPTS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
