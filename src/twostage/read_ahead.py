"""Reading ahead: what is needed next is made by threads while this is used."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor


def read_ahead(make, items, *, threads=1, depth=4):
    """Yield ``make(item)`` for each item, in order, made by threads at most ``depth`` ahead; errors are raised here.

    One thread makes one after the other. No more is begun once the caller stops asking.
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
