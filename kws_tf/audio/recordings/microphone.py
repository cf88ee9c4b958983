"""Recording words from a microphone into the layout of Speech Commands.

Needs the package sounddevice (https://python-sounddevice.readthedocs.io) and its PortAudio library,
which are optional.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from kws_tf import files
from kws_tf.audio.reader import SAMPLE_RATE, wav_bytes
from kws_tf.audio.recordings import cutting, speakers
from kws_tf.audio.recordings.cutting import Finding, Problem
from kws_tf.audio.recordings.importing import window_samples
from kws_tf.audio.speech_commands import PARTITIONS, speaker_of
from kws_tf.errors import KwsError
from kws_tf.labels import class_names, clean_word
from kws_tf.quiet import captured_stderr

Capture = Callable[[float], tuple[np.ndarray, int]]
"""Records so many seconds; returns float32 [samples, channels], full scale 1, and the rate, Hz."""

_REACTION_SECONDS = 1.0  # recorded besides the window, in which the word is found by energy
_INSTEAD = "or record with another program and use scripts/import_recordings.py"


def open_microphone() -> Capture:
    """Returns what records from the default input device, or says what is missing for that."""
    try:
        with captured_stderr():  # ALSA and JACK have much to say about devices that are not there
            import sounddevice
    except ImportError as error:
        raise KwsError(
            f"recording needs the package sounddevice; run: pip install sounddevice, {_INSTEAD}"
        ) from error
    except Exception as error:  # PortAudio's own class has no name before the import succeeds
        raise KwsError(
            f"sounddevice cannot use the PortAudio library ({error}); install it (Debian: apt "
            f"install libportaudio2) on a machine with sound, {_INSTEAD}"
        ) from error
    try:
        device = sounddevice.query_devices(kind="input")
    except (sounddevice.PortAudioError, ValueError) as error:
        raise KwsError(
            f"this machine has no microphone ({error}); connect one, {_INSTEAD}"
        ) from error
    rate = SAMPLE_RATE
    try:
        sounddevice.check_input_settings(samplerate=rate, channels=1, dtype="float32")
    except sounddevice.PortAudioError:
        rate = round(device["default_samplerate"])

    def capture(seconds: float) -> tuple[np.ndarray, int]:
        frames = round(seconds * rate)
        try:
            samples = sounddevice.rec(frames, rate, channels=1, dtype="float32", blocking=True)
        except sounddevice.PortAudioError as error:
            raise KwsError(
                f"the microphone {device['name']} does not record ({error}); check that no other "
                f"program holds it, {_INSTEAD}"
            ) from error
        return samples, rate

    return capture


def record(
    words: Sequence[str],
    count: int,
    target: Path,
    speaker: str,
    capture: Capture,
    window_ms: float = 1000,
    ask: Callable[[str], str] = input,
    tell: Callable[[str], None] = print,
) -> dict[str, int]:
    """Prompts for each word and writes ``<word>/<speaker>_nohash_<n>.wav``.

    Takes that are there already count, so that an interrupted session goes on. The speaker is in
    one partition, see ``speakers.assign``; the folder's other speakers stay where they are, and
    the files show only a hash of the name.

    Returns:
        How many takes of each word by this speaker there are now.
    """
    class_names(words)
    length = window_samples(window_ms)
    if count < 1:
        raise KwsError(f"{count} takes of a word; give --count 1 or more")
    if not clean_word(speaker):
        raise KwsError("the speaker has no name; give --speaker any name")
    name = _name(target, clean_word(speaker).casefold(), words, count)
    target.mkdir(parents=True, exist_ok=True)  # before anybody has spoken in vain
    missing = [
        (word, path)
        for word in words
        for take in range(count)
        if not (path := target / word / f"{name}_nohash_{take}.wav").exists()
    ]
    try:
        for number, (word, path) in enumerate(missing, 1):
            prompt = f"{number} of {len(missing)}: press Enter and say '{word}' (q ends) "
            samples = _take(word, length, capture, prompt, ask, tell)
            if samples is None:
                break
            path.parent.mkdir(exist_ok=True)
            files.write_bytes(path, wav_bytes(samples))
    except EOFError:  # no terminal, or Ctrl-D
        pass
    return {word: len(list((target / word).glob(f"{name}_nohash_*.wav"))) for word in words}


def _take(
    word: str,
    length: int,
    capture: Capture,
    prompt: str,
    ask: Callable[[str], str],
    tell: Callable[[str], None],
) -> np.ndarray | None:
    """Records until a take is wanted; returns its samples, or ``None`` to end the session."""
    while ask(prompt).strip().lower() != "q":
        samples, rate = capture(length / SAMPLE_RATE + _REACTION_SECONDS)
        samples, is_overloaded = cutting.mixed([samples], rate)
        example, findings = cutting.cut_example(samples, word, length)
        if is_overloaded:
            findings += (Finding(Problem.OVERLOADED, "speak more softly or turn the gain down"),)
        for finding in findings:
            tell(f"  {finding.problem.value}: {finding.detail}")
        if example is None:
            continue
        if findings:
            keep = ask("  Enter repeats it, k keeps it ").strip().lower() == "k"
        else:
            keep = ask("  good; Enter keeps it, r repeats it ").strip().lower() != "r"
        if keep:
            return example
    return None


def _name(target: Path, speaker: str, words: Sequence[str], count: int) -> str:
    """Returns the speaker's eight hex digits: those of earlier takes, or new ones."""
    said: defaultdict[str, Counter] = defaultdict(Counter)
    for path in target.glob("[!_.]*/*_nohash_*.wav"):
        said[speaker_of(path)][path.parent.name] += 1
    names = [speakers.name_for(speaker, partition) for partition in PARTITIONS]
    for name in names:
        if name in said:
            return name
    kept = set(said)
    said[speaker].update(dict.fromkeys(words, count))
    return names[PARTITIONS.index(speakers.assign(said, kept)[speaker])]
