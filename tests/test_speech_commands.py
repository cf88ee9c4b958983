import collections
import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kws_tf.audio import speech_commands as sc
from kws_tf.errors import KwsError

# From the published validation records and canonical test set of v0.02.
OFFICIAL = {
    "e72aa705_nohash_1.wav": "training",
    "31267b59_nohash_0.wav": "training",
    "e20be42a_nohash_0.wav": "training",
    "ccca5655_nohash_3.wav": "validation",
    "9db2bfe9_nohash_3.wav": "validation",
    "257e17e0_nohash_2.wav": "validation",
    "7add4c5f_nohash_1.wav": "testing",
    "db24628d_nohash_1.wav": "testing",
    "cd85758f_nohash_3.wav": "testing",
}


def make(folder, *names):
    """Makes empty files; the layout is read from the names alone."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def summary(clips):
    return [(clip.word, clip.path.name, clip.partition) for clip in clips]


@pytest.mark.parametrize(("name", "partition"), OFFICIAL.items())
def test_official_partition(name, partition):
    assert sc.partition_of(name) == partition
    assert sc.partition_of(f"some/folder/{name.replace('.wav', '.flac')}") == partition


def test_shares_of_the_partitions():
    names = [f"{random.Random(i).getrandbits(32):08x}_nohash_0.wav" for i in range(4000)]
    count = collections.Counter(sc.partition_of(n, 20, 5) for n in names)
    assert count["validation"] == pytest.approx(800, rel=0.15)
    assert count["testing"] == pytest.approx(200, rel=0.3)
    assert {sc.partition_of(n, 0, 0) for n in names} == {"training"}


def test_speaker():
    assert sc.speaker_of("up/0a7c2a8d_nohash_12.wav") == "0a7c2a8d"
    assert sc.speaker_of(Path("anna_nohash_x_nohash_0.flac")) == "anna"
    assert sc.speaker_of("my.take.wav") == sc.speaker_of("my.take.flac") == "my.take"


names = st.text(st.characters(blacklist_characters="/\0", codec="utf-8"), min_size=1, max_size=12)


@given(names, st.lists(st.tuples(names, st.sampled_from([".wav", ".flac"])), min_size=2))
def test_a_speaker_never_crosses_partitions(speaker, takes):
    clips = [f"{speaker}_nohash_{take}{extension}" for take, extension in takes]
    assert len({sc.speaker_of(clip) for clip in clips}) == 1
    assert len({sc.partition_of(clip) for clip in clips}) == 1


def test_scan(tmp_path):
    make(
        tmp_path,
        "up/e72aa705_nohash_1.wav",
        "up/ccca5655_nohash_3.FLAC",
        "up/._ccca5655_nohash_3.wav",
        "up/notes.txt",
        "go/7add4c5f_nohash_1.flac",
        "go/7add4c5f_nohash_1.wav",
        "_background_noise_/rain.wav",
        ".git/x.wav",
        "README.md",
    )
    (tmp_path / "empty").mkdir()
    clips = sc.scan(tmp_path)
    assert summary(clips) == [
        ("go", "7add4c5f_nohash_1.wav", "testing"),
        ("up", "ccca5655_nohash_3.FLAC", "validation"),
        ("up", "e72aa705_nohash_1.wav", "training"),
    ]
    assert [clip.speaker for clip in clips] == ["7add4c5f", "ccca5655", "e72aa705"]
    assert sc.scan(tmp_path, ["up", "up"]) == clips[1:]


def test_official_lists_come_before_the_rule(tmp_path):
    make(tmp_path, *(f"up/{c}_nohash_{n}.flac" for c in ("aa", "bb", "cc") for n in (0, 1)))
    (tmp_path / "validation_list.txt").write_text("up/aa_nohash_0.wav\nup/aa_nohash_1.wav\n")
    (tmp_path / "testing_list.txt").write_text("up/bb_nohash_0.wav\r\nup/bb_nohash_1.wav\r\n\r\n")
    partitions = {clip.speaker: clip.partition for clip in sc.scan(tmp_path)}
    assert partitions == {"aa": "validation", "bb": "testing", "cc": "training"}


@pytest.mark.parametrize(
    ("validation", "testing", "words"),
    [
        ("up/aa_nohash_0.wav", "", "speaker 'aa' into two partitions"),
        ("up/aa_nohash_0.wav", "up/aa_nohash_1.wav", "speaker 'aa' into two partitions"),
        ("up/aa_nohash_0.wav", "up/aa_nohash_0.wav", "in both lists"),
        (None, "up/aa_nohash_0.wav", "not validation_list.txt"),
        ("up/aa_nohash_0.wav", None, "not testing_list.txt"),
    ],
)
def test_bad_lists(tmp_path, validation, testing, words):
    make(tmp_path, "up/aa_nohash_0.wav", "up/aa_nohash_1.wav")
    for name, text in (("validation", validation), ("testing", testing)):
        if text is not None:
            (tmp_path / f"{name}_list.txt").write_text(text)
    with pytest.raises(KwsError, match=words):
        sc.scan(tmp_path)


def test_bad_data_folders(tmp_path):
    with pytest.raises(KwsError, match="does not exist"):
        sc.scan(tmp_path / "none")
    make(tmp_path, "_background_noise_/rain.wav")
    with pytest.raises(KwsError, match="no word folders"):
        sc.scan(tmp_path)
    (tmp_path / "up").mkdir()
    with pytest.raises(KwsError, match="have no WAV or FLAC files"):
        sc.scan(tmp_path)
    with pytest.raises(KwsError, match=r"up has no WAV or FLAC files.*'up'"):
        sc.scan(tmp_path, ["up"])
    with pytest.raises(KwsError, match=r"unknown word 'upp'.*it has: up"):
        sc.scan(tmp_path, ["upp"])


def test_noise_files(tmp_path):
    make(tmp_path, "_background_noise_/b.flac", "_background_noise_/a.wav", "up/x.wav")
    folder = tmp_path / "_background_noise_"
    make(folder, "README.md")
    assert sc.noise_files(tmp_path) == [folder / "a.wav", folder / "b.flac"]
    assert sc.noise_files(folder) == sc.noise_files(tmp_path)
    with pytest.raises(KwsError, match="does not exist"):
        sc.noise_files(tmp_path / "none")
    (tmp_path / "bare").mkdir()
    assert sc.noise_files(tmp_path / "up") == [tmp_path / "up" / "x.wav"]
    assert sc.noise_files(tmp_path / "bare") == sc.noise_files(tmp_path)  # beside it
    (tmp_path / "far" / "bare").mkdir(parents=True)
    with pytest.raises(KwsError, match="neither _background_noise_ nor"):
        sc.noise_files(tmp_path / "far" / "bare")


def test_test_set(tmp_path):
    make(
        tmp_path,
        "LICENSE",
        "_silence_/1024.flac",
        "_unknown_/backward_0c540988_nohash_0.wav.wav",
        "_unknown_/lights_on_0c540988_nohash_0.wav.flac",
        "_unknown_/cat_0c540988_nohash_0.wav.flac",
        "up/022cd682_nohash_0.flac",
        "cat/022cd682_nohash_0.wav",
        "left/022cd682_nohash_0.flac",
    )
    clips = sc.scan_test_set(tmp_path, ["_silence_", "_unknown_", "up", "cat"])
    assert [(path.relative_to(tmp_path).as_posix(), index) for path, index in clips] == [
        ("_silence_/1024.flac", 0),
        ("_unknown_/backward_0c540988_nohash_0.wav.wav", 1),
        ("_unknown_/lights_on_0c540988_nohash_0.wav.flac", 1),
        ("up/022cd682_nohash_0.flac", 2),
        ("cat/022cd682_nohash_0.wav", 3),
    ]
    make(tmp_path, "lights_on/022cd682_nohash_0.flac")
    own = sc.scan_test_set(tmp_path, ["_unknown_", "lights_on"])
    assert [path.name[:6] for path, index in own if index == 0] == ["backwa", "cat_0c"]


def test_bad_test_sets(tmp_path):
    with pytest.raises(KwsError, match="does not exist"):
        sc.scan_test_set(tmp_path / "none", ["up"])
    with pytest.raises(KwsError, match=r"class 'up'.*no folders"):
        sc.scan_test_set(tmp_path, ["up"])
    make(tmp_path, "_silence_/1.wav", "_unknown_/up_0c540988_nohash_0.wav.wav")
    with pytest.raises(KwsError, match="class 'up'; it has: _silence_, _unknown_"):
        sc.scan_test_set(tmp_path, ["_silence_", "up"])
    (tmp_path / "up").mkdir()
    with pytest.raises(KwsError, match="no WAV or FLAC files of the class 'up'"):
        sc.scan_test_set(tmp_path, ["_silence_", "up"])
    with pytest.raises(KwsError, match="of the class '_unknown_'"):
        sc.scan_test_set(tmp_path, ["_unknown_", "up"])


@pytest.mark.skipif("KWS_TF_DATA" not in os.environ, reason="KWS_TF_DATA names no data folder")
def test_real_folders():
    data = Path(os.environ["KWS_TF_DATA"])
    clips = sc.scan(data / "speech_commands_subset")
    speakers = collections.defaultdict(set)
    for clip in clips:
        speakers[clip.partition].add(clip.speaker)
    assert set(speakers) == {"training", "validation"}
    assert not speakers["training"] & speakers["validation"]
    keywords = ["yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go"]
    test = sc.scan_test_set(
        data / "speech_commands_test_set_v0.02", ["_silence_", "_unknown_", *keywords]
    )
    assert len(test) == 4890
    assert {sc.partition_of(path) for path, index in test if index > 1} == {"testing"}
