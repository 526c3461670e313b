"""Verdicts in one SQLite file: on disk before ``record`` returns, whatever happens to the process then.

Several threads and several processes may write to one file (write-ahead log, one writer at a time).
A verdict has no place for headers or keys; what looks like a key inside a text is blanked.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from mllm_protector.audit.redaction import redact
from mllm_protector.errors import InputError, OutputError
from mllm_protector.types import Protection

__all__ = ["AuditStore", "Entry", "Label", "TextKept", "Verdict"]

_VERSION = 1
_DAY = 86_400.0
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE verdicts (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, request_id TEXT NOT NULL, choice INTEGER NOT NULL,
    channel TEXT NOT NULL, route TEXT NOT NULL, caller TEXT NOT NULL, policy TEXT NOT NULL,
    ordered TEXT NOT NULL, action TEXT NOT NULL, harm REAL, recheck REAL, categories TEXT NOT NULL,
    reason TEXT NOT NULL, error TEXT, not_run TEXT NOT NULL, planted TEXT NOT NULL, attempts INTEGER NOT NULL,
    timings TEXT NOT NULL, kept TEXT NOT NULL, prompt TEXT, image_text TEXT, response TEXT, delivered TEXT,
    label TEXT, note TEXT NOT NULL DEFAULT '', labelled_at REAL) STRICT;
CREATE INDEX verdicts_at ON verdicts (at);
CREATE INDEX verdicts_request ON verdicts (request_id);
"""


class TextKept(StrEnum):
    """How much of what was said is kept."""

    NONE = "none"
    HASH = "hash"
    FULL = "full"


class Label(StrEnum):
    """A reviewer's word on a verdict."""

    CORRECT = "correct"
    FALSE_ALARM = "false-alarm"
    MISS = "miss"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One judged text, as it is handed to the store.

    Attributes:
        request_id: the id that the caller was told.
        protection: what was done.
        choice: index of the choice it belongs to.
        channel: which text of the choice: ``content``, ``reasoning``, ``tool_calls`` ...
        route: where the request came in, such as ``/v1/chat/completions``.
        caller: the caller's configured name; never the key.
        not_run: parts that could not be read or judged.
        timings: phase -> milliseconds.
    """

    request_id: str
    protection: Protection
    choice: int = 0
    channel: str = "content"
    route: str = ""
    caller: str = ""
    not_run: tuple[str, ...] = ()
    timings: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the store; texts are None, ``sha256:...`` or the text, as ``kept`` says.

    Attributes: those of ``Verdict`` and its protection, and
        id: number of the row, never used again.
        at: seconds since 1970, UTC.
        label: a reviewer's word, None if there is none yet.
        note: the reviewer's remark.
    """

    id: int
    at: float
    request_id: str
    choice: int
    channel: str
    route: str
    caller: str
    policy: str
    ordered: str
    action: str
    harm: float | None
    recheck: float | None
    categories: Mapping[str, float]
    reason: str
    error: str | None
    not_run: tuple[str, ...]
    planted: tuple[str, ...]
    attempts: int
    timings: Mapping[str, float]
    kept: TextKept
    prompt: str | None
    image_text: str | None
    response: str | None
    delivered: str | None
    label: Label | None
    note: str
    labelled_at: float | None


class AuditStore:
    """The audit file. Sync and thread-safe; call ``record`` before the answer leaves.

    Args:
        path: the SQLite file; made if missing, readable by its owner alone.
        text: what is kept of prompts, image texts, responses and delivered texts.
        retention_days: rows older than this go at opening and then once an hour; None keeps all.
        clock: seconds since 1970.
        create: False demands that the file exists (reading it should not make an empty one).

    Raises:
        OutputError: the file cannot be opened or written, or is no audit file.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        text: TextKept | str = TextKept.HASH,
        retention_days: float | None = None,
        clock: Callable[[], float] = time.time,
        create: bool = True,
    ) -> None:
        if retention_days is not None and not retention_days > 0:
            raise InputError(f"retention_days must be above 0, got {retention_days}")
        try:
            self.text = TextKept(text)
        except ValueError as error:
            raise InputError(f"audit text is one of none, hash, full; got {text!r}") from error
        self.path = Path(path)
        self.retention_days = retention_days
        self._clock = clock
        self._lock = threading.Lock()
        self._purged = float("-inf")
        if not create and not self.path.is_file():
            raise InputError(f"no audit file at {self.path}; `serve` writes one if its configuration says so")
        with _mapped(self.path):
            if create:
                os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            self._db = sqlite3.connect(self.path, timeout=10.0, isolation_level=None, check_same_thread=False)
        try:
            with _mapped(self.path):
                self._salt = self._prepare()
            if retention_days is not None:
                self.purge()
        except BaseException:
            self._db.close()
            raise

    def __enter__(self) -> AuditStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        with self._lock:
            self._db.close()

    def record(self, verdicts: Sequence[Verdict]) -> list[int]:
        """Write verdicts in one transaction and return their ids; once this returns they are on disk.

        Raises:
            OutputError: nothing was written (full disk, lost file ...); the answer must not leave.
        """
        if not verdicts:
            return []
        now = self._clock()
        rows = [self._row(now, verdict) for verdict in verdicts]
        sql = f"INSERT INTO verdicts ({', '.join(rows[0])}) VALUES ({', '.join('?' * len(rows[0]))})"  # noqa: S608
        with self._transaction():
            ids = [self._db.execute(sql, tuple(row.values())).lastrowid or 0 for row in rows]
        if self.retention_days is not None and now - self._purged > 3_600:
            self.purge()
        return ids

    def entries(
        self,
        *,
        action: str | None = None,
        label: Label | None = None,
        request_id: str | None = None,
        since: float | None = None,
        labelled: bool = False,
        limit: int | None = None,
        newest_first: bool = True,
    ) -> list[Entry]:
        """Return the rows that fit all that is given; ``labelled`` wants any label, ``limit`` None all."""
        wanted: dict[str, object] = {
            "action = ?": action, "label = ?": label, "request_id = ?": request_id, "at >= ?": since,
        }  # fmt: skip
        wanted = {clause: value for clause, value in wanted.items() if value is not None}
        clauses = [*wanted, *(["label IS NOT NULL"] if labelled else [])]
        where = f" WHERE {' AND '.join(clauses)}" if clauses else ""
        order = "DESC" if newest_first else "ASC"
        sql = f"SELECT * FROM verdicts{where} ORDER BY id {order} LIMIT ?"  # noqa: S608
        with self._lock, _mapped(self.path):
            cursor = self._db.execute(sql, (*wanted.values(), -1 if limit is None else limit))
            names = [column[0] for column in cursor.description]
            return [_entry(dict(zip(names, row, strict=True))) for row in cursor]

    def entry(self, number: int) -> Entry:
        """Return one row.

        Raises:
            InputError: there is none of that number.
        """
        with self._lock, _mapped(self.path):
            cursor = self._db.execute("SELECT * FROM verdicts WHERE id = ?", (number,))
            row = cursor.fetchone()
            names = [column[0] for column in cursor.description]
        if row is None:
            raise InputError(f"no entry {number} in {self.path}; `audit list` shows what there is")
        return _entry(dict(zip(names, row, strict=True)))

    def label(self, number: int, label: Label, note: str = "") -> None:
        """Write a reviewer's word; a later one replaces it.

        Raises:
            InputError: there is no such entry.
        """
        with self._transaction():
            changed = self._db.execute(
                "UPDATE verdicts SET label = ?, note = ?, labelled_at = ? WHERE id = ?",
                (label, redact(note), self._clock(), number),
            ).rowcount
        if not changed:
            raise InputError(f"no entry {number} in {self.path}; `audit list` shows what there is")

    def purge(self) -> int:
        """Delete what is older than the retention and return how many rows that were."""
        if self.retention_days is None:
            return 0
        now = self._clock()
        with self._transaction():
            gone = self._db.execute(
                "DELETE FROM verdicts WHERE at < ?", (now - self.retention_days * _DAY,)
            ).rowcount
        self._purged = now
        return gone

    def _prepare(self) -> str:
        """Set the pragmas, make the tables if they are missing, and return the salt of the hashes."""
        self._db.execute("PRAGMA busy_timeout = 10000")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")  # a power cut loses nothing acknowledged either
        self._db.execute("PRAGMA secure_delete = ON")  # what retention deletes is overwritten
        self._db.execute("BEGIN IMMEDIATE")
        try:
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                for statement in _SCHEMA.split(";"):
                    self._db.execute(statement)
                self._db.execute("INSERT INTO meta VALUES ('salt', ?)", (secrets.token_hex(16),))
                self._db.execute(f"PRAGMA user_version = {_VERSION}")
            elif version != _VERSION:
                raise OutputError(
                    f"{self.path} is of audit version {version}, this is {_VERSION}; use another file"
                )
            salt = self._db.execute("SELECT value FROM meta WHERE key = 'salt'").fetchone()[0]
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        return str(salt)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock, _mapped(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _row(self, now: float, verdict: Verdict) -> dict[str, Any]:
        p = verdict.protection
        return {
            "at": now, "request_id": redact(verdict.request_id), "choice": verdict.choice,
            "channel": verdict.channel, "route": verdict.route, "caller": redact(verdict.caller),
            "policy": p.policy, "ordered": p.ordered.value, "action": p.action.value, "harm": p.harm,
            "recheck": None if p.recheck is None else p.recheck.harm,
            "categories": _json({} if p.detection is None else p.detection.categories),
            "reason": redact(p.reason), "error": None if p.error is None else redact(p.error),
            "not_run": _json([redact(part) for part in verdict.not_run]),
            "planted": _json([t for found in p.third_party_instruction if (t := self._kept(found.text))]),
            "attempts": len(p.attempts), "timings": _json(verdict.timings), "kept": self.text.value,
            "prompt": self._kept(p.exchange.query.prompt),
            "image_text": self._kept(p.exchange.query.image_text),
            "response": self._kept(p.exchange.response), "delivered": self._kept(p.response),
        }  # fmt: skip

    def _kept(self, text: str) -> str | None:
        """Return what is kept of a text: the hash is salted by file, so equal texts match within it only."""
        if self.text is TextKept.NONE:
            return None
        if self.text is TextKept.FULL:
            # A lone surrogate is no UTF-8; its escape is kept instead of losing the row.
            return redact(text).encode("utf-8", "backslashreplace").decode("utf-8")
        salted = self._salt.encode() + text.encode("utf-8", "surrogatepass")
        return "sha256:" + hashlib.sha256(salted).hexdigest()


def _entry(row: dict[str, Any]) -> Entry:
    for name in ("categories", "timings"):
        row[name] = json.loads(row[name])
    for name in ("not_run", "planted"):
        row[name] = tuple(json.loads(row[name]))
    row["kept"] = TextKept(row["kept"])
    row["label"] = None if row["label"] is None else Label(row["label"])
    return Entry(**row)


def _json(value: Mapping[str, float] | Sequence[str]) -> str:
    return json.dumps(dict(value) if isinstance(value, Mapping) else list(value))


@contextmanager
def _mapped(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        why = " ".join(str(error).split())
        raise OutputError(
            f"the audit file {path} cannot be used: {why}; mend that or choose another"
        ) from error
