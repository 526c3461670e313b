"""White-box visual adversarial images: projected gradient descent in a ball (Madry et al. 2018).

The loop knows nothing of torch: it asks a ``WhiteBoxModel`` for the loss of a target text and its
gradient by the pixels, and moves the pixels against its sign (Carlini et al. 2023, Qi et al. 2024 break
aligned vision-language models this way). Whatever it returns is a picture of 8 bits per channel, at
most ``epsilon`` grey levels from the original, so saving it loses nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mllm_protector.checkpoints import file_sha256
from mllm_protector.errors import BackendError
from mllm_protector.evaluation.attacks import pictures
from mllm_protector.evaluation.attacks.folder import BenchmarkFolder
from mllm_protector.evaluation.attacks.requests import AttackRequest
from mllm_protector.evaluation.benchmarks.mm_safetybench import SCENARIOS
from mllm_protector.interfaces import WhiteBoxModel
from mllm_protector.types import Query

import PIL.Image  # isort: skip

__all__ = ["Budget", "Perturbed", "perturb", "write_adversarial"]

Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Budget:
    """How far and how long.

    Attributes:
        epsilon: radius of the L-infinity ball, in grey levels of 255.
        step: of one update, in grey levels.
        steps: updates.
    """

    epsilon: int = 16
    step: float = 1.0
    steps: int = 200

    def __post_init__(self) -> None:
        if not 1 <= self.epsilon <= 255 or not 0 < self.step <= 255 or self.steps < 1:
            raise ValueError("epsilon is 1 to 255 grey levels, step above 0, steps at least 1")


@dataclass(frozen=True, slots=True)
class Perturbed:
    """A picture that makes a model say something.

    Attributes:
        picture: uint8 [height, width, 3].
        before: mean NLL of the target with the original picture, nats per token.
        after: the same with this picture; never above ``before``.
        losses: of every step, in order.
    """

    picture: Picture
    before: float
    after: float
    losses: tuple[float, ...]


def perturb(
    model: WhiteBoxModel,
    query: Query,
    target: str,
    picture: Picture,
    budget: Budget,
    *,
    seed: int = 0,
    on_step: Callable[[int, float], None] = lambda _step, _loss: None,
) -> Perturbed:
    """Return the picture within the ball that makes ``target`` likeliest, of those the descent met.

    Args:
        query: what is asked beside the picture.
        picture: uint8 [height, width, 3] of ``model.picture_size()``.
        seed: of the random start inside the ball.

    Raises:
        BackendError: the model takes no such picture, or its loss is no number.
    """
    low = np.maximum(picture.astype(np.float64) - budget.epsilon, 0)
    high = np.minimum(picture.astype(np.float64) + budget.epsilon, 255)
    before, _ = _loss(model, query, target, picture)
    best, best_loss = picture, before
    start = np.random.default_rng(seed).uniform(-budget.epsilon, budget.epsilon, picture.shape)
    moved, losses = np.clip(picture + start, low, high), []
    for step in range(budget.steps + 1):
        candidate = np.rint(moved).astype(np.uint8)
        loss, gradient = _loss(model, query, target, candidate)
        losses.append(loss)
        on_step(step, loss)
        if loss < best_loss:
            best, best_loss = candidate, loss
        moved = np.clip(moved - budget.step * np.sign(gradient), low, high)
    return Perturbed(best, before, best_loss, tuple(losses))


def write_adversarial(
    out: Path,
    model: WhiteBoxModel,
    identity: str,
    requests: Sequence[AttackRequest],
    target: str,
    budget: Budget,
    *,
    sources: Sequence[Path] = (),
    seed: int = 0,
    on_step: Callable[[int, int, float], None] = lambda _place, _step, _loss: None,
) -> int:
    """Write each request with a picture as it is and with the perturbed one; return how many samples.

    ``losses/`` holds what the descent reached. An interrupted run goes on after the last whole picture.

    Args:
        identity: names the model in the manifest.
        sources: pictures dealt to the requests in order, scaled to what the model takes; () draws scenes.

    Raises:
        OutputError, ImageError, BackendError: what is wrong, and its cure.
    """
    settings: dict[str, Any] = {"attack": "adversarial", "model": identity, "target": target, "seed": seed}
    settings |= {"budget": asdict(budget), "requests": [asdict(r) for r in requests]}
    folder = BenchmarkFolder(out, settings | {"sources": [file_sha256(path) for path in sources]})
    height, width = model.picture_size()
    rows: list[dict[str, Any]] = []
    for place, request in enumerate(requests):
        source = sources[place % len(sources)] if sources else None
        drawn = pictures.scene(seed + place) if source is None else pictures.open_picture(source)
        picture = np.asarray(drawn.resize((width, height)), dtype=np.uint8)
        name = f"{request.scenario}-{request.id}"
        # Both files come of one descent; it is not run at all if both are there.
        result = lru_cache(
            partial(
                perturb, model, Query(request.question), target, picture, budget,
                seed=seed + place, on_step=partial(on_step, place),
            )
        )  # fmt: skip
        folder.add(f"images/{name}-clean.png", partial(_png, picture))
        folder.add(f"images/{name}.png", partial(_picture_of, result))
        folder.add(f"losses/{name}.json", partial(_losses_of, result))
        scenario, criteria = SCENARIOS[request.scenario]
        base = {"prompt": request.question, "kind": "harmful", "scenario": scenario, "criteria": criteria}
        rows.append({"id": f"{name}/clean", "images": [f"images/{name}-clean.png"], "attack": "none", **base})
        rows.append({"id": name, "images": [f"images/{name}.png"], "attack": "adversarial", **base})
    folder.add(
        "samples.jsonl", lambda: "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    )
    folder.finish()
    return len(rows)


def _loss(
    model: WhiteBoxModel, query: Query, target: str, picture: Picture
) -> tuple[float, NDArray[np.float32]]:
    loss, gradient = model.gradient(query, (picture / 255).astype(np.float32), target)
    if not np.isfinite(loss) or not np.isfinite(gradient).all():
        raise BackendError("the model's loss or gradient is no number; load it in float32 or bfloat16")
    return loss, gradient


def _png(picture: Picture) -> bytes:
    return pictures.encode(PIL.Image.fromarray(picture))


def _picture_of(result: Callable[[], Perturbed]) -> bytes:
    return _png(result().picture)


def _losses_of(result: Callable[[], Perturbed]) -> bytes:
    found = result()
    losses = [round(loss, 6) for loss in found.losses]
    told = {"before": round(found.before, 6), "after": round(found.after, 6), "losses": losses}
    return (json.dumps(told) + "\n").encode()
