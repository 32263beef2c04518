"""What must hold, each as a session: `nox` runs the checks, `nox -s NAME` one of them."""

from __future__ import annotations

import nox

nox.options.sessions = ["lint", "types", "layers", "tests", "interop"]
nox.options.reuse_existing_virtualenvs = True


@nox.session
def lint(session: nox.Session) -> None:
    """Format and style."""
    session.install("-e", ".[lint]")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Types, strictly, tests and benchmarks included."""
    session.install("-e", ".[test,lint]")
    session.run("mypy")


@nox.session
def layers(session: nox.Session) -> None:
    """Imports point downward only."""
    session.install("-e", ".[lint]")
    session.run("lint-imports")


@nox.session
def tests(session: nox.Session) -> None:
    """The tests, as the README runs them."""
    session.install("-e", ".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Compare the broker with Mosquitto and aedes on this machine: `nox -s bench -- --help`."""
    session.install(".")
    cache = session.cache_dir / "benchmarks"
    session.run("python", "-m", "benchmarks", "--cache", str(cache), *session.posargs)
