"""For an edge under test: SIGUSR1 begins to keep what only the collector of cycles would free,
SIGUSR2 writes down how much of what that was. Python imports this module by its name.
"""

import collections
import gc
import os
import signal
import sys
from pathlib import Path

COUNTS = "JETRELAY_TEST_GARBAGE"  # the file to write


def _begin(*_: object) -> None:
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)


def _end(*_: object) -> None:
    gc.collect()
    gc.set_debug(0)
    counts = collections.Counter(type(each).__qualname__ for each in gc.garbage)
    path = Path(os.environ[COUNTS])
    partial = path.with_suffix(".partial")
    partial.write_text("".join(f"{count} {name}\n" for name, count in counts.most_common()))
    partial.replace(path)
    gc.garbage.clear()


if COUNTS in os.environ and "edge" in sys.orig_argv:
    signal.signal(signal.SIGUSR1, _begin)
    signal.signal(signal.SIGUSR2, _end)
