"""A held answer, whatever its chunks and wherever the harm: nothing unjudged, nothing lost, one end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mllm_protector import Protector
from mllm_protector.clients.held import CONTENT, Added, HeldAnswer
from mllm_protector.policies import load_policy
from mllm_protector.streaming import Hold, Mode
from mllm_protector.testing import ScriptedDetector, ScriptedDetoxifier
from mllm_protector.types import Action, Query

_SENTENCES = st.lists(st.sampled_from(["All is well. ", "harmful. ", "Yes! ", "No end", "\n"]), max_size=30)
# With less context than a word has letters, a word may leave in halves that are each harmless.
_HOLDS = st.builds(
    Hold,
    st.sampled_from(Mode),
    st.integers(1, 40),
    st.integers(1, 60),
    st.integers(len("harmful"), 30),
    st.integers(0, 20),
)


@given(_SENTENCES, st.lists(st.integers(1, 40), min_size=1), _HOLDS)
def test_nothing_unjudged_leaves_and_nothing_allowed_is_lost(
    sentences: list[str], cuts: list[int], hold: Hold
) -> None:
    text = "".join(sentences)
    protector = Protector(
        ScriptedDetector(), load_policy("default"), {"scripted": ScriptedDetoxifier("A safe one.")}
    )
    answer = HeldAnswer[str](protector, Query("How?"), hold)
    out: list[str | Added] = []
    place = 0
    while place < len(text):
        size = cuts[place % len(cuts)]
        out += answer.push({CONTENT: text[place : place + size]}, text[place : place + size])
        place += size
    out += answer.close()
    sent = "".join(piece for piece in out if isinstance(piece, str))
    added = [piece.text for piece in out if isinstance(piece, Added)]
    assert answer.protection is not None and "harmful" not in sent and text.startswith(sent)
    if "harmful" in text:
        assert len(added) == 1 and isinstance(out[-1], Added)
        # Where only half of the word was still held there is nothing to rewrite: the refusal.
        rewritten = answer.protection.action is Action.DETOXIFY
        assert rewritten or answer.protection.action is Action.REFUSE
        assert added[0].endswith("A safe one.") is rewritten
    else:
        assert sent == text and not added and answer.protection.action is Action.ALLOW
    assert answer.push({CONTENT: "more"}, "more") == [] and answer.close() == []
