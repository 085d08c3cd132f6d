"""What everything stands on: errors, files, progress, options, the machine, the hub. Loads no torch."""

from importlib.metadata import PackageNotFoundError, version

DISTRIBUTION = "autodistiller-nlp"
"""What is installed under this name holds `engine`, `autodistill`, `meta_data` and `cli`."""


def version_of(distribution: str) -> str | None:
    """Of an installed distribution; None where it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
