"""What the centre itself plays into a call, and the connections between all that sound.

A sound is recorded while it plays, as the centre's side of the recording.
"""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pjsua2 as pj

from telephony import worker_messages as wire
from telephony.mixing import ANNOUNCEMENT, BEAT, MUSIC, SOUNDS, Wire
from telephony.resting import Resting
from telephony.sound_files import ANNOUNCEMENT_FILE, MUSIC_FILE, sound_fault
from telephony.worker_recorder import recorder

CLOCK_HZ = 8000
SHIPPED = {ANNOUNCEMENT: ANNOUNCEMENT_FILE, MUSIC: MUSIC_FILE}
BEAT_HZ = 880
BEAT_ON_MS = 60
"""A click long enough to be heard through G.711 and a loudspeaker, short against 500 ms."""


class Sounds:
    """Made when first asked for, gone when stopped: off the board's wires by then. `file` names the
    next recording; what is stopped goes to `resting`.
    """

    def __init__(
        self, settings: wire.WorkerSettings, file: Callable[[], Path], resting: Resting
    ) -> None:
        self._settings = settings
        self._file = file
        self._playing: dict[str, pj.AudioMedia] = {}
        self._recorders: dict[str, pj.AudioMediaRecorder] = {}
        self._resting = resting
        self._per_min = 0
        self._place = 0

    @property
    def per_min(self) -> int:
        """The metronome's rate; 0 is off."""
        return self._per_min

    def set_metronome(self, per_min: int) -> None:
        """Another rate; what plays at the old one stops."""
        if per_min != self._per_min:
            self._per_min = per_min
            self.stop(BEAT)

    @property
    def place(self) -> int:
        """The place in the queue that the announcement tells; 0 is none."""
        return self._place

    def set_place(self, place: int) -> None:
        """Another place in the queue to tell: the announcement starts anew."""
        if place != self._place:
            self._place = place
            self.stop(ANNOUNCEMENT)

    def playing(self, name: str) -> pj.AudioMedia | None:
        """The sound, if it plays."""
        return self._playing.get(name)

    def media(self, name: str) -> pj.AudioMedia:
        """The sound, playing from its beginning if it did not play yet."""
        if name not in self._playing:
            self._playing[name] = self._made(name)
            self._record(name)
        return self._playing[name]

    def record_again(self) -> None:
        """Begin the recordings that could not be begun: the disk may have room again."""
        for name in self._playing.keys() - self._recorders.keys():
            self._record(name)

    def _record(self, name: str) -> None:
        written = recorder(self._file())
        if written is not None:
            self._playing[name].startTransmit(written)
            self._recorders[name] = written

    def stop(self, *names: str) -> None:
        """Drop these sounds and close their recordings."""
        for name in names:
            source, written = self._playing.pop(name, None), self._recorders.pop(name, None)
            if source is not None:
                if written is not None:
                    source.stopTransmit(written)
                self._resting.add(source)

    def keep(self, names: Iterable[str]) -> None:
        """Stop all that are not among `names`."""
        kept = set(names)
        self.stop(*(name for name in SOUNDS if name not in kept))

    def _made(self, name: str) -> pj.AudioMedia:
        if name == BEAT:
            tone = pj.ToneDesc()
            tone.freq1, tone.freq2 = BEAT_HZ, 0
            tone.on_msec = BEAT_ON_MS
            tone.off_msec = round(60_000 / self._per_min) - BEAT_ON_MS
            tones = pj.ToneDescVector()
            tones.append(tone)
            generator = pj.ToneGenerator()
            generator.createToneGenerator(CLOCK_HZ, 1)
            generator.play(tones, True)  # noqa: FBT003 - PJSUA2's "loop"
            return generator
        own = {ANNOUNCEMENT: self._settings.announcement, MUSIC: self._settings.music}[name]
        fault = sound_fault(Path(own))
        if fault:  # silence would sound like a dead line
            sys.stderr.write(f"worker: {fault}; ours is played instead\n")
        path = str(SHIPPED[name]) if fault else own
        player = pj.AudioMediaPlayer()
        told = place_files(Path(self._settings.places), self._place) if name == ANNOUNCEMENT else []
        if told:
            playlist = pj.StringVector()
            for file in (*told, path):
                playlist.append(file)
            try:
                player.createPlaylist(playlist)
            except pj.Error as error:  # files of several formats: the announcement alone
                sys.stderr.write(f"worker: place in the queue: {error.info()}\n")
            else:
                return player
        player.createPlayer(path)
        return player


def place_files(folder: Path, place: int) -> list[str]:
    """What tells this place, a file a language; Chinese first, the others by name."""
    if place <= 0:
        return []
    found = folder.glob(f"*/{place}.wav")
    return [str(path) for path in sorted(found, key=lambda p: (p.parent.name != "zh", p.parent))]


class Board:
    """Carries out what `mixing.wires` wants: connects what is missing, disconnects the rest."""

    def __init__(self) -> None:
        self._up: set[Wire] = set()

    def apply(
        self, wanted: frozenset[Wire], media_of: Callable[[str, bool], pj.AudioMedia | None]
    ) -> None:
        """Make the connections `wanted`; one whose end has no media yet waits for the next time.
        `media_of(name, make)` makes a sound that does not play yet, where it may.
        """
        for source, sink in sorted(self._up - wanted):
            self._up.discard((source, sink))
            start, end = media_of(source, False), media_of(sink, False)  # noqa: FBT003
            if start is not None and end is not None:  # else it went with its port
                self._try(start.stopTransmit, source, end)
        for source, sink in sorted(wanted - self._up):
            start, end = media_of(source, True), media_of(sink, True)  # noqa: FBT003
            if start is not None and end is not None:
                self._try(start.startTransmit, source, end)
                self._up.add((source, sink))

    def part(self, name: str, media_of: Callable[[str, bool], pj.AudioMedia | None]) -> None:
        """Disconnect this end from all others."""
        self.apply(frozenset(pair for pair in self._up if name not in pair), media_of)

    def forget(self, name: str) -> None:
        """This end is gone, or has new media: its connections went with the old."""
        self._up = {pair for pair in self._up if name not in pair}

    def _try(
        self, change: Callable[[pj.AudioMedia], None], source: str, end: pj.AudioMedia
    ) -> None:
        """A port that went in the same moment costs its own connection, never the call."""
        try:
            change(end)
        except pj.Error as error:
            sys.stderr.write(f"worker: connection from {source}: {error.info()}\n")

    def cut(self, source: str, media_of: Callable[[str, bool], pj.AudioMedia | None]) -> None:
        """Disconnect this source from all who hear it."""
        self.apply(frozenset(wire for wire in self._up if wire[0] != source), media_of)
