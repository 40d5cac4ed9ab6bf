"""The documentation site: it is built without a warning, has every public name, and no dead link.

Slow: half a minute, for one build.
"""

import html.parser
import posixpath
import subprocess
import sys
import urllib.parse
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support import documented_names

pytestmark = pytest.mark.slow
for package in ("sphinx", "furo", "myst_nb", "sphinx_copybutton"):
    pytest.importorskip(package, reason="the site is built with pip install 'jaxgan[docs]'")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, by the command of CONTRIBUTING.md."""
    folder = tmp_path_factory.mktemp("site")
    options = ("-W", "--keep-going", "-q", "-b", "html")
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, ROOT / "docs", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (built.returncode, built.stderr) == (0, "")
    return folder


def test_the_index_has_every_name_of_the_reference(site: Path):
    """Quick tests check that every public name is among these."""
    from sphinx.util.inventory import InventoryFile

    with (site / "objects.inv").open("rb") as file:
        inventory = InventoryFile.load(file, "", posixpath.join)
    kinds = (entries for kind, entries in inventory.items() if kind.startswith("py:"))
    assert documented_names() - {name for entries in kinds for name in entries} == set()


class Page(html.parser.HTMLParser):
    """Links of a page, what it loads, and its anchors."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors = {""}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value for name, value in attrs if value}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        target = values.get("href") or values.get("src")
        if target:
            (self.links if tag == "a" else self.loaded).append(target)


def test_every_link_leads_to_a_file_and_an_anchor(site: Path):
    pages = {path.resolve(): Page(path) for path in site.rglob("*.html")}
    broken, followed = set(), 0
    for path, page in pages.items():
        for link in page.links + page.loaded:
            url = urllib.parse.urlsplit(link)
            if url.scheme:
                continue
            target = (path.parent / urllib.parse.unquote(url.path)).resolve() if url.path else path
            anchor = urllib.parse.unquote(url.fragment)
            ok = target.is_file() and (target not in pages or anchor in pages[target].anchors)
            broken |= set() if ok else {(path.name, link)}
            followed += 1
    assert not broken
    assert followed > 1000


def test_pages_load_nothing_from_elsewhere(site: Path):
    loaded = {url for path in site.rglob("*.html") for url in Page(path).loaded}
    assert loaded
    assert not {url for url in loaded if urllib.parse.urlsplit(url).scheme not in ("", "data")}
