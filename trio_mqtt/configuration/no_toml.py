"""What to say of a file that is no TOML: the parser's words, and what was likely meant."""

from __future__ import annotations

import ast
import re

from trio_mqtt.configuration.written import toml_key

_QUOTES = ' Texts stand in quotes, as "5s" does.'
_MOSQUITTO = " To turn Mosquitto's configuration into this one: `tmqtt config import FILE`."

# `timeout = 5s`, `level = info`: something is there, and it is neither in quotes nor a container.
_BARE_VALUE = re.compile(r"""[^#='"]+=\s*[^\s#'"\[{].*""")
# `listener 1883`
_STATEMENT = re.compile(r"[a-z][a-z_]+( +[^\s=]+)+\s*")
_KEYS = re.compile(r"\('.*'.*\)", re.DOTALL)


def sentence_for(wrong: str, line: str) -> str:
    """What is wrong with a file, from what the parser says of this line."""
    hint = ""
    if _STATEMENT.fullmatch(line):
        hint = _MOSQUITTO
    elif _BARE_VALUE.fullmatch(line) and wrong.startswith(("Invalid value", "Expected newline")):
        hint = _QUOTES
    return f"This is no TOML: {_named(f'{wrong[:1].lower()}{wrong[1:]}')}.{hint}"


def _named(wrong: str) -> str:
    """The parser shows keys as Python does, ('a', 'b'): as TOML writes them."""
    keys = _KEYS.search(wrong)
    if keys is None:
        return wrong
    try:
        names = ast.literal_eval(keys[0])
    except (SyntaxError, ValueError):
        return wrong
    return wrong.replace(keys[0], f"[{'.'.join(map(toml_key, names))}]")
