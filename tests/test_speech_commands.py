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


def summary(recordings):
    return [(one.word, one.path.name, one.partition) for one in recordings]


def partitions(folder):
    return {one.speaker: one.partition for one in sc.scan(folder)}


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
    files = [f"{speaker}_nohash_{take}{extension}" for take, extension in takes]
    assert len({sc.speaker_of(file) for file in files}) == 1
    assert len({sc.partition_of(file) for file in files}) == 1


def test_scan(tmp_path, capsys):
    make(
        tmp_path,
        "up/e72aa705_nohash_1.wav",
        "up/ccca5655_nohash_3.FLAC",
        "up/._ccca5655_nohash_3.wav",
        "up/notes.txt",
        "go/7add4c5f_nohash_1.flac",
        "go/7add4c5f_nohash_1.wav",
        "go/7add4c5f_nohash_2.mp3",
        "_background_noise_/rain.wav",
        ".git/x.wav",
        "README.md",
    )
    (tmp_path / "empty").mkdir()
    found = sc.scan(tmp_path)
    assert summary(found) == [
        ("go", "7add4c5f_nohash_1.wav", "testing"),
        ("go", "7add4c5f_nohash_2.mp3", "testing"),
        ("up", "ccca5655_nohash_3.FLAC", "validation"),
        ("up", "e72aa705_nohash_1.wav", "training"),
    ]
    assert [one.speaker for one in found] == ["7add4c5f", "7add4c5f", "ccca5655", "e72aa705"]
    assert sc.scan(tmp_path, ["up", "up"]) == found[2:]
    assert not capsys.readouterr().err


# --- What training cannot take, and the importer might, is never left out without a word.


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["up/anna/1.wav"], r"up/anna/1\.wav lies too deep in .*/up to be used; run .*import_rec"),
        (["up/a.wav", "up/anna/x/1.mp3"], r"up/anna/x/1\.mp3 lies too deep"),
        (
            ["up/1.m4a", "up/2.m4a"],
            r"no recordings by their names \(2, such as 1\.m4a\); run .*import",
        ),
        (["up/take"], r"\(1, such as take\); run scripts/import_recordings.py"),
    ],
)
def test_a_folder_for_the_importer_is_refused(tmp_path, names, message):
    make(tmp_path, *names, "down/b.wav")
    for words in (None, ["up"]):
        with pytest.raises(KwsError, match=message):
            sc.scan(tmp_path, words)
    make(tmp_path, "_silence_/1.wav")
    with pytest.raises(KwsError, match=message):
        sc.scan_test_set(tmp_path, ["_silence_", "up"])


def test_other_files_among_recordings_are_told(tmp_path, capsys):
    make(tmp_path, "up/a.wav", "up/b.m4a", "up/README.md")
    assert len(sc.scan(tmp_path)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert (
        line
        == f"note: {tmp_path}/up has files that are no recordings by their names (1, such as b.m4a)"
    )


def test_links(tmp_path):
    make(tmp_path, "elsewhere/a.wav", "data/go/b.wav")
    (tmp_path / "data" / "up").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "go" / "gone.wav").symlink_to("nowhere")  # for the reader to refuse
    assert [one.path.name for one in sc.scan(tmp_path / "data")] == ["b.wav", "gone.wav", "a.wav"]
    (tmp_path / "data" / "go" / "circle").symlink_to(tmp_path / "data" / "go")
    assert len(sc.scan(tmp_path / "data")) == 3


# --- Lists.


@pytest.mark.parametrize(
    "form",
    [
        "up/{}.wav",
        "up\\{}.wav",
        "./up/{}.wav",
        ".\\up\\{}.wav",
        "/home/anna/speech_commands/up/{}.wav",
        "C:\\data\\up\\{}.wav",
        "up/{}",
        " up/{}.flac ",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_lists_come_before_the_rule(tmp_path, form, encoding):
    names = [f"{speaker}_nohash_{n}" for speaker in ("aa", "bb", "é") for n in (0, 1)]
    make(tmp_path, *(f"up/{name}.flac" for name in names))
    for partition, listed in (("validation", names[:2]), ("testing", names[2:4])):
        text = "\r\n".join(form.format(name) for name in [*listed]) + "\r\n\r\n"
        (tmp_path / f"{partition}_list.txt").write_bytes(text.encode(encoding))
    assert partitions(tmp_path) == {"aa": "validation", "bb": "testing", "é": "training"}


def test_names_that_are_not_utf8_are_listed(tmp_path):
    make(tmp_path, "up/\udce9.wav", "up/b.wav")
    (tmp_path / "validation_list.txt").write_bytes(b"up/\xe9.wav\n")
    (tmp_path / "testing_list.txt").touch()
    assert partitions(tmp_path) == {"\udce9": "validation", "b": "training"}


@pytest.mark.parametrize(
    ("validation", "testing", "words"),
    [
        ("up/aa_nohash_0.wav", "", "speaker 'aa' into two partitions"),
        ("up/aa_nohash_0.wav", "up/aa_nohash_1.wav", "speaker 'aa' into two partitions"),
        ("up/aa_nohash_0.wav", "up/aa_nohash_0.wav", "in both lists"),
        (None, "up/aa_nohash_0.wav", "not validation_list.txt"),
        ("up/aa_nohash_0.wav", None, "not testing_list.txt"),
        (
            "",
            "up:aa_nohash_0.wav\naa_nohash_1.wav",
            "all 2 lines of .*testing_list.txt name no reco",
        ),
        ("down/aa_nohash_0.wav", "", "all 1 lines of .*validation_list.txt name no recording"),
    ],
)
def test_bad_lists(tmp_path, validation, testing, words):
    make(tmp_path, "up/aa_nohash_0.wav", "up/aa_nohash_1.wav")
    for name, text in (("validation", validation), ("testing", testing)):
        if text is not None:
            (tmp_path / f"{name}_list.txt").write_text(text)
    with pytest.raises(KwsError, match=words):
        sc.scan(tmp_path)


def test_lines_that_name_nothing_are_told(tmp_path, capsys):
    make(tmp_path, "up/aa.wav", "up/bb.wav", "go/cc.wav")
    (tmp_path / "validation_list.txt").write_text("up/aa.wav\nup/gone.wav\ndown/dd.wav\ngo/cc.wav")
    (tmp_path / "testing_list.txt").touch()
    # Lines of words that are there and not wanted are not looked up.
    assert [one.partition for one in sc.scan(tmp_path, ["up"])] == ["validation", "training"]
    (line,) = capsys.readouterr().err.splitlines()
    path = tmp_path / "validation_list.txt"
    told = f"note: 2 of 4 lines of {path} name no recording there, such as up/gone.wav"
    assert line == told
    sc.scan(tmp_path, ["up"])
    assert not capsys.readouterr().err  # once a process


def test_bad_data_folders(tmp_path):
    with pytest.raises(KwsError, match="does not exist"):
        sc.scan(tmp_path / "none")
    make(tmp_path, "_background_noise_/rain.wav")
    with pytest.raises(KwsError, match="no word folders"):
        sc.scan(tmp_path)
    (tmp_path / "up").mkdir()
    with pytest.raises(KwsError, match=r"word folders of .* have no recordings.*import_recordings"):
        sc.scan(tmp_path)
    with pytest.raises(KwsError, match=r"up has no recordings.*import_recordings.py.*'up'"):
        sc.scan(tmp_path, ["up"])
    with pytest.raises(KwsError, match=r"unknown word 'upp'.*it has: up"):
        sc.scan(tmp_path, ["upp"])


# --- Noise and test sets.


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
    with pytest.raises(KwsError, match="neither _background_noise_ nor recordings"):
        sc.noise_files(tmp_path / "far" / "bare")
    make(folder, "street/c.wav")
    with pytest.raises(KwsError, match=r"street/c\.wav lies too deep"):
        sc.noise_files(tmp_path)


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
    found = sc.scan_test_set(tmp_path, ["_silence_", "_unknown_", "up", "cat"])
    assert [(path.relative_to(tmp_path).as_posix(), index) for path, index in found] == [
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
    with pytest.raises(KwsError, match="no recordings of the class 'up'"):
        sc.scan_test_set(tmp_path, ["_silence_", "up"])
    with pytest.raises(KwsError, match="of the class '_unknown_'"):
        sc.scan_test_set(tmp_path, ["_unknown_", "up"])


@pytest.mark.skipif("KWS_TF_DATA" not in os.environ, reason="KWS_TF_DATA names no data folder")
def test_real_folders():
    data = Path(os.environ["KWS_TF_DATA"])
    speakers = collections.defaultdict(set)
    for one in sc.scan(data / "speech_commands_subset"):
        speakers[one.partition].add(one.speaker)
    assert set(speakers) == {"training", "validation"}
    assert not speakers["training"] & speakers["validation"]
    keywords = ["yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go"]
    test = sc.scan_test_set(
        data / "speech_commands_test_set_v0.02", ["_silence_", "_unknown_", *keywords]
    )
    assert len(test) == 4890
    assert {sc.partition_of(path) for path, index in test if index > 1} == {"testing"}
