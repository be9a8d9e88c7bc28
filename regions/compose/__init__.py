"""A deployment in containers, rendered from a topology file."""
