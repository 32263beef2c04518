"""Writes the tables of all settings into configuration.md, from what the source says of them."""

from __future__ import annotations

from pathlib import Path

from trio_mqtt.configuration import reference

PAGE = Path(__file__).parents[1] / "reference" / "configuration.md"
MARK = "<!-- settings -->\n"


def main() -> None:
    text, mark, _ = PAGE.read_text(encoding="utf-8").partition(MARK)
    PAGE.write_text(f"{text}{mark}\n{reference()}", encoding="utf-8")


if __name__ == "__main__":
    main()
