"""Asking the edges of a fleet about their clients and rooms, through the NATS of any one region."""
