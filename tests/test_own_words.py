"""Words of one's own: what is synthesised and mixed, which words are refused, the whole path."""

import functools
import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from running import run_main
from tiny_run import make_audio, write_wav

from kws_tf.audio import speech_commands
from kws_tf.audio.speech_commands import scan
from kws_tf.data import locate, mix, records, sources
from kws_tf.errors import KwsError
from kws_tf.files import folder_digest
from kws_tf.frontend.config import front_end
from kws_tf.labels import check_spelling, class_names, word_key
from kws_tf.settings import DataSettings
from kws_tf.synthesis import vocabulary
from kws_tf.synthesis.settings import SynthesisSettings
from kws_tf.synthesis.words import fitting_window

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    """Runs a script in this process, in a folder of its own; returns code, output and errors."""
    monkeypatch.chdir(tmp_path)

    def call(name, *arguments):
        code = run_main(SCRIPTS / f"{name}.py", *arguments)
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def few(monkeypatch, tmp_path):
    """A handful of examples a word, of one unknown word, instead of hundreds of sixty."""
    monkeypatch.chdir(tmp_path)
    brief = functools.partial(SynthesisSettings, noise_seconds=2.0, speech_minutes=(1.0, 0.1, 0.1))
    monkeypatch.setattr(locate, "SynthesisSettings", brief)
    monkeypatch.setattr(mix, "ENOUGH", 12)
    monkeypatch.setattr(mix, "LEAST", 6)
    monkeypatch.setattr(mix, "HELD_OUT", 4)
    monkeypatch.setattr(locate, "_PER_UNKNOWN_WORD", 6)
    monkeypatch.setattr(vocabulary, "unknown_words", lambda words: ("cat", "lights"))


# --- Unknown words.


def test_near_sounding_words():
    words = ("Lights on", "bedroom_off", "dim", "write")
    found = vocabulary.unknown_words(words)
    near = {"Tim", "did", "dip", "light", "Lights", "on", "bedroom", "on Lights", "night"}
    assert near <= set(found)
    assert {"Lights off", "bedroom on"} <= set(found)  # parts of one in the other
    assert {"yes", "marvin", "visual"} <= set(found)  # the rest of the benchmark's vocabulary
    assert "right" not in found  # sounds as "write"
    keys = [word_key(word) for word in found]
    assert len(set(keys)) == len(keys)
    assert not set(keys) & set(map(word_key, words))
    assert found == vocabulary.unknown_words(words)


@given(st.text("abc", max_size=6), st.text("abc", max_size=6), st.text("abc", max_size=6))
def test_edit_distance_is_a_metric(a, b, c):
    assert vocabulary._edits(a, b) == vocabulary._edits(b, a)
    assert (vocabulary._edits(a, b) == 0) == (a == b)
    assert vocabulary._edits(a, c) <= vocabulary._edits(a, b) + vocabulary._edits(b, c)
    assert abs(len(a) - len(b)) <= vocabulary._edits(a, b) <= max(len(a), len(b))


# --- Words and windows.


def test_the_window_fits_the_longest_word():
    assert fitting_window(["dim", "Off"]) == 1000
    assert 1000 < fitting_window(["dim", "lights on"]) < 1500
    assert 1600 < fitting_window(["turn the kitchen lights on", "да"]) <= 2000
    assert fitting_window(["да"]) == 1000
    with pytest.raises(KwsError, match="longest window is 2000 ms"):
        fitting_window(["please turn the kitchen lights on right now"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("lights on", "Lights_On"), "names a word twice"),
        ((), "is empty"),
        ((" ",), "is empty"),
        (("../up",), "cannot name a folder"),
        (("a\tb\0",), "cannot name a folder"),
        (("_up",), "cannot name a folder"),
    ],
)
def test_bad_words(words, message):
    with pytest.raises(KwsError, match=message):
        DataSettings(words=words)


def test_words_are_spelled_in_one_way():
    data = DataSettings(words=(" lights  on", "Up"))
    assert data.words == ("lights on", "Up")
    assert class_names(data.words)[2:] == data.words
    with pytest.raises(KwsError, match="of 'Lights_On' in here are of the keyword 'lights on'"):
        check_spelling(data.words, ["Up", "Lights_On"], "here")


@pytest.mark.parametrize("window", [499, 2001, float("nan")])
def test_window_out_of_range(window):
    with pytest.raises(KwsError, match=r"--window-ms .* from 500 to 2000"):
        DataSettings(window_ms=window)


def test_records_of_another_window(tmp_path):
    for partition in records.PARTITIONS:
        spectrograms = np.zeros((3, 78, 40), np.uint8)  # 800 ms
        batch = spectrograms, ("up", "down", "cat"), ("a.wav", "b.wav", "c.wav")
        records.write(tmp_path, partition, records.PUBLISHED, [batch])
    data = DataSettings(words=("up", "down"), window_ms=800)
    loaded = sources.load(tmp_path, "training", front_end("logmel40", 800), data)
    assert loaded.values.shape == (3, 78, 40)
    with pytest.raises(KwsError, match=r"78 frames .*\(800 ms\) and the window of 1000 ms"):
        sources.load(tmp_path, "training", front_end("logmel40"), data)


# --- Recordings and synthesised speech.


@given(st.dictionaries(st.sampled_from("abcde"), st.integers(0, 1000), min_size=1))
def test_how_much_is_synthesised(recorded):
    counts = mix.synthetic_counts(recorded, -1)
    if min(recorded.values()) >= mix.ENOUGH:
        assert not any(counts.values())
    for word, number in recorded.items():
        if any(counts.values()):
            assert number + counts[word] >= mix.ENOUGH
            assert counts[word] >= mix.LEAST
    assert set(mix.synthetic_counts(recorded, 7).values()) == {7}


def recorded_words(folder):
    """20 recordings of ``up``, 4 of them for validation; 2 of ``dim``, for training."""
    audio = make_audio(folder)
    shutil.rmtree(audio / "down")
    training = [f.path.name for f in scan(audio, ["up"]) if f.partition == "training"]
    for name in training[:2]:
        write_wav(audio / "dim" / name, np.random.default_rng(1).normal(0, 0.1, 16000))
    return audio


def test_recordings_and_synthesised_speech(few, tmp_path, capsys):
    audio = recorded_words(tmp_path / "own")
    before = folder_digest(audio)
    data = DataSettings(words=("up", "dim", "lights on"))
    source = locate.training_data(audio, False, data)
    assert source.synthetic
    assert source.folder.name == "speech_commands"
    (negatives,) = source.negatives
    assert (negatives.name, negatives.parent.name) == ("training", "running_speech")
    assert len(list(negatives.glob("*.wav"))) == 4
    assert folder_digest(audio) == before

    recorded = {file.path.stem for file in scan(audio)}
    mixed = scan(source.folder)
    numbers = Counter(
        (file.word, file.partition, file.path.stem.partition("_again_")[0] in recorded)
        for file in mixed
        if file.word in data.words
    )
    assert numbers == {
        ("up", "training", True): 16,
        ("up", "validation", True): 4,  # enough to leave synthetic voices out
        ("up", "training", False): 4,  # LEAST, as there is enough of it
        ("up", "testing", False): 1,  # no recording is held out for it
        ("dim", "training", True): 2 * 4,  # about as many as synthesised
        ("dim", "training", False): 7,
        ("dim", "validation", False): 1,
        ("dim", "testing", False): 2,
        ("lights on", "training", False): 9,
        ("lights on", "validation", False): 1,
        ("lights on", "testing", False): 2,
    }
    speakers = {}
    for file in mixed:
        assert speakers.setdefault(file.speaker, file.partition) == file.partition
    others = {file.word for file in mixed} - set(data.words)
    assert others == {"cat", "lights", *(f"{word} (cut)" for word in data.words)}
    noise = [path.name for path in speech_commands.noise_files(source.folder)]
    assert "hiss.wav" in noise and "synthetic_babble.wav" in noise
    test = {path.name for path in (source.folder.parent / "test_set").iterdir()}
    assert test == {"_silence_", "_unknown_", *data.words}
    assert ["lights", "on", "0", "12"] in [
        line.split() for line in capsys.readouterr().out.splitlines()
    ]

    assert locate.training_data(audio, False, data) == source
    (audio / "dim" / "ffffffff_nohash_0.wav").write_bytes(next(audio.glob("up/*")).read_bytes())
    assert locate.training_data(audio, False, data).folder != source.folder


def test_enough_recordings_are_left_alone(few, tmp_path):
    audio = make_audio(tmp_path / "own")
    assert locate.training_data(audio, False, DataSettings(words=("up",))) == (audio, False, ())
    data = DataSettings(words=("up", "dim"), synthetic_per_word=0)
    assert locate.training_data(audio, False, data) == (audio, False, ())


def test_some_of_the_recordings(few, tmp_path):
    audio = make_audio(tmp_path / "own")
    every = {(f.word, f.path.name) for f in scan(audio)}

    def used(number, synthetic):
        data = DataSettings(
            words=("up", "down"), recordings_per_word=number, synthetic_per_word=synthetic
        )
        source = locate.training_data(audio, False, data)
        assert source.synthetic == (synthetic > 0) == bool(source.negatives)
        files = scan(source.folder)
        assert [path.name for path in speech_commands.noise_files(source.folder)]
        there = {(f.word, f.path.name) for f in files if f.partition == "training"} & every
        validation = {f.path.name for f in files if f.partition == "validation"}
        assert validation >= {f.path.name for f in scan(audio) if f.partition == "validation"}
        return there, len(files) - len(there)

    none, _ = used(0, 6)
    two, without = used(2, 0)
    five, _ = used(5, 0)
    both, with_speech = used(5, 6)
    assert none == set()
    assert Counter(word for word, _ in two) == dict.fromkeys(("up", "down", "cat"), 2)
    assert two < five == both
    assert with_speech > without
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "a.tfrecord").touch()
    with pytest.raises(KwsError, match="no folder of audio"):
        locate.training_data(tmp_path / "records", False, DataSettings(recordings_per_word=5))


def test_a_word_that_cannot_be_spoken(few, tmp_path):
    audio = recorded_words(tmp_path / "own")
    (audio / "dim").rename(audio / "да")
    source = locate.training_data(audio, False, DataSettings(words=("up", "да", "on")))
    assert Counter(f.word for f in scan(source.folder))["да"] == 2
    with pytest.raises(KwsError, match="'д' in 'да' cannot be spoken"):
        locate.training_data(None, False, DataSettings(words=("up", "да")))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"words": ("Up", "dim")}, "examples of 'up' .* the keyword 'Up' in another spelling"),
        ({"words": ("up", "please turn the kitchen lights on")}, "does not fit the window"),
    ],
)
def test_bad_recordings(few, tmp_path, change, message):
    audio = recorded_words(tmp_path / "own")
    with pytest.raises(KwsError, match=message):
        locate.training_data(audio, False, DataSettings(**change))


def test_synthesised_recordings_are_not_mixed_with_themselves(few, tmp_path):
    data = DataSettings(words=("up",), recordings_per_word=2)
    made, _, negatives = locate.training_data(None, False, DataSettings(words=("up",)))
    assert negatives == (made.parent / "running_speech" / "training",)
    assert negatives[0].is_dir()
    mine = shutil.copytree(made, tmp_path / "mine")
    before = {path: path.read_bytes() for path in mine.rglob("*.wav")}
    with pytest.raises(KwsError, match="the name of an example that would be synthesised"):
        locate.training_data(mine, False, data)
    assert {path: path.read_bytes() for path in mine.rglob("*.wav")} == before


def test_recorded_noise_that_cannot_be_read_is_not_replaced(few, tmp_path):
    audio = make_audio(tmp_path / "own")
    (noise,) = (audio / "_background_noise_").iterdir()
    noise.rename(noise.with_suffix(".aac"))
    with pytest.raises(KwsError, match="noise"):
        locate.training_data(audio, False, DataSettings(words=("up", "on")))


def test_a_word_folder_without_readable_recordings_is_not_replaced(few, tmp_path):
    audio = make_audio(tmp_path / "own")
    speaker = audio / "dim" / "ann"
    speaker.mkdir(parents=True)
    next((audio / "up").iterdir()).rename(speaker / "1.wav")
    with pytest.raises(KwsError, match=r"own/dim.*import_recordings"):
        locate.training_data(audio, False, DataSettings(words=("up", "dim")))


def test_what_cannot_be_mixed(few, tmp_path):
    data = DataSettings(words=("up",), synthetic_per_word=9)
    with pytest.raises(KwsError, match="no folder of audio"):
        locate.training_data(tmp_path / "absent", False, data)
    with pytest.raises(KwsError, match="neither recordings nor synthesised speech"):
        locate.training_data(None, False, DataSettings(synthetic_per_word=0))


# --- The whole.


def test_from_words_to_detections(few, call, tmp_path):
    words = ("--words", "lights on,Dim", "--window-ms", 1200, "--synthetic-per-word", 9)
    # Quantized from the start, which spares one of two phases.
    sizes = ("--hidden", 8, "--batch-size", 8, "--float-epochs", 0, "--quantized-epochs", 1)
    code, text, errors = call("train", *words, *sizes, "--run-dir", "run")
    assert code == 0, errors
    table = text[text.index("accuracy\n") :].splitlines()
    assert [line.split()[0] for line in table[1:4]] == ["fake-quant", "int8,", "int8,"]
    assert "arena of TFLite Micro" in table[4]
    manifest = json.loads(Path("run/model.json").read_text())
    assert manifest["labels"] == ["_silence_", "_unknown_", "lights on", "Dim"]
    assert manifest["front_end"]["example_ms"] == 1200
    assert Path("run/labels.txt").read_text().splitlines() == manifest["labels"]
    accuracy = json.loads(Path("run/accuracy.json").read_text())
    assert set(accuracy) == {"keras-quantized", "tflite", "tflm"}
    assert accuracy["tflite"]["n"] == 4  # an example of each class

    code, text, errors = call("say", "lights on, dim", "phrase.wav")
    assert code == 0, errors
    trigger = ("--threshold", 0, "--refractory-ms", 0, "--decision-ms", 300)
    code, text, errors = call("spot", "run/model.tflite", "phrase.wav", *trigger, "--json", "j")
    assert code == 0, errors
    spotted = json.loads(Path("j").read_text())
    # Every decision from the third on is a detection at this threshold.
    assert abs(len(spotted["rows"]) - ((spotted["seconds"] + 1.2) / 0.3 - 1)) <= 1
    assert {row["word"] for row in spotted["rows"]} <= {"lights on", "Dim"}
    assert text.count("%") == len(spotted["rows"])
    code, _, errors = call("spot", "run/model.tflite", "phrase.wav", "--threshold", 2)
    assert code == 2
    assert errors.startswith("error: the trigger's threshold is 2")

    code, _, errors = call("export_micro", "run/model.tflite", "-o", "firmware")
    assert code == 0, errors
    assert '    "lights on",\n' in Path("firmware/kws_labels.c").read_text()
    assert "#define KWS_EXAMPLE_SAMPLES 19200\n" in Path("firmware/kws_config.h").read_text()


@pytest.mark.slow
def test_a_spotter_of_own_words_from_nothing(call):
    words = ("lights on", "lights off", "dim")
    code, _, errors = call("train", "--words", ",".join(words), "--run-dir", "run")
    assert code == 0, errors
    assert json.loads(Path("run/accuracy.json").read_text())["tflite"]["accuracy"] > 0.9
    phrase = "hello, lights on, good morning, dim, kitchen, lights off, seven"
    for voice in ("en+f4", "en-us+robert"):
        call("say", phrase, "phrase.wav", "--voice", voice)
        code, _, errors = call("spot", "run/model.tflite", "phrase.wav", "--json", "spotted.json")
        assert code == 0, errors
        spotted = json.loads(Path("spotted.json").read_text())["rows"]
        assert [row["word"] for row in spotted] == ["lights on", "dim", "lights off"]
