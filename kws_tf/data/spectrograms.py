"""Spectrograms of recordings of any length, for training to draw windows from.

They take 14 MB an hour, are computed once and stay on disk: training maps them into memory, so
that hundreds of hours need none.
"""

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kws_tf.audio import folders, reader
from kws_tf.checks import check_there
from kws_tf.data.records import HOP_MS, to_uint8
from kws_tf.errors import KwsError
from kws_tf.frontend.config import LogMel
from kws_tf.frontend.features import log_mel as spectrogram
from kws_tf.progress import progress

VALIDATION_SHARE = 0.25
"""Of the recordings, or of LibriSpeech's speakers."""
_ALARM = re.compile(r"\d{4,}_.+_\d\.\d{3}_(.+)_\d+\.\d{2}s")
_LIBRISPEECH = re.compile(r"(\d+)-\d+-\d{4}")
"""Speaker, chapter, utterance. Dates are of another form: all of a year would be one speaker's."""


@dataclass(frozen=True)
class Spectrograms:
    """Log-mel spectrograms of recordings, one after the other.

    Attributes:
        frames: uint8 [frames, bands], a frame every 10 ms; a file mapped into memory.
        log_mel: Front end of the spectrograms.
        recordings: Their number.
        digest: Hexadecimal digits that change with the recordings or the front end.
        spoken: int64 [n, 2], windows that hold a keyword, first frame and end, in order of time.
    """

    frames: np.ndarray
    log_mel: LogMel
    recordings: int
    digest: str = ""
    spoken: np.ndarray = field(default_factory=lambda: np.empty((0, 2), np.int64))

    def drawn(self, starts: np.ndarray, length: int, even: float = 0.0) -> np.ndarray:
        """Cuts windows, uint8 [windows, length, bands], that hold no keyword.

        Args:
            starts: int64 [windows, tries], first frames; of each row the first is taken whose
                window shares less than half with every one of ``spoken``, and whose level is not
                too even; if none is, the last.
            length: Frames of a window.
            even: Range of a window's level, steps of 0.1 nats, up to which nobody speaks in it.
        """
        chosen, left = starts[:, -1].copy(), np.arange(len(starts))
        for tried in starts.T:
            fits = ~self._holds_keyword(tried[left] + length // 2)
            if even:
                fits &= np.array([self._range(start, length) > even for start in tried[left]])
            chosen[left[fits]] = tried[left[fits]]
            left = left[~fits]
            if not len(left):
                break
        return np.stack([self.frames[start : start + length] for start in chosen])

    def _holds_keyword(self, middle: np.ndarray) -> np.ndarray:
        """Tells of windows by their middle frame; all of ``spoken`` are of the same length."""
        if not len(self.spoken):
            return np.zeros(len(middle), bool)
        centres = self.spoken.mean(1)
        after = np.searchsorted(centres, middle)
        near = [centres[np.clip(after - n, 0, len(centres) - 1)] for n in (0, 1)]
        return np.min(np.abs(middle - near), 0) < (self.spoken[0, 1] - self.spoken[0, 0]) / 2

    def _range(self, start: int, length: int) -> float:
        level = self.frames[start : start + length].mean(1)
        low, high = np.percentile(level, [10, 90])
        return high - low

    @property
    def hours(self) -> float:
        """Hours of audio."""
        return len(self.frames) * self.log_mel.hop_ms / 3_600_000


def load(
    places: Sequence[str | os.PathLike], partition: str, log_mel: LogMel, cache: Path
) -> Spectrograms:
    """Loads the recordings of folders: those for ``training``, or for ``validation``.

    Of several channels the mean is taken.

    Args:
        places: Folders, searched to any depth, or files.
        partition: See ``partition_of``.
        log_mel: The front end; its hop does not count.
        cache: Folder in which spectrograms are kept.

    Raises:
        KwsError: If a place has no recordings, or one of them cannot be read.
    """
    paths = [path for path in files_in(places) if partition_of(path) == partition]
    stored = log_mel.with_hop(HOP_MS)
    digest = hashlib.sha256(stored.fingerprint().encode())
    for path in paths:
        state = path.stat()
        digest.update(os.fsencode(f"{path.name}\0{state.st_size}\0{state.st_mtime_ns}\0"))
    name = digest.hexdigest()[:16]
    file = Path(cache) / f"spectrograms-{name}.u8"
    if not file.exists():
        _write(file, paths, stored, f"spectrograms of recordings, {partition}")
    size = file.stat().st_size // stored.bands
    shape = (size, stored.bands)
    frames = np.memmap(file, np.uint8, "r", shape=shape) if size else np.empty(shape, np.uint8)
    return Spectrograms(frames, stored, len(paths), name)


def files_in(places: Sequence[str | os.PathLike]) -> list[Path]:
    """Returns the recordings in folders, to any depth; a KwsError if a place has none."""
    check_there(places)
    found = []
    for place in map(Path, places):
        within = [place] if place.is_file() else folders.visible_files(place)
        chosen = [path for path in within if path.suffix.lower() in reader.EXTENSIONS]
        if not chosen:
            raise KwsError(f"{place} has no recordings; give folders of audio")
        found += chosen
    return found


def partition_of(path: Path) -> str:
    """Returns the partition of a recording: by its name, or its speaker's in LibriSpeech.

    An alarm that soak has cut out is in the partition of the recording that it is from.
    """
    name = folders.stem(path.name)
    if cut := _ALARM.fullmatch(name):
        name = cut[1]
    if known := _LIBRISPEECH.fullmatch(name):
        name = known[1]
    share = int(hashlib.sha1(os.fsencode(name)).hexdigest()[:8], 16) / 2**32
    return "validation" if share < VALIDATION_SHARE else "training"


def _write(file: Path, paths: Sequence[Path], log_mel: LogMel, title: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    # Its own, so that runs that begin together do not write into one file.
    unfinished = file.with_suffix(f".{os.getpid()}.part")
    try:
        with unfinished.open("wb") as target:
            for path in progress(paths, len(paths), title):
                for rows in _spectrograms(path, log_mel):
                    target.write(rows.tobytes())
        os.replace(unfinished, file)
    finally:
        unfinished.unlink(missing_ok=True)


def _spectrograms(path: Path, log_mel: LogMel):
    """Yields uint8 [frames, bands] of a recording, block by block."""
    held = np.empty(0, np.float32)
    for block in reader.blocks(path, log_mel.sample_rate, mix_down=True):
        held = np.concatenate([held, block])
        frames = log_mel.frames(len(held))
        if frames:
            yield to_uint8(spectrogram(held, log_mel), log_mel).numpy()
            held = held[frames * log_mel.hop_samples :]
