"""What this project's own processes are started with. It imports nothing: an edge reads it, too."""

import sys

EDGE_PROGRAM = (sys.executable, "-m", "cli", "edge")
