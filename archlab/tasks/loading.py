"""Loading batches, in threads ahead of the current one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, Protocol, TypeVar

from torch import Tensor
from torch.utils.data import default_collate

Batch = dict[str, Tensor]
T = TypeVar("T")


class Indexed(Protocol):
    """Samples by number, each a dict of tensors and numbers."""

    def __getitem__(self, index: int, /) -> dict[str, Any]: ...


def load_batches(
    dataset: Indexed, batches: Iterable[Sequence[int]], *, workers: int = 0, pin: bool = False
) -> Iterator[Batch]:
    """Return the stacked samples of each sequence of indices.

    workers: threads that load ahead; 0 loads in the calling thread. pin: use pinned memory.

    Threads, not processes: decoding and cropping release Python's lock, all threads share one cache of images, and
    nothing is sent between processes (on two cores, 2 threads loaded 1.1 to 2.2 times as fast as 2 processes).
    """

    def load(rows: Sequence[int]) -> Batch:
        batch: Batch = default_collate([dataset[row] for row in rows])
        return {name: values.pin_memory() for name, values in batch.items()} if pin else batch

    return in_advance(load, batches, workers=workers, most=2 * workers)


def in_advance(
    load: Callable[[Sequence[int]], T], batches: Iterable[Sequence[int]], *, workers: int, most: int
) -> Iterator[T]:
    """Yield what `load` returns for each sequence of indices, in order.

    workers: threads that load, at most `most` results in advance; 0 loads in the calling thread.
    """
    if workers == 0:
        yield from map(load, batches)
        return
    waiting = iter(batches)
    pool = ThreadPoolExecutor(workers)
    try:
        ahead: deque[Future[T]] = deque(pool.submit(load, rows) for rows in islice(waiting, most))
        while ahead:
            done = ahead.popleft().result()
            ahead.extend(pool.submit(load, rows) for rows in islice(waiting, 1))
            yield done
    finally:
        pool.shutdown(cancel_futures=True)
