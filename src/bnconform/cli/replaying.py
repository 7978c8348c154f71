"""The seeds' programs through real TensorFlow, in a process of its own."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from functools import cache

from pebble import ProcessExpired, ProcessPool

from bnconform.adapters import seed_replay
from bnconform.adapters.seed_replay import Call, Replay
from bnconform.conformance.engine.process import START_LIMIT
from bnconform.conformance.seeds import blog
from bnconform.conformance.seeds.question import CASES, ContractCase


@dataclass(frozen=True, kw_only=True)
class NotReplayed:
    """There is no replay to show; ``reason`` is a sentence for the reader."""

    reason: str


@cache
def replayed() -> Replay | NotReplayed:
    """Both seeds through TensorFlow, once in the life of this process."""
    pool = ProcessPool(
        max_workers=1,
        # Spawn: a fork would inherit an environment that TensorFlow may have read already.
        context=multiprocessing.get_context("spawn"),
        initializer=seed_replay.prepare,
    )
    batches = [(batch.x, batch.target) for batch in blog.batches()]
    arguments = (batches, [_call(case) for case in CASES])
    try:
        found: Replay = pool.schedule(
            seed_replay.replay, args=arguments, timeout=START_LIMIT
        ).result()
    except ImportError as error:
        return NotReplayed(reason=f"TensorFlow is not installed: not replayed ({error}).")
    except FutureTimeoutError:
        return NotReplayed(reason=f"Not replayed: no answer within {START_LIMIT:g} seconds.")
    except ProcessExpired as error:
        return NotReplayed(reason=f"Not replayed: the process died, exit code {error.exitcode}.")
    except Exception as error:  # noqa: BLE001 -- whatever TensorFlow raises, there is a page
        return NotReplayed(reason=f"Not replayed: {type(error).__name__}: {error}.")
    finally:
        pool.stop()  # type: ignore[no-untyped-call]  # pebble's own signature lacks it
        pool.join()
    return found


def _call(case: ContractCase) -> Call:
    return Call(
        x=case.x,
        weights=case.weights,
        batch=case.batch,
        axis=case.axis,
        declared=case.declared,
        optimized=case.optimized,
    )
