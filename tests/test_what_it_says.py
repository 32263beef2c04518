"""docs/how-to/what-it-says.md has what the programs say, and nothing that they do not say."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/how-to/what-it-says.md"
HOLE = "…"

# What a command can end with, a client can be turned away by, or a call of the library can raise.
RAISED = frozenset({
    "AuthenticationError", "AuthenticationRefused", "CommandError", "ConnectionFailedError",
    "ConnectionLostError", "ConnectionRefusedByBrokerError", "EngineError", "EngineGoneError",
    "EngineUnfitError", "HeldOff", "InvalidTokenError", "ListenError", "NotFoundError",
    "RequestRefusedError", "StoreError", "TlsError",
})  # fmt: skip
# Here files of the operator are read: elsewhere what is wrong is told with the name of a setting.
READS_FILES = ("trio_mqtt/broker/access/", "trio_mqtt/transport/listeners/")
# Here functions return the sentences.
RETURNS = frozenset({
    "trio_mqtt/storage/sqlite_opening.py", "trio_mqtt/transport/connectors/socket_failures.py",
    "trio_mqtt/transport/connectors/tls_failures.py", "trio_mqtt/transport/listeners/listener.py",
})  # fmt: skip
# What stands in for a broker in tests speaks to those who write them.
OF_TESTS = "trio_mqtt/testing/"
LOGGED = frozenset({"error", "exception", "warn", "warning"})
ENDS_A_CONNECTION = frozenset({"end", "lost"})


class Said(NamedTuple):
    where: str
    text: str


class Texts(NamedTuple):
    """What stands in the source."""

    all: str  # a line for each
    to_be_explained: list[Said]


def text_of(node: ast.expr) -> str | None:
    """A text as the source has it, with what is put in as a hole."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else HOLE
                       for part in node.values)  # fmt: skip
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = text_of(node.left), text_of(node.right)
        if left is not None or right is not None:
            return (left or HOLE) + (right or HOLE)
    return None


def plain(text: str) -> str:
    """With one space between words, and one hole for several."""
    text = re.sub(r"%[-.\d]*[srdgf]", HOLE, text).replace("%%", "%")
    return re.sub(rf"{HOLE}+", HOLE, " ".join(text.split()))


def explained_where(node: ast.AST, path: str) -> list[ast.expr]:
    """The texts in a call or a return that are for people."""
    if isinstance(node, ast.Return):
        return [node.value] if path in RETURNS and node.value is not None else []
    if not isinstance(node, ast.Call):
        return []
    name = getattr(node.func, "id", "") or getattr(node.func, "attr", "")
    reads = name == "ConfigurationError" and path.startswith(READS_FILES)
    if name in RAISED or name in ENDS_A_CONNECTION or reads:
        return [*node.args, *(keyword.value for keyword in node.keywords)]
    return node.args[:1] if name in LOGGED and isinstance(node.func, ast.Attribute) else []


def named_in(function: ast.AST) -> dict[str, list[ast.expr]]:
    """The names that a function gives to texts, with these texts."""
    found: dict[str, list[ast.expr]] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and text_of(node.value) is not None:
            for target in node.targets:
                if isinstance(target, ast.Name):
                    found.setdefault(target.id, []).append(node.value)
    return found


def explained_by_name(function: ast.AST, path: str) -> Iterator[ast.expr]:
    """The texts for people that a function names before it says them."""
    named = named_in(function)
    for node in ast.walk(function) if named else ():
        for one in explained_where(node, path):
            if isinstance(one, ast.Name):
                yield from named.get(one.id, [])


@cache
def texts() -> Texts:
    everything, to_be_explained = [], []
    for file in sorted([*ROOT.glob("trio_mqtt/**/*.py"), *ROOT.glob("cli/**/*.py")]):
        path = file.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                node.value.value = ""  # a docstring says nothing
            elif isinstance(node, (ast.Constant, ast.JoinedStr, ast.BinOp)):
                text = text_of(node)
                if text is not None and " " in text:
                    everything.append(plain(text))
            elif not path.startswith(OF_TESTS):
                is_function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
                explained = explained_by_name if is_function else explained_where
                for one in explained(node, path):
                    text = plain(text_of(one) or "")
                    if len(re.findall(r"[a-z]+", text)) > 1:
                        to_be_explained.append(Said(f"{path}:{one.lineno}", text))
    return Texts("\n".join(everything), to_be_explained)


@cache
def quotes() -> list[str]:
    """What stands in the first column of the page's tables, without holes at its ends."""
    rows = re.findall(r"^\| (`.*?`) \| .*\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    found = [plain(quote).strip(f"{HOLE} ") for row in rows for quote in row.split("`")[1::2]]
    assert all(len(quote) >= 8 for quote in found), "too short to tell what it is"
    return found


def test_each_sentence_of_the_page_is_one_of_the_programs() -> None:
    assert len(quotes()) > 250
    assert [quote for quote in quotes() if quote not in texts().all] == []


def test_what_the_programs_say_is_on_the_page() -> None:
    said = texts().to_be_explained
    assert len(said) > 250
    missing = [one for one in said if not any(quote in one.text for quote in quotes())]
    assert missing == [], "a row for each is to be in docs/how-to/what-it-says.md:\n" + "\n".join(
        f"{one.where} {one.text}" for one in missing
    )
