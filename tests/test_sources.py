"""Audio and records as the user has them: the same examples of both, and every bad input."""

import dataclasses
import shutil
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile
from running import run_main

from kws_tf.audio import speech_commands
from kws_tf.data import pipeline, records, sources
from kws_tf.data.extract import extract
from kws_tf.errors import KwsError
from kws_tf.frontend.config import front_end
from kws_tf.frontend.features import log_power, mel_power
from kws_tf.settings import DataSettings

WORDS = ("up", "down")
DATA = DataSettings(words=WORDS)
SCRIPTS = Path(__file__).parent.parent / "scripts"


def speaker(partition, number):
    """The name of the ``number``-th speaker that the official rule puts into a partition."""
    names = (f"{i:08x}" for i in range(10_000))
    of_partition = (n for n in names if speech_commands.partition_of(n) == partition)
    return [next(of_partition) for _ in range(number + 1)][number]


def write_wav(path, seconds=1.0, frequency=500.0, channels=1, rate=16000, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(round(seconds * rate)) / rate
    hum = np.random.default_rng(seed).normal(size=len(time)) * 0.02
    samples = 0.3 * np.sin(2 * np.pi * frequency * time) * np.sin(np.pi * time) + hum
    pcm = np.int16(np.clip(samples, -1, 1) * 32767)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.repeat(pcm, channels).tobytes())
    return path


def first_file(folder, word="up"):
    return folder / word / f"{speaker('training', 0)}_nohash_0.wav"


@pytest.fixture
def audio(tmp_path):
    """Three training examples and one for validation of three words, and a noise recording."""
    folder = tmp_path / "audio"
    for number, word in enumerate((*WORDS, "cat")):
        for partition, count in (("training", 3), ("validation", 1)):
            for i in range(count):
                write_wav(
                    folder / word / f"{speaker(partition, i)}_nohash_0.wav",
                    frequency=300.0 * (number + 1) + 20 * i,
                    seconds=0.8 if i == 1 else 1.0,
                    seed=number * 10 + i,
                )
    write_wav(folder / "_background_noise_" / "hum.wav", seconds=3.0)
    return folder


def load(folder, partition="training", data=DATA, name="logmel40"):
    return sources.load(folder, partition, front_end(name), data)


@pytest.mark.parametrize("name", ["logmel40", "hello_edge"])
def test_audio_and_records_agree_within_one_step(audio, tmp_path, name):
    base = front_end(name)
    counts = extract(audio, tmp_path / "records", base, shards=1)
    each = dict.fromkeys(("cat", "down", "up"), 3)
    assert counts["training"] == each
    assert counts["validation"] == dict.fromkeys(each, 1)
    assert counts["background"] == {"_background_noise_": 5}
    # One 8-bit step is 0.1 nats; unit normalisation of the bands keeps nats.
    base = dataclasses.replace(base, coefficients=0).normalised([0.0] * 40, [1.0] * 40)
    for partition in ("training", "validation"):
        samples = load(audio, partition, name=name)
        spectrograms = load(tmp_path / "records", partition, name=name)
        np.testing.assert_array_equal(samples.keyword, spectrograms.keyword)
        assert len(samples.noise) == len(spectrograms.noise)
        data = DataSettings(words=WORDS, silence_share=0)
        from_audio, labels = pipeline.fixed_set(samples, base, data)
        from_records, again = pipeline.fixed_set(spectrograms, base, data)
        np.testing.assert_array_equal(labels, again)
        np.testing.assert_allclose(from_records, from_audio, atol=0.1)


def test_faint_noise_of_records_is_raised_and_loud_noise_stays(audio, tmp_path):
    stored, folder = records.PUBLISHED, tmp_path / "records"
    extract(audio, folder, front_end("logmel40"), shards=1)
    slices = records.read(folder, "background").spectrograms
    power = mel_power(records.from_uint8(slices, stored), stored).numpy()
    amplitudes = np.array([1.0, 0.5, 0.3, 0.1, 1e-4], np.float32)
    faint = records.to_uint8(log_power(power * amplitudes[:, None, None] ** 2, stored), stored)
    batch = faint.numpy(), ["_background_noise_"] * 5, [f"{i}.wav" for i in range(5)]
    records.write(folder, "background", stored, [batch])
    np.testing.assert_array_equal(load(folder).noise, faint)
    noise = load(folder, data=dataclasses.replace(DATA, level_noise=True)).noise
    assert len(noise) == 4  # the faintest holds nothing any more
    level = mel_power(records.from_uint8(noise, stored), stored).numpy().mean((1, 2))
    np.testing.assert_array_equal(noise[0], faint[0])
    np.testing.assert_allclose(level[1:], level[1], rtol=0.1)  # a step is 0.1 nats
    assert level[1] < 0.9 * level[0]
    loud = noise[0] > 100
    difference = noise[:3].astype(int) - slices[:3]
    assert np.ptp(difference[:, loud].mean(1)) < 6  # 8 bits of a slice at 0.3, made louder


def test_what_is_loaded(audio):
    got = load(audio)
    assert got.values.shape == (9, 16000)
    assert got.values.dtype == got.noise.dtype == np.int16
    assert list(got.keyword) == [-1] * 3 + [1] * 3 + [0] * 3  # folders in order of the alphabet
    assert got.noise.shape == (5, 16000)  # 3 s in slices of 1 s every 0.5 s
    assert np.all(got.values[1, 12800:] == 0)  # 0.8 s, padded
    assert len(load(audio, "validation").values) == 3


def test_samples_are_those_of_the_file(audio):
    with wave.open(str(first_file(audio, "cat"))) as file:
        pcm = np.frombuffer(file.readframes(16000), np.int16)
    np.testing.assert_array_equal(load(audio).values[0], pcm)


def test_stereo_is_refused_or_mixed_down(audio):
    mono = load(audio)
    path = write_wav(first_file(audio), channels=2, frequency=300.0)
    with pytest.raises(KwsError, match=f"{path.name} has 2 channels .* --mix-down"):
        load(audio)
    mixed = load(audio, data=dataclasses.replace(DATA, mix_down=True))
    np.testing.assert_array_equal(mixed.values, mono.values)


def test_damaged_file_is_named(audio):
    path = first_file(audio)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(KwsError, match=f"{path.name} is truncated"):
        load(audio)


def test_every_format_is_read(audio):
    before = load(audio).values
    for i, format in enumerate(("FLAC", "AIFF")):
        path = sorted((audio / "up").iterdir())[i]
        samples, rate = soundfile.read(path, dtype="int16")
        path.unlink()
        soundfile.write(path.with_suffix(f".{format.lower()}"), samples, rate)
    np.testing.assert_array_equal(load(audio).values, before)


@pytest.mark.parametrize(("excess", "is_read"), [(0.05, True), (0.06, False), (9, False)])
def test_what_is_longer_than_the_window(audio, excess, is_read):
    path = write_wav(first_file(audio), seconds=1 + excess)
    if is_read:  # as a lossy format pads it
        np.testing.assert_array_equal(
            load(audio).values[6], soundfile.read(path, 16000, dtype="int16")[0]
        )
        return
    words = rf"{path.name} takes {1 + excess:.2f} s and the window 1 s; .*import_recordings.py"
    with pytest.raises(KwsError, match=words):
        load(audio)
    longer = dataclasses.replace(front_end("logmel40"), example_ms=10_000.0)
    write_wav(audio / "_background_noise_" / "hum.wav", seconds=11.0)
    assert len(sources.load(audio, "training", longer, DATA).values) == 9


def test_digital_silence(audio, tmp_path):
    for name in ("up", "cat"):
        path = first_file(audio, name)
        soundfile.write(path, np.zeros(16000), 16000)
    words = f"2 of 9 recordings of words hold nothing but zeros, such as .*cat/{path.name}"
    with pytest.raises(KwsError, match=words):
        load(audio)
    with pytest.raises(KwsError, match=words):
        extract(audio, tmp_path / "records", front_end("logmel40"))
    soundfile.write(audio / "_background_noise_" / "hum.wav", np.zeros(32000), 16000)
    with pytest.raises(KwsError, match=r"noise recordings in .* hold nothing but zeros"):
        load(audio)


def test_missing_and_empty_folder(tmp_path):
    with pytest.raises(KwsError, match=r"data folder .*nowhere does not exist"):
        load(tmp_path / "nowhere")
    with pytest.raises(KwsError, match="has no word folders"):
        load(tmp_path)


def test_missing_noise(audio):
    shutil.rmtree(audio / "_background_noise_")
    with pytest.raises(KwsError, match="neither _background_noise_ nor recordings"):
        load(audio)
    (audio / "_background_noise_").mkdir()
    write_wav(audio / "_background_noise_" / "short.wav", seconds=0.5)
    with pytest.raises(KwsError, match="shorter than an example of 1000 ms"):
        load(audio)


def test_unknown_word(audio):
    with pytest.raises(KwsError, match="no example of the word 'left' in the training partition"):
        load(audio, data=DataSettings(words=("up", "left")))


def test_no_training_examples_of_a_word(audio):
    for path in (audio / "up").iterdir():
        if speech_commands.partition_of(path) == "training":
            path.unlink()
    with pytest.raises(KwsError, match="no example of the word 'up' in the training partition"):
        load(audio)


def test_no_examples_of_other_words(audio):
    shutil.rmtree(audio / "cat")
    with pytest.raises(KwsError, match=r"no training examples of other words .* --unknown-share 0"):
        load(audio)
    assert len(load(audio, data=dataclasses.replace(DATA, unknown_share=0)).values) == 6


def test_records_of_another_front_end_or_length(audio, tmp_path):
    extract(audio, tmp_path / "records", front_end("hello_edge"))
    with pytest.raises(KwsError, match="made by another front end"):
        load(tmp_path / "records")
    longer = dataclasses.replace(front_end("hello_edge"), example_ms=1500.0)
    with pytest.raises(KwsError, match=r"97 frames an example \(1000 ms\) and .* 1500 ms has 147"):
        sources.load(tmp_path / "records", "training", longer, DATA)


def test_records_without_a_partition_or_word(audio, tmp_path):
    folder = tmp_path / "records"
    extract(audio, folder, front_end("logmel40"), words=["up", "down"])
    with pytest.raises(KwsError, match="no training examples of other words"):
        load(folder)
    with pytest.raises(KwsError, match="'cat' in the validation records"):
        load(folder, "validation", DataSettings(words=("cat",)))
    (folder / "background-00000-of-00001.tfrecord").unlink()
    with pytest.raises(KwsError, match=r"has no background-\*"):
        load(folder)


def test_extract_shards_and_leaves_nothing_after_a_failure(audio, tmp_path):
    path = first_file(audio, "cat")
    good = path.read_bytes()
    path.write_bytes(b"fLaC" + bytes(100))
    with pytest.raises(KwsError, match=path.name):
        extract(audio, tmp_path / "records", front_end("logmel40"))
    assert [p.name for p in tmp_path.iterdir()] == ["audio"]
    path.write_bytes(good)
    (tmp_path / "records").mkdir()  # an empty folder is welcome
    extract(audio, tmp_path / "records", front_end("mfcc10"), shards=4)
    assert len(list((tmp_path / "records").glob("training-*-of-00004.tfrecord"))) == 4
    assert len(records.read(tmp_path / "records", "training").names) == 9
    with pytest.raises(KwsError, match="exists and is not an empty folder"):
        extract(audio, tmp_path / "records", front_end("mfcc10"))


def test_extract_bad_arguments(audio, tmp_path):
    with pytest.raises(KwsError, match="--shards 0"):
        extract(audio, tmp_path / "records", front_end("mfcc10"), shards=0)
    with pytest.raises(KwsError, match="unknown word 'left'"):
        extract(audio, tmp_path / "records", front_end("mfcc10"), words=["left"])
    with pytest.raises(KwsError, match=r"cannot write .*hum.wav"):
        target = audio / "_background_noise_" / "hum.wav" / "records"
        extract(audio, target, front_end("mfcc10"))


def test_extract_script(audio, tmp_path, capsys):
    script = SCRIPTS / "extract_features.py"
    assert run_main(script, audio, "-o", tmp_path / "records", "--shards", 2) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["word", "training", "validation", "background"]
    assert ["cat", "3", "1", "0"] in rows
    assert ["total", "9", "3", "5"] in rows
    assert len(load(tmp_path / "records").values) == 9


@pytest.mark.parametrize("script", ["extract_features.py", "download.py"])
def test_help_and_bad_input(script, tmp_path, capsys):
    assert run_main(SCRIPTS / script, "--help") == 0
    assert "default: " in capsys.readouterr().out
    (tmp_path / "file").touch()
    wrong = {
        "extract_features.py": (tmp_path / "none", "-o", tmp_path / "out"),
        "download.py": ("--data-dir", tmp_path / "file" / "data"),
    }
    assert run_main(SCRIPTS / script, *wrong[script]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
