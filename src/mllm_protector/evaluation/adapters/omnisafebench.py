"""The guard as a defence of OmniSafeBench-MM and of harnesses built like it.

Such a harness calls ``apply_defense(test_case)`` and takes a test case back; a defence that answers by
itself puts the answer into ``metadata["defense_generated_response"]``, as its own
``BaseDefense.reply_directly`` does. Register it in the harness's ``config/plugins.yaml``:

    defenses:
      mllm_protector_guard: [mllm_protector.evaluation.adapters.omnisafebench, OmniSafeBenchDefence]

Nothing of the harness is imported: test cases are taken and given back by their attributes.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from mllm_protector.assembly import load_protector
from mllm_protector.data.images import load_image
from mllm_protector.errors import ConfigError
from mllm_protector.interfaces import ChatModel
from mllm_protector.protector import Protector
from mllm_protector.types import Exchange, Query

__all__ = ["Case", "OmniSafeBenchDefence"]

RESPONSE = "defense_generated_response"
RESPONSE_USED = "defense_generated_response_used"


class Case(Protocol):
    """What is read and written of the harness's test case."""

    test_case_id: str
    prompt: str
    image_path: str | None
    metadata: dict[str, Any]


class OmniSafeBenchDefence:
    """Answers with the target model and delivers what the guard lets pass.

    Args:
        config: the harness's mapping: ``policy`` names ours; ``target_model`` is a chat model, or a callable
            (prompt, image path or None) -> answer.
        protector: a guard of your own in place of ``policy``.
    """

    def __init__(
        self,
        config: Mapping[str, Any] | None = None,
        *,
        protector: Protector | None = None,
    ) -> None:
        self.config = dict(config or {})
        self.name = "mllm_protector_guard"
        self._protector = protector or load_protector(self.config.get("policy", "default"))

    def apply_defense(self, test_case: Any, **kwargs: Any) -> Any:
        """Return a copy of ``test_case`` with the guarded answer.

        Args:
            test_case: has ``test_case_id``, ``prompt``, ``image_path`` and ``metadata``.
            kwargs: ``response``: the answer, if the harness has it already; else the target is asked.

        Raises:
            ConfigError: there is neither an answer nor a target to ask.
        """
        response = kwargs.get("response")
        if response is None:
            response = self._ask(test_case)
        image = test_case.image_path
        images = (load_image(str(image)),) if image and self._protector.image_reader else ()
        (protection,) = self._protector.protect([Exchange(Query(test_case.prompt, images), response)])
        defended = copy.copy(test_case)
        defended.metadata = {
            **(test_case.metadata or {}),
            "defense_method": self.name,
            RESPONSE: protection.response,
            RESPONSE_USED: True,
            "mllm_protector": {
                "action": protection.action.value,
                "harm": protection.harm,
                "error": protection.error,
            },
        }
        return defended

    def _ask(self, test_case: Case) -> str:
        target: ChatModel | Callable[[str, str | None], str] | None = self.config.get("target_model")
        if isinstance(target, ChatModel):
            image = test_case.image_path
            images = (load_image(str(Path(image))),) if image else ()
            return target.generate([Query(test_case.prompt, images)])[0]
        if callable(target):
            return str(target(test_case.prompt, test_case.image_path))
        raise ConfigError("the defence has no answer to guard: pass response=..., or config['target_model']")
