"""Drills: a fault in a running world, watched by clients, with a measured verdict."""
