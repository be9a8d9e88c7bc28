"""Errors of the control plane."""

from relay.errors import ConfigError, RelayError


class TopologyError(ConfigError):
    """A topology file is wrong; the text names file, key and what would be right."""


class WorldError(RelayError):
    """The local world is not in the state that was asked for; the text says what to do."""


class ServerError(RelayError):
    """A nats-server is missing, too old, or does not start."""


class AdminError(RelayError):
    """JetStream refused a request, with its own words."""


class LedgerError(RelayError):
    """A ledger can't be written or read; the text names file and line."""


class CrowdError(RelayError):
    """The crowd of clients did not do what was asked; the text says which and what."""


class AuditError(RelayError):
    """An audit can't be made; the text says of what time, and why."""


class OperationError(RelayError):
    """An operation makes no sense, is not possible now, or did not end well; the text says why."""


class InquiryError(RelayError):
    """Edges can't be asked, or not so, or none has what is asked for; the text says why."""


class AlertError(ConfigError):
    """A rule of an alert means nothing; the text names file, rule and key."""


class DrillError(RelayError):
    """A drill can't run here, or could not go on; the text says why."""


class SwarmError(RelayError):
    """A swarm can't run, or not so; the text says why."""
