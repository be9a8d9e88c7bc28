"""Errors of the data plane."""


class RelayError(Exception):
    """Anything that jetrelay raises on purpose; its text is meant for the person who reads it."""


class ConfigError(RelayError):
    """A configuration file or value is wrong; the text names it."""


class BusError(RelayError):
    """NATS did not do what was asked."""


class UnavailableError(BusError):
    """NATS did not answer in time, or has nobody to answer: unknown whether it was done."""


class DroppedError(UnavailableError):
    """A stream's limits have dropped what was to be read: who asks again is told how much."""
