"""Audio files to float32 samples: the one reader of import, training, evaluation and spotting.

libsndfile (package soundfile) decodes. The content tells the format, not the name: FLAC copies of
the official data are called ``backward_0c540988_nohash_0.wav.flac``. Only a whole file counts: it
is refused if it promises more than can be read, or holds more. Lengths that an encoder left
unknown, because it wrote to a pipe, are read to the end.
"""

import io
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np
import soundfile

from kws_tf.audio.resampling import resampled
from kws_tf.errors import KwsError
from kws_tf.quiet import captured_stderr

SAMPLE_RATE = 16000
"""Hz; the rate of Speech Commands and of the front ends."""
EXTENSIONS = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc")
"""What names of recordings end in, in small letters."""

_CHUNKED = ("WAV", "WAVEX", "AIFF")
_FORMATS = (*_CHUNKED, "FLAC", "OGG", "MP3")
_RATES = range(4_000, 192_001)
_BLOCK = 2**19  # values, 33 seconds of mono at 16 kHz
_ABSURD = 1e6  # re full scale; floats of a damaged file
_LOUDEST = 4.0  # re full scale; what lossy formats and resampling overshoot is less
_MP3_PADDING = 4096  # bytes; two frames are fewer

# Bytes of samples that encoders state which write to a pipe: 0xFFFFFFFF (ffmpeg), 0x80000000
# (arecord), 0x7FFFF000 (espeak-ng, SoX), 0x7F000000 (SoX's AIFF).
_UNKNOWN_BYTES = 0x7F00_0000
_UNKNOWN_FRAMES = 2**63 - 1  # libsndfile's, where a FLAC header states none
# What libsndfile notes of a file of which it reads a part, and raises no error.
_CUT_OGG = re.compile(r"^Ogg ?: (Junk after the last page|Last page lacks[^.]*)", re.MULTILINE)


class UnreadableAudio(KwsError):
    """A file that is no whole recording; ``reason`` says why, without its name and what to do."""

    def __init__(self, path: str | os.PathLike, reason: str, remedy="replace or remove it"):
        super().__init__(f"{path} {reason}; {remedy}")
        self.reason = reason


def load(
    path: str | os.PathLike, sample_rate: int = SAMPLE_RATE, mix_down: bool = False
) -> np.ndarray:
    """Reads a recording.

    Args:
        path: WAV (8 to 64 bits), FLAC, OGG (Vorbis or Opus), MP3 or AIFF.
        sample_rate: The rate wanted, Hz; a file of another one is resampled.
        mix_down: Take the mean of several channels instead of refusing them.

    Returns:
        float32 [samples], full scale 1; 16-bit samples are divided by 32,768, exactly.

    Raises:
        KwsError: The file is missing, of another kind, damaged, cut, without samples, of several
            channels without ``mix_down``, or far beyond full scale.
    """
    return np.concatenate(list(blocks(path, sample_rate, mix_down)))


def blocks(
    path: str | os.PathLike, sample_rate: int = SAMPLE_RATE, mix_down: bool = False
) -> Iterator[np.ndarray]:
    """Reads a recording of any length in constant memory.

    Args and errors are those of ``load``; a file that is cut says so at its end.

    Yields:
        float32 [n], one after the other; together they are what ``load`` returns.
    """
    with AudioFile(path) as file:
        if file.channels > 1 and not mix_down:
            raise KwsError(
                f"{path} has {file.channels} channels and one is needed; give --mix-down to "
                "take their mean, or convert it to mono"
            )
        mono = (block.mean(axis=1) for block in file.decoded(_LOUDEST))
        yield from resampled(mono, file.samplerate, sample_rate)


def wav_bytes(samples: np.ndarray, sample_rate: int = SAMPLE_RATE) -> bytes:
    """Returns a mono WAV file of 16 bits; float samples are limited to full scale."""
    file = io.BytesIO()
    soundfile.write(file, samples, sample_rate, "PCM_16", format="WAV")
    return file.getvalue()


class AudioFile(soundfile.SoundFile):
    """An open file; a context manager. It is read strictly forward.

    After every block soundfile seeks to where it is already. In a damaged or endless FLAC file
    that fails, or loops, and hides what the decoder has found.
    """

    _handle = None

    def __init__(self, path: str | os.PathLike):
        self._path = path
        if os.path.exists(path) and not os.path.isfile(path):  # a pipe would wait for its writer
            raise UnreadableAudio(path, "is no file", "give a recording")
        with self._named_errors():
            self._handle = open(path, "rb", buffering=0)  # noqa: SIM115  Until ``close``.
            self._size = os.fstat(self._handle.fileno()).st_size
            if not self._size:
                raise self._unreadable("is an empty file")
            start = self._bytes(0, 2**16)
            # libsndfile's MP3 decoder prints.
            self._prints = start[:4] not in (b"RIFF", b"fLaC", b"OggS", b"FORM")
            with self._quiet():
                super().__init__(self._handle.fileno(), closefd=False)
            # Without one of these the length of an MP3 file is a guess from its first frame.
            self._is_guess = self.format == "MP3" and not re.search(b"Xing|Info|VBRI", start)
            self._check_header()

    @property
    def is_float(self) -> bool:
        """Whether its samples may lie beyond full scale."""
        return self.subtype in ("FLOAT", "DOUBLE")

    def seekable(self) -> bool:
        """Tells soundfile not to seek."""
        return False

    def close(self) -> None:
        """Closes the file."""
        super().close()
        if self._handle:
            self._handle.close()

    def decoded(self, loudest: float = _ABSURD) -> Iterator[np.ndarray]:
        """Yields the samples, float32 [n, channels]; above ``loudest`` re full scale they raise."""
        done, most = 0, max(1, _BLOCK // self.channels)
        while True:
            with self._named_errors(), self._quiet():
                # One more than there are, which shows what follows them.
                block = self.read(min(most, self.frames + 1 - done), "float32", always_2d=True)
            if not len(block):
                break
            peak = np.abs(block).max()
            if not peak <= _ABSURD:
                raise self._unreadable("has samples that are not numbers, or far too large")
            if peak > loudest:
                raise self._unreadable(
                    f"has samples of {peak:,.0f} where full scale is 1",
                    "import it with scripts/import_recordings.py, which sets the level",
                )
            done += len(block)
            yield block
        self._check_end(done)

    def _unreadable(self, reason: str, *remedy: str) -> UnreadableAudio:
        return UnreadableAudio(self._path, reason, *remedy)

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except soundfile.LibsndfileError as error:
            detail = error.error_string.removeprefix("Error : ").strip(" .")
            raise self._unreadable(f"cannot be decoded ({detail})") from error
        except OSError as error:
            detail = error.strerror or error
            raise self._unreadable(f"cannot be read ({detail})", "check the path") from error

    def _quiet(self) -> AbstractContextManager:
        return captured_stderr() if self._prints else nullcontext()

    def _bytes(self, place: int, count: int) -> bytes:
        return os.pread(self._handle.fileno(), count, place)

    def _check_header(self) -> None:
        """Raises unless there is something to read, and all of it."""
        if self.format not in _FORMATS:
            raise self._unreadable(f"is of the kind {self.format}", "convert it to WAV or FLAC")
        if self.samplerate not in _RATES:
            raise self._unreadable(
                f"has a sample rate of {self.samplerate:,} Hz",
                f"convert it to one from {_RATES[0]:,} to {_RATES[-1]:,} Hz",
            )
        stated, there = self._sample_bytes()
        if there and not stated:
            raise self._unreadable(
                f"says that it has no samples but {there:,} bytes follow, as after a recording "
                "that was broken off",
                "rescue them: sox --ignore-length FILE NEW.wav",
            )
        if there < stated < _UNKNOWN_BYTES:
            raise self._unreadable(
                f"is truncated: its header promises {stated:,} bytes of samples and {there:,} are "
                "there"
            )
        if not self.frames:
            raise self._unreadable("has no samples")

    def _sample_bytes(self) -> tuple[int, int]:
        """Returns how many bytes of samples a WAV or AIFF file states, and how many it can have.

        libsndfile reads what is there, and tells of the rest in a log that other chunks may fill.
        """
        place, kind = 12, self._bytes(0, 4)
        name = b"SSND" if kind == b"FORM" else b"data"
        order = "little" if kind == b"RIFF" else "big"
        while self.format in _CHUNKED and len(head := self._bytes(place, 8)) == 8:
            length = int.from_bytes(head[4:], order)
            place += 8
            if head[:4] == name:
                return length, self._size - place
            place += length + length % 2
        return 0, 0

    def _check_end(self, done: int) -> None:
        """Raises unless so many samples are all that the file promises and all that it holds."""
        if found := _CUT_OGG.search(self.extra_info):
            raise self._unreadable(f"is no whole OGG file ({found[1].lower()})")
        if done < self.frames < _UNKNOWN_FRAMES and not self._is_guess:
            raise self._unreadable(
                f"is truncated or damaged: it promises {self.frames:,} samples and {done:,} can "
                "be read"
            )
        if not done:
            raise self._unreadable("has no samples")
        place = os.lseek(self._handle.fileno(), 0, os.SEEK_CUR)
        following = int.from_bytes(self._bytes(place, 2))
        # An MP3 frame begins with eleven set bits.
        is_frame = self.format == "MP3" and following >> 5 == 0x7FF
        if is_frame and self._size - place > _MP3_PADDING:
            raise self._unreadable(
                "is an MP3 file of variable bit rate without its length, of which a part can be "
                "read",
                "convert it to WAV or FLAC",
            )
