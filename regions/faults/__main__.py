"""`python -m regions.faults CONFIG`: the process that carries a world's links."""

import sys
from pathlib import Path

from regions.faults.wan import run_wan

if __name__ == "__main__":
    sys.exit(run_wan(Path(sys.argv[1])))
