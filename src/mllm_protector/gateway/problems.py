"""What a client is told when its request cannot be served: OpenAI's error shape, and never user text."""

from __future__ import annotations

from collections.abc import Mapping

from mllm_protector.errors import ProtectorError

__all__ = [
    "STOPPING",
    "RequestError",
    "audit_unavailable",
    "guard_unavailable",
    "overloaded",
    "shutting_down",
    "upstream_problem",
]


STOPPING = "stopping"
"""Key of the lifespan state that holds an ``asyncio.Event``, set once the server was told to stop."""


class RequestError(ProtectorError):
    """An error answer.

    Args:
        status: HTTP status.
        code: short code for programs.
        message: one line for people, with the cure.
        param: path of the field at fault, None if it is no field.
        headers: further headers, such as ``retry-after``.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.param = status, code, message, param
        self.headers = dict(headers or {})

    @property
    def kind(self) -> str:
        """OpenAI's ``error.type``."""
        if self.status == 429:
            return "rate_limit_error"
        if self.status in (401, 403):
            return "authentication_error"
        return "invalid_request_error" if self.status < 500 else "server_error"

    def body(self) -> dict[str, object]:
        """The JSON body."""
        return {"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}}


def guard_unavailable(why: str) -> RequestError:
    """The guard failed, and the policy fails closed."""
    return RequestError(
        503,
        "guard_unavailable",
        f"the answer could not be judged ({why}), so it is held back; try again later",
        headers={"retry-after": "1"},
    )


def audit_unavailable() -> RequestError:
    """The verdict could not be written down, so the answer does not leave."""
    return RequestError(
        503,
        "audit_unavailable",
        "the verdict could not be recorded, so the answer is held back; see the gateway's log",
        headers={"retry-after": "1"},
    )


def overloaded(what: str) -> RequestError:
    """Too much at once."""
    return RequestError(429, "overloaded", f"{what}; try again in a second", headers={"retry-after": "1"})


def shutting_down() -> RequestError:
    """The server stops, and the time that running answers had is over."""
    return RequestError(503, "shutting_down", "the gateway is shutting down; ask again elsewhere or later")


def upstream_problem(message: str, status: int = 502) -> RequestError:
    """The protected model did not answer as it should."""
    return RequestError(status, "upstream_error", message)
