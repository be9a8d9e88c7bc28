"""Alerts: conditions that somebody has to be told of, as rules, and how each stands."""
