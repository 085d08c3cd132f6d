"""What is said after Ctrl-C, wherever it is heard: also while what shows everything else is still being imported."""

import sys
from typing import NoReturn


def stopped(resume: str = "") -> NoReturn:
    """Says that Ctrl-C was heard, and how to go on, and ends the process with 130 (128 + SIGINT)."""
    sys.stderr.write(f"\n{f'Stopped. {resume}'.rstrip()}\n")
    raise SystemExit(130) from None
