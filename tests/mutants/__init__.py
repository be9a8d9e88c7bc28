"""Mutants of the edge: each breaks one promise, and the standard drill has to find it out."""
