"""What would fail on other systems than the one of the tests, found in the source."""

import ast
import re

from tests.conftest import ROOT

FILES = [path for name in ("jaxgan", "experiments") for path in sorted((ROOT / name).rglob("*.py"))]
POSIX_MODULES = {"fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty"}
POSIX_NAMES = re.compile(
    r"os\.(fork|getuid|geteuid|killpg|setsid|getpgid|mkfifo|uname|nice|wait\b|sched_\w+)"
    r"|signal\.(SIGKILL|SIGHUP|SIGUSR1|SIGUSR2|SIGALRM|SIGCHLD|alarm|setitimer|pthread_\w+)"
)


def nodes(path, *kinds):
    return [node for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, kinds)]


def modules(path) -> set[str]:
    """First parts of the names of the modules that a file imports, anywhere in it."""
    names = [alias.name for node in nodes(path, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes(path, ast.ImportFrom)]
    return {name.split(".")[0] for name in names}


def reads_or_writes_text(call: ast.Call) -> bool:
    """Whether a call opens a text file: by `read_text`, `write_text`, or `open` without a b."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in ("read_text", "write_text"):
        return True
    owner = ast.unparse(call.func).rpartition(".")[0]
    if name != "open" or owner in ("os", "Image", "webbrowser"):
        return False
    texts = [x.value for x in call.args if isinstance(x, ast.Constant) and isinstance(x.value, str)]
    return not any("b" in text for text in texts)


def test_the_search_finds_what_it_is_for():
    found = lambda code: [
        reads_or_writes_text(x) for x in ast.walk(ast.parse(code)) if isinstance(x, ast.Call)
    ]
    assert found("path.read_text()") == found("open('w')") == found("path.open()") == [True]
    assert found("os.open(path, flags)") == found("path.open('rb')") == [False]


def test_text_files_have_an_encoding():
    """Without one it is that of the system, which is not UTF-8 on Windows."""
    without = [
        f"{path}:{call.lineno}"
        for path in FILES
        for call in nodes(path, ast.Call)
        if reads_or_writes_text(call) and "encoding" not in {word.arg for word in call.keywords}
    ]
    assert not without


def test_nothing_is_only_of_posix():
    used = {path: modules(path) & POSIX_MODULES for path in FILES}
    assert not {path: names for path, names in used.items() if names}
    code = {path: ast.unparse(ast.parse(path.read_bytes())) for path in FILES}
    assert not {path: found[0] for path in FILES if (found := POSIX_NAMES.search(code[path]))}


def test_nothing_imports_a_package_named_experiments():
    """There may be another of that name in the working directory: ours is `jaxgan.experiments`."""
    assert not [path for path in FILES if "experiments" in modules(path)]
