"""A swarm: virtual clients by the ten thousands, from a few processes, that measure a fleet."""
