"""Peaks of a stereo recording, for drawing it: the greatest loudness of each bucket
of time. Pure.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

BUCKET_MS = 50


class Peaks(msgspec.Struct, frozen=True, kw_only=True):
    """`left` and `right` hold 0 to 127 for each bucket."""

    bucket_ms: int
    left: list[int]
    right: list[int]


def peaks_of(stereo: NDArray[np.int16], rate_hz: int, bucket_ms: int = BUCKET_MS) -> Peaks:
    """Count the peaks of an array of shape (samples, 2)."""
    bucket = rate_hz * bucket_ms // 1000
    buckets = -(-len(stereo) // bucket)
    padded = np.zeros((buckets * bucket, 2), dtype=np.int32)
    padded[: len(stereo)] = stereo
    loudest = np.abs(padded.reshape(buckets, bucket, 2)).max(axis=1) if buckets else padded
    scaled = np.minimum(loudest * 127 // 32767, 127)
    return Peaks(bucket_ms=bucket_ms, left=scaled[:, 0].tolist(), right=scaled[:, 1].tolist())
