"""A speech data set made on the spot: words spoken by espeak-ng in Speech Commands' layout.

espeak-ng and its voices come with the package espeakng-loader, so nothing is downloaded. Its C
API keeps global state that leaks from one utterance into the next (oscillator phases, echo
buffers), so clips are rendered in fixed batches, each in a fresh process: the bytes depend on the
settings alone, not on the number of processes. This module never imports TensorFlow, which keeps
those processes light.

API: https://github.com/espeak-ng/espeak-ng/blob/master/src/include/espeak-ng/speak_lib.h
"""

import ctypes
import hashlib
import json
import math
import os
import shutil
import sys
import tempfile
import unicodedata
import wave
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from kws_tf.audio.speech_commands import (
    NOISE_FOLDER,
    PARTITIONS,
    TESTING,
    TRAINING,
    VALIDATION,
    partition_of,
    scan,
)
from kws_tf.errors import KwsError
from kws_tf.labels import KEYWORDS, SILENCE, UNKNOWN, clean_word, word_key
from kws_tf.synthesis.fresh_process import call as _in_fresh_process

UNKNOWN_WORDS = (
    *("bed", "bird", "cat", "dog", "eight", "five", "four", "happy", "house", "marvin", "nine"),
    *("one", "seven", "sheila", "six", "three", "tree", "two", "wow", "zero"),
    *("backward", "forward", "follow", "learn", "visual"),
)
SPEECH_FOLDER = "speech_commands"
TEST_FOLDER = "test_set"
DESCRIPTION_FILE = "dataset.json"
RECIPE_VERSION = 1  # raise it whenever the same settings would give other clips

ACCENTS = (
    *("en", "en-us", "en-us-nyc", "en-029", "en-gb-scotland"),
    *("en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd"),
)
# espeak-ng's voice variants, female and male. Those that sound nearly alike (by log-mel distance
# over 35 words) share a partition; whispering, croaking, robotic and strongly echoing ones, and
# those whose words are seldom recognised from the other variants' words, are left out.
VARIANTS = {
    TRAINING: (
        ("f1", "f2", "f5", "Annie", "aunty", "belinda", "linda", "steph", "steph2", "steph3"),
        (
            *(
                "m1",
                "m3",
                "m4",
                "m5",
                "m6",
                "m7",
                "Alex",
                "Mike",
                "Nguyen",
                "Mario",
                "max",
                "boris",
            ),
            *("adam", "klatt6", "benjamin", "edward2", "Reed", "mike2", "klatt", "klatt2", "david"),
            *("Diogo", "Henrique", "Hugo", "michel", "miguel", "Denis", "victor", "Gene", "Gene2"),
            *("iven", "iven3", "iven4", "paul", "ed", "john", "travis", "AnxiousAndy"),
        ),
    ),
    VALIDATION: (
        ("f3", "grandma"),
        ("m2", "Michael", "gustave", "marcelo", "quincy", "antonio", "Tweaky"),
    ),
    TESTING: (
        ("f4", "Andrea", "anika"),
        (
            *("rob", "robert", "pedro", "Storm", "sandro", "Andy"),
            *("klatt3", "klatt4", "klatt5", "edward"),
        ),
    ),
}

SHORTEST_WINDOW_MS, LONGEST_WINDOW_MS = 1000, 2000  # of those chosen by the words
_BATCH = 256
_CUT, _CUT_SHARE = " (cut)", (0.3, 0.65)  # what is left of a cut word
_BARELY, _ROOM = 0.1, 0.4  # seconds of a window beside the word: at least, and better
_PER_SPEAKER = 1.5  # of one word
_FASTEST_RATE = 300  # words a minute; beyond it words blur
_BACKGROUND_DBFS = -25.0
_BABBLE = (
    "The weather was fine when we left the harbour, and nobody thought of rain.",
    "She asked whether the kitchen table had been moved again during the night.",
    "My brother bought a pound of apples and a newspaper at the corner shop.",
    "Most people agree that the old bridge should be painted before winter comes.",
    "We could hear music from the garden, though the windows were all shut.",
    "They talked about the journey, about money, and about what to cook for dinner.",
)


@dataclass(frozen=True)
class SynthesisSettings:
    """What is spoken, how often, and in which format. The settings determine every byte.

    Attributes:
        words: The keywords, in the spelling that names their folders.
        unknown_words: Other words, for the unknown class; keywords among them are left out.
        per_word: Clips of each keyword over all partitions, at least 3.
        per_unknown_word: Clips of each other word over all partitions, at least 3.
        cut_words: Whether parts of the keywords, as in a window that a word enters or leaves, are
            made for the unknown class as well, in folders ``<word> (cut)``.
        validation_share: Share of a word's clips spoken by validation voices.
        testing_share: Share of a word's clips spoken by testing voices.
        seed: Any integer; another seed gives other speakers and clips.
        sample_rate: Hz, at most espeak-ng's own 22,050.
        seconds: Length of a clip.
        noise_seconds: Length of each background recording.
        accents: Accents of the speakers; what stands twice is twice as frequent.
        variety: Factor on how far speakers differ in pitch, rate, vocal tract and spectral tilt.
        snr_db: Least and greatest level of the word over the noise, dB.
        room_share: Share of clips recorded in a room.

    Raises:
        KwsError: A value is out of range, or a word cannot be spoken.
    """

    words: tuple[str, ...] = KEYWORDS
    unknown_words: tuple[str, ...] = UNKNOWN_WORDS
    per_word: int = 300
    per_unknown_word: int = 25
    validation_share: float = 0.1
    testing_share: float = 0.15
    seed: int = 0
    sample_rate: int = 16_000
    seconds: float = 1.0
    noise_seconds: float = 30.0
    cut_words: bool = False
    accents: tuple[str, ...] = ACCENTS
    variety: float = 1.0
    snr_db: tuple[float, float] = (10, 50)
    room_share: float = 0.5

    def __post_init__(self):
        """Normalises the words and checks every value."""
        words = tuple(_checked_word(word) for word in self.words)
        if not words:
            raise KwsError("no word to synthesise; give at least one")
        keys: set[str] = set()
        for word in words:
            if word_key(word) in keys:
                raise KwsError(f"the word '{word}' is given twice; give each word once")
            keys.add(word_key(word))
        unknown = {word_key(word): word for word in map(_checked_word, self.unknown_words)}
        object.__setattr__(self, "words", words)
        object.__setattr__(
            self, "unknown_words", tuple(word for key, word in unknown.items() if key not in keys)
        )
        for name in ("per_word", "per_unknown_word"):
            if getattr(self, name) < 3:
                raise KwsError(f"{name} is {getattr(self, name)}; 3 partitions need at least 3")
        if not (
            0 < self.validation_share < 1
            and 0 < self.testing_share < 1
            and self.validation_share + self.testing_share < 1
        ):
            raise KwsError("the shares for validation and testing must be positive, sum below 1")
        if not 8_000 <= self.sample_rate <= 22_050:
            raise KwsError(f"the sample rate is {self.sample_rate} Hz; give 8,000 to 22,050")
        if not 0.25 <= self.seconds <= 5:
            raise KwsError(f"clips of {self.seconds} s; give 0.25 to 5 seconds")
        if not 0 <= self.variety <= 1.6:
            raise KwsError(f"speakers that differ {self.variety} times as much; give 0 to 1.6")
        if self.noise_seconds < self.seconds:
            raise KwsError("background recordings are shorter than a clip; raise noise_seconds")

    @property
    def digest(self) -> str:
        """Ten hex digits that name these settings, fit for the name of a cache folder."""
        return hashlib.sha256(json.dumps(_description(self)).encode()).hexdigest()[:10]

    @property
    def other_words(self) -> tuple[str, ...]:
        """All words of the unknown class."""
        cut = tuple(word + _CUT for word in self.words) if self.cut_words else ()
        return self.unknown_words + cut

    def counts(self, word: str) -> dict[str, int]:
        """Returns how many clips of a word each partition gets, at least one each."""
        total = self.per_word if word in self.words else self.per_unknown_word
        validation = max(1, round(total * self.validation_share))
        testing = max(1, round(total * self.testing_share))
        validation = min(validation, total - 2)
        testing = min(testing, total - 1 - validation)
        return {
            TRAINING: total - validation - testing,
            VALIDATION: validation,
            TESTING: testing,
        }


@dataclass(frozen=True)
class Speaker:
    """A synthetic speaker: an accent and a variant of espeak-ng with habits of its own.

    Attributes:
        name: Eight hex digits that the official rule puts into ``partition``.
        partition: One of ``PARTITIONS``.
        voice: ``accent+variant``, as espeak-ng names it.
        pitch: Base pitch, 0 to 99 in espeak-ng's scale.
        rate: Words a minute.
        size: Factor on all frequencies, as a shorter (> 1) or longer vocal tract gives.
    """

    name: str
    partition: str
    voice: str
    pitch: float
    rate: float
    size: float


@dataclass(frozen=True)
class Utterance:
    """One clip to make: a speaker says a word for the ``repetition``-th time."""

    word: str
    speaker: Speaker
    repetition: int

    @property
    def path(self) -> str:
        """Path in the data set: ``<word>/<speaker>_nohash_<repetition>.wav``."""
        return f"{self.word}/{self.speaker.name}_nohash_{self.repetition}.wav"


def make_dataset(
    target_dir: str | os.PathLike,
    settings: SynthesisSettings | None = None,
    jobs: int | None = None,
    progress: bool = True,
) -> Path:
    """Makes the data set, or finds it made.

    The folder gets ``speech_commands/`` (a folder a word and ``_background_noise_``, as Speech
    Commands v0.02), ``test_set/`` (as the canonical test set, by voices and with noise that are
    nowhere else but in the testing partition) and ``dataset.json`` (the settings). It appears
    under its name only when complete.

    Args:
        target_dir: Folder to make; it must be absent, empty, or made earlier with the same
            settings, in which case it is returned at once.
        settings: What to make; by default the ten keywords and 25 other words.
        jobs: Processes at a time; by default one for each core. It does not change the result.
        progress: Whether to report progress on stderr.

    Returns:
        ``target_dir``.

    Raises:
        KwsError: The folder holds something else or cannot be written, espeak-ng is missing or
            fails, or a word does not fit into the clip.
    """
    settings = settings or SynthesisSettings()
    target = Path(target_dir).expanduser().absolute()
    if jobs is not None and jobs < 1:
        raise KwsError(f"{jobs} processes; give at least 1")
    if _is_made(target, settings):
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        workshop = tempfile.TemporaryDirectory(
            dir=target.parent, prefix=f".{target.name}-unfinished-", ignore_cleanup_errors=True
        )
    except OSError as error:
        raise KwsError(
            f"cannot write to {target.parent} ({error.strerror}); choose another folder"
        ) from error
    with workshop as folder:
        made = Path(folder) / "dataset"
        _build(made, settings, jobs or os.cpu_count() or 1, progress)
        # Another process may have finished the same data set meanwhile.
        if not _is_made(target, settings):
            if target.is_dir():
                target.rmdir()  # empty, as _is_made says
            os.replace(made, target)
    return target


def count_recordings(dataset_dir: str | os.PathLike) -> dict[str, dict[str, int]]:
    """Counts the clips of a made data set.

    Args:
        dataset_dir: A folder from ``make_dataset``.

    Returns:
        Word to counts by partition, in alphabetical order.
    """
    table: dict[str, dict[str, int]] = {}
    for clip in scan(Path(dataset_dir) / SPEECH_FOLDER):
        table.setdefault(clip.word, dict.fromkeys(PARTITIONS, 0))[clip.partition] += 1
    return table


def say(
    text: str, out: str | os.PathLike, voice: str = "en+f4", rate: float = 150, pause: float = 0.8
) -> list[tuple[str, float, float]]:
    """Speaks a text into a WAV file of 16 kHz, over faint noise.

    Args:
        text: What to say; its parts are separated by commas.
        out: The file.
        voice: ``accent+variant``, as espeak-ng names it.
        rate: Words a minute, 80 to 450.
        pause: Time before, after and between the parts, seconds.

    Returns:
        Each part with the seconds at which it begins and ends.

    Raises:
        KwsError: If there is nothing to say, it cannot be spoken, or a value is out of range.
    """
    parts = [_checked_word(part) for part in text.split(",") if part.strip()]
    if not parts or not 80 <= rate <= 450 or not 0 <= pause <= 10:
        raise KwsError("give words to say, a rate of 80 to 450 and a pause of 0 to 10 s")
    sample_rate = SynthesisSettings.sample_rate
    silence = np.zeros(round(pause * sample_rate))
    pieces, spans = [silence], []
    for part, spoken in zip(parts, _in_fresh_process(_speak, parts, voice, rate), strict=True):
        spoken = _resampled(spoken, sample_rate / Espeak.sample_rate)
        start = sum(map(len, pieces)) / sample_rate
        spans.append((part, start, start + len(spoken) / sample_rate))
        pieces += [spoken, silence]
    samples = np.concatenate(pieces)
    samples *= _gain(-19) / np.sqrt(np.mean(samples[samples != 0] ** 2))
    samples += _coloured_noise(_rng(text), SynthesisSettings(), len(samples), 1) * _gain(-55)
    _write_wav(Path(out), samples, sample_rate)
    return spans


def _speak(parts: list[str], voice: str, rate: float) -> list[np.ndarray]:
    espeak = Espeak()
    return [espeak.speak(part, voice, rate) for part in parts]


def cast(settings: SynthesisSettings) -> dict[str, list[Speaker]]:
    """Returns each partition's speakers, female and male in turn, no variant in two partitions."""
    speakers = {}
    for partition, genders in VARIANTS.items():
        rng = _rng(settings.seed, "cast", partition)
        pools = [rng.permutation(variants) for variants in genders]
        number = math.ceil(settings.counts(settings.words[0])[partition] / _PER_SPEAKER)
        speakers[partition] = [
            Speaker(
                name=_speaker_name(f"{settings.seed}/{partition}/{index}", partition),
                partition=partition,
                voice=f"{rng.choice(settings.accents)}+{_in_turn(pools[index % 2], index // 2)}",
                pitch=float(np.clip(_about(rng, 50, 25 * settings.variety), 0, 99)),
                rate=_about(rng, 155, 45 * settings.variety),
                size=_about(rng, 1, 0.08 * settings.variety),
            )
            for index in range(number)
        ]
    return speakers


def plan(settings: SynthesisSettings) -> list[Utterance]:
    """Returns every clip of the data set, speaker by speaker."""
    speakers = cast(settings)
    clips = []
    for word in settings.words + settings.other_words:
        for partition, number in settings.counts(word).items():
            # Rare words are not always spoken by the same few.
            order = _rng(settings.seed, word, partition).permutation(len(speakers[partition]))
            clips += [
                Utterance(word, speakers[partition][_in_turn(order, index)], index // len(order))
                for index in range(number)
            ]
    return sorted(clips, key=lambda clip: (clip.speaker.partition, clip.speaker.name, clip.path))


class Espeak:
    """The espeak-ng library. Global state: one instance in a process.

    Raises:
        KwsError: The package is missing or the library does not load.
    """

    sample_rate = 22_050
    _SYNCHRONOUS, _DONT_EXIT = 2, 0x8000
    _RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
    _POS_CHARACTER, _CHARS_UTF8 = 1, 1

    def __init__(self):
        """Loads the library with its packaged voices."""
        try:
            import espeakng_loader

            library = ctypes.CDLL(espeakng_loader.get_library_path())
            data = espeakng_loader.get_data_path()
        except ImportError as error:
            raise KwsError(
                "speech synthesis needs the package espeakng-loader; "
                "run: pip install espeakng-loader"
            ) from error
        except (OSError, RuntimeError) as error:
            raise KwsError(
                f"espeak-ng does not load ({error}); reinstall espeakng-loader"
            ) from error
        library.espeak_Initialize(self._SYNCHRONOUS, 0, os.fsencode(data), self._DONT_EXIT)
        # Paths over some 150 characters are silently replaced by one of the build machine.
        used = ctypes.c_char_p()
        library.espeak_Info(ctypes.byref(used))
        if used.value != os.fsencode(data) or not os.path.isdir(data):
            raise KwsError(
                f"espeak-ng cannot use its voices in {data}; "
                "reinstall espeakng-loader, in a folder with a shorter path if this one is long"
            )
        callback_type = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
        )
        self._pieces: list[bytes] = []
        self._callback = callback_type(self._receive)  # must outlive the library's use of it
        library.espeak_SetSynthCallback(self._callback)
        library.espeak_Synth.argtypes = [
            *(ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int),
            *(ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p),
        ]
        library.espeak_TextToPhonemes.argtypes = [
            ctypes.POINTER(ctypes.c_char_p),
            ctypes.c_int,
            ctypes.c_int,
        ]
        library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        library.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
        library.espeak_ng_SetRandSeed(1)
        self._library = library

    def _receive(self, samples, number: int, _events) -> int:
        if samples and number > 0:
            self._pieces.append(ctypes.string_at(samples, 2 * number))
        return 0  # go on

    def speak(
        self, text: str, voice: str, rate: float = 175, pitch: float = 50, pitch_range: float = 50
    ) -> np.ndarray:
        """Speaks a text.

        Args:
            text: What to say.
            voice: ``accent+variant``, such as ``en-us+f2``.
            rate: Words a minute, 80 to 450.
            pitch: 0 to 99; 50 is the voice's own.
            pitch_range: 0 (monotone) to 99.

        Returns:
            float64 samples [n] in -1..1 at 22,050 Hz, silence at both ends cut off.

        Raises:
            KwsError: espeak-ng does not know the voice or says nothing.
        """
        self._set_voice(voice)
        for parameter, value in (
            (self._RATE, rate),
            (self._VOLUME, 60),  # loud variants overload at the usual 100
            (self._PITCH, pitch),
            (self._RANGE, pitch_range),
        ):
            self._library.espeak_SetParameter(parameter, round(value), 0)
        self._pieces.clear()
        encoded = _text(text)
        failed = self._library.espeak_Synth(
            encoded, len(encoded) + 1, 0, self._POS_CHARACTER, 0, self._CHARS_UTF8, None, None
        )
        samples = np.frombuffer(b"".join(self._pieces), np.int16) / 32_768
        loud = np.flatnonzero(np.abs(samples) > 0.01 * np.abs(samples).max(initial=0))
        if failed or not len(loud):
            raise KwsError(f"espeak-ng cannot speak '{text}'; choose another word")
        return samples[loud[0] : loud[-1] + 1]

    def phonemes(self, text: str, voice: str = "en") -> tuple[str, ...]:
        """Returns how a text is spoken: espeak-ng's names of phonemes, without stress and tone."""
        self._set_voice(voice)
        rest, found = ctypes.c_char_p(_text(text)), []
        while rest.value:  # a clause at a time
            clause = self._library.espeak_TextToPhonemes(
                ctypes.byref(rest), self._CHARS_UTF8, ord("|") << 8
            )
            found += (clause or b"").decode().replace(" ", "|").split("|")
        # Stress comes before a name; a digit or # after it is a variant of the same phoneme.
        plain = (name.lstrip("',%=") for name in found)
        return tuple(name.rstrip("#23") or name for name in plain if name)

    def _set_voice(self, voice: str) -> None:
        if self._library.espeak_SetVoiceByName(voice.encode()):
            raise KwsError(
                f"espeak-ng has no voice '{voice}'; choose one of its own, such as en+f4"
            )


def _text(word: str) -> bytes:
    """Returns what to speak: names of folders may have underscores for spaces."""
    return word.replace("_", " ").encode()


def fitting_window(words: Sequence[str]) -> int:
    """Returns the window for these words: 1,000 ms, or more where the longest needs it.

    It holds the word, spoken by a neutral voice and not in haste, for as long as three decisions
    of the device take, whose posteriors are averaged.

    Args:
        words: The keywords; those that cannot be spoken do not count.

    Raises:
        KwsError: If a word is too long for the longest window.
    """
    spoken = [word for word in map(clean_word, words) if can_speak(word)]
    if not spoken:
        return SHORTEST_WINDOW_MS
    return _in_fresh_process(_check_length, spoken, LONGEST_WINDOW_MS / 1000)


def _check_length(words: Sequence[str], seconds: float) -> int:
    """Returns the window for the longest word, ms; refuses words that a clip barely holds."""
    espeak = Espeak()
    lengths = {w: len(espeak.speak(w, "en+m3", 150)) / espeak.sample_rate for w in words}
    word, longest = max(lengths.items(), key=lambda item: item[1])
    window = max(SHORTEST_WINDOW_MS, 100 * math.ceil(10 * (longest + _ROOM)))
    if longest + _BARELY > seconds:
        advice = f"give --window-ms {min(window, LONGEST_WINDOW_MS)} or choose a shorter word"
        if longest + _BARELY > LONGEST_WINDOW_MS / 1000:
            advice = f"the longest window is {LONGEST_WINDOW_MS} ms, so choose a shorter word"
        raise KwsError(
            f"'{word}' takes {longest:.1f} s and does not fit the window of {seconds:g} s; {advice}"
        )
    return min(window, LONGEST_WINDOW_MS)


def can_speak(word: str) -> bool:
    """Tells whether the English voices can speak a word."""
    try:
        _checked_word(word)
    except KwsError:
        return False
    return True


def _checked_word(word: str) -> str:
    word = clean_word(word)
    if word.startswith("_"):
        raise KwsError(f"'{word}' cannot be spoken; folders of words begin with a letter or digit")
    if not any(character.isalnum() for character in word):
        raise KwsError(f"'{word}' has nothing to speak; give words of letters or digits")
    for character in word:
        latin = unicodedata.name(character, "").startswith("LATIN")
        if not (latin or character in "0123456789 '-_"):
            raise KwsError(
                f"'{character}' in '{word}' cannot be spoken by the English voices; "
                "use Latin letters, digits, spaces, ' and - (or record the word yourself)"
            )
    return word


def _description(settings: SynthesisSettings) -> dict:
    # Through JSON, so that what is read back compares equal.
    return json.loads(json.dumps({"recipe": RECIPE_VERSION, "settings": asdict(settings)}))


def _is_made(target: Path, settings: SynthesisSettings) -> bool:
    """Tells a finished data set from a free place; anything else is an error."""
    try:
        if not target.exists() or not any(target.iterdir()):
            return False
        description = json.loads((target / DESCRIPTION_FILE).read_text())
    except (OSError, ValueError) as error:
        raise KwsError(
            f"{target} is not a folder of a synthesised data set; choose a new or empty folder"
        ) from error
    if description != _description(settings):
        raise KwsError(
            f"{target} holds a data set made with other settings; "
            "choose another folder or delete it"
        )
    return True


def _build(folder: Path, settings: SynthesisSettings, jobs: int, progress: bool) -> None:
    _in_fresh_process(_check_length, settings.words, settings.seconds)
    clips = plan(settings)
    speech, test = folder / SPEECH_FOLDER, folder / TEST_FOLDER
    for word in settings.words + settings.other_words:
        (speech / word).mkdir(parents=True)
    batches = [clips[i : i + _BATCH] for i in range(0, len(clips), _BATCH)]
    threads = ThreadPoolExecutor(jobs)
    try:
        futures: dict[Future, int] = {
            threads.submit(_in_fresh_process, _make_clips, settings, batch, speech): len(batch)
            for batch in batches
        }
        futures[threads.submit(_in_fresh_process, _make_noise, settings, speech, test)] = 0
        done = 0
        for future in as_completed(futures):
            future.result()
            done += futures[future]
            if progress and futures[future]:
                end = "\r" if sys.stderr.isatty() and done < len(clips) else "\n"
                print(
                    f"synthesising speech: {done} of {len(clips)} clips",
                    end=end,
                    file=sys.stderr,
                    flush=True,
                )
    finally:
        threads.shutdown(cancel_futures=True)
    _fill_test_set(settings, clips, speech, test)
    (folder / DESCRIPTION_FILE).write_text(json.dumps(_description(settings), indent=2) + "\n")


def _make_clips(settings: SynthesisSettings, clips: list[Utterance], folder: Path) -> None:
    espeak = Espeak()
    for clip in clips:
        _write_wav(folder / clip.path, _render(espeak, settings, clip), settings.sample_rate)


def _make_noise(settings: SynthesisSettings, speech: Path, test: Path) -> None:
    """Writes ``_background_noise_`` and, from noise of its own, the test set's ``_silence_``."""
    espeak = Espeak()
    speakers = cast(settings)
    background, silence = speech / NOISE_FOLDER, test / SILENCE
    background.mkdir(parents=True)
    silence.mkdir(parents=True)
    for name, samples in _noises(espeak, settings, speakers[TRAINING]).items():
        _write_wav(
            background / f"{name}.wav", samples * _gain(_BACKGROUND_DBFS), settings.sample_rate
        )

    recordings = list(_noises(espeak, settings, speakers[TESTING]).values())
    rng = _rng(settings.seed, "silence")
    length = _samples(settings, settings.seconds)
    for index in range(settings.counts(settings.words[0])[TESTING]):
        recording = _in_turn(recordings, index)
        start = rng.integers(len(recording) - length + 1)
        samples = recording[start : start + length] * _gain(rng.uniform(-70, _BACKGROUND_DBFS))
        _write_wav(silence / f"{index}.wav", samples, settings.sample_rate)


def _fill_test_set(
    settings: SynthesisSettings, clips: list[Utterance], speech: Path, test: Path
) -> None:
    """Copies the testing clips into the canonical test set's layout."""
    testing = [clip for clip in clips if clip.speaker.partition == TESTING]
    for word in settings.words:
        (test / word).mkdir(parents=True)
    unknown = []
    for clip in testing:
        if clip.word in settings.words:
            shutil.copyfile(speech / clip.path, test / clip.path)
        else:
            unknown.append(clip)
    if unknown:
        (test / UNKNOWN).mkdir()
    chosen = _rng(settings.seed, "unknown").permutation(len(unknown))
    for index in chosen[: settings.counts(settings.words[0])[TESTING]]:
        clip = unknown[index]
        name = f"{clip.word}_{Path(clip.path).name}.wav"
        shutil.copyfile(speech / clip.path, test / UNKNOWN / name)


def _render(espeak: Espeak, settings: SynthesisSettings, clip: Utterance) -> np.ndarray:
    """Returns a clip as float64 samples [seconds * sample_rate]: speech, room, level, noise."""
    rng = _rng(settings.seed, clip.path)
    length = _samples(settings, settings.seconds)
    text = clip.word.removesuffix(_CUT) + rng.choice(
        ["", ".", "!", "?"]
    )  # the mark changes the melody
    rate = clip.speaker.rate * rng.uniform(0.85, 1.15)
    pitch = np.clip(clip.speaker.pitch + rng.normal(0, 6), 0, 99)
    pitch_range = rng.uniform(25, 85)
    while True:
        spoken = espeak.speak(text, clip.speaker.voice, rate, pitch, pitch_range)
        spoken = _resampled(spoken, settings.sample_rate / espeak.sample_rate / clip.speaker.size)
        if len(spoken) <= length:
            break
        if rate >= _FASTEST_RATE:
            raise KwsError(
                f"'{clip.word}' takes {len(spoken) / settings.sample_rate:.1f} s, more than the "
                f"clip of {settings.seconds:g} s; give a larger --window-ms or a shorter word"
            )
        rate = min(rate * 1.2, _FASTEST_RATE)

    spoken[1:] -= _about(rng, 0, 0.4 * settings.variety) * spoken[:-1]  # spectral tilt
    samples = np.zeros(length)
    if clip.word.endswith(_CUT):
        kept = round(len(spoken) * rng.uniform(*_CUT_SHARE))
        enters = rng.random() < 0.5
        spoken = spoken[:kept] if enters else spoken[-kept:]
        start = length - kept if enters else 0
    else:
        start = round((length - len(spoken)) * rng.beta(3, 3))
    samples[start : start + len(spoken)] = spoken
    if rng.random() < settings.room_share:
        samples = _in_room(rng, settings, samples)
    # Level and SNR are about the word, however much of the clip it fills.
    samples /= np.sqrt(np.mean(samples[start : start + len(spoken)] ** 2))
    noise = _coloured_noise(rng, settings, length, rng.uniform(0, 2))
    samples += noise * _gain(-rng.uniform(*settings.snr_db))
    samples *= _gain(np.clip(rng.normal(-19, 6), -35, -9))  # as in Speech Commands
    return samples / max(1.0, np.abs(samples).max())


def _in_room(rng: np.random.Generator, settings: SynthesisSettings, dry: np.ndarray) -> np.ndarray:
    """Adds an exponentially decaying noise tail (RT60 0.1 to 0.4 s) 8 to 20 dB under the direct."""
    rt60 = rng.uniform(0.1, 0.4)
    time = np.arange(1, _samples(settings, rt60)) / settings.sample_rate
    tail = rng.normal(size=len(time)) * 10 ** (-3 * time / rt60)
    tail *= _gain(rng.uniform(-20, -8)) / np.linalg.norm(tail)
    response = np.concatenate([[1.0], tail])
    size = len(dry) + len(response)
    return np.fft.irfft(np.fft.rfft(dry, size) * np.fft.rfft(response, size), size)[: len(dry)]


def _noises(
    espeak: Espeak, settings: SynthesisSettings, speakers: list[Speaker]
) -> dict[str, np.ndarray]:
    """Returns recordings of unit RMS [noise_seconds * sample_rate] by name."""
    rng = _rng(settings.seed, "noise", speakers[0].partition)
    length = _samples(settings, settings.noise_seconds)
    time = np.arange(length) / settings.sample_rate
    mains = rng.choice([50, 60])
    hum = sum(
        np.sin(2 * np.pi * (mains * k * time + rng.random())) * rng.uniform(0.3, 1) / k
        for k in range(1, 16)
    )
    babble = np.zeros(length)
    for _ in range(8):
        speaker = speakers[rng.integers(len(speakers))]
        # A sentence takes about four seconds.
        text = " ".join(rng.permutation(_BABBLE)[: math.ceil(settings.noise_seconds / 4)])
        talk = espeak.speak(text, speaker.voice, speaker.rate, speaker.pitch)
        talk = _resampled(talk, settings.sample_rate / espeak.sample_rate / speaker.size)
        babble += np.resize(np.roll(_unit(talk), rng.integers(len(talk))), length)
    return {
        "white_noise": _coloured_noise(rng, settings, length, 0),
        "pink_noise": _coloured_noise(rng, settings, length, 1),
        "brown_noise": _coloured_noise(rng, settings, length, 2),
        "mains_hum": _unit(_unit(hum) + 0.2 * _coloured_noise(rng, settings, length, 1)),
        "babble": _unit(babble),
    }


def _coloured_noise(
    rng: np.random.Generator, settings: SynthesisSettings, length: int, exponent: float
) -> np.ndarray:
    """Returns noise of unit RMS whose power falls as 1 / f^exponent above 30 Hz."""
    frequency = np.fft.rfftfreq(length, 1 / settings.sample_rate)
    spectrum = np.fft.rfft(rng.normal(size=length)) * np.maximum(frequency, 30) ** (-exponent / 2)
    spectrum[0] = 0
    return _unit(np.fft.irfft(spectrum, length))


def _resampled(samples: np.ndarray, ratio: float) -> np.ndarray:
    """Resamples to ``round(n * ratio)`` samples by cutting the spectrum; ``ratio`` at most 1."""
    length = round(len(samples) * ratio)
    return np.fft.irfft(np.fft.rfft(samples)[: length // 2 + 1], length) * (length / len(samples))


def _write_wav(path: Path, samples: np.ndarray, sample_rate: int) -> None:
    pcm = np.round(np.clip(samples, -1, 1) * 32_767).astype("<i2")
    with open(path, "wb") as target, wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(pcm.tobytes())


def _speaker_name(identity: str, partition: str) -> str:
    attempt = 0
    while True:
        name = hashlib.sha1(f"{identity}/{attempt}".encode()).hexdigest()[:8]
        if partition_of(name) == partition:
            return name
        attempt += 1


def _rng(*key) -> np.random.Generator:
    """Returns a generator that depends on nothing but the key."""
    return np.random.default_rng(list(hashlib.sha256(repr(key).encode()).digest()))


def _about(rng: np.random.Generator, middle: float, reach: float) -> float:
    return float(rng.uniform(middle - reach, middle + reach))


def _in_turn(items, index: int):
    return items[index % len(items)]


def _samples(settings: SynthesisSettings, seconds: float) -> int:
    return round(seconds * settings.sample_rate)


def _unit(samples: np.ndarray) -> np.ndarray:
    return samples / np.sqrt(np.mean(samples**2))


def _gain(decibels: float) -> float:
    return 10 ** (decibels / 20)
