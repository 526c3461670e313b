"""What ``check``, ``protect`` and ``explain`` do first: build the guard and read the exchange."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mllm_protector.data.records import to_exchange
from mllm_protector.errors import InputError, RecordError
from mllm_protector.types import Exchange

if TYPE_CHECKING:
    from mllm_protector.protector import Protector

__all__ = ["MediaNote", "build_protector", "choose_mode", "single_exchange", "single_record"]


def build_protector(policy: str | None, config: Path | None, threads: int | None) -> Protector:
    """Return the guard that the options describe."""
    from mllm_protector.assembly import build, load_protector

    if config is None:
        return load_protector(policy or "default", threads=threads)
    from mllm_protector.config import load_config

    return build(load_config(config), policy=policy, threads=threads)


def choose_mode(file: str | None, response: str | None, others: bool) -> None:
    """Insist on one exchange or one file, not both and not neither.

    Args:
        file: the FILE argument.
        response: the value of --response.
        others: whether another option of a single exchange was given.
    """
    if file is None and response is None:
        raise typer.BadParameter(
            "give --prompt and --response, a FILE of JSON lines, or - for standard input"
        )
    if file is not None and (response is not None or others):
        raise typer.BadParameter("give one exchange (--prompt, --response, --image) or a FILE, not both")


def single_record(prompt: str, response: str, images: list[str], image_text: str) -> dict[str, object]:
    """Return the record that a file would hold for the same exchange."""
    record: dict[str, object] = {"prompt": prompt, "response": response}
    if images:
        record["images"] = images
    if image_text:
        record["image_text"] = image_text
    return record


def single_exchange(record: dict[str, object]) -> Exchange:
    """Return the exchange given by options; image paths are relative to the working folder."""
    try:
        return to_exchange(record, base=Path.cwd())
    except RecordError as error:  # the option is called --image, not images[0]
        raise InputError(str(error).replace("images[", "--image [")) from error


class MediaNote:
    """Says once that images or recordings were not read, where nothing reads them."""

    def __init__(self, protector: Protector) -> None:
        self._images = protector.image_reader is None
        self._recordings = protector.transcriber is None

    def saw(self, exchange: Exchange) -> None:
        """Look at an exchange."""
        query = exchange.query
        if query.image_text:
            return
        if self._images and query.images:
            self._images = False
            _note("images", "an image_reader")
        if self._recordings and query.recordings:
            self._recordings = False
            _note("recordings", "a transcriber")


def _note(media: str, back_end: str) -> None:
    typer.secho(
        f"note: {media} were not read, only prompt and response were judged; "
        f"give what stands in them as image_text, or name {back_end} with --config",
        err=True,
        fg="yellow",
    )
