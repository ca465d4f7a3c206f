"""How the gateway's processes log: JSON lines."""

import json
import logging


class JsonLog(logging.Formatter):
    """One JSON object a line; no numbers of callers are ever logged."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of one record."""
        entry = {"level": record.levelname.lower(), "room": record.name}
        return json.dumps({**entry, "text": record.getMessage()}, ensure_ascii=False)
