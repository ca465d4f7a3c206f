"""Who may sign in: a JSON file with scrypt hashes, read at start.

The file: `{"users": [{"user", "name", "role", "password", "seat_id"?, "unit_id"?,
"hospital_id"?}]}` where `password` is what `hash_password` gave.
"""

import base64
import hashlib
import hmac
import secrets
from pathlib import Path
from typing import Annotated

import msgspec

from dispatch.contracts.errors import BadInput
from dispatch.contracts.ids import HospitalId, SeatId, UnitId
from dispatch.contracts.words import Role

SCRYPT_N = 1 << 14
"""16 MiB and some 40 ms a try: see docs/sources.md#passwords."""
SCRYPT_R = 8
SCRYPT_P = 1
SALT_BYTES = 16
_Short = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class User(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One account. A crew has a unit, a hospital's board a hospital, a call-taker a seat."""

    user: _Short
    name: str
    role: Role
    password: str
    seat_id: SeatId | None = None
    unit_id: UnitId | None = None
    hospital_id: HospitalId | None = None


class _UsersFile(msgspec.Struct, kw_only=True):
    users: list[User]


def hash_password(password: str, *, n: int = SCRYPT_N) -> str:
    """`scrypt$n$r$p$salt$hash`, base64, with a fresh salt."""
    salt = secrets.token_bytes(SALT_BYTES)
    digest = _scrypt(password, salt, n, SCRYPT_R, SCRYPT_P)
    parts = (base64.b64encode(salt).decode(), base64.b64encode(digest).decode())
    return f"scrypt${n}${SCRYPT_R}${SCRYPT_P}${parts[0]}${parts[1]}"


def password_matches(password: str, stored: str) -> bool:
    """Whether `password` is the one that `stored` was made from; False for a spoilt entry."""
    try:
        scheme, n, r, p, salt, digest = stored.split("$")
        if scheme != "scrypt":
            return False
        expected = base64.b64decode(digest, validate=True)
        actual = _scrypt(password, base64.b64decode(salt, validate=True), int(n), int(r), int(p))
    except ValueError:
        return False
    return hmac.compare_digest(actual, expected)


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=256 * n * r, dklen=32)


class UsersStore:
    """The accounts of one file, or of a list in tests."""

    def __init__(self, users: list[User]) -> None:
        self._users: dict[str, User] = {}
        for user in users:
            check_user(user)
            if user.user in self._users:
                raise BadInput("users", f"{user.user!r} is there twice", mend="rename one")
            self._users[user.user] = user

    @classmethod
    def load(cls, path: Path) -> "UsersStore":
        """Read the file.

        Raises:
            BadInput: the file is missing or not what it should be.
        """
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise BadInput(str(path), f"cannot be read ({error.strerror})") from error
        try:
            return cls(msgspec.json.decode(raw, type=_UsersFile).users)
        except msgspec.DecodeError as error:
            raise BadInput(path.name, str(error), mend="see console_web/server/users.py") from error

    def save(self, path: Path) -> None:
        """Write the file whole, readable by its owner only."""
        raw = msgspec.json.format(
            msgspec.json.encode(_UsersFile(users=list(self._users.values()))), indent=2
        )
        fresh = path.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_bytes(raw)
        fresh.replace(path)

    def take(self, other: "UsersStore") -> None:
        """Have the other's accounts from now on."""
        self._users = {user.user: user for user in other.all()}

    def find(self, user: str) -> User | None:
        """The account of this name."""
        return self._users.get(user)

    def all(self) -> list[User]:
        """Every account."""
        return list(self._users.values())


def check_user(user: User) -> None:
    """Refuse an account that could sign in and then do nothing, or too much.

    Raises:
        BadInput: the account lacks what its role needs.
    """
    if user.role is Role.SYSTEM:
        raise BadInput(f"users.{user.user}.role", "is for the system itself", mend="use admin")
    if user.role is Role.CREW and user.unit_id is None:
        raise BadInput(f"users.{user.user}.unit_id", "is missing", mend="name the crew's unit")
    if user.role is Role.HOSPITAL and user.hospital_id is None:
        raise BadInput(f"users.{user.user}.hospital_id", "is missing", mend="name its hospital")
