"""One thread puts what another takes: in order, not too far ahead, and no error is lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from bnconform.conformance.engine.pipe import Pipe


def _pipe(most: float = 3.0) -> Pipe[int]:
    return Pipe(most, lambda _: 1.0)


def _until(happened: Callable[[], bool]) -> bool:
    end = time.monotonic() + 10.0
    while not happened() and time.monotonic() < end:
        time.sleep(0.01)
    return happened()


def _fill(pipe: Pipe[int], count: int, put: list[int]) -> None:
    with pipe.filling():
        for number in range(count):
            put.append(number)
            if not pipe.put(number):
                break


def test_everything_comes_in_order() -> None:
    """More than the pipe holds, and then the end."""
    pipe = _pipe()
    with ThreadPoolExecutor(1) as executor:
        executor.submit(_fill, pipe, 100, [])
        assert list(pipe) == list(range(100))


def test_whoever_puts_waits_for_whoever_takes() -> None:
    """Three may wait; the fourth is put, and held there until one is taken."""
    pipe, put = _pipe(), list[int]()
    with ThreadPoolExecutor(1) as executor:
        filling = executor.submit(_fill, pipe, 100, put)
        assert _until(lambda: len(put) == 4)
        time.sleep(0.1)
        assert put == [0, 1, 2, 3]
        items = iter(pipe)
        assert next(items) == 0
        assert _until(lambda: len(put) == 5)
        assert [*items] == list(range(1, 100))
        filling.result(timeout=10.0)


def test_a_heavy_item_passes_alone() -> None:
    """What is heavier than all that may wait is put all the same."""
    pipe = Pipe[int](1.0, float)
    with ThreadPoolExecutor(1) as executor, pipe.emptying():
        items = iter(pipe)
        putting = executor.submit(pipe.put, 50)
        assert next(items) == 50
        assert putting.result(timeout=10.0)


def test_nothing_is_wanted_after_whoever_takes_has_left() -> None:
    """Whoever puts is told, even if waiting."""
    pipe, put = _pipe(), list[int]()
    with ThreadPoolExecutor(1) as executor:
        filling = executor.submit(_fill, pipe, 100, put)
        with pipe.emptying():
            assert next(iter(pipe)) == 0
        filling.result(timeout=10.0)
    assert len(put) < 10
    assert not pipe.put(1)


def test_an_error_is_raised_at_both_ends() -> None:
    """After what came before it, so that half of something does not pass for all of it."""
    pipe = _pipe()

    def fill() -> None:
        with pipe.filling():
            pipe.put(1)
            msg = "no more"
            raise RuntimeError(msg)

    taken: list[int] = []

    def take() -> None:
        taken.extend(pipe)

    with ThreadPoolExecutor(2) as executor:
        ends: list[Future[None]] = [executor.submit(fill), executor.submit(take)]
        for end in ends:
            with pytest.raises(RuntimeError, match="no more"):
                end.result(timeout=10.0)


def test_what_comes_before_an_error_is_taken() -> None:
    """Item by item."""
    pipe = _pipe()
    pipe.put(7)
    with pytest.raises(ZeroDivisionError), pipe.filling():
        1 / 0  # noqa: B018 -- it is to fail
    items = iter(pipe)
    assert next(items) == 7
    with pytest.raises(ZeroDivisionError):
        next(items)
