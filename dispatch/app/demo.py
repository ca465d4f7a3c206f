"""The demonstration's accounts, seats and feeds. Everything here is invented, and says so."""

from msgspec.structs import replace

from console_web.server.deps import DemoAccount
from console_web.server.users import User, UsersStore, hash_password
from dispatch.app.settings import SeatPart, Settings
from dispatch.contracts.ids import HospitalId, SeatId, UnitId, UserId
from dispatch.contracts.things import Register
from dispatch.contracts.words import Role

PASSWORD = "demo120"  # noqa: S105 - printed on the screen; the demo listens on loopback
SEATS = tuple(
    SeatPart(seat_id=f"{n:02d}", phone=f"seat{n:02d}", password=f"phone-{n:02d}-demo")
    for n in range(1, 5)
)
FEED_PORT_OFFSET = 10
"""Simulated hospital systems listen at the feed port plus this, one after the other."""
WITHOUT_FEED = 1
"""The last hospital has no feed: its clerk types the number."""


def with_feeds(register: Register, settings: Settings) -> Register:
    """In the demo all hospitals but the last have a simulated system that hears HL7."""
    if not settings.demo:
        return register
    hospitals = tuple(
        replace(hospital, feed=f"mllp://127.0.0.1:{port}")
        for hospital, port in zip(register.hospitals, feed_ports(register, settings), strict=False)
    )
    return replace(register, hospitals=hospitals + register.hospitals[len(hospitals) :])


def feed_ports(register: Register, settings: Settings) -> range:
    """Ports of the simulated hospital systems, in the register's order."""
    first = settings.feed.port + FEED_PORT_OFFSET
    hospitals = len(register.hospitals)
    return range(first, first + (hospitals - WITHOUT_FEED if hospitals > 1 else hospitals))


def demo_accounts(register: Register, settings: Settings) -> tuple[DemoAccount, ...]:
    """Who may log in to the demo, password in the open: a few of each role."""
    return tuple(
        DemoAccount(user=u.user, password=PASSWORD, name=u.name, role=u.role.value)
        for u in _people(register, settings, units_max=3, hospitals_max=len(register.hospitals))
    )


def make_users(register: Register, settings: Settings) -> UsersStore:
    """All accounts of the demo."""
    return UsersStore(_people(register, settings, units_max=len(register.units), hospitals_max=99))


def _people(
    register: Register, settings: Settings, *, units_max: int, hospitals_max: int
) -> list[User]:
    secret = hash_password(PASSWORD)
    people = [
        User(
            user=f"seat{seat.seat_id}",
            name=f"{seat.seat_id} 席 Seat {seat.seat_id}",
            role=Role.CALL_TAKER,
            password=secret,
            seat_id=SeatId(seat.seat_id),
        )
        for seat in settings.seats
    ]
    people += [
        User(
            user=f"crew-{unit.unit_id.lower()}",
            name=f"{unit.plate} 车组",
            role=Role.CREW,
            password=secret,
            unit_id=UnitId(unit.unit_id),
        )
        for unit in register.units[:units_max]
    ]
    people += [
        User(
            user=f"ed-{hospital.hospital_id.lower()}",
            name=hospital.name_zh,
            role=Role.HOSPITAL,
            password=secret,
            hospital_id=HospitalId(hospital.hospital_id),
        )
        for hospital in register.hospitals[:hospitals_max]
    ]
    return [
        *people,
        User(user=UserId("monitor"), name="班长 Supervisor", role=Role.SUPERVISOR, password=secret),
        User(user=UserId("admin"), name="管理员 Admin", role=Role.ADMIN, password=secret),
    ]
