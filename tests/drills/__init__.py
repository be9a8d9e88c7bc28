"""Longer stories of faults, run by `make drill`."""
