"""A file that records. A disk that takes none costs the recording, never the call."""

import sys
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
