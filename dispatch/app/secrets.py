"""Passwords out of the centre's secret."""

import hashlib
import hmac


def derived(secret: str, purpose: str) -> str:
    """A password of its own for each purpose, from the centre's secret."""
    return hmac.new(secret.encode(), purpose.encode(), hashlib.sha256).hexdigest()[:32]
