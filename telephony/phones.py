"""Which phones are registered: kept over a restart of Kamailio, and told when one comes.

Kamailio holds registrations in memory. What it has is read every few seconds and kept in a file; a
Kamailio that starts is given it back, for a short time: each phone registers again within that.
"""

from pathlib import Path

import msgspec

from dispatch.contracts.errors import BadInput
from dispatch.contracts.gateway import BROWSER_PHONE
from dispatch.contracts.ports import Clock
from telephony.kamailio import KamailioControl
from telephony.sip_message import place_of

RESTORED_S = 60
"""How long a restored registration holds: a phone registers at least so often (`max_expires`)."""
GONE_LOOKS = 5
"""So many looks in a row without a phone, and it is gone: a browser comes back within that."""
KEPT_MS = 600_000
"""Older than this the file says nothing about phones of today."""
RESTORED_CALL_ID = "dfjrewr12386fd6-343@kamailio.rpc"
"""What Kamailio writes for a registration that it was given over its control socket."""
METHODS = 8159
"""What our phones can be sent: INVITE, ACK, BYE, CANCEL, OPTIONS and what goes with them."""


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """A phone's address, and the Call-ID of its registering: new with each start of the phone."""

    user: str
    contact: str
    call_id: str
    connection: str = ""
    """Of a browser, whose address leads nowhere: `host:port` where its connection comes from."""


class PhoneChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What is new since the last look, by user."""

    came: tuple[str, ...] = ()
    """New, or started anew."""
    restarted: tuple[Registration, ...] = ()
    """Those of `came` that are browsers and were known before: the page was loaded anew."""
    gone: tuple[str, ...] = ()
    """Were there, and are not registered any more."""


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    at_ms: int
    registrations: tuple[Registration, ...] = ()


class _Contact(msgspec.Struct, frozen=True, kw_only=True):
    address: str = msgspec.field(name="Address")
    call_id: str = msgspec.field(name="Call-ID", default="")
    received: str = msgspec.field(name="Received", default="")


class _AContact(msgspec.Struct, frozen=True, kw_only=True):
    contact: _Contact = msgspec.field(name="Contact")


class _Info(msgspec.Struct, frozen=True, kw_only=True):
    user: str = msgspec.field(name="AoR")
    contacts: tuple[_AContact, ...] = msgspec.field(name="Contacts", default=())


class _Aor(msgspec.Struct, frozen=True, kw_only=True):
    info: _Info = msgspec.field(name="Info")


class _Domain(msgspec.Struct, frozen=True, kw_only=True):
    aors: tuple[_Aor, ...] = msgspec.field(name="AoRs", default=())


class _ADomain(msgspec.Struct, frozen=True, kw_only=True):
    domain: _Domain = msgspec.field(name="Domain")


class _Dump(msgspec.Struct, frozen=True, kw_only=True):
    domains: tuple[_ADomain, ...] = msgspec.field(name="Domains", default=())


def listed(control: KamailioControl) -> tuple[Registration, ...]:
    """What Kamailio has now.

    Raises:
        OSError: no Kamailio answers.
        BadInput: its answer is none.
    """
    reply = control.call("ul.dump", [])
    try:
        dump = msgspec.convert(reply, type=_Dump)
    except msgspec.ValidationError as error:
        raise BadInput("kamailio ul.dump", str(error), mend="see Kamailio's log") from error
    return tuple(
        Registration(
            user=aor.info.user,
            contact=one.contact.address,
            call_id=one.contact.call_id,
            connection=place_of(one.contact.received),
        )
        for outer in dump.domains
        for aor in outer.domain.aors
        for one in aor.info.contacts
    )


class PhoneBook:
    """What was last seen, in memory and in `path`."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._known: tuple[Registration, ...] = ()
        self._saved_ms = 0
        self._present: dict[str, str] = {}
        self._missed: dict[str, int] = {}

    def changes(self, now: tuple[Registration, ...]) -> PhoneChanges:
        """Remember what there is now. A phone that was only restored may be gone: it counts when it
        registers itself. A browser whose connection tore is back within some looks and was never
        away; only one with another Call-ID has forgotten its calls.
        """
        real = [one for one in now if one.call_id != RESTORED_CALL_ID]
        fresh = [one for one in real if self._is_fresh(one)]
        changes = PhoneChanges(
            came=tuple(one.user for one in fresh),
            restarted=tuple(
                one
                for one in fresh
                if one.user.endswith(BROWSER_PHONE) and one.user in self._present
            ),
            gone=self._gone({one.user for one in now}),
        )
        self._present |= {one.user: one.call_id for one in real}
        self._keep(now)
        return changes

    def _is_fresh(self, one: Registration) -> bool:
        if one.user.endswith(BROWSER_PHONE):
            return self._present.get(one.user) != one.call_id
        return one not in self._known

    def _gone(self, there: set[str]) -> tuple[str, ...]:
        self._missed = {
            user: self._missed.get(user, 0) + 1 for user in self._present if user not in there
        }
        gone = tuple(user for user, looks in self._missed.items() if looks >= GONE_LOOKS)
        for user in gone:
            del self._present[user], self._missed[user]
        return gone

    def _keep(self, now: tuple[Registration, ...]) -> None:
        at_ms = self._clock.now_ms()
        if now != self._known or at_ms - self._saved_ms > KEPT_MS // 10:
            self._known, self._saved_ms = now, at_ms
            new = self._path.with_suffix(".new")
            new.write_bytes(msgspec.json.encode(_Kept(at_ms=at_ms, registrations=now)))
            new.replace(self._path)

    def restore(self, control: KamailioControl, users: frozenset[str]) -> int:
        """Give a Kamailio that has just started what the last one had; how many. A browser's
        connection went with the last one: it registers over a new one.

        Raises:
            OSError: no Kamailio answers.
            BadInput: it refuses.
        """
        kept = self._kept()
        for one in kept:
            if one.user in users:
                given = [RESTORED_S, "1.0", ".", 0, 0, METHODS]
                control.call("ul.add", ["location", one.user, one.contact, *given])
        return len(kept)

    def _kept(self) -> tuple[Registration, ...]:
        try:
            kept = msgspec.json.decode(self._path.read_bytes(), type=_Kept)
        except (OSError, msgspec.DecodeError):
            return ()  # none yet, or torn: the phones register again by themselves
        if not 0 <= self._clock.now_ms() - kept.at_ms <= KEPT_MS:
            return ()
        return kept.registrations
