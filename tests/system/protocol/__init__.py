"""Every op of the protocol as it is meant to go, payload by payload, in both encodings."""
