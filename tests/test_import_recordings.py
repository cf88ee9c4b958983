"""Recordings as people have them: every format, every problem, a thousand files."""

import errno
import hashlib
import io
import json
import os
import shutil
import struct
import wave
from collections import Counter
from pathlib import Path, PurePath

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from own_recordings import PITCH, run_script, spoken

from kws_tf.audio import reader
from kws_tf.audio.recordings import cutting, speakers
from kws_tf.audio.recordings.cutting import Problem, bursts, cut_example
from kws_tf.audio.recordings.importing import import_recordings
from kws_tf.audio.recordings.tables import summary, tables
from kws_tf.audio.speech_commands import (
    NOISE_FOLDER,
    PARTITIONS,
    noise_files,
    partition_of,
    scan,
    speaker_of,
)
from kws_tf.errors import KwsError


def pcm_bytes(samples, width):
    """WAV samples of 1 to 4 bytes, by hand: 8 bits are unsigned, the rest little-endian signed."""
    largest = 2 ** (8 * width - 1) - 1
    pcm = np.round(np.clip(samples, -1, 1) * largest).astype(np.int64)
    if width == 1:
        return (pcm + 128).astype(np.uint8).tobytes()
    return pcm.astype("<i8").reshape(-1, 1).view(np.uint8)[:, :width].tobytes()


def wav(samples, rate, width=2):
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((channels, width, rate, 0, "NONE", ""))
        writer.writeframes(pcm_bytes(samples, width))
    return file.getvalue()


def float_wav(samples, rate, bits=32):
    """WAVE_FORMAT_IEEE_FLOAT, by hand."""
    data = samples.astype(f"<f{bits // 8}").tobytes()
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    size = channels * bits // 8
    header = struct.pack("<HHIIHH", 3, channels, rate, rate * size, size, bits)
    body = b"WAVEfmt " + struct.pack("<I", 16) + header + b"data" + struct.pack("<I", len(data))
    return b"RIFF" + struct.pack("<I", len(body) + len(data)) + body + data


def encoded(format, subtype):
    def encode(samples, rate):
        file = io.BytesIO()
        soundfile.write(file, samples, rate, subtype, format=format)
        return file.getvalue()

    return encode


FORMATS = {
    "WAV 8": lambda samples, rate: wav(samples, rate, 1),
    "WAV 16": wav,
    "WAV 24": lambda samples, rate: wav(samples, rate, 3),
    "WAV 32": lambda samples, rate: wav(samples, rate, 4),
    "WAV float": float_wav,
    "WAV double": lambda samples, rate: float_wav(samples, rate, 64),
    "WAV extensible": encoded("WAVEX", "PCM_24"),
    "FLAC 16": encoded("FLAC", "PCM_16"),
    "FLAC 24": encoded("FLAC", "PCM_24"),
    "OGG Vorbis": encoded("OGG", "VORBIS"),
    "MP3": encoded("MP3", "MPEG_LAYER_III"),
}
RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


def put(folder, **contents):
    """Writes files into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name.replace("__", ".")).write_bytes(content)


def digests(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def dbfs(samples):
    return 10 * np.log10(np.mean(np.square(samples)))


@pytest.fixture
def source(tmp_path):
    return tmp_path / "in"


@pytest.fixture
def target(tmp_path):
    return tmp_path / "out"


# --- One recording.


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(sorted(FORMATS)),
    st.sampled_from(RATES),
    st.sampled_from([1, 2]),
    st.floats(0.2, 1.4),
    st.floats(0.05, 0.9),
)
def test_any_format_gives_the_word_in_the_middle(
    tmp_path_factory, format, rate, channels, at, level
):
    samples = spoken(2, [at], rate, level)
    if channels == 2:
        samples = np.stack([samples, 0.5 * samples], 1)
    path = tmp_path_factory.mktemp("any") / "take.dat"
    path.write_bytes(FORMATS[format](samples, rate))
    read, is_overloaded = cutting.read(path)
    assert not is_overloaded
    assert abs(len(read) - 2 * 16000) <= 0.06 * 16000  # MP3 may be padded
    example, findings = cut_example(read, "up", 16000)
    assert not findings
    assert (example.dtype, example.shape) == (np.float32, (16000,))
    power = np.square(example, dtype=float)
    middle = (power * np.arange(16000)).sum() / power.sum()
    # In the middle, unless the recording begins or ends within half a window of the word.
    assert middle / 16000 == pytest.approx(at - np.clip(at - 0.5, 0, 1), abs=0.03)
    pitch = np.argmax(np.abs(np.fft.rfft(example)))
    assert pitch == pytest.approx(PITCH, abs=5)
    ((start, end),) = bursts(example)
    assert dbfs(example[start:end]) == pytest.approx(cutting.SPEECH_DBFS, abs=1)


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 40000),
    st.floats(1e-7, 100),
    st.integers(0, 2**32),
    st.integers(8000, 32000),
    st.booleans(),
)
def test_no_example_is_too_loud_or_of_another_length(size, level, seed, length, spiky):
    rng = np.random.default_rng(seed)
    samples = level * rng.standard_normal(size) * np.hanning(size) + 0.1 * level
    if spiky:
        samples[rng.integers(size)] *= 1000
    example, findings = cut_example(samples.astype(np.float32), "up", length)
    if example is None:
        assert findings
    else:
        assert len(example) == length
        assert np.isfinite(example).all()
        assert np.abs(example).max() <= 10 ** (cutting.PEAK_DBFS / 20) * 1.0001


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.1, 0.6), st.floats(0.35, 1.5)), max_size=4),
    st.sampled_from([0.0, 1e-4, 1e-3, 5e-3]),
    st.floats(0.1, 0.9),
)
def test_bursts_are_counted(words, noise, level):
    at, time = [], 0.4
    for length, pause in words:
        at.append((time + length / 2, length))
        time += length + pause
    samples = spoken(time + 0.4, [], noise=noise)
    for middle, length in at:
        samples += spoken(time + 0.4, [middle], level=level, noise=0, length=length)
    found = bursts(samples)
    assert len(found) == len(words)
    for (start, end), (middle, length) in zip(found / 16000, at, strict=True):
        assert start == pytest.approx(middle - length / 2, abs=0.04)
        assert end == pytest.approx(middle + length / 2, abs=0.04)


@pytest.mark.parametrize("hum", [0, 0.2])
def test_clicks_breath_and_hum_are_no_words(hum):
    samples = spoken(3, [1.5])
    samples[8000:8100] += 0.5  # a click
    samples += spoken(3, [2.5], level=0.02, noise=0)  # a breath
    samples += hum * np.sin(2 * np.pi * 50 * np.arange(len(samples)) / 16000) + hum
    ((start, end),) = bursts(samples)
    assert (start + end) / 2 == pytest.approx(1.5 * 16000, abs=500)


def test_short_recording_is_padded_on_both_sides():
    samples = spoken(0.5, [0.2], noise=0.001).astype(np.float32)
    example, _ = cut_example(samples, "up", 16000)
    filled = np.flatnonzero(example)
    assert 4000 <= filled[0] <= 8000
    assert filled[-1] - filled[0] == pytest.approx(8000, abs=20)
    ((start, end),) = bursts(example)
    assert (start + end) / 2 == pytest.approx(8000, abs=200)


@pytest.mark.parametrize(
    ("word", "at", "problems"),
    [
        ("lights on", [0.4], []),
        ("lights on", [0.4, 1.2], []),
        ("lights-on", [0.4, 1.2], []),
        ("lights on", [0.4, 1.2, 2.0], [Problem.WORD_COUNT]),
        ("lights", [0.4, 1.2], [Problem.WORD_COUNT]),
    ],
)
def test_a_phrase_may_have_as_many_bursts_as_parts(word, at, problems):
    example, findings = cut_example(spoken(3, at).astype(np.float32), word, 24000)
    assert [finding.problem for finding in findings] == problems
    assert len(example) == 24000


VALID = {name: encode(spoken(0.3, [0.15], length=0.2), 16000) for name, encode in FORMATS.items()}


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_file_never_stops_an_import(tmp_path_factory, data):
    content = bytearray(VALID[data.draw(st.sampled_from(sorted(VALID)))])
    for _ in range(data.draw(st.integers(0, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "take"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        samples, _ = cutting.read(path)
    except cutting.Rejection as rejection:
        assert rejection.finding.detail
    else:
        assert np.isfinite(samples).all()
        cut_example(samples, "up", 16000)


# --- Speakers.


@pytest.mark.parametrize(
    ("path", "word", "speaker"),
    [
        ("0a7c2a8d_nohash_1.wav", "up", "0a7c2a8d"),
        ("anna_nohash_0.wav", "up", "anna"),
        ("ben/anna_nohash_0.wav", "up", "anna"),
        ("Anna/x.wav", "up", "anna"),
        ("Anna/2024/take_1.wav", "up", "anna"),
        ("ANNA_1.wav", "up", "anna"),
        ("anna_up_1.wav", "up", "anna"),
        ("up_anna_1.wav", "up", "anna"),
        ("Lights-On_anna_3.wav", "lights on", "anna"),
        ("upper_1.wav", "up", "upper"),
        ("up_1.wav", "up", None),
        ("lights_on_1.wav", "Lights On", None),
        ("up.wav", "up", None),
        ("Recording 1.wav", "up", None),
        ("_1.wav", "up", None),
    ],
)
def test_speaker_told_by_a_path(path, word, speaker):
    assert speakers.told_by(PurePath(path), word) == speaker


@settings(deadline=None)
@given(st.text(min_size=1), st.sampled_from(PARTITIONS))
def test_name_is_hexadecimal_and_in_its_partition(speaker, partition):
    name = speakers.name_for(speaker, partition)
    assert speakers.is_official(PurePath(f"{name}_nohash_0.wav"))
    assert partition_of(f"{name}_nohash_7.wav") == partition
    assert name == speakers.name_for(speaker, partition)


def lacking(said, partitions):
    """Words without a speaker, by partition."""
    there = {(word, partitions[speaker]) for speaker, words in said.items() for word in words}
    words = {word for words in said.values() for word in words}
    return [sum((word, partition) not in there for word in words) for partition in PARTITIONS]


names = st.text("abcdef0123456789", min_size=8, max_size=8)
words = st.dictionaries(st.sampled_from("stuv"), st.integers(1, 9), min_size=1)


@settings(deadline=None)
@given(st.dictionaries(names, words, min_size=1, max_size=12), st.data())
def test_assignment(said, data):
    kept = data.draw(st.sets(st.sampled_from(sorted(said))))
    partitions = speakers.assign(said, kept)
    assert {speaker: partitions[speaker] for speaker in kept} == {
        speaker: partition_of(speaker) for speaker in kept
    }
    backwards = dict(reversed([(s, dict(reversed(w.items()))) for s, w in said.items()]))
    assert speakers.assign(backwards, kept) == partitions
    if not kept:
        # As many partitions as there are speakers, by importance.
        everybody = {speaker: {"up": 1} for speaker in said}
        expected = [int(len(said) < needed) for needed in (1, 2, 3)]
        assert lacking(everybody, speakers.assign(everybody)) == expected


@settings(deadline=None)
@given(st.dictionaries(names, words, min_size=1, max_size=12))
def test_assignment_lacks_no_more_than_the_official_rule(said):
    by_rule = {s: partition_of(hashlib.sha1(f"{s}/0".encode()).hexdigest()[:8]) for s in said}
    assert lacking(said, speakers.assign(said)) <= lacking(said, by_rule)


# --- A folder.


def people(folder, words=("up", "lights_on"), number=5):
    """Two recordings of each word by each of so many people, in all ways of naming them."""
    for index in range(number):
        for word in words:
            for take in range(2):
                place = (f"p{index}/{take}", f"p{index}_{take}", f"{word}_p{index}_{take}")
                path = folder / word / f"{place[(index + take) % 3]}.wav"
                put(path.parent, **{path.name: wav(spoken(seed=7 * index + take), 16000)})


def test_layout_speakers_and_partitions(source, target):
    people(source)
    before = digests(source)
    imported = import_recordings(source, target)
    assert digests(source) == before
    assert len(imported) == 20
    written = scan(target)  # which refuses a speaker in two partitions
    assert {path.parent.name for path in target.glob("*/*.wav")} == {"up", "lights on"}
    for word in ("up", "lights on"):
        of_word = [one for one in written if one.word == word]
        assert len(of_word) == 10
        assert {one.partition for one in of_word} == set(PARTITIONS)
        assert len({one.speaker for one in of_word}) == 5
    assert len({one.speaker for one in written}) == 5
    for one in written:
        info = soundfile.info(one.path)
        assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16")
        assert info.frames == 16000
        assert speakers.is_official(one.path)
    assert {item.speaker for item in imported} == {f"p{index}" for index in range(5)}
    assert all(partition_of(target / i.output) == i.partition for i in imported)


def test_official_speakers_keep_their_names_and_partitions(source, target):
    given = ["e72aa705_nohash_1.wav", "ccca5655_nohash_3.wav", "7add4c5f_nohash_1.wav"]
    put(source / "up", **dict.fromkeys([*given, "anna_1.wav"], wav(spoken(), 16000)))
    for item in import_recordings(source, target):
        if item.source.name in given:
            assert speaker_of(item.output) == item.source.name[:8]
            assert item.partition == partition_of(item.source)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_few_speakers(source, target, number):
    people(source, ["up"], number)
    recordings = import_recordings(source, target)
    assert {one.partition for one in scan(target)} == set(PARTITIONS[:number])
    note = "note: no examples for " + " and ".join(PARTITIONS[number:]) + " of up"
    assert (note in tables(recordings)) == (number < 3)


def test_unnamed_files_are_speakers_of_their_own(source, target):
    put(source / "up", **{f"Recording {n}.wav": wav(spoken(seed=n), 16000) for n in range(6)})
    recordings = import_recordings(source, target)
    assert len({one.speaker for one in scan(target)}) == 6
    assert summary(recordings)["up"]["unnamed"] == 6
    assert "6 examples tell no speaker" in tables(recordings)


def test_spellings_of_a_word_are_one_word(source, target):
    put(source / "Lights On", a=wav(spoken(), 16000))
    put(source / "lights_on", b=wav(spoken(), 16000))
    import_recordings(source, target)
    assert {one.word for one in scan(target)} == {"Lights On"}


def test_names_that_are_not_utf8(source, target):
    for name in ("\udce9_1.wav", "\udce9.wav", "caf\udce9/1.wav", "\udce9 bad.wav"):
        path = source / "up" / name
        put(path.parent, **{path.name: b"" if "bad" in name else wav(spoken(), 16000)})
    put(source / NOISE_FOLDER, **{"\udce9.wav": wav(spoken(2), 16000)})
    recordings = import_recordings(source, target)
    assert sum(item.output is not None for item in recordings) == 4
    assert len(scan(target)) == 3
    tables(recordings).encode()


def test_linked_folders_are_followed(source, target, tmp_path):
    put(tmp_path / "phone" / "anna", a=wav(spoken(), 16000), b=wav(spoken(seed=1), 16000))
    put(source / "up", c=wav(spoken(seed=2), 16000))
    (source / "up" / "Anna").symlink_to(tmp_path / "phone" / "anna")
    (source / "up" / "circle").symlink_to(source / "up")
    (source / "down").symlink_to(tmp_path / "phone")
    found = [
        (item.word, item.source.name, item.speaker) for item in import_recordings(source, target)
    ]
    assert sorted(found, key=str) == [
        ("down", "a", "anna"),
        ("down", "b", "anna"),
        ("up", "a", "anna"),
        ("up", "b", "anna"),
        ("up", "c", None),
    ]
    assert len(scan(target)) == 5


def test_what_lies_beside_the_words_is_told(source, target, capsys):
    people(source, ["up"], 1)
    put(source, stray__wav=QUIET)
    put(source / "_later", a=QUIET)
    import_recordings(source, target)
    told = f"note: {source} has stray.wav, _later beside the folders of words, left out"
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("window_ms", [500, 1500, 2000])
def test_window(source, target, window_ms):
    put(source / "up", a=wav(spoken(), 16000))
    import_recordings(source, target, window_ms)
    (one,) = scan(target)
    assert soundfile.info(one.path).frames == window_ms * 16


# --- Problems.

QUIET = wav(spoken(at=[]), 16000)
QUIET_AND_SHORT = wav(spoken(0.3, at=[]), 16000)
PROBLEMS = {
    "short__wav": (wav(spoken(0.19, [0.1], length=0.06), 16000), Problem.TOO_SHORT),
    "blip__wav": (wav(spoken(1, [0.5], length=0.05), 16000), Problem.TOO_SHORT),
    "long__wav": (wav(spoken(3, [1.5], length=1.6), 16000), Problem.TOO_LONG),
    "hour__wav": (wav(np.zeros(61 * 8000), 8000), Problem.TOO_LONG),
    "zero__wav": (wav(np.zeros(16000), 16000), Problem.SILENT),
    "hiss__wav": (QUIET, Problem.SILENT),
    "faint__wav": (wav(spoken(level=5e-4, noise=1e-5), 16000, 3), Problem.SILENT),
    "twice__wav": (wav(spoken(2, [0.4, 1.2]), 16000), Problem.WORD_COUNT),
    "overloaded__wav": (wav(spoken(level=5), 16000), Problem.OVERLOADED),
    "overloaded__mp3": (FORMATS["MP3"](np.clip(spoken(level=5), -1, 1), 16000), Problem.OVERLOADED),
    "empty__ogg": (b"", Problem.UNREADABLE),
    "text__wav": (b"no audio at all", Problem.UNREADABLE),
    "header__wav": (QUIET[:44], Problem.UNREADABLE),
    "cut__flac": (VALID["FLAC 16"][:2000], Problem.UNREADABLE),
    "cut__ogg": (VALID["OGG Vorbis"][:2000], Problem.UNREADABLE),
    "noise__mp3": (np.random.default_rng(0).bytes(3000), Problem.UNREADABLE),
    "nan__wav": (float_wav(np.full(16000, np.nan), 16000), Problem.UNREADABLE),
    "rate__wav": (wav(spoken(rate=3000), 3000), Problem.UNREADABLE),
    "phone__m4a": (b"\0\0\0\x20ftypM4A " + bytes(500), Problem.UNREADABLE),
}
LEFT_OUT = (Problem.UNREADABLE, Problem.SILENT)


@pytest.mark.parametrize("keep_doubtful", [False, True])
def test_problems_are_reported_and_left_out(source, target, keep_doubtful):
    put(source / "up", good__wav=wav(spoken(), 16000))
    put(source / "up", **{name: content for name, (content, _) in PROBLEMS.items()})
    (source / "up" / "gone.wav").symlink_to("nowhere")
    before = digests(source)
    recordings = import_recordings(source, target, keep_doubtful=keep_doubtful)
    assert digests(source) == before
    found = {item.source.name: item for item in recordings}
    assert not found.pop("good.wav").findings
    assert [f.problem for f in found.pop("gone.wav").findings] == [Problem.UNREADABLE]
    assert {name: [f.problem for f in item.findings] for name, item in found.items()} == {
        name.replace("__", "."): [problem] for name, (_, problem) in PROBLEMS.items()
    }
    for name, item in found.items():
        (finding,) = item.findings
        hopeless = finding.problem in LEFT_OUT or name == "hour.wav"
        kept = finding.problem == Problem.OVERLOADED or (keep_doubtful and not hopeless)
        assert (item.output is not None) == kept, name
        assert finding.detail
    assert len(list(target.glob("up/*.wav"))) == sum(i.output is not None for i in recordings)
    text = tables(recordings)
    count = Counter(problem for _, problem in PROBLEMS.values()) + Counter([Problem.UNREADABLE])
    for problem, number in count.items():
        (line,) = [line for line in text.splitlines() if line.startswith(problem.value)]
        assert line.removeprefix(problem.value).split()[0] == str(number)
    assert "up/twice.wav: 2 bursts of speech where 1 can be" in text
    report = json.loads((target / "import.json").read_text())
    assert {f["source"]: list(f["problems"]) for f in report["files"]} == {
        i.source.as_posix(): [f.problem.value for f in i.findings] for i in recordings
    }


@pytest.mark.parametrize("rate", [16000, 48000])
def test_full_scale_float_is_not_overloaded(tmp_path, rate):
    (tmp_path / "loud").write_bytes(float_wav(spoken(rate=rate, level=3), rate))
    assert not cutting.read(tmp_path / "loud")[1]
    (tmp_path / "over").write_bytes(float_wav(np.clip(spoken(rate=rate, level=3), -1, 1), rate))
    assert cutting.read(tmp_path / "over")[1]


def test_one_overloaded_channel_is_enough(tmp_path):
    samples = np.stack([spoken(), spoken(level=5)], 1)
    (tmp_path / "over").write_bytes(wav(samples, 16000))
    assert cutting.read(tmp_path / "over")[1]


def test_overload_in_the_middle_of_many_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "_BLOCK", 1000)
    (tmp_path / "over").write_bytes(wav(spoken(level=5), 16000))
    samples, is_overloaded = cutting.read(tmp_path / "over")
    assert is_overloaded
    assert len(samples) == 24000


def test_hundreds_of_mixed_files(source, target):
    rates = (8000, 16000, 44100)
    good = [encode(spoken(0.8, [0.4], r), r) for encode in FORMATS.values() for r in rates]
    bad = [content for content, _ in PROBLEMS.values() if len(content) < 100_000]
    for index in range(150):
        content = bad[index % len(bad)] if index % 4 == 0 else good[index % len(good)]
        put(source / f"word {index % 7}", **{f"p{index % 30}_{index}": content})
    recordings = import_recordings(source, target)
    assert len(recordings) == 150
    for item in recordings:
        number = int(item.source.name.partition("_")[2])
        assert bool(item.findings) == (number % 4 == 0)
        overloaded = Problem.OVERLOADED in dict(item.findings)
        assert (item.output is not None) == (not item.findings or overloaded)
    written = scan(target)
    assert len(written) == sum(item.output is not None for item in recordings)
    assert len({(one.word, one.partition) for one in written}) == 7 * len(PARTITIONS)


# --- Noise.


def test_noise_is_taken_along(source, target):
    people(source, ["up"])
    rng = np.random.default_rng(0)
    rain = 0.1 * rng.standard_normal((3 * 44100, 2))
    put(source / NOISE_FOLDER, rain__flac=FORMATS["FLAC 24"](rain, 44100))
    put(source / NOISE_FOLDER, rain__wav=wav(rain[:48000, 0], 16000), short__wav=QUIET_AND_SHORT)
    put(source / NOISE_FOLDER / "street", loud__wav=float_wav(20 * rain[:, 0], 48000))
    recordings = import_recordings(source, target)
    paths = noise_files(target)
    assert [path.name for path in paths] == ["rain-2.wav", "rain.wav", "street-loud.wav"]
    samples = {path.name: soundfile.read(path)[0] for path in paths}
    assert len(samples["rain.wav"]) == 48000
    # Of two channels, and of the bands up to 8 kHz.
    assert dbfs(samples["rain.wav"]) == pytest.approx(-20 - 3 + 10 * np.log10(16 / 44.1), abs=0.7)
    assert dbfs(samples["rain-2.wav"]) == pytest.approx(-20, abs=0.1)
    assert (np.abs(samples["street-loud.wav"]) >= 0.999).sum() == 1  # scaled, not cut
    assert all(one.word == "up" for one in scan(target))
    text = tables(recordings)
    assert "noise: 3 of 4 recordings" in text
    assert "short.wav: shorter than the window" in text
    assert "there is no" not in text


def test_missing_noise_is_said(source, target):
    people(source, ["up"])
    assert f"there is no {NOISE_FOLDER}, which training needs" in tables(
        import_recordings(source, target)
    )


# --- Again.


def test_again_gives_the_same_files(source, target, tmp_path):
    people(source)
    import_recordings(source, target)
    first = digests(target)
    for path in sorted(target.glob("up/*.wav"))[:3]:
        path.unlink()  # as after an interruption
    (target / ".unfinished-import").mkdir()
    (target / ".unfinished-import" / "3.wav").write_bytes(b"half")
    import_recordings(source, target)
    assert digests(target) == first
    import_recordings(source, tmp_path / "other")
    assert digests(tmp_path / "other") == first


def test_what_is_gone_from_the_source_is_gone_and_nothing_else(source, target):
    people(source)
    import_recordings(source, target)
    put(target / "up", mine_nohash_0__wav=QUIET)
    put(target / NOISE_FOLDER, mine__wav=QUIET)
    for path in source.glob("up/p1*"):
        for file in [path] if path.is_file() else path.iterdir():
            file.unlink()
    shutil.rmtree(source / "lights_on")
    recordings = import_recordings(source, target)
    assert not (target / "lights on").exists()
    assert len(list(target.glob("up/*.wav"))) == summary(recordings)["up"]["examples"] + 1
    assert (target / "up" / "mine_nohash_0.wav").read_bytes() == QUIET
    assert (target / NOISE_FOLDER / "mine.wav").read_bytes() == QUIET


def test_foreign_file_is_not_overwritten(source, target):
    put(source / "up", e72aa705_nohash_1__wav=wav(spoken(), 16000))
    put(target / "up", e72aa705_nohash_0__wav=QUIET)
    with pytest.raises(KwsError, match="no import wrote it"):
        import_recordings(source, target)
    assert list(digests(target)) == ["up/e72aa705_nohash_0.wav"]


def test_other_source_is_refused(source, target, tmp_path):
    people(source, ["up"])
    people(tmp_path / "other", ["up"])
    import_recordings(source, target)
    first = digests(target)
    with pytest.raises(KwsError, match="holds the import of"):
        import_recordings(tmp_path / "other", target)
    assert digests(target) == first


@pytest.mark.parametrize(
    "report",
    [
        "{",
        "[]",
        json.dumps({"source": "", "files": [{"output": "../precious.wav"}]}),
        json.dumps({"source": "", "files": [{"output": "/etc/precious.wav"}]}),
        json.dumps({"source": "", "files": [{"output": 3}]}),
    ],
)
def test_damaged_report_is_refused(source, target, tmp_path, report):
    people(source, ["up"])
    put(tmp_path, precious__wav=QUIET)
    put(target, import__json=report.encode())
    with pytest.raises(KwsError, match="is damaged"):
        import_recordings(source, target)
    assert (tmp_path / "precious.wav").exists()


# --- The command line.


def test_script(source, target, tmp_path, capsys):
    people(source)
    put(source / "up", bad__mp3=b"no audio")
    code = run_script("import_recordings", source, "-o", target, "--json", tmp_path / "r.json")
    assert code == 0
    text = capsys.readouterr().out
    assert text.split()[:8] == ["word", "files", "examples", "speakers", "unnamed", *PARTITIONS]
    assert "up/bad.mp3: cannot be decoded" in text
    assert (tmp_path / "r.json").read_bytes() == (target / "import.json").read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--window-ms", 100], "a window of 100 ms is out of range"),
        (["--window-ms", 2500], "a window of 2500 ms is out of range"),
        (["--window-ms", "nan"], "a window of nan ms is out of range"),
    ],
)
def test_bad_option(source, target, capsys, options, message):
    people(source, ["up"], 1)
    assert run_script("import_recordings", source, "-o", target, *options) == 2
    assert message in capsys.readouterr().err
    assert not target.exists()


def test_bad_places(source, target, tmp_path, capsys):
    def refused(source, target):
        assert run_script("import_recordings", source, "-o", target) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    assert "does not exist" in refused(source, target)
    source.mkdir()
    assert "has no folders of words" in refused(source, target)
    put(source / "up", good=wav(spoken(), 16000))
    assert "within one another" in refused(source, source)
    assert "within one another" in refused(source, source / "out")
    assert "within one another" in refused(source, tmp_path)
    put(tmp_path, file=b"")
    assert "is a file" in refused(source, tmp_path / "file")
    put(tmp_path / "official", testing_list__txt=b"")
    assert "testing_list.txt says which" in refused(source, tmp_path / "official")


def test_full_disk_names_the_file(source, target, capsys, monkeypatch):
    people(source, ["up"], 1)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert run_script("import_recordings", source, "-o", target) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: the disk is full while writing {target}/")
    assert not list(target.glob("up/*"))


def test_nothing_to_import(source, target, capsys):
    put(source / "up", a=QUIET, b=b"")
    assert run_script("import_recordings", source, "-o", target) == 2
    text, errors = capsys.readouterr()
    assert "silent" in text
    assert errors.startswith("error: nothing of ")


@pytest.mark.skipif("KWS_TF_DATA" not in os.environ, reason="KWS_TF_DATA names no data folder")
def test_real_words_have_one_burst(target):
    folder = Path(os.environ["KWS_TF_DATA"]) / "speech_commands_subset"
    paths = sorted(folder.glob("*/*.flac"))[::10]
    found = Counter(len(bursts(cutting.read(path)[0])) for path in paths)
    assert found[1] >= 0.97 * len(paths)
