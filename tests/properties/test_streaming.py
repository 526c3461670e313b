"""Whatever the chunks, wherever the harm: nothing unjudged leaves, nothing is lost or reordered."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from mllm_protector.streaming import Check, Hold, Mode, Piece, StreamGuard

CHANNELS = ("message.content", "message.reasoning_content", "message.tool_calls.0")
TEXT = st.text(alphabet="ab. \n!X", max_size=12)
PIECES = st.lists(st.tuples(st.integers(0, 2), st.sampled_from(CHANNELS), TEXT, st.booleans()), max_size=60)
HOLDS = st.builds(
    Hold, mode=st.sampled_from(Mode), first=st.integers(1, 20), step=st.integers(1, 40),
    context=st.integers(0, 20), look_ahead=st.integers(0, 10),
)  # fmt: skip


class Run:
    """Drives a guard as the gateway does; X is harm."""

    def __init__(self, hold: Hold) -> None:
        self.guard = StreamGuard[tuple[int, str, str, int]](hold)
        self.out: list[tuple[int, str, str, int]] = []
        self.judged: dict[tuple[int, str], list[tuple[int, int]]] = {}
        self.cut: set[int] = set()

    def push(self, number: int, choice: int, channel: str, text: str, last: bool) -> None:
        payload = (choice, channel, text, number)
        self.out += self.guard.push(Piece(choice, {channel: text}, payload, last))

    def settle(self) -> None:
        while checks := self.guard.due():
            for check in checks:
                self._one(check)

    def _one(self, check: Check) -> None:
        if check.choice in self.cut:
            return
        if "X" in check.text:
            self.guard.cut(check.choice)
            self.cut.add(check.choice)
            return
        self.judged.setdefault((check.choice, check.channel), []).append(
            (check.start, check.start + len(check.text))
        )
        self.out += self.guard.allow(check)


def run(hold: Hold, pieces: list[tuple[int, str, str, bool]], lazy: bool) -> tuple[Run, dict[int, list[int]]]:
    """Push the pieces; return the run and, per choice, the numbers of what was pushed."""
    driven, pushed = Run(hold), dict[int, list[int]]()
    ended: set[int] = set()
    for number, (choice, channel, text, settle) in enumerate(pieces):
        if choice in ended:
            continue
        driven.push(number, choice, channel, text, last=False)
        pushed.setdefault(choice, []).append(number)
        if settle or not lazy:
            driven.settle()
    driven.guard.end()
    driven.settle()
    return driven, pushed


@settings(max_examples=300)
@given(HOLDS, PIECES, st.booleans())
def test_nothing_unjudged_leaves_and_nothing_harmful(
    hold: Hold, pieces: list[tuple[int, str, str, bool]], lazy: bool
) -> None:
    driven, _ = run(hold, pieces, lazy)
    assert not any("X" in text for _, _, text, _ in driven.out)
    sent: dict[tuple[int, str], int] = {}
    for choice, channel, text, _ in driven.out:
        sent[choice, channel] = sent.get((choice, channel), 0) + len(text)
    for key, length in sent.items():
        covered = 0
        for start, end in driven.judged.get(key, []):
            assert start <= covered  # windows leave no gap
            covered = max(covered, end)
        assert length <= covered


@settings(max_examples=300)
@given(HOLDS, PIECES, st.booleans())
def test_nothing_is_lost_repeated_or_reordered(
    hold: Hold, pieces: list[tuple[int, str, str, bool]], lazy: bool
) -> None:
    driven, pushed = run(hold, pieces, lazy)
    for choice, numbers in pushed.items():
        out = [number for c, _, _, number in driven.out if c == choice]
        if choice in driven.cut:
            assert out == numbers[: len(out)]
        else:
            assert out == numbers
    assert driven.guard.done


@settings(max_examples=200)
@given(HOLDS, PIECES, st.booleans())
def test_the_work_is_at_most_three_times_the_text(
    hold: Hold, pieces: list[tuple[int, str, str, bool]], lazy: bool
) -> None:
    driven, _ = run(hold, pieces, lazy)
    assert driven.guard.work <= 3 * driven.guard.received


@settings(max_examples=100)
@given(PIECES)
def test_full_mode_lets_nothing_out_before_the_end(pieces: list[tuple[int, str, str, bool]]) -> None:
    driven = Run(Hold(Mode.FULL))
    for number, (choice, channel, text, _) in enumerate(pieces):
        driven.push(number, choice, channel, text, last=False)
        driven.settle()
        assert not any(text for _, _, text, _ in driven.out)


def test_a_long_harmless_stream_flows_sentence_by_sentence() -> None:
    driven = Run(Hold())
    for number in range(400):
        driven.push(number, 0, CHANNELS[0], "A short sentence. ", last=number == 399)
        driven.settle()
        if number == 60:
            assert driven.out, "the first sentences are out long before the end"
    assert "".join(text for _, _, text, _ in driven.out) == "A short sentence. " * 400
    assert driven.guard.work <= 3 * driven.guard.received
