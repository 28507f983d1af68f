"""The clock of the package that counts, for tests that pass the time themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from limits.aio.storage import memory

__all__ = ["counting_by"]


@contextmanager
def counting_by(clock: Callable[[], float]) -> Iterator[None]:
    """Have storages in memory go by `clock`.

    The package `limits` takes no clock: it reads `time.time` from its module, so what it reads is
    put there.  Nobody else's `time` is touched.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "time", SimpleNamespace(time=clock))
        yield
