"""The reference of all settings, in Markdown: what the documentation has of them."""

from __future__ import annotations

from collections.abc import Iterator

from trio_mqtt.configuration.description import Section, Setting, root
from trio_mqtt.configuration.places import Place
from trio_mqtt.configuration.written import toml_value


def reference() -> str:
    """A table for each section, with what each setting may be, its default and its meaning."""
    return "\n".join(_section(root(), (), "")).strip() + "\n"


def _section(section: Section, place: Place, header: str) -> Iterator[str]:
    values = [setting for setting in section.settings.values() if setting.section is None]
    if values:
        yield "| setting | is | default | meaning |"
        yield "|---|---|---|---|"
        yield from map(_row, values)
        yield ""
    for name, setting in section.settings.items():
        if setting.section is None:
            continue
        here = (*place, name, *(("NAME",) if setting.form == "named" else ()))
        keys = ".".join(map(str, here))
        header = f"[[{keys}]]" if setting.form == "array" else f"[{keys}]"
        yield f"### `{header}`"
        yield ""
        yield setting.doc.replace("|", "\\|")
        yield ""
        yield from _section(setting.section, here, header)


def _row(setting: Setting) -> str:
    kind = setting.kind
    default = ""
    if setting.required:
        default = "must be given"
    elif setting.default is not None:
        default = f"`{toml_value(setting.default, kind.unit if kind else '')}`"
    expected = kind.expected if kind else ""
    if setting.most is not None:
        expected += f"; from {setting.least:,} to {setting.most:,}"
    cells = (f"`{setting.name}`", expected, default, setting.doc)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
