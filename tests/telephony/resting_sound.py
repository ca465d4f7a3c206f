"""A process of `test_worker_sound.py`: an announcement of 20 ms is stopped in the midst.

PJSUA2 lives once in a process, so it is not in the test's own.
"""

import os
import sys
import time
import wave
import weakref
from pathlib import Path

import pjsua2 as pj

from telephony import resting
from telephony.mixing import ANNOUNCEMENT
from telephony.worker_messages import WorkerSettings
from telephony.worker_sound import CLOCK_HZ, Board, Sounds

SOON_S = 20.0


def endpoint() -> pj.Endpoint:
    config = pj.EpConfig()
    config.uaConfig.threadCnt = 0
    config.uaConfig.mainThreadOnly = True
    config.logConfig.level = 1
    config.medConfig.clockRate = config.medConfig.sndClockRate = CLOCK_HZ
    config.medConfig.sndAutoCloseTime = -1
    made = pj.Endpoint()
    made.libCreate()
    made.libInit(config)
    made.libStart()
    made.audDevManager().setNullDev()
    return made


def announcement(path: Path) -> str:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(CLOCK_HZ)
        file.writeframes(b"\x10\x10" * (CLOCK_HZ // 50))
    return str(path)


def main(folder: Path) -> None:
    library = endpoint()
    settings = WorkerSettings(
        name="w", gateway_id="g", sip_host="127.0.0.1", sip_port=0, link_user="",
        rtp_host="127.0.0.1", rtp_port=0, rtp_ports=2, kamailio="", live_dir=str(folder),
        announcement=announcement(folder / "a.wav"), music="", places=str(folder),
        seat_answer_timeout_s=1, seat_silent_s=1, caller_silent_s=1, place_answer_timeout_s=1,
    )  # fmt: skip
    sounds, board = Sounds(settings, lambda: folder / "centre.wav", resting.Resting()), Board()
    ear = pj.AudioMediaRecorder()
    ear.createRecorder(str(folder / "ear.wav"))

    def media_of(name: str, make: bool) -> pj.AudioMedia | None:
        if name == "caller":
            return ear
        return sounds.media(name) if make else sounds.playing(name)

    def until_heard_by(count: int, source: pj.AudioMedia) -> None:
        end_s = time.monotonic() + SOON_S
        while len(source.getPortInfo().listeners) != count:
            library.libHandleEvents(10)
            assert time.monotonic() < end_s, f"not heard by {count}"

    board.apply(frozenset({(ANNOUNCEMENT, "caller")}), media_of)
    source = weakref.ref(sounds.playing(ANNOUNCEMENT))
    until_heard_by(2, source())
    board.cut(ANNOUNCEMENT, media_of)
    sounds.set_place(1)
    assert sounds.playing(ANNOUNCEMENT) is None
    assert source() is not None, "destroyed while its end of file may be on its way"
    until_heard_by(0, source())
    resting.REST_S = 0.0
    sounds.media(ANNOUNCEMENT)
    sounds.stop(ANNOUNCEMENT)
    assert source() is None, "kept for ever"
    os.write(1, b"rested\n")
    os._exit(0)  # native threads may still be leaving


if __name__ == "__main__":
    main(Path(sys.argv[1]))
