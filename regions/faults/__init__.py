"""Faults: what can be broken in a world on purpose, and healed again."""
