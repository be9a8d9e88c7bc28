"""The data plane: one edge process, the bus beneath it, and the client."""

__version__ = "0.1.0"
