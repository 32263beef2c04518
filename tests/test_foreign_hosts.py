"""The site has browsers ask nobody else: what would is found."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from making import foreign


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ('<script src="https://cdn.example/a.js"></script>', ["https://cdn.example/a.js"]),
        ('<link rel="stylesheet" href="//cdn.example/a.css">', ["//cdn.example/a.css"]),
        ('<link rel="preconnect" href="https://fonts.example">', ["https://fonts.example"]),
        ('<img src="a.png" srcset="b.png 1x, //c.example/d 2x">', ["//c.example/d 2x"]),
        ("<style>@font-face { src: url('//f.example/f.woff') }</style>", ["//f.example/f.woff"]),
        ('<p style="background: url(//f.example/p.png)">', ["//f.example/p.png"]),
        ('<script>fetch("https://count.example/hit")</script>', ["https://count.example/hit"]),
        ('<script>navigator.sendBeacon("//count.example")</script>', ["//count.example"]),
        ('<iframe src="https://video.example/v"></iframe>', ["https://video.example/v"]),
        ('<svg><image href="https://c.example/d.png"/></svg>', ["https://c.example/d.png"]),
        ('<meta http-equiv="refresh" content="0;url=https://e.example">', ["https://e.example"]),
        ('<a href="https://elsewhere.example">a link is for its reader</a>', []),
        ('<link rel="canonical" href="https://us.example/page">', []),
        ('<script src="_static/a.js"></script><img src="data:image/png;base64,AA==">', []),
        ('<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0"/></svg>', []),
    ],
)  # fmt: skip
def test_what_a_page_would_load(page: str, found: list[str]) -> None:
    assert foreign.in_page(page) == found


def test_what_a_style_would_load() -> None:
    text = '@import "https://a.example/b.css"; p { a: url(../x.png) } q { src: url(//c.example/d) }'
    assert foreign.in_style(text) == ["https://a.example/b.css", "//c.example/d"]


def test_a_site_that_asks_others_is_no_site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["foreign.py", str(tmp_path)])
    with pytest.raises(SystemExit, match="There is no site"):
        foreign.main()
    (tmp_path / "index.html").write_text("<p>ours</p>", encoding="utf-8")
    foreign.main()
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.js").write_text("import('https://a.example/b.js')", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"a\.js: https://a\.example/b\.js"):
        foreign.main()
