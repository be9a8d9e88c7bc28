"""Long or large runs that show what an edge stands: `make soak`."""
