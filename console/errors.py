"""Errors of the console."""

from relay.errors import RelayError


class ConsoleError(RelayError):
    """The console can't do what was asked."""


class NoLinkError(ConsoleError):
    """No NATS of any region answers."""


class RecordingError(ConsoleError):
    """A recording can't be written or read; the text names the file."""
