"""What every request passes: is it from our own pages, who is it from."""

from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from console_web.server.faults import Fault
from console_web.server.sessions import COOKIE, SUBPROTOCOL, Session, Sessions
from dispatch.contracts.words import Role

DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def origin_is_ours(
    origin: str | None, fetch_site: str | None, own: str, allowed: tuple[str, ...]
) -> bool:
    """Whether a request that changes something comes from one of our own pages.

    A browser always names the origin of such a request; a program that is no browser names none,
    and carries no cookie that it was not given.

    Args:
        origin: the Origin header.
        fetch_site: the Sec-Fetch-Site header.
        own: our own address as the request has it, `scheme://host:port`.
        allowed: further origins of the settings.
    """
    if origin is None:
        return fetch_site in (None, "same-origin", "none")
    if origin in allowed:
        return True
    return _place(origin) is not None and _place(origin) == _place(own)


def _place(address: str) -> tuple[str, int] | None:
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        return None
    return parts.hostname, port or DEFAULT_PORTS[parts.scheme]


def own_origin(connection: HTTPConnection) -> str:
    """Our own address as the request has it."""
    return f"{connection.url.scheme}://{connection.headers.get('host', '')}"


def check_origin(connection: HTTPConnection, allowed: tuple[str, ...]) -> None:
    """Refuse what another site's page sent.

    Raises:
        Fault: 403.
    """
    own = own_origin(connection)
    headers = connection.headers
    if not origin_is_ours(headers.get("origin"), headers.get("sec-fetch-site"), own, allowed):
        raise Fault(403, "foreign_origin", field="Origin", detail="not one of our own pages")


def pass_of(connection: HTTPConnection) -> str | None:
    """What a page of the other machine shows; None from our own, which has a cookie."""
    headers = connection.headers
    scheme, _, shown = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and shown:
        return shown
    offered = [word.strip() for word in headers.get("sec-websocket-protocol", "").split(",")]
    if len(offered) == 2 and offered[0] == SUBPROTOCOL:
        return offered[1]
    return None


def session_of(connection: HTTPConnection, sessions: Sessions) -> Session:
    """Who asks: by the pass that it shows, else by its cookie.

    Raises:
        Fault: 401.
    """
    shown = pass_of(connection)
    if shown is not None:
        session = sessions.read_pass(shown, connection.headers.get("origin"))
    else:
        session = sessions.read(connection.cookies.get(COOKIE))
    if session is None:
        raise Fault(401, "not_signed_in", detail="sign in first")
    return session


def require_role(session: Session, *roles: Role) -> None:
    """Only these roles go on.

    Raises:
        Fault: 403.
    """
    if session.role not in roles:
        raise Fault(403, "not_your_role", detail=f"not for {session.role}")


def address_of(connection: HTTPConnection) -> str:
    """Where the request comes from, for the brake on passwords."""
    return connection.client.host if connection.client else ""
