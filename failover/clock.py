"""The clock that leases and promises are counted on."""

import time


def monotonic_ms() -> int:
    """It goes on while the machine sleeps, and is never set."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
