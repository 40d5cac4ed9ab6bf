"""Completion of the command line by bash and zsh: the scripts of tyro, corrected."""

import contextlib
import io
from collections.abc import Callable
from typing import Any

from tyro.extras import subcommand_cli_from_dict

from jaxgan.runs.command_line import parser

FILES = '"$completions" == "__TYRO_COMPLETE_FILES__"'  # tyro's mark: complete file names


def script(commands: dict[str, Callable[..., Any]], shell: str) -> str:
    """The script that a shell evaluates to complete `jaxgan`.

    Args:
      commands: arguments of the commands, by name.
      shell: bash or zsh.
    """
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
        words = ["--tyro-print-completion", shell]
        subcommand_cli_from_dict(commands, args=words, prog="jaxgan", registry=parser.REGISTRY)
    text = output.getvalue()
    # Positional arguments, which tyro does not complete, are directories of runs, or files.
    text = text.replace(f"[[ {FILES} ]]", f'[[ -z "$completions" || {FILES} ]]')
    # In zsh, the script is to be evaluated, too, and not the file of a function.
    text = text.replace('\n_tyro_jaxgan "$@"', "\ncompdef _tyro_jaxgan jaxgan")
    # In bash, tyro takes the words before a positional argument for a part of it.
    return text.replace('COMPREPLY=($(compgen -f -- "$cur"))', "compopt -o default; COMPREPLY=()")
