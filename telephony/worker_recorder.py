"""A file that records. A disk that takes none costs the recording, never the call."""

import sys
from collections.abc import Callable
from pathlib import Path

import pjsua2 as pj


def recorder(path: Path) -> pj.AudioMediaRecorder | None:
    """A recorder into this new file; None, with a word on stderr, where it cannot be begun."""
    made = pj.AudioMediaRecorder()
    try:
        made.createRecorder(str(path))
    except pj.Error as error:
        sys.stderr.write(f"worker: {path.name} is not recorded: {error.info()}\n")
        return None
    return made


class Recorded:
    """A leg's sound, and the file that it is written to."""

    media: pj.AudioMedia | None = None
    recorder: pj.AudioMediaRecorder | None = None

    def record(self, path_of: Callable[[], Path]) -> None:
        """Write what this side says; on a change of media the same file goes on. Where it cannot be
        written, the call goes on without, and the next `record` tries again.
        """
        if self.media is None:
            return
        if self.recorder is None:
            self.recorder = recorder(path_of())
        if self.recorder is not None:
            self.media.startTransmit(self.recorder)

    def stop_recording(self) -> None:
        """Close the file; `record` begins another."""
        self.recorder = None

    def close(self) -> None:
        """Close the recording; the file's header is whole after this."""
        self.media = None
        self.recorder = None
