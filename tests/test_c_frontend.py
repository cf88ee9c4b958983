"""The C front end against TensorFlow's: the int8 values, the ways to feed it, the sanitizers."""

import functools
import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kws_tf.chip import files, frontend_tables, library
from kws_tf.chip.frontend import CFrontEnd, c_features_int8
from kws_tf.data.sources import read_samples
from kws_tf.deployment import golden
from kws_tf.errors import KwsError
from kws_tf.frontend.config import FrontEnd, LogMel, front_end
from kws_tf.frontend.features import features, log_mel, unnormalised_features
from kws_tf.tflite.manifest import Manifest

SWEEP = Path(__file__).parent / "c" / "sweep.c"
NAMES = ("logmel40", "mfcc10", "hello_edge")
WHOLE_BAND = FrontEnd("whole_band", LogMel(bands=30, high_hz=8000.0, fft_length=1024), 750.0)

pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="there is no C compiler"
)


class ModelInput(NamedTuple):
    """What the C front end needs of a model."""

    front_end: FrontEnd
    input_scale: float
    input_bits: int


@functools.lru_cache
def signals(front: FrontEnd, count: int = 12) -> np.ndarray:
    """Speech-like signals: voiced syllables and breath, at all levels; and the golden ones."""
    rng = np.random.default_rng(0)
    time = np.arange(front.samples) / front.log_mel.sample_rate
    made = list(golden.signals(front).values())
    for _ in range(count):
        pitch = rng.uniform(80, 300) * (1 + 0.1 * np.sin(2 * np.pi * rng.uniform(1, 5) * time))
        voice = sum(
            rng.uniform() / k * np.sin(2 * np.pi * k * np.cumsum(pitch) / 16000)
            for k in range(1, 25)
        )
        breath = np.diff(rng.normal(size=front.samples + 1))
        syllables = np.maximum(np.sin(2 * np.pi * rng.uniform(1, 4) * time + rng.uniform(0, 6)), 0)
        signal = syllables * (voice + rng.uniform(0, 0.5) * breath) + 0.001 * breath
        level = 10 ** rng.uniform(1, 4.4)
        made.append(np.clip(np.round(level * signal / 3), -32768, 32767).astype(np.int16))
    return np.stack(made)


def manifest_of(front: FrontEnd, scale: float = 0.03, bits: int = 8, samples=None) -> Manifest:
    """A manifest with the normalisation constants of the signals."""
    samples = signals(front) if samples is None else samples
    values = unnormalised_features(log_mel(samples / np.float32(32768), front.log_mel), front)
    values = values.numpy()
    front = front.normalised(values.mean((0, 1)), np.maximum(values.std((0, 1)), 1e-3))
    return Manifest(("a", "b"), front, float(np.float32(scale)), bits, 1, 8, 64 * "0", 1)


def python_features_int8(samples: np.ndarray, manifest: Manifest) -> np.ndarray:
    values = features(samples.astype(np.float32) / np.float32(32768), manifest.front_end)
    return manifest.quantize(values.numpy())


def assert_agrees(got: np.ndarray, want: np.ndarray) -> None:
    """The bars: no value off by more than 1, at least 99.5 % equal."""
    difference = np.abs(got.astype(int) - want)
    assert difference.max() <= 1
    assert np.mean(difference == 0) >= 0.995


@pytest.mark.parametrize("name", [*NAMES, "whole_band"])
@pytest.mark.parametrize(("scale", "bits"), [(0.03, 8), (0.005, 8), (0.1, 4)])
def test_agrees_with_tensorflow(name, scale, bits):
    front = WHOLE_BAND if name == "whole_band" else front_end(name)
    manifest = manifest_of(front, scale, bits)
    samples = signals(front)
    got = c_features_int8(samples, manifest)
    want = python_features_int8(samples, manifest)
    assert got.shape == want.shape and got.dtype == np.int8
    assert_agrees(got, want)
    assert len(np.unique(want)) > 0.4 * 2**bits  # not a corner of the range


@pytest.fixture(scope="module")
def manifest():
    return manifest_of(front_end("logmel40"))


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 1500), max_size=40), st.integers(0, 2**31))
def test_samples_may_come_in_any_pieces(manifest, pieces, seed):
    samples = np.random.default_rng(seed).integers(-32768, 32768, 16000, np.int64).astype(np.int16)
    whole = c_features_int8(samples[None], manifest)[0]
    front = CFrontEnd(manifest)
    ends = np.cumsum(pieces).clip(max=16000)
    rows = [front.feed(part) for part in np.split(samples, ends)]
    np.testing.assert_array_equal(np.concatenate(rows), whole)


def test_a_reset_forgets_everything(manifest):
    front = CFrontEnd(manifest)
    samples = signals(manifest.front_end)[-1]
    first = front.feed(samples)
    front.feed(samples[:777])
    front.reset()
    np.testing.assert_array_equal(front.feed(samples), first)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 48000))
def test_examples_are_padded_or_cut(manifest, length):
    samples = np.resize(signals(manifest.front_end)[-1], length).astype(np.int16)
    fitted = np.zeros(16000, np.int16)
    fitted[: min(length, 16000)] = samples[:16000]
    np.testing.assert_array_equal(
        c_features_int8(samples[None], manifest), c_features_int8(fitted[None], manifest)
    )


def test_rounds_halves_to_even():
    """A front end whose features are exactly halves of a step: the floor, normalised."""
    halves = np.arange(-20, 20) + 0.5
    front = FrontEnd().normalised(FrontEnd().log_mel.floor - halves, np.ones(40))
    manifest = ModelInput(front, 1.0, 8)
    got = c_features_int8(np.zeros((1, 16000), np.int16), manifest)
    near = np.float32(front.log_mel.floor) - np.float32(front.mean)
    exact = near == halves.astype(np.float32)
    assert exact.sum() > 5  # where float32 holds the half exactly
    np.testing.assert_array_equal(got[0, 0][exact], np.rint(near[exact]))


def test_the_state_takes_the_ram_that_is_stated(manifest):
    front = CFrontEnd(manifest)
    on_32_bit = frontend_tables.ram_bytes(manifest.front_end)
    assert on_32_bit <= len(front._state) <= on_32_bit + 8  # size_t is longer here


def test_bad_input_is_refused(manifest, monkeypatch):
    with pytest.raises(KwsError, match="int16 samples"):
        c_features_int8(np.zeros((1, 16000), np.float32), manifest)
    with pytest.raises(KwsError, match="int16 samples"):
        c_features_int8(np.zeros(16000, np.int16), manifest)
    silence = np.zeros((1, 16000), np.int16)
    with pytest.raises(KwsError, match="normalisation constants"):
        c_features_int8(silence, ModelInput(FrontEnd(), 1.0, 8))
    for message, log_mel_ in (
        ("power of two", LogMel(fft_length=500)),
        ("hop of 40 ms", LogMel(hop_ms=40.0)),
    ):
        front = FrontEnd(log_mel=log_mel_).normalised(np.zeros(40), np.ones(40))
        with pytest.raises(KwsError, match=message):
            c_features_int8(silence, ModelInput(front, 1.0, 8))
    monkeypatch.setenv("CC", "no-such-compiler")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(KwsError, match="needs a C compiler"):
        library.compiler()


# --- Compilers and sanitizers.


def build_sweep(folder: Path, manifest: Manifest, command: list[str]) -> Path:
    texts = files.front_end_files(manifest.front_end, manifest.input_scale, manifest.input_bits)
    for name, text in texts.items():
        (folder / name).write_text(text)
    program = folder / "sweep"
    sources = [str(SWEEP), *map(str, sorted(folder.glob("*.c")))]
    command = [*command, *library.FLAGS, "-g", f"-I{folder}", *sources, "-lm", "-o", program]
    result = subprocess.run(command, capture_output=True, text=True)
    assert not result.returncode, result.stderr
    return program


SANITIZERS = "-fsanitize=address,undefined,float-cast-overflow"
STOP = "-fno-sanitize-recover=all"


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("cc", ["gcc", "clang"])
def test_sanitizers_find_nothing(tmp_path, cc, name):
    if not shutil.which(cc):
        pytest.skip(f"{cc} is not installed")
    sweep = build_sweep(tmp_path, manifest_of(front_end(name)), [cc, SANITIZERS, STOP])
    result = subprocess.run([sweep], capture_output=True, text=True)
    assert not result.returncode, result.stderr[-3000:]
    assert int(result.stdout.split()[0]) > 150


@pytest.mark.slow
def test_a_short_fuzz_run_finds_nothing(tmp_path, manifest):
    if not shutil.which("clang"):
        pytest.skip("clang is not installed")
    fuzzer = [SANITIZERS.replace("=", "=fuzzer,"), STOP, "-DLIBFUZZER"]
    sweep = build_sweep(tmp_path, manifest, ["clang", *fuzzer])
    options = ["-max_total_time=10", "-max_len=40000", "-len_control=0", "-seed=1"]
    result = subprocess.run([sweep, *options], cwd=tmp_path, capture_output=True, text=True)
    assert not result.returncode, result.stderr[-3000:]
    assert "Done" in result.stderr


# --- Real speech, where it is.


@pytest.fixture(scope="module")
def real_speech():
    folder = os.environ.get("KWS_TF_DATA")
    if not folder:
        pytest.skip("KWS_TF_DATA does not name a folder with speech_commands_test_set_v0.02")
    paths = sorted(Path(folder, "speech_commands_test_set_v0.02").rglob("*.flac"))
    return read_samples(paths, front_end("logmel40"))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_agrees_on_real_speech(real_speech, name):
    some = real_speech[np.linspace(0, len(real_speech) - 1, 1000).astype(int)]
    manifest = manifest_of(front_end(name), samples=some)
    for block in np.array_split(some, 10):
        assert_agrees(c_features_int8(block, manifest), python_features_int8(block, manifest))


@pytest.mark.slow
def test_sanitizers_find_nothing_on_real_speech(tmp_path, manifest, real_speech):
    sweep = build_sweep(tmp_path, manifest, ["gcc", SANITIZERS, STOP])
    files = []
    for number, samples in enumerate(real_speech):
        files.append(tmp_path / f"{number}.raw")
        samples.tofile(files[-1])
    result = subprocess.run([sweep, *files], capture_output=True, text=True)
    assert not result.returncode, result.stderr[-3000:]
