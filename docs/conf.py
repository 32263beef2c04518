"""How the pages in this folder become a site: `nox -s site` builds it.

Pages are Markdown. What they say of commands, metrics, the HTTP API and the Python API is made from
the code, where a comment says so. New pages need no entry here: those of each folder are found.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from pygments.lexers import get_lexer_by_name
from pygments.lexers.special import TextLexer
from pygments.util import ClassNotFound

_HERE = Path(__file__).parent.resolve()
_ROOT = _HERE.parent
sys.path.insert(0, str(_HERE))

from making.filled import filled  # noqa: E402 # which lies beside this file
from making.links import relinked  # noqa: E402

from trio_mqtt import __version__  # noqa: E402

project = "trio-mqtt"
project_copyright = "the trio-mqtt contributors; MIT License"
version = release = __version__

extensions = ["myst_parser"]
exclude_patterns = ["making", "pictures", "_site"]
nitpicky = True
# Types of the standard library and of other packages: no page here describes them.
nitpick_ignore_regex = [("py:class", r"(?!trio_mqtt\.).*")]
myst_heading_anchors = 4
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"
smartquotes = False  # which would make one dash of the two of an option
pygments_style, pygments_dark_style = "friendly", "github-dark"

html_theme = "furo"
html_title = f"trio-mqtt {__version__}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"top_of_page_buttons": []}

# Pages of each kind: first these in this order, then the others by name.
_FIRST = {
    "tutorials": (),
    "how-to": (
        "service", "container", "reverse-proxy", "backup", "upgrading", "three-nodes", "listeners",
        "tls-own-authority", "tls-acme", "passwords-and-access", "dynamic-security", "jwt", "data",
        "monitoring", "web", "history", "troubleshooting", "what-it-says", "home", "home-assistant",
        "zigbee2mqtt", "node-red", "esp32", "from-mosquitto", "from-emqx", "from-aedes",
        "coming-from", "client", "client-connections", "hooks", "testing",
    ),
    "reference": (
        "commands", "terminal", "configuration", "limits", "system-topics", "metrics", "http-api",
        "python",
    ),
    "explanation": (
        "acknowledged", "batching", "durability", "history-check", "cluster", "security", "growth",
        "quality", "design",
    ),
}  # fmt: skip
_TITLES = {
    "tutorials": "Tutorials",
    "how-to": "How to",
    "reference": "Reference",
    "explanation": "Explanation",
    "project": "The project",
}
# Files outside of this folder that are pages of the site, too.
_TAKEN_IN = {
    _ROOT / "CHANGELOG.md": _HERE / "project" / "changelog.md",
    _ROOT / "CONTRIBUTING.md": _HERE / "project" / "contributing.md",
    _ROOT / "README.md": _HERE / "project" / "readme.md",
    _ROOT / "benchmarks" / "README.md": _HERE / "project" / "benchmarks.md",
}


def _contents() -> str:
    """The contents of the site: each kind of page, all that its folder has."""
    parts = ["```{toctree}\n:hidden:\n\nstart\n```\n"] if (_HERE / "start.md").exists() else []
    for kind, title in _TITLES.items():
        found = sorted(path.stem for path in (_HERE / kind).glob("*.md"))
        first = _FIRST.get(kind, ())
        ordered = [name for name in first if name in found]
        ordered += [name for name in found if name not in first]
        entries = "\n".join(f"{kind}/{name}" for name in ordered)
        if entries:
            parts.append(f"```{{toctree}}\n:hidden:\n:caption: {title}\n\n{entries}\n```\n")
    return "\n".join(parts)


def _unknown_languages() -> set[str]:
    """Languages of blocks that cannot be coloured: they are shown as they are."""
    found: set[str] = set()
    for path in _HERE.glob("**/*.md"):
        found |= set(re.findall(r"^```([\w+-]+)$", path.read_text(encoding="utf-8"), re.MULTILINE))
    unknown = set()
    for language in found:
        try:
            get_lexer_by_name(language)
        except ClassNotFound:
            unknown.add(language)
    return unknown


def _read(_app: object, name: str, content: list[str]) -> None:
    """A page is read: fill it, and have its links lead to what is a page here."""
    here = _HERE / f"{name}.md"
    text, home = content[0], here
    for path, page in _TAKEN_IN.items():
        if page == here:
            text, home = path.read_text(encoding="utf-8"), path
    text = relinked(text, home, here, _TAKEN_IN)
    if name == "index":
        text += f"\n{_contents()}"
    elif here.with_suffix("").is_dir():
        text += f"\n```{{toctree}}\n:hidden:\n:glob:\n\n{here.stem}/*\n```\n"
    content[0] = filled(text)


def setup(app: Any) -> dict[str, bool]:  # noqa: ANN401 # Sphinx's, which tests do without
    """Called by Sphinx."""
    app.connect("source-read", _read)
    for language in _unknown_languages():
        app.add_lexer(language, TextLexer)
    return {"parallel_read_safe": True}
