"""Log lines: what a full disk does to them, and to whoever writes them."""

import io
import logging

import structlog

from dispatch.app.logs import log_to_stderr


class FullDisk(io.StringIO):
    full = True

    def write(self, text: str) -> int:
        if self.full:
            raise OSError(28, "No space left on device")
        return super().write(text)


def test_a_line_that_cannot_be_written_stops_nobody() -> None:
    disk = FullDisk()
    before, handlers = structlog.get_config(), logging.getLogger().handlers[:]
    try:
        log_to_stderr(stream=disk)
        log = structlog.get_logger("test")
        log.warning("lost")
        logging.getLogger("test").warning("lost")
        disk.full = False
        log.warning("kept")
        logging.getLogger("test").warning("kept too")
    finally:
        structlog.configure(**before)
        logging.getLogger().handlers[:] = handlers
    assert [line.count("kept") for line in disk.getvalue().splitlines()] == [1, 1]
