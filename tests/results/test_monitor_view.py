"""A conversation under a monitor, looked at: heat that stands under its tokens, and a page that runs nothing."""

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from fixtures.browser import PROGRAM, open_browser
from rich.cells import cell_len

from harc.evaluation.monitor_file import (
    COMBINED,
    FAMILY_OF,
    Axis,
    Curve,
    Measured,
    ModelRecord,
    MonitorFile,
    encode_vector,
)
from harc.evaluation.monitor_scoring import Reading
from harc.results.monitor_page import draw_plane, render_page, write_page
from harc.results.monitor_roc import draw_roc
from harc.results.monitor_view import (
    BARS,
    PLAIN_BARS,
    choose_bar,
    list_cells,
    mix_colour,
    print_reading,
    wrap_cells,
)

HOSTILE = "</span><script>alert(1)</script><img src=x onerror=alert(2)>"
PIECES = ("<start>", "user", "\n", "How", " do", " 日本", HOSTILE, "\x1b[31m", "\u202e", "'\"&", "<end>")
ANSWER = ("Sure", ",", " no", ".\n", " more", "\ud800")


def make_monitor() -> MonitorFile:
    one = Measured(
        benign=90,
        harmful=60,
        false_positive_rate=(0.01, 0.0, 0.06),
        true_positive_rate=(0.8, 0.7, 0.9),
        area=(0.95, 0.9, 0.98),
    )
    curve = Curve(false_positive_rate=(0.0, 0.1, 1.0), true_positive_rate=(0.0, 0.8, 1.0))
    axis = Axis(
        slot=3, direction=encode_vector(np.eye(8, dtype=np.float32)[0]), threshold=0.3, mean=0.1, scale=0.2, weight=2.0,
        tokens=(-0.1, 0.0, 0.1), benign=(0.0, 0.1), harmful=(0.4, 0.1),
    )  # fmt: skip
    names = (*FAMILY_OF, COMBINED)
    return MonitorFile(
        format=1, directions_sha256="0", prompts_sha256=("0",), seed=0, window=8, target=0.01,
        model=ModelRecord(
            source="a/<b>model</b>", model_type="llama", n_layers=4, hidden_size=8, sampled_weights_sha256="0",
            template_sha256="0", method=None,
        ),
        axes=dict.fromkeys(FAMILY_OF, axis), intercept=-1.0, combined_threshold=0.5,
        measured={part: dict.fromkeys(names, one) for part in ("threshold", "held_out")},
        curves=dict.fromkeys(names, curve),
    )  # fmt: skip


def make_reading(answer=ANSWER, pieces=PIECES) -> Reading:
    rng = np.random.default_rng(0)
    counts = {"prompt": len(pieces), "response": len(answer)}
    sizes = {name: counts[name.partition("_")[0]] for name in FAMILY_OF}
    tokens = {name: rng.normal(0.05, 0.15, size).astype(np.float32) for name, size in sizes.items()}
    scores = dict(zip(FAMILY_OF, (0.4, 0.2, 0.35, float("nan")), strict=True)) | {COMBINED: 1.2}
    flags = {name: score > (0.5 if name == COMBINED else 0.3) for name, score in scores.items()}
    return Reading((*pieces, *answer), len(pieces), (9, 10), tokens, scores, flags)


def show(reading: Reading, encoding: str = "utf-8", width: int = 60) -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding)
    print_reading(make_monitor(), reading, stream, width)
    stream.flush()
    return stream.buffer.getvalue().decode(encoding)


def test_heat_stands_under_its_tokens():
    lines = show(make_reading()).splitlines()
    rows = [place for place, line in enumerate(lines) if line.startswith("harm ")]
    assert len(rows) >= 4
    for place in rows:
        text, harm, refusal = lines[place - 1 : place + 2]
        assert refusal.startswith("refusal ") and text.startswith(" " * 9)
        assert cell_len(text[9:].rstrip()) <= len(harm[9:]) == len(refusal[9:])
        assert set(harm[9:]) <= set(BARS)


def test_nothing_hostile_reaches_the_terminal():
    text = show(make_reading())
    assert "\x1b" not in text and "\u202e" not in text and r"\x1b[31m" in text
    assert "FLAGGED" in text and "no score: the model said nothing" in text


def test_a_stream_without_blocks_gets_digits():
    text = show(make_reading(), "ascii")
    assert text.isascii() and re.search(r"^harm +[1-8]+$", text, re.MULTILINE) and r"\u65e5" in text


def test_bars_and_colours_grow_with_the_value():
    heights = [BARS.index(choose_bar(value)) for value in (-9, -1, 0, 1, 2.5, 9)]
    assert heights == sorted(heights) and heights[-1] == heights[-2] == len(BARS) - 1 and heights[0] == 1
    assert len(PLAIN_BARS) == len(BARS)
    assert mix_colour(0, "harm") == mix_colour(-3, "ref") and mix_colour(9, "harm") == (213, 94, 0)


def test_lines_break_where_the_text_does():
    cells = list_cells(make_monitor(), make_reading(), "prompt")
    lines = wrap_cells(cells, 30)
    assert [cell for line in lines for cell in line] == cells
    assert all(len(line) == 1 or sum(cell_len(cell.text) for cell in line) <= 30 for line in lines)
    assert lines[0][-1].text == "↵"


def test_text_is_escaped_on_the_page():
    page = render_page(make_monitor(), make_reading())
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)" in page and "<img" not in page
    assert "<b>model" not in page and "\x1b" not in page and "\u202e" not in page
    assert page.encode() and page.count("<script>") == 1
    assert not re.search(r"(src|href)=\"(?!data:,)", page)


def test_a_conversation_without_an_answer_has_a_page():
    page = render_page(make_monitor(), make_reading(answer=()))
    assert "The model said nothing" in page and 'data-place="response-' not in page


def test_one_axis_alone_has_no_plane():
    monitor = make_monitor()
    alone = monitor.model_copy(update={"axes": {"prompt_harm": monitor.axes["prompt_harm"]}})
    reading = make_reading()
    reading = replace(reading, tokens={"prompt_harm": reading.tokens["prompt_harm"]})
    cells = {side: list_cells(alone, reading, side) for side in ("prompt", "response")}
    assert draw_plane(alone, cells) is None


def test_equal_conversations_give_equal_bytes(tmp_path):
    for name in ("a", "b"):
        write_page(tmp_path / f"{name}.html", make_monitor(), make_reading())
        draw_roc(make_monitor().curves, make_monitor().measured["held_out"], "x", tmp_path / name)
    for ending in ("html", "png", "pdf"):
        assert (tmp_path / f"a.{ending}").read_bytes() == (tmp_path / f"b.{ending}").read_bytes()


@pytest.mark.skipif(PROGRAM is None, reason="needs Chromium: `make browser` installs it where it may")
def test_the_page_in_a_browser(tmp_path):
    words = (*tuple(f" word{number}" for number in range(150)), "x" * 300)
    write_page(tmp_path / "page.html", make_monitor(), make_reading(pieces=(*PIECES, *words)))
    with open_browser(tmp_path / "profile") as browser:
        for width in (360, 1400):
            browser.open(tmp_path / "page.html", width=width)
            assert browser.evaluate("document.documentElement.scrollWidth") <= width
        assert browser.complaints == []
        assert [
            a for a in browser.requests if not a.startswith(("data:", (tmp_path / "page.html").as_uri()))
        ] == []
        token = "document.querySelector('.token[data-place=prompt-3]')"
        browser.evaluate(f"{token}.dispatchEvent(new Event('pointerenter'))")
        assert browser.evaluate("document.getElementById('said').textContent").startswith(
            "How: harmfulness: cosine"
        )
        near = "document.querySelector('circle[data-place=prompt-3]').classList.contains('near')"
        assert browser.evaluate(near) is True
        browser.evaluate(f"{token}.dispatchEvent(new Event('pointerleave'))")
        assert browser.evaluate(near) is False
