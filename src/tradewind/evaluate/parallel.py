"""Tasks in fresh processes, one thread each: the number of processes changes how long a run takes and no bit of what it gives.

Processes are spawned, never forked: a fork copies locks that threads of torch or polars may hold. Costs a second or two for each process to
begin.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import Final, TypeVar

from tradewind.core.errors import TradewindError

__all__ = ["run_all"]

T = TypeVar("T")
_THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "POLARS_MAX_THREADS")
_POLL: Final = 0.2
_DIED: Final = (
    "a worker process died; with too little memory, try --jobs 1 or fewer bars; in a script of yours, call this below "
    "`if __name__ == '__main__':`, since every worker imports the script"
)


def run_all(task: Callable[[T], str | None], arguments: Sequence[T], jobs: int, watch: Callable[[], None]) -> None:
    """Call `task` with each of `arguments` in `jobs` spawned processes, calling `watch` a few times a second until all are done.

    `task` is a function of a module; it returns None, or the message of what went wrong, which is raised here as a TradewindError while
    the other tasks are ended. Raises TradewindError too when a process dies, as under a lack of memory.
    """
    if not arguments:
        return
    before = set(multiprocessing.active_children())
    with _one_thread():
        pool = ProcessPoolExecutor(min(jobs, len(arguments)), multiprocessing.get_context("spawn"), initializer=_follow_parent)
        try:
            pending = {pool.submit(task, argument) for argument in arguments}
            while pending:
                done, pending = wait(pending, timeout=_POLL, return_when=FIRST_EXCEPTION)
                for message in (future.result() for future in done):
                    if message is not None:
                        raise TradewindError(message)
                watch()
        except BrokenProcessPool:
            raise TradewindError(_DIED) from None
        finally:
            # Whatever still runs belongs to a run that has failed or was interrupted; finished folds are on disk.
            for child in set(multiprocessing.active_children()) - before if pending else ():
                child.terminate()
            pool.shutdown(cancel_futures=True)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Children read these when they import their libraries, so they are set while children may start."""
    saved = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in saved.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _follow_parent() -> None:
    """End this process when its parent is gone, even by kill -9."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)
