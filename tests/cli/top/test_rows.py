"""The keys of `tmqtt top`, without a terminal."""

from __future__ import annotations

from tmqtt.terminal import keys, looks
from tmqtt.terminal.browsing import Browser
from tmqtt.terminal.cells import cut, length
from tmqtt.top.readings import Readings
from tmqtt.top.rows import Figure, Figures


def tell(readings: Readings, second: int, received: int) -> None:
    """A round of what a broker tells."""
    for topic, value in (
        ("uptime", f"{second} seconds"),
        ("clients/connected", "3"),
        ("publish/messages/received", f"{received}"),
        ("load/publish/received/1min", "12.5"),
    ):
        readings.take(f"$SYS/broker/{topic}", value.encode(), float(second))
    assert readings.settle(second + 0.5)


class Top:
    """A screen, and what is typed."""

    def __init__(self) -> None:
        self.readings = Readings()
        tell(self.readings, 10, 0)
        tell(self.readings, 20, 50)
        self.figures = Figures(self.readings, "mqtt://here", unicode=True)
        self.browser = Browser[Figure](self.figures)

    def texts(self, width: int = 80, height: int = 24) -> list[str]:
        self.browser.refresh()
        lines = self.browser.frame(0.0, width, height)
        assert len(lines) <= height
        assert all(length(cut(line, width)) <= width for line in lines)
        return [looks.plain(cut(line, width)).rstrip() for line in lines]

    def press(self, *typed: str) -> None:
        for key in typed:
            assert not self.browser.press(key)
            self.texts()


def test_a_figure_is_sought_and_shown_with_how_it_went() -> None:
    top = Top()
    assert sum(line.startswith("messages in ") for line in top.texts()) == 2
    top.press("/", *"MINUTE", keys.ENTER)
    shown = top.texts()
    assert shown[0].startswith("a broker at mqtt://here")
    assert shown[2].split()[:3] == ["in", "a", "minute"]  # its head stays
    assert shown[3].split() == ["messages", "in", "12.5", "-", "-"]
    assert not any(line.startswith("clients") for line in shown)
    top.press(keys.ESCAPE, "/", *"rate messages in", keys.ENTER, keys.DOWN, keys.ENTER)
    shown = top.texts()
    assert any(line.split() == ["messages", "in", "5.0/s", "50"] for line in (
        line.replace("█", "").rstrip() for line in shown
    ))  # fmt: skip
    assert "from 5.0/s to 5.0/s in 1 round" in shown
    assert shown[-1].startswith("Esc goes back")
    assert top.browser.press(keys.ESCAPE) is False
    assert top.browser.press("q") is True


def test_what_is_shown_is_held_while_more_comes() -> None:
    top = Top()
    top.press("p")
    tell(top.readings, 30, 1_050)
    assert "paused" in top.texts()[-1]
    assert not any("1,050" in line for line in top.texts())
    top.press("p")
    assert any("1,050" in line and "100/s" in line for line in top.texts())
    assert "paused" not in top.texts()[-1]


def test_on_a_small_screen_all_is_reached() -> None:
    top = Top()
    for width, height in ((40, 8), (80, 24), (20, 3), (1, 1)):
        seen = set(top.texts(width, height))
        for _ in range(30):
            top.browser.press(keys.DOWN)
            seen |= set(top.texts(width, height))
            top.browser.press(keys.ENTER)
            top.texts(width, height)
            top.browser.press(keys.ESCAPE)
            top.browser.press(keys.DOWN)
            top.browser.press(keys.UP)
        if width >= 40:
            assert any(line.startswith("connections ") for line in seen)
        top.browser.press(keys.HOME)
    top.figures.lost = True
    assert top.texts()[-1].startswith("the connection is lost: trying again")
