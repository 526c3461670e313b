"""Server-sent events, read and written (WHATWG HTML, section 9.2). Pure."""

from __future__ import annotations

import codecs
import json

__all__ = ["DONE", "HEARTBEAT", "EventReader", "event"]

DONE = b"data: [DONE]\n\n"
HEARTBEAT = b": still here\n\n"


def event(data: object) -> bytes:
    """Return an event; a string is sent as it is, anything else as JSON."""
    text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
    return b"".join(b"data: " + line.encode() + b"\n" for line in text.split("\n")) + b"\n"


class EventReader:
    """Cuts bytes, chunked anyhow, into the ``data`` of events; comments and other fields are passed over.

    Args:
        limit: most characters of one event.
    """

    def __init__(self, limit: int) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="strict")
        self._limit = limit
        self._parts: list[str] = []  # the line that has not ended yet
        self._size = 0
        self._data: list[str] = []
        self._data_size = 0
        self._after_cr = False

    def feed(self, chunk: bytes) -> list[str]:
        """Return the events that ``chunk`` completes.

        Raises:
            ValueError: the stream is not UTF-8, or an event is over the limit.
        """
        text = self._decoder.decode(chunk)
        if self._after_cr and text.startswith("\n"):
            text = text[1:]
        if text:
            self._after_cr = text.endswith("\r")
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        events = []
        for line in lines[:-1]:
            done = self._line("".join(self._parts) + line)
            self._parts, self._size = [], 0
            if done is not None:
                events.append(done)
        self._parts.append(lines[-1])
        self._size += len(lines[-1])
        if self._size > self._limit:
            raise ValueError(f"an event has over {self._limit} characters")
        return events

    def close(self) -> str | None:
        """Return what a stream holds that ended without the blank line, None if nothing."""
        line = "".join(self._parts)
        self._parts = []
        if line:
            self._line(line)
        return self._line("")

    def _line(self, line: str) -> str | None:
        if not line:
            data = "\n".join(self._data) if self._data else None
            self._data, self._data_size = [], 0
            return data
        name, _, value = line.partition(":")
        if name == "data":
            self._data.append(value.removeprefix(" "))
            self._data_size += len(value)
            if self._data_size > self._limit:
                raise ValueError(f"an event has over {self._limit} characters")
        return None
