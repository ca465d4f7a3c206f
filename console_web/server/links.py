"""The token of a link to a caller's location: the link's id, and a signature that only we can make.

Nothing is stored: both machines of a pair can check it. Whether it is still good (not expired, not
used) is the core's to say.
"""

import base64
import hashlib
import hmac
import re

SIGNATURE_CHARS = 20
"""Base32: 100 bits, which nobody guesses in the ten minutes that a link lives."""
_TOKEN = re.compile(r"^(C-[0-9]{8}-[0-9]{1,9}\.[0-9]{1,4})\.([a-z2-7]{20})$")


def link_token(secret: str, link_id: str) -> str:
    """What stands in the link."""
    return f"{link_id}.{_signature(secret, link_id)}"


def link_id_of(secret: str, token: str) -> str | None:
    """The link's id, None when it is not one of ours."""
    found = _TOKEN.match(token)
    if found is None:
        return None
    link_id, signature = found.groups()
    return link_id if hmac.compare_digest(signature, _signature(secret, link_id)) else None


def _signature(secret: str, link_id: str) -> str:
    digest = hmac.new(secret.encode(), f"location-link:{link_id}".encode(), hashlib.sha256)
    return base64.b32encode(digest.digest()).decode().lower()[:SIGNATURE_CHARS]
