"""The synthesised data set: layout, voices, determinism, cache and errors."""

import hashlib
import json
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

from kws_tf.audio.speech_commands import PARTITIONS, partition_of
from kws_tf.errors import KwsError
from kws_tf.synthesis import dataset as synthesis
from kws_tf.synthesis.dataset import (
    VARIANTS,
    Espeak,
    SynthesisSettings,
    cast,
    count_recordings,
    make_dataset,
    plan,
)

ROOT = Path(__file__).resolve().parent.parent
SMALL = SynthesisSettings(
    words=("yes", "lights on"),
    unknown_words=("cat", "yes"),
    per_word=10,
    per_unknown_word=4,
    noise_seconds=2,
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
        return make_dataset(tmp_path_factory.mktemp("synthesis") / "set", SMALL, 1, progress=False)


def test_layout_is_speech_commands(dataset):
    speech, test = dataset / "speech_commands", dataset / "test_set"
    assert {p.name for p in speech.iterdir()} == {"yes", "lights on", "cat", "_background_noise_"}
    assert {p.name for p in test.iterdir()} == {"yes", "lights on", "_unknown_", "_silence_"}
    assert len(list((speech / "_background_noise_").glob("*.wav"))) == 5
    for word, number in (("yes", 10), ("lights on", 10), ("cat", 4)):
        names = [path.name for path in (speech / word).iterdir()]
        assert len(names) == number
        assert all(re.fullmatch(r"[0-9a-f]{8}_nohash_\d+\.wav", name) for name in names)


def test_clips_are_one_second_of_audible_speech(dataset):
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
    table = count_recordings(dataset)
    assert table == {word: SMALL.counts(word) for word in ("cat", "lights on", "yes")}
    assert all(table[word][partition] > 0 for word in table for partition in PARTITIONS)


def test_number_of_processes_does_not_change_a_byte(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(synthesis, "_BATCH", 9)
    assert len(plan(SMALL)) > 2 * 9
    again = make_dataset(tmp_path / "again", SMALL, jobs=3, progress=False)
    assert file_hashes(again) == file_hashes(dataset)


@hypothesis.settings(deadline=None)
@given(st.integers(), st.integers(3, 400))
def test_voices_and_speakers_never_cross_partitions(seed, per_word):
    settings = SynthesisSettings(seed=seed, per_word=per_word)
    partitions_of = {}
    for partition, speakers in cast(settings).items():
        for speaker in speakers:
            assert partition_of(speaker.name) == speaker.partition == partition
            for key in (speaker.name, speaker.voice.split("+")[1]):
                partitions_of.setdefault(key, set()).add(partition)
    assert all(len(partitions) == 1 for partitions in partitions_of.values())
    clips = plan(settings)
    assert len({clip.path for clip in clips}) == len(clips)


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
        "from kws_tf.audio.synthesis import ACCENTS, VARIANTS, Espeak\n"
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
    assert make_dataset(dataset, SMALL, progress=False) == dataset
    assert file_hashes(dataset) == before


def test_other_settings_or_files_are_not_overwritten(dataset, tmp_path):
    with pytest.raises(KwsError, match="other settings"):
        make_dataset(dataset, SynthesisSettings(seed=1))
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(KwsError, match="not a folder of a synthesised data set"):
        make_dataset(tmp_path)
    with pytest.raises(KwsError, match="not a folder of a synthesised data set"):
        make_dataset(tmp_path / "letter.txt")
    with pytest.raises(KwsError, match="cannot write"):
        make_dataset(tmp_path / "letter.txt" / "set")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "synthesis.json").write_text("{")
    with pytest.raises(KwsError, match="not a folder of a synthesised data set"):
        make_dataset(tmp_path / "broken")
    assert (tmp_path / "letter.txt").read_text() == "mine"


def test_interrupted_build_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(synthesis, "_in_fresh_process", interrupt)
    with pytest.raises(KeyboardInterrupt):
        make_dataset(tmp_path / "set", SMALL, progress=False)
    assert os.listdir(tmp_path) == []


def test_killed_build_is_built_anew(tmp_path):
    code = (
        "import os, sys\n"
        "from kws_tf.audio import synthesis\n"
        "synthesis._in_fresh_process = lambda *_: None\n"
        "synthesis._fill_test_set = lambda *_: os._exit(9)\n"
        "synthesis.make_dataset(sys.argv[1], synthesis.SynthesisSettings(**eval(sys.argv[2])))\n"
    )
    settings = {"words": ("go",), "unknown_words": (), "per_word": 3, "noise_seconds": 1}
    target = tmp_path / "set"
    killed = subprocess.run([sys.executable, "-c", code, target, repr(settings)], cwd=ROOT)
    assert killed.returncode == 9
    assert not target.exists()
    make_dataset(target, SynthesisSettings(**settings), progress=False)
    assert count_recordings(target) == {"go": {"training": 1, "validation": 1, "testing": 1}}


def die(*_):
    os._exit(3)


def test_lost_process_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(synthesis, "_make_clips", die)
    with pytest.raises(KwsError, match="the process for die died; run again"):
        make_dataset(tmp_path / "set", SMALL, progress=False)
    assert os.listdir(tmp_path) == []


def test_long_word_needs_a_longer_clip(tmp_path):
    settings = {
        "words": ("turn the kitchen lights on",),
        "unknown_words": (),
        "per_word": 3,
        "noise_seconds": 2,
    }
    wanted = r"'turn .* on' takes 1\.\d s and does not fit the window of 1 s; give --window-ms "
    with pytest.raises(KwsError, match=wanted):
        make_dataset(tmp_path / "short", SynthesisSettings(**settings, seconds=1), progress=False)
    assert os.listdir(tmp_path) == []
    longer = settings | {"words": ("please turn the kitchen lights on right now",)}
    with pytest.raises(KwsError, match="the longest window is 2000 ms, so choose a shorter word"):
        make_dataset(tmp_path / "short", SynthesisSettings(**longer, seconds=2), progress=False)
    folder = make_dataset(
        tmp_path / "long", SynthesisSettings(**settings, seconds=2), progress=False
    )
    for path in (folder / "speech_commands").glob("turn*/*.wav"):
        assert len(read_wav(path)) == 32_000


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
        ({"seconds": 0}, "clips of 0 s"),
        ({"noise_seconds": 0.5}, "shorter than a clip"),
        ({"variety": 2.0}, "give 0 to 1.6"),
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


def test_script_prints_the_table_and_one_line_on_error(tmp_path):
    script = [sys.executable, str(ROOT / "scripts/make_dataset.py"), "--out", str(tmp_path / "set")]
    sizes = ["--clips-per-word", "4", "--unknown-words", "cat", "--clips-per-unknown-word", "3"]
    good = subprocess.run(
        [*script, "--words", "dim,lights off", *sizes], capture_output=True, text=True, check=True
    )
    lines = [line.split() for line in good.stdout.splitlines()]
    assert lines[0] == ["word", *PARTITIONS]
    assert ["lights", "off", "2", "1", "1"] in lines
    assert ["total", "5", "3", "3"] in lines
    assert "11 of 11 clips" in good.stderr
    settings = json.loads((tmp_path / "set/synthesis.json").read_text())["settings"]
    assert settings["words"] == ["dim", "lights off"]

    bad = subprocess.run([*script, "--words", "dim,,"], capture_output=True, text=True)
    assert bad.returncode == 2
    assert bad.stderr.startswith("error: ")
    assert bad.stderr.count("\n") == 1
