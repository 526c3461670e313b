"""Checkpoints to resume from: whole or not there, and only of the same run."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator, DistributedType
from safetensors import SafetensorError

from mllm_protector.errors import TrainingError

__all__ = ["Progress", "States"]

_ABOUT = "progress.json"


@dataclass(slots=True)
class Progress:
    """How far a run has come.

    Attributes:
        step: updates done.
        best: best value on the development rows so far, -inf before the first look.
        best_step: where it was reached, 0 if nowhere.
        looks: looks since then.
        stopped: patience ran out; there is nothing left to do but to finish.
    """

    step: int = 0
    best: float = -math.inf
    best_step: int = 0
    looks: int = 0
    stopped: bool = False


class States:
    """Saves and loads the state of a run in ``folder/state-STEP``; the newest and the best one are kept.

    Args:
        accelerator: holds the prepared network and optimizer.
        folder: of the run.
        identity: of settings and data; a state of another run is refused.
    """

    def __init__(self, accelerator: Accelerator, folder: Path, identity: str) -> None:
        self._accelerator, self._folder, self._identity = accelerator, folder, identity
        self._sharded = accelerator.distributed_type in (DistributedType.FSDP, DistributedType.DEEPSPEED)
        if not self._sharded:
            accelerator.register_save_state_pre_hook(_only_what_is_trained)

    def load_latest(self) -> Progress:
        """Load the newest state and return how far it is; a fresh ``Progress`` if there is none.

        Raises:
            TrainingError: it is of another run, or cannot be read.
        """
        steps = self._steps()
        if not steps:
            return Progress()
        about = self._about(steps[-1])
        if about["identity"] != self._identity:
            raise TrainingError(
                f"{self._folder} holds an unfinished run with other settings, data, base model or number of "
                "processes: give --restart to drop it, or another output folder"
            )
        self.load(steps[-1])
        return Progress(**about["progress"])

    def load(self, step: int) -> None:
        """Load the state of one step into network and optimizer."""
        options: dict[str, Any] = {} if self._sharded else {"strict": False}
        try:
            self._accelerator.load_state(str(self._path(step)), **options)
        except (OSError, RuntimeError, SafetensorError, ValueError, KeyError) as error:
            words = " ".join(str(error).split())[:200]
            raise TrainingError(
                f"{self._path(step)} cannot be loaded ({words}): remove that folder to go on from an "
                "earlier one, or give --restart"
            ) from error

    def save(self, progress: Progress) -> None:
        """Write the state of ``progress.step`` and drop those that are no longer needed.

        Raises:
            TrainingError: there is no room; what was saved before is untouched.
        """
        accelerator, path = self._accelerator, self._path(progress.step)
        part = path.with_name(path.name + ".part")
        try:
            if accelerator.is_main_process:
                shutil.rmtree(part, ignore_errors=True)
                part.mkdir(parents=True)
            accelerator.wait_for_everyone()
            accelerator.save_state(str(part))
            accelerator.wait_for_everyone()
            if accelerator.is_main_process:
                about = {"identity": self._identity, "progress": asdict(progress)}
                (part / _ABOUT).write_text(json.dumps(about), encoding="utf-8")
                shutil.rmtree(path, ignore_errors=True)
                part.rename(path)
                self._prune({progress.step, progress.best_step})
            accelerator.wait_for_everyone()
        except (OSError, RuntimeError, SafetensorError) as error:
            shutil.rmtree(part, ignore_errors=True)
            kept = self._steps()
            words = " ".join(str(error).split())[:200]
            where = f"step {kept[-1]}" if kept else "the beginning"
            raise TrainingError(
                f"the checkpoint of step {progress.step} cannot be written ({words}): free space in "
                f"{self._folder}, then run the same command again; it goes on from {where}"
            ) from error

    def _prune(self, needed: set[int]) -> None:
        for step in self._steps():
            if step not in needed:
                shutil.rmtree(self._path(step))

    def _steps(self) -> list[int]:
        found = [p for p in self._folder.glob("state-*") if p.suffix != ".part" and (p / _ABOUT).is_file()]
        return sorted(int(p.name.removeprefix("state-")) for p in found)

    def _about(self, step: int) -> Any:
        path = self._path(step) / _ABOUT
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise TrainingError(f"{path} cannot be read: give --restart to begin again") from error

    def _path(self, step: int) -> Path:
        return self._folder / f"state-{step:08d}"


def _only_what_is_trained(models: list[Any], weights: list[Any], folder: str) -> None:  # noqa: ARG001
    """Frozen weights come from the base model; a LoRA state is megabytes where the model is gigabytes."""
    for place, model in enumerate(models):
        frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
        weights[place] = {name: value for name, value in weights[place].items() if name not in frozen}
