"""The synthesised data set: layout, voices, determinism, cache and errors."""

import errno
import hashlib
import math
import os
import re
import subprocess
import sys
import wave
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from running import run_main

from kws_tf.audio.speech_commands import PARTITIONS, partition_of
from kws_tf.cli import make_dataset as command
from kws_tf.errors import KwsError
from kws_tf.synthesis import dataset as synthesis
from kws_tf.synthesis import engine, fresh_process
from kws_tf.synthesis.dataset import count_examples, make_dataset
from kws_tf.synthesis.engine import Espeak
from kws_tf.synthesis.rendering import render
from kws_tf.synthesis.running_speech import plan_talks
from kws_tf.synthesis.saying import say
from kws_tf.synthesis.settings import SynthesisSettings
from kws_tf.synthesis.voices import VARIANTS, Speaker, Utterance, cast, plan
from kws_tf.synthesis.words import check_length

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ROOT / "scripts"
SMALL = SynthesisSettings(
    words=("yes", "lights on"),
    unknown_words=("cat", "yes"),
    per_word=10,
    per_unknown_word=4,
    noise_seconds=2,
    speech_minutes=(0.7, 0.3, 0.5),
)


def file_hashes(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def read_wav(path):
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 16_000)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32_768


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthesis, "_BATCH", 9)
        patch.setattr(synthesis, "_TALKS_BATCH", 2)
        return make_dataset(tmp_path_factory.mktemp("synthesis") / "set", SMALL, 1)


# --- The data set.


def test_folders(dataset):
    assert {path.name for path in dataset.iterdir()} == {
        *("speech_commands", "test_set", "running_speech", "dataset.json")
    }


def test_layout_is_speech_commands(dataset):
    speech, test = dataset / "speech_commands", dataset / "test_set"
    assert {p.name for p in speech.iterdir()} == {"yes", "lights on", "cat", "_background_noise_"}
    assert {p.name for p in test.iterdir()} == {"yes", "lights on", "_unknown_", "_silence_"}
    assert len(list((speech / "_background_noise_").glob("*.wav"))) == 5
    for word, number in (("yes", 10), ("lights on", 10), ("cat", 4)):
        names = [path.name for path in (speech / word).iterdir()]
        assert len(names) == number
        assert all(re.fullmatch(r"[0-9a-f]{8}_nohash_\d+\.wav", name) for name in names)


def test_examples_are_one_second_of_audible_speech(dataset):
    for path in (dataset / "speech_commands").glob("[!_]*/*.wav"):
        samples = read_wav(path)
        assert len(samples) == 16_000
        assert -45 < 10 * np.log10(np.mean(samples**2)) < -6
        # A word has dynamics that a stationary noise has not.
        energy = np.mean(samples.reshape(100, 160) ** 2, axis=1)
        assert np.percentile(energy, 95) > 10 * np.percentile(energy, 10)


def test_background_recordings_are_audible_and_long(dataset):
    for path in (dataset / "speech_commands/_background_noise_").iterdir():
        samples = read_wav(path)
        assert len(samples) == 32_000
        assert 10 * np.log10(np.mean(samples**2)) == pytest.approx(-25, abs=0.5)


def test_test_set_is_the_testing_partition(dataset):
    speech, test = dataset / "speech_commands", dataset / "test_set"
    for word in SMALL.words:
        testing = {p.name for p in (speech / word).iterdir() if partition_of(p) == "testing"}
        assert testing == {p.name for p in (test / word).iterdir()} != set()
    for path in (test / "_unknown_").iterdir():
        word, speaker = re.fullmatch(r"(.+)_([0-9a-f]{8})_nohash_\d+\.wav\.wav", path.name).groups()
        assert word == "cat"
        assert partition_of(speaker) == "testing"
    background = {read_wav(p).tobytes()[:800] for p in (speech / "_background_noise_").iterdir()}
    assert background.isdisjoint(
        read_wav(p).tobytes()[:800] for p in (test / "_silence_").iterdir()
    )


def test_counts_by_partition(dataset):
    table = count_examples(dataset)
    assert table == {word: SMALL.counts(word) for word in ("cat", "lights on", "yes")}
    assert all(table[word][partition] > 0 for word in table for partition in PARTITIONS)


def test_number_of_processes_does_not_change_a_byte(dataset, tmp_path, monkeypatch):
    shown = []

    def progress(items, total, _):
        items = list(items)
        shown.append((len(items), total))
        return items

    monkeypatch.setattr(synthesis, "_BATCH", 9)
    monkeypatch.setattr(synthesis, "_TALKS_BATCH", 2)
    monkeypatch.setattr(synthesis, "progress", progress)
    number = len(plan(SMALL)) + len(plan_talks(SMALL))
    assert len(plan(SMALL)) > 2 * 9
    assert len(plan_talks(SMALL)) == 3 + 2 + 2
    again = make_dataset(tmp_path / "again", SMALL, jobs=3)
    assert file_hashes(again) == file_hashes(dataset)
    assert shown == [(number, number)]


@hypothesis.settings(deadline=None)
@given(st.integers(), st.integers(3, 400))
def test_voices_and_speakers_never_cross_partitions(seed, per_word):
    settings = SynthesisSettings(("yes",), ("cat",), per_word=per_word, seed=seed)
    partitions_of = {}
    for partition, speakers in cast(settings).items():
        for speaker in speakers:
            assert partition_of(speaker.name) == speaker.partition == partition
            for key in (speaker.name, speaker.voice.split("+")[1]):
                partitions_of.setdefault(key, set()).add(partition)
    assert all(len(partitions) == 1 for partitions in partitions_of.values())
    utterances = plan(settings)
    assert len({utterance.path for utterance in utterances}) == len(utterances)


def test_another_seed_gives_other_speakers():
    first, second = (
        {
            speaker.name
            for speakers in cast(SynthesisSettings(seed=seed)).values()
            for speaker in speakers
        }
        for seed in (0, 1)
    )
    assert first.isdisjoint(second)


def test_every_voice_exists():
    code = (
        "from kws_tf.synthesis.dataset import Espeak\n"
        "from kws_tf.synthesis.engine import ACCENTS\n"
        "from kws_tf.synthesis.voices import VARIANTS\n"
        "espeak = Espeak()\n"
        "for genders in VARIANTS.values():\n"
        "    for variant in genders[0] + genders[1]:\n"
        "        assert len(espeak.speak('yes', 'en+' + variant)) > 2000, variant\n"
        "for accent in ACCENTS:\n"
        "    assert len(espeak.speak('yes', accent + '+m3')) > 2000, accent\n"
        "import sys\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    variants = [v for genders in VARIANTS.values() for gender in genders for v in gender]
    assert len(set(variants)) == len(variants)


def test_finished_set_is_found_at_once(dataset, monkeypatch):
    monkeypatch.setattr(synthesis, "_build", lambda *_: pytest.fail("built again"))
    before = file_hashes(dataset)
    assert make_dataset(dataset, SMALL) == dataset
    assert file_hashes(dataset) == before


def test_other_settings_or_files_are_not_overwritten(dataset, tmp_path):
    with pytest.raises(KwsError, match="other settings"):
        make_dataset(dataset, SynthesisSettings(seed=1))
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(KwsError, match="not a folder of a synthesised data set"):
        make_dataset(tmp_path)
    with pytest.raises(KwsError, match="not a folder of a synthesised data set"):
        make_dataset(tmp_path / "letter.txt")
    with pytest.raises(KwsError, match=r"cannot write .*letter.txt/set \(File exists\)"):
        make_dataset(tmp_path / "letter.txt" / "set")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / synthesis.DESCRIPTION_FILE).write_text("{")
    with pytest.raises(KwsError, match="not a folder of a synthesised data set"):
        make_dataset(tmp_path / "broken")
    assert (tmp_path / "letter.txt").read_text() == "mine"


def test_interrupted_build_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(synthesis, "check_length", lambda *_: 1000)
    monkeypatch.setattr(fresh_process, "call", interrupt)
    with pytest.raises(KeyboardInterrupt):
        make_dataset(tmp_path / "set", SMALL)
    assert os.listdir(tmp_path) == []


def test_killed_build_is_built_anew(tmp_path):
    code = (
        "import os, sys\n"
        "from kws_tf.synthesis import dataset, fresh_process\n"
        "fresh_process.call = dataset.check_length = lambda *_: None\n"
        "dataset.write_transcripts = lambda *_: None\n"
        "dataset._fill_test_set = lambda *_: os._exit(9)\n"
        "dataset.make_dataset(sys.argv[1], dataset.SynthesisSettings(**eval(sys.argv[2])))\n"
    )
    settings = {"words": ("go",), "unknown_words": (), "per_word": 3, "noise_seconds": 1}
    settings |= {"speech_minutes": (0.1, 0.1, 0.1)}
    target = tmp_path / "set"
    killed = subprocess.run([sys.executable, "-c", code, target, repr(settings)], cwd=ROOT)
    assert killed.returncode == 9
    assert not target.exists()
    make_dataset(target, SynthesisSettings(**settings))
    assert count_examples(target) == {"go": {"training": 1, "validation": 1, "testing": 1}}


def die(*_):
    os._exit(3)


def fill_the_disk(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (die, "the process for die died; run again"),
        (fill_the_disk, r"cannot write .*/set \(No space left on device\); choose"),
    ],
)
def test_what_ends_a_process_is_one_sentence(tmp_path, monkeypatch, what, message):
    monkeypatch.setattr(synthesis, "check_length", lambda *_: 1000)
    for name in ("_write_noise", "_write_examples", "write_talks"):
        monkeypatch.setattr(synthesis, name, what)
    with pytest.raises(KwsError, match=message):
        make_dataset(tmp_path / "set", SMALL)
    assert os.listdir(tmp_path) == []


def test_long_word_needs_a_longer_window(tmp_path):
    words = ("turn the kitchen lights on",)
    short = SynthesisSettings(words, (), 3, noise_seconds=2)
    wanted = r"'turn .* on' takes 1\.\d s and does not fit the window of 1 s; give --window-ms "
    with pytest.raises(KwsError, match=wanted):
        make_dataset(tmp_path / "short", short)
    assert os.listdir(tmp_path) == []
    assert 1600 < check_length(words, 2) <= 2000
    longer = ("please turn the kitchen lights on right now",)
    with pytest.raises(KwsError, match="the longest window is 2000 ms, so choose a shorter word"):
        check_length(longer, 2)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"words": ()}, "no word"),
        ({"words": ("yes", "")}, "nothing to speak"),
        ({"words": ("--",)}, "nothing to speak"),
        ({"words": ("да",)}, "cannot be spoken"),
        ({"words": ("a/b",)}, "cannot be spoken"),
        ({"words": ("_silence_",)}, "cannot be spoken"),
        ({"words": ("да",)}, "record the word yourself"),
        ({"words": ("Yes", "yes ")}, "given twice"),
        ({"per_word": 2}, "at least 3"),
        ({"testing_share": 0.95}, "shares"),
        ({"sample_rate": 44_100}, "sample rate"),
        ({"seconds": 0}, "would last 0 s"),
        ({"noise_seconds": 0.5}, "shorter than an example"),
        ({"variety": 2.0}, "give 0 to 1.6"),
        ({"speech_minutes": (30, 0, 15)}, "running speech of 30, 0, 15 minutes; give three"),
        ({"speech_minutes": (30, 15)}, "running speech of 30, 15 minutes; give three"),
        ({"speech_minutes": (math.inf, 1, 1)}, "running speech of inf, 1, 1 minutes"),
        ({"speech_minutes": (math.nan, 1, 1)}, "running speech of nan, 1, 1 minutes"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(KwsError, match=message):
        SynthesisSettings(**settings)


def test_missing_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(KwsError, match="pip install espeakng-loader"):
        Espeak()


def test_unloadable_library(monkeypatch, tmp_path):
    import espeakng_loader

    library = tmp_path / "libespeak-ng.so"
    library.write_text("not a library")
    monkeypatch.setattr(espeakng_loader, "get_library_path", lambda: str(library))
    with pytest.raises(KwsError, match="does not load"):
        Espeak()


def test_voices_that_cannot_be_used(monkeypatch, tmp_path):
    import espeakng_loader

    # espeak-ng keeps too long a path for itself and falls back to one of its own.
    too_long = tmp_path / ("x" * 200)
    too_long.symlink_to(espeakng_loader.get_data_path())
    for data in (tmp_path / "absent", too_long):
        monkeypatch.setattr(espeakng_loader, "get_data_path", lambda path=data: str(path))
        with pytest.raises(KwsError, match="cannot use its voices"):
            Espeak()


def test_command_prints_the_table_and_one_line_on_error(dataset, monkeypatch, capsys):
    wanted = []
    monkeypatch.setattr(command, "make_dataset", lambda *options: wanted.append(options) or dataset)
    script = SCRIPTS / "make_dataset.py"
    sizes = ("--per-word", 10, "--per-unknown-word", 4, "--window-ms", 1500)
    sizes += ("--speech-minutes", 2, 1, 0.5)
    words = ("--words", "yes,lights on", "--unknown-words", "cat")
    assert run_main(script, "-o", "set", *words, *sizes, "--jobs", 2) == 0
    settings = SynthesisSettings(
        ("yes", "lights on"), ("cat",), 10, 4, seconds=1.5, speech_minutes=(2, 1, 0.5)
    )
    assert wanted == [("set", settings, 2)]
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["word", *PARTITIONS]
    assert ["lights", "on", "7", "1", "2"] in lines
    assert ["total", "16", "3", "5"] in lines

    assert run_main(script, "-o", "set", "--words", "dim,,") == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1


# --- One utterance, by any engine.


class Tone:
    """Says everything as a tone, the longer the slower."""

    name = "tone"
    sample_rate = 22_050

    def __init__(self, seconds):
        self.seconds, self.texts = seconds, set()

    def speak(self, text, voice, rate=175, pitch=50, pitch_range=50):
        self.texts.add(text)
        time = np.arange(round(self.seconds * 150 / rate * self.sample_rate)) / self.sample_rate
        return np.sin(2 * np.pi * 440 * time)


SPEAKER = Speaker("0000000a", "training", "en+m1", 50, 150, 1.0)


def test_a_cut_word_is_at_an_edge():
    engine, settings = Tone(0.4), SynthesisSettings(("yes",), room_share=0)
    centres = {}
    for word in ("yes", "yes (cut)"):
        samples = [render(engine, settings, Utterance(word, SPEAKER, i)) for i in range(40)]
        assert np.shape(samples) == (40, 16_000)
        assert np.abs(samples).max() <= 1
        energy = np.square(samples)
        centres[word] = (energy @ np.linspace(-1, 1, 16_000)) / energy.sum(axis=1)
    assert engine.texts == {"yes", "yes.", "yes!", "yes?"}
    assert np.median(np.abs(centres["yes"])) < 0.3 < 0.5 < np.median(np.abs(centres["yes (cut)"]))
    assert 0.2 < np.mean(centres["yes (cut)"] > 0) < 0.8


def test_a_long_word_is_spoken_faster():
    settings = SynthesisSettings()
    assert len(render(Tone(1.5), settings, Utterance("yes", SPEAKER, 0))) == 16_000
    twice = SynthesisSettings(seconds=2)
    assert len(render(Tone(1.5), twice, Utterance("yes", SPEAKER, 0))) == 32_000
    with pytest.raises(KwsError, match=r"'yes' takes 1\.5 s, more than the window of 1 s"):
        render(Tone(3.0), settings, Utterance("yes", SPEAKER, 0))


# --- Processes and phrases.


def test_a_script_without_a_guard(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from kws_tf.synthesis.words import fitting_window\nprint(fitting_window(['Up']))\n"
    )
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    done = subprocess.run(
        [sys.executable, script], check=True, env=environment, capture_output=True
    )
    assert done.stdout == b"1000\n"


def test_what_a_fresh_process_raises():
    with pytest.raises(KwsError, match="espeak-ng has no voice 'xx'"):
        fresh_process.call(engine.speak_all, ["yes"], "xx", 150)
    with pytest.raises(FileNotFoundError) as raised:
        fresh_process.call(os.stat, "absent")
    assert raised.value.filename == "absent"
    assert fresh_process.call(print, "to stderr") is None
    with pytest.raises(KwsError, match="the process for exit died"):
        fresh_process.call(sys.exit, 3)


def test_say(tmp_path):
    spans = say("hello, lights on", tmp_path / "a.wav", pause=0.5)
    assert [part for part, _, _ in spans] == ["hello", "lights on"]
    samples = read_wav(tmp_path / "a.wav")
    assert len(samples) / 16_000 == pytest.approx(spans[-1][-1] + 0.5, abs=0.001)
    energy = np.sqrt(np.mean(np.square(samples[: len(samples) // 160 * 160].reshape(-1, 160)), 1))
    for _, start, end in spans:
        assert end - start > 0.3
        assert energy[round(100 * start) : round(100 * end)].mean() > 0.05
        assert energy[round(100 * end) + 2 : round(100 * end) + 40].max() < 0.01
    for text, more in ((" ,", {}), ("a", {"rate": 1}), ("a", {"pause": -1}), ("да", {})):
        with pytest.raises(KwsError):
            say(text, tmp_path / "b.wav", **more)
    assert not (tmp_path / "b.wav").exists()


def test_a_phrase_for_which_there_is_no_room(tmp_path, monkeypatch, capsys):
    def write_a_part(path, content):
        with open(path, "wb") as file:
            file.write(content[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    phrase = tmp_path / "phrase.wav"
    phrase.write_bytes(b"an older one")
    monkeypatch.setattr(Path, "write_bytes", write_a_part)
    assert run_main(SCRIPTS / "say.py", "dim", phrase) == 2
    assert f"error: the disk is full while writing {phrase};" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["phrase.wav"]
    assert phrase.read_bytes() == b"an older one"
