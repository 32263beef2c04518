"""Pictures of how the cost of a message grows, and the page that shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.brokers import AEDES, MOSQUITTO, OURS
from benchmarks.growth import FLOOD, Curves, Sweep

PAGE = "growth.md"
_FOLDER = "growth"  # beside the page: the pictures
# Colours that are told apart, also by those who see few, on white and on black.
_COLOURS = {OURS: "#0a84d0", MOSQUITTO: "#e07b00", AEDES: "#2a9d63"}
_OTHER = "#a05fb4"
_INK = "#808890"  # of all lines and words that are no curve
_INTRODUCTION = """\
# How the cost of a message grows

What a broker pays for each message that it delivers, in microseconds of the processor's time, while
there is more and more of one thing. Both axes are logarithmic: a line that is level costs the same
however much there is.

{about}

Drawn by `nox -s bench -- --plots` ([how it is measured](../benchmarks/README.md)).
"""


def draw(folder: Path, sweep: Sweep, curves: Curves) -> None:
    """Draw one sweep as `growth/NAME.svg` in a folder."""
    # Who draws nothing needs none of it; `pip install trio-mqtt[bench]` brings it.
    import matplotlib as mpl
    from matplotlib.figure import Figure

    style: Any = {
        "svg.fonttype": "none",  # words stay words
        "svg.hashsalt": sweep.name,  # the same figures are the same file
        "font.family": "sans-serif",
        "font.size": 11,
        **dict.fromkeys(
            ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _INK
        ),
    }
    with mpl.rc_context(style):
        figure = Figure(figsize=(7, 3.6), layout="constrained")
        axes = figure.add_subplot()
        places = _places(sweep.sizes)
        for name, costs in curves.items():
            found = [(x, y) for x, y in zip(places, costs, strict=True) if y is not None]
            colour = _COLOURS.get(name, _OTHER)
            axes.plot(*zip(*found, strict=True), "o-", color=colour, linewidth=2, label=name)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(places, [_size(size) for size in sweep.sizes])
        axes.minorticks_off()
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlabel(sweep.grows)
        axes.set_ylabel("µs for each delivery")
        axes.grid(color=_INK, alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        target = folder / _FOLDER / f"{sweep.name}.svg"
        target.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(target, transparent=True, metadata={"Date": None})


def write_page(folder: Path, about: str, found: Sequence[tuple[Sweep, Curves]]) -> None:
    """Write the page that shows the pictures, with their figures, and says what they show."""
    parts = [_INTRODUCTION.format(about=about)]
    for sweep, curves in found:
        header = f"| {sweep.grows} | " + " | ".join(curves) + " |"
        rows = [
            f"| {_size(size)} | " + " | ".join(_cost(costs[at]) for costs in curves.values()) + " |"
            for at, size in enumerate(sweep.sizes)
        ]
        parts += [
            f"## By {sweep.grows}\n",
            f"{sweep.title}.\n",
            f"![{sweep.title}]({_FOLDER}/{sweep.name}.svg)\n",
            f"{in_words(sweep, curves)}\n",
            "\n".join([header, "|--:" * (len(curves) + 1) + "|", *rows]) + "\n",
        ]
    (folder / PAGE).write_text("\n".join(parts), encoding="utf-8")


def in_words(sweep: Sweep, curves: Mapping[str, Sequence[float | None]]) -> str:
    """What a picture shows: how each changes from end to end, and who is cheaper where."""
    first, last = (_size(sweep.sizes[at]) for at in (0, -1))
    changes = [
        f"{name} {_change(costs[0], costs[-1])}"
        for name, costs in curves.items()
        if costs[0] is not None and costs[-1] is not None
    ]
    sentences = [f"From {first} to {last} {sweep.grows}: {'; '.join(changes)}."] if changes else []
    ours = curves.get(OURS)
    for name, costs in curves.items():
        if ours is None or name == OURS:
            continue
        pairs = zip(sweep.sizes, ours, costs, strict=True)
        known = [(size, own, other) for size, own, other in pairs if own and other]
        dearer = [_size(size) for size, own, other in known if own > other]
        if not known:
            continue
        if not dearer:
            least = min(other / own for _, own, other in known)
            sentences.append(f"{name} costs {least:.1f} times as much or more everywhere.")
        elif len(dearer) == len(known):
            sentences.append(f"{name} is cheaper everywhere.")
        else:
            sentences.append(f"{name} is cheaper at {', '.join(dearer)}.")
    return " ".join(sentences)


def _change(first: float, last: float) -> str:
    if 0.8 < last / first < 1.25:
        return "stays as it is"
    times = last / first
    return (
        f"costs {times:,.0f} times as much" if times >= 10 else f"costs {times:.2g} times as much"
    )


def _places(sizes: Sequence[int]) -> list[float]:
    """Where they stand on the axis: a flood comes after all others."""
    return [size if size != FLOOD else 10.0 * max(sizes) for size in sizes]


def _size(size: int) -> str:
    return "flood" if size == FLOOD else f"{size:,}"


def _cost(cost: float | None) -> str:
    return "—" if cost is None else f"{cost:.3g}" if cost < 1_000 else f"{cost:,.0f}"
