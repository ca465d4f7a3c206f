"""Signed sessions, and the brake on guessing passwords."""

import hashlib
from collections import OrderedDict

import msgspec
from itsdangerous import BadSignature, TimestampSigner
from itsdangerous.encoding import base64_decode, base64_encode

from console_web.server.users import User, UsersStore
from dispatch.contracts.ids import HospitalId, SeatId, UnitId
from dispatch.contracts.ports import Clock
from dispatch.contracts.words import Role
from dispatch.views.scope import Viewer

COOKIE = "d120_session"
SUBPROTOCOL = "d120"
"""Of the WebSocket of a page that shows a pass, which is its second subprotocol."""
FAILURES_MAX = 5
"""Wrong passwords for one user from one address before the brake."""
ADDRESS_FAILURES_MAX = 30
FAILURE_WINDOW_MS = 60_000
KEYS_MAX = 10_000


class Session(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who is signed in, as the screens are told."""

    user: str
    name: str
    role: Role
    expires_at_ms: int
    seat_id: SeatId | None = None
    unit_id: UnitId | None = None
    hospital_id: HospitalId | None = None

    def viewer(self) -> Viewer:
        """For scoping."""
        return Viewer(
            role=self.role,
            user=self.user,
            seat_id=self.seat_id,
            unit_id=self.unit_id,
            hospital_id=self.hospital_id,
        )


class _Ticket(msgspec.Struct, frozen=True, array_like=True):
    user: str
    password_mark: str
    expires_at_ms: int
    origin: str = ""
    """Of a pass: the only pages that may show it."""


class Sessions:
    """Issues and reads cookies and passes. Role and rights come from the users' store at every
    request, so that a changed or removed account counts at once; a changed password ends its
    sessions.
    """

    def __init__(self, users: UsersStore, clock: Clock, secret_key: str, life_s: int) -> None:
        self._users = users
        self._clock = clock
        self._life_ms = life_s * 1000
        self._signer = TimestampSigner(
            secret_key, salt="dispatch120.session", digest_method=hashlib.sha256
        )
        self._passes = TimestampSigner(
            secret_key, salt="dispatch120.pass", digest_method=hashlib.sha256
        )

    def issue(self, user: User) -> tuple[str, Session]:
        """A cookie's value for this user, and the session that it stands for."""
        expires_at_ms = self._clock.now_ms() + self._life_ms
        ticket = _Ticket(user.user, _mark(user), expires_at_ms)
        return _signed(self._signer, ticket), _session(user, expires_at_ms)

    def read(self, token: str | None) -> Session | None:
        """The session of a cookie's value; None if forged, expired or no longer anybody's."""
        return self._session_of(_unsigned(self._signer, token))

    def issue_pass(self, session: Session, origin: str) -> str:
        """What pages of this origin may show to the other machine until this session's end.

        Raises:
            KeyError: its account is gone.
        """
        user = self._users.find(session.user)
        if user is None:
            raise KeyError(session.user)
        ticket = _Ticket(user.user, _mark(user), session.expires_at_ms, origin)
        return _signed(self._passes, ticket)

    def read_pass(self, token: str, origin: str | None) -> Session | None:
        """The session of a pass; None as for `read`, or when a page of another origin shows it. A
        program that is no browser names no origin.
        """
        ticket = _unsigned(self._passes, token)
        if ticket is None or origin not in (None, ticket.origin):
            return None
        return self._session_of(ticket)

    def _session_of(self, ticket: _Ticket | None) -> Session | None:
        if ticket is None:
            return None
        user = self._users.find(ticket.user)
        if user is None or ticket.expires_at_ms <= self._clock.now_ms():
            return None
        return _session(user, ticket.expires_at_ms) if ticket.password_mark == _mark(user) else None


def _signed(signer: TimestampSigner, ticket: _Ticket) -> str:
    return signer.sign(base64_encode(msgspec.json.encode(ticket))).decode()


def _unsigned(signer: TimestampSigner, token: str | None) -> _Ticket | None:
    if not token:
        return None
    try:
        return msgspec.json.decode(base64_decode(signer.unsign(token)), type=_Ticket)
    except (BadSignature, msgspec.DecodeError):
        return None


def _mark(user: User) -> str:
    return hashlib.sha256(user.password.encode()).hexdigest()[:16]


def _session(user: User, expires_at_ms: int) -> Session:
    return Session(
        user=user.user,
        name=user.name,
        role=user.role,
        expires_at_ms=expires_at_ms,
        seat_id=user.seat_id,
        unit_id=user.unit_id,
        hospital_id=user.hospital_id,
    )


class LoginBrake:
    """Counts wrong passwords by user and address, and by address alone, in a sliding window."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: OrderedDict[tuple[str, str], list[int]] = OrderedDict()

    def wait_s(self, user: str, address: str) -> int:
        """How long this user at this address has to wait before the next try; 0 for none."""
        return max(
            self._wait_s((user, address), FAILURES_MAX),
            self._wait_s(("", address), ADDRESS_FAILURES_MAX),
        )

    def failed(self, user: str, address: str) -> None:
        """Count one wrong password."""
        for key in ((user, address), ("", address)):
            times = self._failures.setdefault(key, [])
            times.append(self._clock.monotonic_ms())
            del times[:-ADDRESS_FAILURES_MAX]
            self._failures.move_to_end(key)
        while len(self._failures) > KEYS_MAX:
            self._failures.popitem(last=False)

    def succeeded(self, user: str, address: str) -> None:
        """The right password: this user's slate at this address is clean."""
        self._failures.pop((user, address), None)

    def _wait_s(self, key: tuple[str, str], failures_max: int) -> int:
        since_ms = self._clock.monotonic_ms() - FAILURE_WINDOW_MS
        recent = [at_ms for at_ms in self._failures.get(key, ()) if at_ms > since_ms]
        if len(recent) < failures_max:
            return 0
        return (recent[-failures_max] - since_ms) // 1000 + 1
