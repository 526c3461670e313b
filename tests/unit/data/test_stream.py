"""A run over a file: nothing lost, nothing twice, whatever interrupts it."""

from __future__ import annotations

import errno
import io
import itertools
import json
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mllm_protector.data.sinks import FileSink, Progress, StreamSink
from mllm_protector.data.source import Position, Source
from mllm_protector.data.stream import Judge, Judged, Reporter, run_stream
from mllm_protector.errors import BackendError, OutputError, RecordError
from mllm_protector.types import Exchange

_SETTINGS = {"command": "test"}


def judge(exchanges: Sequence[Exchange]) -> list[Judged]:
    return [Judged({"seen": exchange.response}, "seen") for exchange in exchanges]


def record(i: int) -> bytes:
    return json.dumps({"prompt": "p", "response": f"r{i}", "id": i}).encode() + b"\n"


def write_input(folder: Path, count: int) -> Path:
    path = folder / "in.jsonl"
    path.write_bytes(b"".join(record(i) for i in range(count)))
    return path


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    with path.open("rb") as stream:
        yield Source(stream, path)


def run(path: Path, out: Path, judge: Judge = judge, *, restart: bool = False, **options: object) -> Progress:
    """Run as the command line does."""
    settings = options.pop("settings", _SETTINGS)
    overwrite = bool(options.pop("overwrite", False))
    sink = FileSink(out, settings, overwrite=overwrite, restart=restart, journal_every=0)  # type: ignore[arg-type]
    with opened(path) as source:
        return run_stream(source, sink, judge, reserved=("seen",), batch_size=3, **options)  # type: ignore[arg-type]


def results(out: Path) -> list[int]:
    lines = [json.loads(line) for line in out.read_bytes().splitlines()]
    assert all(line["seen"] == line["response"] for line in lines)
    return [line["id"] for line in lines]


def stops_at(text: str, error: Callable[[], BaseException]) -> Judge:
    def judging(exchanges: Sequence[Exchange]) -> list[Judged]:
        if any(exchange.response == text for exchange in exchanges):
            raise error()
        return judge(exchanges)

    return judging


def test_every_line_comes_out_in_order_and_nothing_else_is_left(tmp_path: Path) -> None:
    progress = run(write_input(tmp_path, 10), tmp_path / "out.jsonl")
    assert results(tmp_path / "out.jsonl") == list(range(10))
    assert (progress.written, progress.skipped, dict(progress.labels)) == (10, 0, {"seen": 10})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


def test_an_empty_file_gives_an_empty_file(tmp_path: Path) -> None:
    assert run(write_input(tmp_path, 0), tmp_path / "out.jsonl").written == 0
    assert (tmp_path / "out.jsonl").read_bytes() == b""


@pytest.mark.parametrize("stop", ["r0", "r5", "r11"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interrupted_run_goes_on_where_it_stopped(
    tmp_path: Path, stop: str, error: type[BaseException]
) -> None:
    path, out = write_input(tmp_path, 12), tmp_path / "out.jsonl"
    with pytest.raises(error):
        run(path, out, stops_at(stop, error))
    assert not out.exists()
    judged: list[str] = []

    def counting(exchanges: Sequence[Exchange]) -> list[Judged]:
        judged.extend(exchange.response for exchange in exchanges)
        return judge(exchanges)

    progress = run(path, out, counting)
    assert results(out) == list(range(12))
    assert progress.labels == {"seen": 12}
    assert judged[0] == f"r{int(stop[1:]) // 3 * 3}", "what was complete is not judged again"


@settings(max_examples=40, deadline=None)
@given(count=st.integers(1, 30), kill=st.integers(0, 30), torn=st.binary(max_size=40))
def test_a_killed_run_goes_on_without_loss_or_repetition(
    tmp_path_factory: pytest.TempPathFactory, count: int, kill: int, torn: bytes
) -> None:
    """A kill leaves the last journal and any number of bytes behind it."""
    folder = tmp_path_factory.mktemp("killed")
    path, out = write_input(folder, count), folder / "out.jsonl"
    ticks = itertools.count()
    sink = FileSink(out, _SETTINGS, journal_every=2, clock=lambda: next(ticks))
    sink.suspend = lambda: None  # type: ignore[method-assign]  # killed: nothing is tidied up
    with opened(path) as source, suppress(KeyboardInterrupt):
        run_stream(source, sink, stops_at(f"r{kill}", KeyboardInterrupt), reserved=(), batch_size=3)
    assert sink._stream is not None
    sink._stream.close()
    if not out.exists():
        with sink.partial.open("ab") as stream:
            stream.write(torn)
        run(path, out)
    assert results(out) == list(range(count))


def test_a_mended_line_is_taken_up_where_the_run_stopped(tmp_path: Path) -> None:
    path, out = write_input(tmp_path, 10), tmp_path / "out.jsonl"
    good = path.read_bytes()
    path.write_bytes(good.replace(b'"response": "r7"', b'"answer": "r7"'))
    with pytest.raises(RecordError, match='line 8: the key "response" is missing'):
        run(path, out)
    assert not out.exists()
    path.write_bytes(good)
    run(path, out)
    assert results(out) == list(range(10))


@pytest.mark.parametrize(
    "change", [lambda data: data.replace(b"r0", b"x0"), lambda data: data.split(b"\n")[0]]
)
def test_an_input_that_changed_before_the_stop_is_refused(
    tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    path, out = write_input(tmp_path, 10), tmp_path / "out.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run(path, out, stops_at("r8", KeyboardInterrupt))
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(OutputError, match=r"has changed before line 7 .*--restart"):
        run(path, out)
    run(path, out, restart=True)
    assert len(out.read_bytes().splitlines()) == len(path.read_bytes().splitlines())


def test_other_settings_do_not_continue_a_run(tmp_path: Path) -> None:
    path, out = write_input(tmp_path, 10), tmp_path / "out.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run(path, out, stops_at("r8", KeyboardInterrupt), settings={"policy": "default"})
    with pytest.raises(OutputError, match=r"another policy \(default, now strict\).*--restart"):
        run(path, out, settings={"policy": "strict"})
    run(path, out, settings={"policy": "strict"}, restart=True)
    assert results(out) == list(range(10))


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"version": 99}', b"\xff"])
def test_a_damaged_journal_is_named_with_its_cure(tmp_path: Path, content: bytes) -> None:
    path, out = write_input(tmp_path, 3), tmp_path / "out.jsonl"
    (tmp_path / "out.jsonl.partial").write_bytes(b"half")
    (tmp_path / "out.jsonl.state").write_bytes(content)
    with pytest.raises(OutputError, match=r"is damaged; give --restart"):
        run(path, out)
    run(path, out, restart=True)
    assert results(out) == [0, 1, 2]


def test_an_existing_file_is_not_replaced_unless_asked(tmp_path: Path) -> None:
    path, out = write_input(tmp_path, 3), tmp_path / "out.jsonl"
    out.write_text("precious")
    with pytest.raises(OutputError, match="exists; give --overwrite"):
        run(path, out)
    assert out.read_text() == "precious"
    run(path, out, overwrite=True)
    assert results(out) == [0, 1, 2]


def test_two_runs_never_write_the_same_file(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    path, out = write_input(tmp_path, 3), tmp_path / "out.jsonl"
    first = FileSink(out, _SETTINGS)
    first.start()
    with pytest.raises(OutputError, match="another run is writing"):
        run(path, out)
    first.suspend()
    run(path, out)
    assert results(out) == [0, 1, 2]


def test_a_full_disk_keeps_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, out = write_input(tmp_path, 12), tmp_path / "out.jsonl"
    room = [300]

    def write_all(stream: io.RawIOBase, data: bytes) -> None:
        stream.write(data[: room[0]])
        room[0] -= len(data)
        if room[0] < 0:
            room[0] = 0
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("mllm_protector.data.sinks._write_all", write_all)
    with pytest.raises(OutputError, match="the disk is full; free some space, then run the same command"):
        run(path, out)
    assert not out.exists()
    monkeypatch.undo()
    run(path, out)
    assert results(out) == list(range(12))


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"the folder .* is not there"):
        run(write_input(tmp_path, 1), tmp_path / "absent" / "out.jsonl")


def test_without_a_journal_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    path, out = write_input(tmp_path, 12), tmp_path / "out.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run(path, out, stops_at("r8", KeyboardInterrupt), settings=None)
    assert [p.name for p in tmp_path.iterdir()] == ["in.jsonl"]


class _Heard(Reporter):
    def __init__(self) -> None:
        self.errors: list[str] = []

    def skipped(self, error: Exception) -> None:
        self.errors.append(str(error))


def test_bad_lines_are_reported_and_counted_when_skipped(tmp_path: Path) -> None:
    path, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    path.write_bytes(record(0) + b"[]\n\n" + b"\xff\n" + record(1) + b"{}")
    heard = _Heard()
    progress = run(path, out, skip_bad=True, reporter=heard)
    assert results(out) == [0, 1]
    assert progress.skipped == 3
    assert [error.split(":")[0] for error in heard.errors] == ["line 2", "line 4", "line 6"]


def test_what_comes_before_a_bad_line_is_written(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(record(0) + record(1) + b"[]\n" + record(2))
    stream = io.BytesIO()
    with opened(path) as source, pytest.raises(RecordError, match="line 3"):
        run_stream(source, StreamSink(stream, "test"), judge, reserved=())
    assert [json.loads(line)["id"] for line in stream.getvalue().splitlines()] == [0, 1]


def test_one_exchange_that_cannot_be_judged_is_named_or_skipped(tmp_path: Path) -> None:
    path, out = write_input(tmp_path, 9), tmp_path / "out.jsonl"
    failing = stops_at("r4", lambda: BackendError("broken"))
    with pytest.raises(BackendError, match="line 5: broken"):
        run(path, out, failing)
    heard = _Heard()
    progress = run(path, out, failing, skip_bad=True, reporter=heard)
    assert results(out) == [0, 1, 2, 3, 5, 6, 7, 8]
    assert (progress.written, progress.skipped, heard.errors) == (8, 1, ["line 5: broken"])


def test_a_stream_has_no_place_to_return_to() -> None:
    source = Source(io.BytesIO(record(0)), None)
    stream = io.BytesIO()
    progress = run_stream(source, StreamSink(stream, "test"), judge, reserved=())
    assert progress.position == Position(1, len(record(0)), "")
    assert json.loads(stream.getvalue())["id"] == 0


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    line = json.dumps({"prompt": "p", "response": "r" * 2000}).encode() + b"\n"

    def peak(count: int) -> int:
        path = tmp_path / "in.jsonl"
        path.write_bytes(line * count)
        sink = FileSink(tmp_path / "out.jsonl", _SETTINGS, overwrite=True)
        tracemalloc.start()
        try:
            with opened(path) as source:
                run_stream(source, sink, judge, reserved=(), batch_size=8)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(100)  # what is loaded once
    assert peak(5000) < peak(100) + 1_000_000, "5,000 lines are 10 MB"
