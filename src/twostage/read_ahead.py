"""Reading ahead: threads make the next items while the present one is used."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor


def read_ahead(make, items, *, threads=1, depth=4):
    """Yield ``make(item)`` for each item, in order, made by threads at most ``depth`` items ahead; errors are raised
    here.

    A single thread makes one item after the other. No new item is started after the caller stops.
    """
    pending = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="read-ahead") as pool:
        try:
            for item in items:
                pending.append(pool.submit(make, item))
                if len(pending) > depth:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for made in pending:
                made.cancel()
