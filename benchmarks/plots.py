"""Pictures of how the cost of a message grows, and the page that shows them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.brokers import AEDES, MOSQUITTO, OURS
from benchmarks.growth import FLOOD, SWEEPS, Growth, Sweep

PAGE = "explanation/growth.md"
_FOLDER = "pictures/growth"  # the pictures, and what they are drawn from
_FIGURES = "figures.json"
# Colours that are told apart, also by those who see few, on white and on black; and so are marks.
_LOOKS = {OURS: ("#0a84d0", "o"), MOSQUITTO: ("#e07b00", "s"), AEDES: ("#2a9d63", "^")}
_OTHER = ("#a05fb4", "D")
_INK = "#7d858d"  # of all lines and words that are no curve
_STEPS = (1.0, 2.0, 5.0)  # of a decade, which have labels where there are few decades
_INTRODUCTION = """\
# How the cost of a message grows

What a broker pays for each message that it delivers, in microseconds of the processor's time, while
there is more and more of one thing. Both axes are logarithmic: a line that is level costs the same
however much there is.

{about}.

Each point is the median of three runs. Messages that come slowly take less than a tenth of a second
of the processor's time in a run, so that their figures are rougher than those of floods.

Drawn by `nox -s bench -- --plots` ([how it is measured](../../benchmarks/README.md)).
"""


def keep(folder: Path, about: str, growth: Growth) -> None:
    """Draw one sweep as `NAME.svg` among the pictures of a folder, and keep its figures there."""
    target = folder / _FOLDER
    target.mkdir(parents=True, exist_ok=True)
    _draw(target / f"{growth.sweep.name}.svg", growth)
    kept = _kept(target)
    kept[growth.sweep.name] = {
        "about": about,
        "disturbance": round(growth.disturbance, 3),
        "sizes": list(growth.sweep.sizes),
        "curves": {
            name: [None if cost is None else float(f"{cost:.4g}") for cost in costs]
            for name, costs in growth.curves.items()
        },
    }
    text = json.dumps({sweep.name: kept[sweep.name] for sweep in SWEEPS if sweep.name in kept})
    # A sweep a line.
    (target / _FIGURES).write_text(text.replace('}, "', '},\n"') + "\n", encoding="utf-8")


def write_page(folder: Path) -> None:
    """Draw all that is kept in a folder anew, and write the page that shows and explains it."""
    target = folder / _FOLDER
    kept = _kept(target)
    abouts = {entry["about"] for entry in kept.values()}
    parts = [_INTRODUCTION.format(about=abouts.pop() if len(abouts) == 1 else "")]
    for sweep in SWEEPS:
        entry = kept.get(sweep.name)
        if entry is None or entry["sizes"] != list(sweep.sizes):
            continue
        growth = Growth(sweep, entry["curves"], entry["disturbance"])
        _draw(target / f"{sweep.name}.svg", growth)
        header = f"| {sweep.grows} | " + " | ".join(growth.curves) + " |"
        rows = [
            f"| {_size(sweep, size)} | "
            + " | ".join(_cost(costs[at]) for costs in growth.curves.values())
            + " |"
            for at, size in enumerate(sweep.sizes)
        ]
        parts += [
            f"## By {sweep.grows}\n",
            f"{sweep.title}.\n",
            f"![{sweep.title}](../{_FOLDER}/{sweep.name}.svg)\n",
            f"{in_words(growth)}\n",
            "\n".join([header, "|--:" * (len(growth.curves) + 1) + "|", *rows]) + "\n",
            f"{entry['about']}. " * bool(abouts) + _disturbance(growth) + "\n",
        ]
    page = folder / PAGE
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("\n".join(parts), encoding="utf-8")


def _kept(folder: Path) -> dict[str, Any]:
    """The figures that lie there, by the names of sweeps."""
    try:
        kept: dict[str, Any] = json.loads((folder / _FIGURES).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return kept


def _disturbance(growth: Growth) -> str:
    return f"Meanwhile other programs took {growth.disturbance:.0%} of the two cores."


def _draw(path: Path, growth: Growth) -> None:
    # Who draws nothing needs none of it; `pip install trio-mqtt[bench]` brings it.
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    sweep, curves = growth.sweep, growth.curves
    style: Any = {
        "svg.fonttype": "none",  # words stay words
        "svg.hashsalt": sweep.name,  # the same figures are the same file
        "font.family": "sans-serif",
        "font.size": 12,
        **dict.fromkeys(
            ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _INK
        ),
    }
    with mpl.rc_context(style):
        figure = Figure(figsize=(8, 4), layout="constrained")
        axes = figure.add_subplot()
        places = _places(sweep.sizes)
        for name, costs in curves.items():
            found = [(x, y) for x, y in zip(places, costs, strict=True) if y is not None]
            if not found:
                continue
            colour, mark = _LOOKS.get(name, _OTHER)
            axes.plot(
                *zip(*found, strict=True),
                f"{mark}-",
                color=colour,
                linewidth=2.2,
                markersize=6.5,
                label=name,
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(places, [_size(sweep, size) for size in sweep.sizes])
        axes.xaxis.set_minor_formatter(NullFormatter())
        known = [cost for costs in curves.values() for cost in costs if cost]
        spans_little = bool(known) and max(known) < 300 * min(known)
        axes.yaxis.set_major_locator(LogLocator(subs=_STEPS if spans_little else (1.0,)))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
        axes.minorticks_off()
        axes.set_xlabel(sweep.grows)
        axes.set_ylabel("µs of the processor for each delivery")
        axes.grid(color=_INK, alpha=0.25, linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside upper left", ncols=len(curves), frameon=False)
        figure.savefig(path, transparent=True, metadata={"Date": None})


def in_words(growth: Growth) -> str:
    """What a picture shows: how each changes from end to end, and who is cheaper where."""
    sweep, curves = growth.sweep, growth.curves
    first, last = (_size(sweep, sweep.sizes[at]) for at in (0, -1))
    changes = [
        f"{name} {_change(costs[0], costs[-1])}"
        for name, costs in curves.items()
        if costs[0] is not None and costs[-1] is not None
    ]
    span = f"{first} {sweep.grows} to a flood"
    if sweep.sizes[-1] != FLOOD:
        span = f"{first} to {last} {'of ' * sweep.in_bytes}{sweep.grows}"
    sentences = [f"From {span}: {'; '.join(changes)}."] if changes else []
    ours = curves.get(OURS)
    for name, costs in curves.items():
        if ours is None or name == OURS:
            continue
        pairs = zip(sweep.sizes, ours, costs, strict=True)
        known = [(size, own, other) for size, own, other in pairs if own and other]
        dearer = [_size(sweep, size) for size, own, other in known if own > other]
        if not known:
            continue
        if not dearer:
            least = min(other / own for _, own, other in known)
            sentences.append(f"{name} costs {least:.1f} times ours or more everywhere.")
        elif len(dearer) == len(known):
            sentences.append(f"{name} is cheaper everywhere.")
        else:
            sentences.append(f"{name} is cheaper at {', '.join(dearer)}.")
    return " ".join(sentences)


def _change(first: float, last: float) -> str:
    if 0.8 < last / first < 1.25:
        return "stays as it is"
    times = max(last / first, first / last)
    said = f"{times:,.0f}" if times >= 10 else f"{times:.2g}"
    return f"costs {said} times as much" if last > first else f"costs {said} times less"


def _places(sizes: Sequence[int]) -> list[float]:
    """Where they stand on the axis: a flood comes after all others."""
    return [size if size != FLOOD else 10.0 * max(sizes) for size in sizes]


def _size(sweep: Sweep, size: int) -> str:
    if sweep.in_bytes:
        unit, scale = next(
            (u, s) for u, s in (("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)) if size >= s
        )
        return f"{size // scale} {unit}"
    return "flood" if size == FLOOD else f"{size:,}"


def _cost(cost: float | None) -> str:
    return "—" if cost is None else f"{cost:.3g}" if cost < 1_000 else f"{cost:,.0f}"
