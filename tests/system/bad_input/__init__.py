"""Bad input over the real socket: each with the protocol's code, and the edge unharmed."""
