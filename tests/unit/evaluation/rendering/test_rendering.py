"""What the renderings say, and that nothing from a file becomes markup."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

from mllm_protector.evaluation.metrics import Bin
from mllm_protector.evaluation.rendering import svg, to_html, to_markdown
from mllm_protector.evaluation.rendering.tables import number, p_value, percent, seconds
from mllm_protector.evaluation.report import Effect, Group, Problem, Report
from mllm_protector.evaluation.statistics import rate


def empty(**fields: object) -> Report:
    values: dict[str, object] = {
        "version": "1", "settings": {"benchmark": "b", "answers": "a"}, "warnings": (), "samples": 0,
        "evaluated": 0, "kinds": {}, "problems": (), "judges": {}, "agreements": (), "answering": None,
        "defences": (),
    }  # fmt: skip
    return Report(**values | fields)  # type: ignore[arg-type]


def test_a_report_of_nothing_still_renders() -> None:
    assert "0 of 0 samples evaluated" in to_markdown(empty())
    assert "0 of 0 samples evaluated" in to_html(empty())


def test_names_from_files_stay_names() -> None:
    odd = "x|y <img src=x onerror=alert(1)> [a](http://b) `c`\nd"
    report = empty(problems=(Problem(odd, 1, (odd,)),), warnings=(odd,))
    markdown, page = to_markdown(report), to_html(report)
    assert "<img" not in markdown and "<img" not in page
    assert "](http" not in markdown and "\\|" in markdown
    assert len([line for line in markdown.splitlines() if line.startswith("| x")]) == 1


def groups() -> list[Group]:
    effect = Effect(rate(5, 10), rate(0, 10), 5, 0, 0.06)
    return [Group("a & <b>", effect), Group("open", Effect(rate(0, 0, 3), rate(0, 0, 3), 0, 0, 1.0))]


def test_plots_are_well_formed() -> None:
    for plot in (
        svg.bars(groups(), "title"), svg.roc([(0.0, 0.0), (0.0, 1.0), (1.0, 1.0)], 1.0),
        svg.reliability([Bin(0.1, 0.0, 4), Bin(0.9, 1.0, 1)], 0.1),
    ):  # fmt: skip
        assert ET.fromstring(plot).tag == "svg"
    assert svg.bars([], "t") == svg.roc([], 0.0) == svg.reliability([], 0.0) == ""


def test_bars_are_as_long_as_their_rates() -> None:
    widths = [float(e.attrib["width"]) for e in ET.fromstring(svg.bars(groups(), "t")).iter("rect")]
    assert widths == [210.0, 0.0]  # half and none of 420
    assert "no verdict" in svg.bars(groups(), "t")


def test_numbers_in_words() -> None:
    assert (percent(0.125), percent(math.nan)) == ("12.5 %", "-")
    assert (seconds(0.0123), seconds(2.5), seconds(math.nan)) == ("12.3 ms", "2.50 s", "-")
    assert (p_value(0.0001), p_value(0.04)) == ("< 0.001", "0.040")
    assert number(math.nan) == "-"
