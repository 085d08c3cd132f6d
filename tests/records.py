"""What two records of the same run must have in common."""

from __future__ import annotations

from typing import Any

TIMES = {
    "seconds",
    "stage_seconds",
    "finished_at",
    "examples_per_second",
    "peak_memory_mb",
    "latency_ms",
    "teacher_latency_ms",
    "throughput",
    "teacher_throughput",
}
"""Fields that depend on the machine and its mood."""


def lasting(record: dict[str, Any]) -> dict[str, Any]:
    """A record without the fields that may differ."""
    return {key: value for key, value in record.items() if key not in TIMES}
