"""What must hold, each as a session: `nox` runs the checks, `nox -s NAME` one of them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nox

nox.options.sessions = [
    "lint", "types", "layers", "site", "tests", "kept", "cluster", "interop", "image", "soak",
    "fuzz",
]  # fmt: skip
nox.options.reuse_existing_virtualenvs = True
# It makes an environment in seconds, and knows the lowest versions that are allowed.
nox.options.default_venv_backend = "uv"

# With these pytest leaves nothing out of what it is told to run, as the plain test run does.
ALL_OPTIONS = "addopts=--strict-markers --strict-config -ra"


@nox.session
def quick(session: nox.Session) -> None:
    """The inner loop: all checks, and the quick tests of protocol and broker."""
    session.install("-e", ".[dev]")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("lint-imports")
    session.run("mypy")
    tests = ("tests/protocol", "tests/broker")
    session.run("pytest", "-n", "auto", "-q", "-m", "not slow", *tests, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Format and style."""
    session.install("-e", ".[lint]")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Types, strictly, tests and benchmarks included."""
    session.install("-e", ".[test,interop,lint]")
    session.run("mypy")


@nox.session
def pyright(session: nox.Session) -> None:
    """The types of the library as another checker sees them, which users may have."""
    session.install("-e", ".[test]", "pyright[nodejs]>=1.1.414")
    session.run("pyright")


@nox.session
def layers(session: nox.Session) -> None:
    """Imports point downward only."""
    session.install("-e", ".[lint]")
    session.run("lint-imports")


@nox.session
def tests(session: nox.Session) -> None:
    """The tests, as the README runs them."""
    session.install("-e", ".[test]")
    session.run("pytest", "-n", "auto", *session.posargs)


@nox.session
def kept(session: nox.Session) -> None:
    """The tests of the broker, its model, and the statements, with SQLite underneath."""
    session.install("-e", ".[test]")
    tests = ("tests/broker", "tests/conformance")
    session.run("pytest", "-n", "auto", "-q", "--storage", "sqlite", *tests, *session.posargs)


_FIND_WHAT_LIES_HERE = """
import pathlib, sysconfig
path = pathlib.Path(sysconfig.get_path("purelib"), "beside_trio_mqtt.pth")
path.write_text(f"{pathlib.Path.cwd()}\\n")
"""


# What starts redis-server. The plain test run leaves it out, which needs Python alone.
WITH_AN_ENGINE = (
    "tests/cluster",
    "tests/cli/broker/test_cluster.py",
    "tests/cli/cluster",
    "tests/cli/drain",
)


@nox.session
def cluster(session: nox.Session) -> None:
    """Brokers of a cluster, on a real redis-server."""
    session.install("-e", ".[test]")
    # Most of what they take is waiting: for leases, and for what was killed to come back.
    workers = str(2 * (os.cpu_count() or 1))
    tests = session.posargs or WITH_AN_ENGINE
    session.run("pytest", "-n", workers, "-q", "-o", ALL_OPTIONS, *tests)


@nox.session
def masters(session: nox.Session) -> None:
    """The tests of clusters on a Redis Cluster of three masters: nothing goes over two slots."""
    session.install("-e", ".[test]")
    options = ("-n", "auto", "-q", "-o", ALL_OPTIONS, "--engine", "masters")
    session.run("pytest", *options, "tests/cluster", *session.posargs)


@nox.session
def compiled(session: nox.Session) -> None:
    """All tests against the package as TRIO_MQTT_COMPILE=1 installs it, SQLite underneath.

    What it uses is of the lowest versions that pyproject.toml allows, which must be true.
    """
    session.install(*("--resolution", "lowest-direct", ".[test]"), env={"TRIO_MQTT_COMPILE": "1"})
    # The tests, and processes that they start, find what is installed before what lies here; only
    # what else tests import comes from here.
    session.run("python", "-c", _FIND_WHAT_LIES_HERE)
    options = ("--compiled", "--import-mode=append", "--storage", "sqlite", *session.posargs)
    session.run("pytest", "-n", "auto", *options, env={"PYTHONSAFEPATH": "1"})
    # What the plain test run leaves out, and uses one more library.
    engine = ("-o", ALL_OPTIONS, "tests/cluster/test_traffic.py")
    session.run("pytest", "-n", "auto", *options, *engine, env={"PYTHONSAFEPATH": "1"})


@nox.session
def coverage(session: nox.Session) -> None:
    """Which branches of the library the tests take: below 95 % it fails, and it tells all others.

    With redis-server the tests of clusters count, too. `-- tests/protocol` measures some tests.
    """
    session.install("-e", ".[test]", "coverage>=7.10")
    session.run("coverage", "erase")
    measured = ("coverage", "run", "-m", "pytest", "-q")
    session.run(*measured, "-n", "auto", *session.posargs)
    if shutil.which("redis-server") is not None and not session.posargs:
        workers = str(2 * (os.cpu_count() or 1))
        session.run(*measured, "-n", workers, "-o", ALL_OPTIONS, *WITH_AN_ENGINE)
    session.run("coverage", "combine", "-q")
    session.run("coverage", "report")


@nox.session
def dev(session: nox.Session) -> None:
    """The tests in Python's development mode; bytes beside text, and warnings, are errors."""
    session.install("-e", ".[test]")
    # What xdist starts would be in the usual mode.
    python = "python -X dev -bb -W error"
    workers = f"{os.cpu_count() or 1}*popen//python={python}"
    # In this mode asyncio itself makes text of a host that AnyIO gives it as bytes.
    not_ours = ("-W", "ignore::BytesWarning:asyncio.base_events")
    options = ("--dist", "load", "--tx", workers, "-q", *not_ours, *session.posargs)
    session.run(*python.split(), "-m", "pytest", *options, env={"PYTHONDEVMODE": "1"})


@nox.session
def shuffled(session: nox.Session) -> None:
    """The tests five times, each time in another order: none needs what another has left behind.

    `-- tests/client` shuffles some of them.
    """
    session.install("-e", ".[test]", "pytest-random-order>=1.2")
    for seed in range(1, 6):
        order = ("--random-order-bucket=global", f"--random-order-seed={seed}")
        session.run("pytest", "-n", "auto", "-q", *order, *session.posargs)


# Which tests are to notice a change of a module in one of these folders.
TESTS_OF = {
    "trio_mqtt/protocol": "tests/protocol",
    "trio_mqtt/broker/routing": "tests/broker/routing",
    "trio_mqtt/broker/sessions": "tests/broker/sessions",
    "trio_mqtt/broker/access": "tests/broker/access",
}


@nox.session
def mutation(session: nox.Session) -> None:
    """Change a module by little, again and again, and tell which changes no test notices.

    `-- trio_mqtt/protocol/wire.py` names it; with `--tests FOLDER` other tests are to notice.
    """
    session.install("-e", ".[test]")
    files = [one for one in session.posargs if one.startswith("trio_mqtt/")]
    folders = sorted({TESTS_OF[room] for room in TESTS_OF for one in files if one.startswith(room)})
    tests = () if "--tests" in session.posargs else ("--tests", *folders)
    session.run("python", "-m", "tests.mutation", *session.posargs, *tests)


@nox.session
def lowest(session: nox.Session) -> None:
    """The tests, as the README runs them, with the lowest versions that pyproject.toml allows."""
    session.install("--resolution", "lowest-direct", "-e", ".[test]")
    # Else what is allowed is not what is tried.
    session.run("python", "-m", "releasing.bounds", env={"PYTHONPATH": "deploy"})
    session.run("pytest", "-n", "auto", *session.posargs)


@nox.session
def platforms(session: nox.Session) -> None:
    """Types of what is installed, as they are on macOS and on Windows."""
    session.install("-e", ".[test,lint]")
    for platform in ("darwin", "win32"):
        cache = session.cache_dir / f"mypy-{platform}"
        # What is for another system cannot be reached there.
        options = ("--platform", platform, "--no-warn-unreachable", "--cache-dir", str(cache))
        session.run("mypy", *options, "--package", "trio_mqtt", "--package", "tmqtt")


@nox.session
def workflows(session: nox.Session) -> None:
    """The workflows of GitHub, by zizmor, and where Go is, by actionlint."""
    session.install("zizmor>=1.16")
    session.run("zizmor", "--offline", "--quiet", ".github/workflows")
    if shutil.which("go") is None:
        session.warn("Without Go, actionlint does not look at them.")
        return
    linter = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"
    session.run("go", "run", linter, external=True)


@nox.session
def release(session: nox.Session) -> None:
    """Build a release, try it wherever it can be tried here, and put it into dist/.

    `-- --trial` does so at any time and keeps nothing. docs/how-to/releasing.md tells the rest.
    """
    session.install(
        "build>=1.3", "check-wheel-contents>=0.6", "cyclonedx-bom>=7.0", "twine>=6.1", "uv>=0.9"
    )
    session.run("python", "-m", "releasing", *session.posargs, env={"PYTHONPATH": "deploy"})


@nox.session
def image(session: nox.Session) -> None:
    """The steps of deploy/Containerfile build what serves, from what they copy alone."""
    session.install("-e", ".[test]")
    # The plain test run leaves this file out, which installs what the broker needs.
    session.run("pytest", "-o", ALL_OPTIONS, "tests/deploy/test_image.py", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """Thousands of clients come and go for a minute: memory is flat, and others do not notice.

    `SOAK_SECONDS=1800 nox -s soak` goes on for half an hour.
    """
    session.install("-e", ".[test]")
    # The plain test run leaves this folder out. `-s` shows the figures.
    # It goes on for as long as it is told to.
    unbound = ("--timeout", "0")
    session.run("pytest", "-s", *unbound, "-o", ALL_OPTIONS, "tests/soak", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Bytes of all kinds against the broker's real ports for a minute, and others do not notice.

    `-- --seconds 3600 --seed N` goes on for an hour, `-- --replay FILE` plays a case again that was
    found.
    """
    session.install("-e", ".[test]")
    session.run("python", "-m", "tests.fuzz", *session.posargs)


@nox.session
def api(session: nox.Session) -> None:
    """The HTTP API is asked for all that its description allows, and does not; it never fails.

    `-- --max-examples 500` goes on for longer.
    """
    session.install("-e", ".[test]", "schemathesis>=4.0")
    session.run("python", "-m", "tests.web.fuzzed", *session.posargs)


@nox.session
def fuzz_finds(session: nox.Session) -> None:
    """Defects are planted into the broker, and the fuzzer finds each of them."""
    session.install("-e", ".[test]")
    session.run("pytest", "-o", ALL_OPTIONS, "tests/fuzz/test_defects.py", *session.posargs)


@nox.session
def durability(session: nox.Session) -> None:
    """The broker is killed again and again, and nothing acknowledged is lost; so are nodes of a
    cluster, and its engine.

    `-- --rounds 5` goes through fewer rounds than 50, `--cluster-rounds 3` through so many over
    nodes, `-- --seed N` through those of that seed, and `-- --brief` leaves Mosquitto out, and all
    but three defects.
    """
    session.install("-e", ".[test]")
    # The plain test run leaves this folder out. `-s` shows the figures, beside Mosquitto's.
    # Each round has a bound of its own.
    unbound = ("--timeout", "0")
    session.run("pytest", "-s", *unbound, "-o", ALL_OPTIONS, "tests/durability", *session.posargs)


@nox.session
def conformance(session: nox.Session) -> None:
    """Prove the standards' statements and write docs/reference/conformance.md.

    With `-- --broker URL` another broker is tested instead, from outside and in real time.
    """
    session.install("-e", ".[test]")
    marked = ("-m", "normative or normative_v311")
    if any(argument.split("=")[0] == "--broker" for argument in session.posargs):
        session.run("pytest", *marked, "tests/conformance", *session.posargs)
        return
    session.run("pytest", *marked, *session.posargs)
    session.run("python", "-m", "tests.conformance.report")


@nox.session
def bench(session: nox.Session) -> None:
    """Compare the broker with Mosquitto and aedes on this machine: `nox -s bench -- --help`."""
    session.install(".[bench]")
    cache = session.cache_dir / "benchmarks"
    session.run("python", "-m", "benchmarks", "--cache", str(cache), *session.posargs)


# Programs that the tests of interoperation run, and the packages of Debian that have them.
FOREIGN_PROGRAMS = {
    "chromium": "chromium",
    "mosquitto": "mosquitto",
    "mosquitto_pub": "mosquitto-clients",
    "mosquitto_sub": "mosquitto-clients",
    "node": "nodejs",
    "npm": "npm",
    "protoc": "protobuf-compiler",
    "redis-server": "redis-server",
}


@nox.session
def interop(session: nox.Session) -> None:
    """Foreign clients against our broker, and our client against foreign brokers."""
    session.install("-e", ".[test,interop]")
    _install_programs(session)
    folder = Path("tests", "interop")
    session.run(*("npm", "ci", "--prefix", str(folder), "--no-audit", "--no-fund"), external=True)
    # The plain test run leaves this folder out.
    session.run("pytest", "-o", ALL_OPTIONS, str(folder), *session.posargs)


SITE = Path("docs", "_site")


@nox.session
def site(session: nox.Session) -> None:
    """The documentation as a site, in docs/_site; what is wrong with it, and whom it would contact.

    Every warning is an error, also of a link within the site that leads nowhere.
    """
    session.install("-e", ".[docs]")
    strictly = ("--fail-on-warning", "--keep-going", "--nitpicky", "--fresh-env", "--quiet")
    session.run("sphinx-build", *strictly, "docs", str(SITE), *session.posargs)
    session.run("python", "docs/making/foreign.py", str(SITE))


@nox.session
def pictures(session: nox.Session) -> None:
    """The pictures of the page in docs/pictures, made anew."""
    session.install("-e", ".[test,interop]")
    test = "tests/interop/page/test_pictures.py"
    session.run(
        "pytest",
        "-o",
        ALL_OPTIONS,
        test,
        env={"PICTURES": str(Path("docs", "pictures").absolute())},
    )


def _install_programs(session: nox.Session) -> None:
    """Have apt-get install the foreign programs that are missing, or say what to install."""
    search = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
    missing = {
        package
        for program, package in FOREIGN_PROGRAMS.items()
        if shutil.which(program, path=search) is None
    }
    if not missing:
        return
    packages = sorted(missing)
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        session.error(
            "The tests of interoperation need more programs. Install them and run this again: "
            f"apt-get install {' '.join(packages)}"
        )
    session.run("apt-get", "update", external=True)
    session.run(
        *("apt-get", "install", "--yes", "--no-install-recommends", *packages),
        external=True,
        env={"DEBIAN_FRONTEND": "noninteractive"},
    )
