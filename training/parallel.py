"""Folds beside each other, in processes that share the matrices by forking."""

import multiprocessing

_task = None


def _call(item):
    return _task(item)


def each(task, items, workers):
    """task(item) for every item, in order."""
    global _task
    items = list(items)
    if workers < 2 or len(items) < 2:
        return [task(i) for i in items]
    _task = task
    with multiprocessing.get_context("fork").Pool(min(workers, len(items))) as pool:
        return pool.map(_call, items, chunksize=1)
