"""Configuration of Sphinx for the documentation site.

The pages are Markdown that also reads well where it stands, and the reference of the interface is
made of docstrings. What Sphinx would not understand is translated here: links to files that are
elsewhere on the site, and Markdown in docstrings.
"""

import ast
import inspect
import os
import re
import sys
import textwrap
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.addnodes import desc, desc_signature, pending_xref

import jaxgan

HERE = Path(__file__).parent
ROOT = HERE.parent
os.environ.setdefault("JAX_PLATFORMS", "cpu")  # nothing is computed

# ---- the site

project, author = "jaxgan", "The jaxgan authors"
version = release = jaxgan.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["**.ipynb_checkpoints"]

smartquotes = False  # of flags, --name

html_theme = "furo"
html_title = "jaxgan"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
html_math_renderer = "mathml"
pygments_style, pygments_dark_style = "friendly", "monokai"
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
nb_execution_mode = "off"  # the tests execute them

# ---- docstrings

autodoc_member_order = "bysource"
nitpicky = True  # of the types in signatures
nitpick_ignore_regex = [("py:obj", ".*"), (r"py:\w+", r"(?!jaxgan\.).*")]
napoleon_custom_sections = ["Reference", ("Attributes", "params_style")]
python_maximum_signature_line_length = 80
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"

# ---- links

PAGES = {  # files elsewhere, and the pages that include them
    ROOT / "README.md": HERE / "index.md",
    ROOT / "README.ko.md": HERE / "korean.md",
    ROOT / "CONTRIBUTING.md": HERE / "contributing.md",
    ROOT / "CHANGELOG.md": HERE / "changelog.md",
}
INCLUDE = re.compile(r"```\{include\} (\S+)\n```")
TARGET = re.compile(r"(?<=\]\()[^)#\s:]+")
NAME = re.compile(r"[A-Za-z][\w.]*(?=$|\()")
NOT_NAMES = {"Path", *(name for name in dir(jaxgan) if inspect.ismodule(getattr(jaxgan, name)))}
NOT_LINKED = (nodes.title, nodes.reference, pending_xref, desc_signature)


def read_page(app, docname, source):
    """Includes files from elsewhere, and points links at what the site has of them."""
    page = Path(app.env.doc2path(docname))

    def included(match):
        path = (page.parent / match[1]).resolve()
        app.env.note_dependency(path, docname=docname)
        return relinked(path.read_text(encoding="utf-8"), page, path.parent)

    text = INCLUDE.sub(included, source[0])
    source[0] = relinked(text, page, page.parent.resolve())  # the notebooks' folder is a link


def relinked(text, page, folder):
    """A text from a folder, with the targets of its links as they are seen from a page."""

    def target(match):
        path = (folder / match[0]).resolve()
        path = PAGES.get(path, path)
        if not path.exists():
            return match[0]
        if path.parent == ROOT / "notebooks":  # a link in this folder, which Sphinx would follow
            return f"/notebooks/{path.stem}"
        inside = path.is_relative_to(HERE)
        return f"/{path.relative_to(HERE)}" if inside else os.path.relpath(path, page.parent)

    return TARGET.sub(target, text)


def link_names(app, doctree):
    """Points inline code such as `losses.hinge()` at the reference of `jaxgan.losses.hinge`."""
    for code in list(doctree.findall(nodes.literal)):
        name, parents = NAME.match(code.astext()), list(ancestors(code))
        if name is None or name[0] in NOT_NAMES:
            continue
        if any(isinstance(node, NOT_LINKED) for node in parents):
            continue
        module = next((node[0]["module"] for node in parents if isinstance(node, desc)), None)
        link = pending_xref(refdomain="py", reftype="obj", reftarget=name[0])
        link.attributes["py:module"] = module
        if "." in name[0] or name[0][0].isupper():  # anywhere in jaxgan
            link["refspecific"] = True
        code.replace_self(link)
        link += code


def ancestors(node):
    while node.parent is not None:
        node = node.parent
        yield node


# ---- docstrings

CODE = re.compile(r"`([^`]+)`(\w?)")
BLOCK = re.compile(r"^(\S.*)\n\n(?=    \S)", re.MULTILINE)
TABLE = re.compile(r"^\|(.*)\|\n\|[-| ]+\|\n((?:\|.*\|\n?)+)", re.MULTILINE)


def translate(app, what, name, obj, options, lines):
    """From Markdown: code, also in the plural as `name`s, indented blocks, and tables."""
    text = CODE.sub(as_literal, "\n".join(lines))
    text = BLOCK.sub(r"\1\n\n::\n\n", text)
    lines[:] = TABLE.sub(as_list_table, text).split("\n")


def source_signature(app, what, name, obj, options, signature, returns):
    """A signature as it is written, with the names of types; of a class, its own fields."""
    if what not in ("class", "exception", "function", "method"):
        return None
    tree = ast.parse(textwrap.dedent(inspect.getsource(obj))).body[0]
    returns = None
    if isinstance(tree, ast.FunctionDef):
        if what == "method":
            tree.args.args.pop(0)
        signature = f"({ast.unparse(tree.args)})"
        returns = tree.returns and ast.unparse(tree.returns).strip("'")
    elif fields := [ast.unparse(node) for node in tree.body if isinstance(node, ast.AnnAssign)]:
        flags = any("= flag(" in field for field in fields)  # of a command line
        signature = "" if flags else f"({', '.join(fields)})"
    if signature and getattr(sys.modules[obj.__module__], "Path", None) is Path:
        signature = re.sub(r"\bPath\b", "pathlib.Path", signature)  # there is a `dynamics.Path`
    return signature, returns


def as_literal(match):
    code, letter = match[1].strip(), match[2]
    return rf"``{code}``\ {letter}" if letter else f"``{code}``"


def as_list_table(match):
    rows = [row.strip("|").split("|") for row in (match[1], *match[2].strip().split("\n"))]
    cells = ["\n     - ".join(cell.strip() for cell in row) for row in rows]
    return ".. list-table::\n   :header-rows: 1\n\n" + "".join(f"   * - {c}\n" for c in cells)


# ---- formulas


def formula(self, node):
    """MathML, which browsers draw without a program from elsewhere."""
    self.body.append(tex2mathml(node.astext(), as_block=isinstance(node, nodes.math_block)))
    raise nodes.SkipNode


def setup(app):
    app.connect("source-read", read_page)
    app.connect("doctree-read", link_names)
    app.connect("autodoc-process-signature", source_signature)
    app.connect("autodoc-process-docstring", translate, priority=400)  # before napoleon
    app.add_html_math_renderer("mathml", (formula, None), (formula, None))
