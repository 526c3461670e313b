"""The curve that ``calibrate`` draws in characters."""

from __future__ import annotations

from mllm_protector.cli.calibration_report import curve


def test_a_perfect_curve_is_full_and_chance_is_half() -> None:
    perfect = curve([(0.0, 0.0), (0.0, 1.0), (1.0, 1.0)])
    assert all(line.count("█") == 48 for line in perfect[:12])
    chance = curve([(i / 100, i / 100) for i in range(101)])
    filled = sum(line.count("█") for line in chance[:12])
    assert 0.45 < filled / (48 * 12) < 0.55
    assert [line.count("█") for line in chance[:12]] == sorted(line.count("█") for line in chance[:12])


def test_nothing_is_drawn_of_nothing() -> None:
    assert curve([]) == []
