"""Print the files of integration tests that failed in the last run, for one more run of theirs, alone.

Exits 1 and prints nothing to standard output when there are more of them than ``AT_MOST``, when another test failed, or
when nothing did: what fails beyond a few files of hosts is no matter of a busy machine.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
AT_MOST = 4
INTEGRATION = "tests/integration/"


def failed_files(cache: Path) -> list[str]:
    """The files that pytest's ``cache`` names as failed (its ``cache/lastfailed``), each once, in order of their names.

    Raises OSError or ValueError when there is no such record.
    """
    recorded = json.loads((cache / "v/cache/lastfailed").read_text("utf-8"))
    return sorted({test.partition("::")[0] for test in recorded})


def main() -> int:
    files = failed_files(ROOT / ".pytest_cache")
    if not files or len(files) > AT_MOST or not all(file.startswith(INTEGRATION) for file in files):
        print(f"not run again: {len(files)} files with failures", file=sys.stderr)
        return 1
    print(" ".join(files))
    return 0


if __name__ == "__main__":
    sys.exit(main())
