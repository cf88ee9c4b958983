"""From a folder the user gives to examples in memory, of log-mel records or of audio."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import tensorflow as tf

from kws_tf.audio import reader, speech_commands
from kws_tf.data import records, spectrograms
from kws_tf.data.spectrograms import Spectrograms
from kws_tf.errors import KwsError
from kws_tf.frontend.config import FrontEnd, LogMel
from kws_tf.frontend.features import log_mel, log_power, mel_power
from kws_tf.labels import UNKNOWN, check_spelling, class_names
from kws_tf.progress import note, progress
from kws_tf.settings import DataSettings, OtherRecordings, as_json

ROOT = Path("data")
"""Where what is made from data is kept, in the working directory."""
_NONE = OtherRecordings()
_BATCH = 1024
_NOISE_STRIDE_MS = 500.0
_MOST_EXCESS_MS = 50.0  # what lossy formats add at the end
_FAINTEST_BELS = 4.0


@dataclass(frozen=True)
class Examples:
    """Examples of one partition, as stored: 8-bit spectrograms or 16-bit samples.

    Attributes:
        values: uint8 [examples, frames, bands] or int16 [examples, samples].
        keyword: int64 [examples]; index into ``words``, -1 for an unknown word.
        noise: Background noise in slices of an example's shape; same dtype as ``values``.
        words: The keywords.
        log_mel: Front end of the spectrograms; ``None`` for samples.
        others: Recordings without keywords, by their kind, a field of ``OtherRecordings``.
    """

    values: np.ndarray
    keyword: np.ndarray
    noise: np.ndarray
    words: Sequence[str]
    log_mel: LogMel | None
    others: dict[str, Spectrograms] = field(default_factory=dict)

    @property
    def some_noise(self) -> np.ndarray:
        """The noise, or one silent slice where there is none, so that there is one path."""
        return self.noise if len(self.noise) else np.zeros_like(self.values[:1])

    def noise_power(self, front_end: FrontEnd) -> tf.Tensor:
        """Returns the slices' mel power, float32 [slices, frames, bands]."""
        if self.log_mel:
            step = front_end.log_mel.frame_step_in(self.log_mel)
            taken = self.some_noise[:, ::step][:, : front_end.frames]
            return mel_power(records.from_uint8(taken, self.log_mel), self.log_mel)
        # In parts, as spectra take many times the memory of samples.
        parts = (self.some_noise[i : i + _BATCH] for i in range(0, len(self.some_noise), _BATCH))
        found = [log_mel(part / np.float32(32768), front_end.log_mel) for part in parts]
        return mel_power(tf.concat(found, 0), front_end.log_mel)

    def spectrograms(self, positions: np.ndarray, front_end: FrontEnd) -> np.ndarray:
        """Returns examples as records have them, uint8 [positions, frames, bands]."""
        values = self.values[positions]
        if self.log_mel:
            return values
        stored = front_end.log_mel.with_hop(records.HOP_MS)
        parts = (values[i : i + _BATCH] for i in range(0, len(values), _BATCH))
        return np.concatenate(
            [records.to_uint8(log_mel(part / np.float32(32768), stored), stored) for part in parts]
        )

    @property
    def keyword_positions(self) -> np.ndarray:
        """Positions of the keywords, int64."""
        return np.flatnonzero(self.keyword >= 0)

    @property
    def unknown_positions(self) -> np.ndarray:
        """Positions of the unknown words, int64."""
        return np.flatnonzero(self.keyword < 0)


def load(
    folder: Path,
    partition: str,
    front_end: FrontEnd,
    settings: DataSettings,
    others: OtherRecordings = _NONE,
) -> Examples:
    """Loads the training or validation examples of records, or of the Speech Commands layout.

    Args:
        folder: Log-mel records or audio.
        partition: ``training`` or ``validation``.
        front_end: Its frames are the model's.
        settings: The task.
        others: Recordings without keywords.

    Raises:
        KwsError: If the folder, its noise or a word is missing, a file is damaged, or records are
            of another front end.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise KwsError(
            f"the data folder {folder} does not exist; give --data-dir a folder of log-mel "
            "records or one in the Speech Commands layout"
        )
    load_from = _load_records if records.is_record_folder(folder) else _load_audio
    examples = load_from(folder, partition, front_end, settings)
    if partition == "training" and settings.unknown_share and not len(examples.unknown_positions):
        raise KwsError(
            f"{folder} has no training examples of other words for the class {UNKNOWN}; "
            "add some, or give --unknown-share 0"
        )
    found = {
        kind: spectrograms.load(places, partition, front_end.log_mel, ROOT)
        for kind, places in as_json(others).items()
        if places and (partition == "training" or kind != "alarms")
    }
    for kind, some in found.items():
        # Without noise to validate with there is still speech.
        if not some.recordings and (partition == "training" or kind == "negatives"):
            raise KwsError(
                f"none of the recordings of {kind} is for {partition}: names decide it, and there "
                "are too few; give more, or cut long ones into several files"
            )
    if "alarms" in found and (kept := len(spectrograms.files_in(others.alarms))) > (
        some := found["alarms"].recordings
    ):
        note(
            f"{kept - some:,} of {kept:,} alarms are of validation recordings and not learned from"
        )
    return replace(examples, others=found)


def _load_records(folder, partition, front_end, settings) -> Examples:
    stored = records.read(folder, partition)
    front_end.log_mel.frame_step_in(stored.log_mel)
    wanted = stored.log_mel.frames(front_end.samples)
    noise = records.read(folder, "background").spectrograms
    if settings.level_noise:
        noise = faint_raised(noise, stored.log_mel)
    for frames in (stored.spectrograms.shape[1], noise.shape[1]):
        if frames != wanted:
            held = stored.log_mel.window_ms + (frames - 1) * stored.log_mel.hop_ms
            raise KwsError(
                f"the records in {folder} hold {frames} frames an example ({held:g} ms) and the "
                f"window of {front_end.example_ms:g} ms has {wanted}; give another --window-ms, "
                "or extract them anew with scripts/extract_features.py --window-ms"
            )
    keyword = keyword_indices(stored.words, settings.words, f"{partition} records in {folder}")
    return Examples(stored.spectrograms, keyword, noise, settings.words, stored.log_mel)


def keyword_indices(spoken: np.ndarray, words: Sequence[str], where: str) -> np.ndarray:
    """Returns the index of each example's word among the keywords, -1 for others, int64.

    A keyword without examples ``where`` they are, or spelled in another way there, is refused.
    """
    class_names(words)
    check_spelling(words, spoken, where)
    index = {word: i for i, word in enumerate(words)}
    keyword = np.array([index.get(word, -1) for word in spoken], np.int64)
    for word, i in index.items():
        if not np.any(keyword == i):
            raise KwsError(
                f"there is no example of the word '{word}' in the {where}; "
                f"it has: {', '.join(sorted(set(map(str, spoken)))) or 'none'}"
            )
    return keyword


def faint_raised(noise: np.ndarray, log_mel: LogMel) -> np.ndarray:
    """Brings faint slices of noise to the level that one in ten surpasses.

    The published records hold slices at amplitudes of 0 to 1 drawn beforehand: most are faint, and
    fainter once training has drawn its own amplitude, so that few are of any effect. Slices that
    are fainter by more than 40 dB hold too little and are left out. Louder ones stay as they are,
    so that there is noise at full amplitude. Slices are uint8 [slices, frames, bands].
    """
    power = mel_power(records.from_uint8(noise, log_mel), log_mel).numpy()
    level = power.mean((1, 2))
    wanted = np.percentile(level, 90)
    if not wanted:
        return noise
    kept = level > wanted * 10**-_FAINTEST_BELS
    gain = np.maximum(wanted / level[kept], 1.0)
    louder = log_power(power[kept] * gain[:, None, None], log_mel)
    # What was under the floor stays there: nothing is known of it.
    silent = power[kept] == 0
    return np.where(silent, np.uint8(0), records.to_uint8(louder, log_mel).numpy())


def _load_audio(folder, partition, front_end, settings) -> Examples:
    chosen = [one for one in speech_commands.scan(folder) if one.partition == partition]
    words = np.array([one.word for one in chosen])
    keyword = keyword_indices(words, settings.words, f"{partition} partition of {folder}")
    # Before the words, so that a missing noise folder is noticed at once.
    noise = noise_slices(folder, front_end, settings.mix_down)
    paths = [one.path for one in chosen]
    samples = read_samples(paths, front_end, settings.mix_down, f"reading {partition}")
    check_sound(samples, paths)
    return Examples(samples, keyword, noise, settings.words, None)


def epoch_counts(examples: Examples, settings: DataSettings) -> tuple[int, int, int]:
    """Returns the numbers of keyword, unknown and silent examples in an epoch."""
    keywords = len(examples.keyword_positions)
    unknown = min(round(settings.unknown_share * keywords), len(examples.unknown_positions))
    silence = round(settings.silence_share * keywords) if len(examples.noise) else 0
    return keywords, unknown, silence


def read_samples(
    paths: Sequence[Path], front_end: FrontEnd, mix_down: bool = False, title: str = "reading"
) -> np.ndarray:
    """Reads recordings, several at a time, each padded at its end to the front end's length.

    Returns:
        int16 [examples, samples].

    Raises:
        KwsError: If a file is missing, damaged, stereo (unless ``mix_down``), or longer than the
            window; what exceeds it by up to 50 ms, as a lossy format's padding does, is cut off.
    """
    rate, length = front_end.log_mel.sample_rate, front_end.samples
    samples = np.zeros([len(paths), length], np.int16)

    def read(index: int) -> None:
        values = reader.load(paths[index], rate, mix_down)
        if len(values) - length > _MOST_EXCESS_MS * rate / 1000:
            raise KwsError(
                f"{paths[index]} takes {len(values) / rate:.2f} s and the window "
                f"{length / rate:g} s; import the folder with scripts/import_recordings.py, which "
                "cuts the word out, or train with a longer --window-ms"
            )
        values = to_int16(values[:length])
        samples[index, : len(values)] = values

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in progress(pool.map(read, range(len(paths))), len(paths), title):
            pass
    return samples


def check_sound(samples: np.ndarray, paths: Sequence[Path]) -> None:
    """Refuses recordings of words, int16 [examples, samples], that are digital silence."""
    silent = np.flatnonzero(~samples.any(axis=1))
    if len(silent):
        raise KwsError(
            f"{len(silent):,} of {len(paths):,} recordings of words hold nothing but zeros, "
            f"such as {paths[silent[0]]}; record them again, or remove them"
        )


def to_int16(samples: np.ndarray) -> np.ndarray:
    """Turns float samples in [-1, 1) into 16-bit ones; exact for what came from 16 bits."""
    return np.clip(np.round(samples * 32768.0), -32768, 32767).astype(np.int16)


def noise_slices(folder: Path, front_end: FrontEnd, mix_down: bool = False) -> np.ndarray:
    """Cuts the noise recordings into overlapping examples, int16 [slices, samples].

    None, none that is long enough, and nothing but digital silence is refused.
    """
    rate, length = front_end.log_mel.sample_rate, front_end.samples
    stride = round(_NOISE_STRIDE_MS * rate / 1000)
    slices = []
    paths = speech_commands.noise_files(folder)
    for path in paths:
        recording = to_int16(reader.load(path, rate, mix_down))
        starts = range(0, len(recording) - length + 1, stride)
        slices.extend(recording[start : start + length] for start in starts)
    if not slices:
        raise KwsError(
            f"every noise recording in {paths[0].parent} is shorter than an example of "
            f"{front_end.example_ms:g} ms; give longer ones"
        )
    if not any(part.any() for part in slices):
        raise KwsError(
            f"the noise recordings in {paths[0].parent} hold nothing but zeros; give others"
        )
    return np.stack(slices)
