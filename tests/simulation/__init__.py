"""The real edge under a seeded simulation: virtual clock, modelled NATS, faults, invariants.

`python -m tests.simulation --seeds 1000` runs it; docs/reliability.md says what it shows.
"""
