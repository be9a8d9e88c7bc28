"""What long-running commands log, on stderr."""

import logging
import sys

# Of asyncio's streams, when a TLS connection ends; nothing follows from it.
_IDLE = "returning true from eof_received() has no effect when using ssl"


def to_stderr(level: str = "INFO") -> None:
    """Log on stderr, one line a record, from `level` on."""
    logging.basicConfig(
        level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("asyncio").addFilter(_matters)


def _matters(record: logging.LogRecord) -> bool:
    return record.msg != _IDLE
