"""What of the machine's cores who took: from the kernel's counts of processes' time."""

import os
import resource
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

TICKS_A_S = os.sysconf("SC_CLK_TCK")
GATEWAY_PARTS = {
    "telephony.worker": "workers",
    "telephony.supervisor": "supervisor",
    "kamailio.cfg": "kamailio",
}
GENERATOR = "generator"


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds of a core by part, at one moment. `generator` is SIPp and ourselves."""

    at_s: float
    by_part: dict[str, float]
    idle_s: float

    def cores_since(self, earlier: "Taken") -> dict[str, float]:
        """Cores taken between two readings; `other` is the rest of the machine."""
        span_s = max(self.at_s - earlier.at_s, 1e-9)
        found = {
            part: (self.by_part[part] - earlier.by_part.get(part, 0.0)) / span_s
            for part in self.by_part
        }
        found["idle"] = (self.idle_s - earlier.idle_s) / span_s
        found["other"] = max((os.cpu_count() or 1) - sum(found.values()), 0.0)
        return {part: round(cores, 3) for part, cores in found.items()}


def taken(at_s: float, folder: Path, generators: Iterable[int]) -> Taken:
    """Now. `folder` is the gateway's: its processes name it; `generators` are SIPp's that live."""
    by_part = dict.fromkeys([*GATEWAY_PARTS.values(), GENERATOR], 0.0)
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with suppress(OSError):
                line = (process / "cmdline").read_bytes()
                if os.fsencode(folder) in line:
                    for word, part in GATEWAY_PARTS.items():
                        if word.encode() in line:
                            by_part[part] += _process_s(process)
                            break
    for pid in generators:
        with suppress(OSError):
            by_part[GENERATOR] += _process_s(Path(f"/proc/{pid}"))
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        by_part[GENERATOR] += usage.ru_utime + usage.ru_stime
    fields = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()
    idle_s = (int(fields[4]) + int(fields[5])) / TICKS_A_S
    return Taken(at_s=at_s, by_part=by_part, idle_s=idle_s)


def _process_s(process: Path) -> float:
    fields = (process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_A_S
