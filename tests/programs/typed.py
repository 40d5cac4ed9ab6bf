"""Types commands and the key Tab into a shell that has evaluated the completion script.

A program, since a process in which jax runs must not fork.
"""

import sys

import pexpect

SHELLS = {
    "bash": ("bash --norc --noprofile -i", ""),
    "zsh": ("zsh -f -i", "autoload -U compinit; compinit -u -D; "),
}
COMPLETED = {  # what is typed, and what the key makes of it
    "jaxgan wat": "jaxgan watch ",
    "jaxgan sample dir": "jaxgan sample directory/",
    "jaxgan sample directory --trunc": "jaxgan sample directory --truncation ",
    "jaxgan directions --method se": "jaxgan directions --method sefa ",
    "jaxgan sample --ou": "jaxgan sample --out ",
    "jaxgan sample --out fi": "jaxgan sample --out file.png ",
}


def main(shell: str, folder: str) -> None:
    """Ends with an error if something else is shown; the folder has the script."""
    start, prepare = SHELLS[shell]
    environment = {"TERM": "dumb", "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": folder}
    child = pexpect.spawn(
        start, cwd=folder, env=environment, encoding="utf-8", timeout=120, dimensions=(50, 400)
    )
    child.sendline(f"{prepare}source ./script; PS1='rea''dy> '")
    child.expect_exact("ready> ")
    for typed, expected in COMPLETED.items():
        child.send(f"{typed}\t")
        child.expect_exact(expected)
        child.send("\x03")  # Ctrl-C, for another line
        child.expect_exact("ready> ")
    child.close(force=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
