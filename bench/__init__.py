"""The benchmarks of `make bench`: each module's `measure()` gives rows. The tests' rigs serve them too."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "python/tests"))
