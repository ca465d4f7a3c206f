"""Passes of browser phones: a user name that ends by itself, and the password that belongs to it.

The web server issues one to a call-taker who is signed in, for his own seat's browser phone;
Kamailio reckons the password anew from the name and the shared secret, so that nothing is stored
and a pass is good on both machines of a pair. The long-lived password of the desk's phone never
leaves the server.
"""

import base64
import hashlib
import hmac

import msgspec

SEPARATOR = "*"
"""Between the end (Unix time, s) and the phone's name, which cannot hold one."""


class PhonePass(msgspec.Struct, frozen=True, kw_only=True):
    """What a browser registers with, for digest authentication."""

    user: str
    """The phone's name at the registrar."""
    auth_user: str
    password: str
    realm: str
    expires_at_ms: int


def issue(secret: str, realm: str, user: str, expires_at_s: int) -> PhonePass:
    """A pass for one phone until `expires_at_s` (Unix time)."""
    auth_user = f"{expires_at_s}{SEPARATOR}{user}"
    digest = hmac.new(secret.encode(), auth_user.encode(), hashlib.sha256).digest()
    return PhonePass(
        user=user,
        auth_user=auth_user,
        password=base64.urlsafe_b64encode(digest).decode().rstrip("="),
        realm=realm,
        expires_at_ms=expires_at_s * 1000,
    )
