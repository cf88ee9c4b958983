"""The exported folder: the same bytes again, compiles everywhere, computes what Python does.

TensorFlow Lite Micro's sources are not here: the C++ application is compiled against stand-in
headers (tests/tflm_stub), behind which the tflite-micro package computes. TFLM_DIR, a checkout or
a tree, replaces them in the last test (TFLM_LIBRARY and TFLM_INCLUDES as in CMakeLists.txt).
"""

import dataclasses
import errno
import functools
import json
import os
import re
import shutil
import subprocess
import threading
from pathlib import Path

import models
import numpy as np
import pytest
from models import classifier_file, random_inputs, random_model
from running import run_main
from tensorflow.lite.python import schema_py_generated as schema
from tflite_micro import runtime
from tiny_run import write_wav

from kws_tf.chip import lstm_tables
from kws_tf.chip.frontend import CFrontEnd, c_features_int8
from kws_tf.chip.source import c_string
from kws_tf.chip.spotter import ChipSpotter
from kws_tf.deployment import c_files, golden, tflm_model
from kws_tf.deployment import export as exporting
from kws_tf.deployment.export import export
from kws_tf.errors import KwsError
from kws_tf.frontend.config import front_end
from kws_tf.reference import IntegerModel
from kws_tf.tflite import model as tflite_model
from kws_tf.tflite import tflm
from kws_tf.tflite.graph import Graph
from kws_tf.tflite.trigger import Trigger

SCRIPT = Path(__file__).parents[1] / "scripts" / "export_micro.py"
STUB = Path(__file__).parent / "tflm_stub"
C_TESTS = Path(__file__).parent / "c"
LABELS = ("_silence_", "_unknown_", "lights on", 'nö"', "up\\", "down??/")
STRICT = ["-Wall", "-Wextra", "-Werror", "-pedantic"]
C_STRICT = ["-std=c99", *STRICT]
CXX_STRICT = ["-std=c++17", "-fno-exceptions", "-fno-rtti", *STRICT]


def needs(*tools):
    missing = [tool for tool in tools if not shutil.which(tool)]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def model_bytes(name: str, example_ms: float = 1000.0) -> tuple[bytes, float]:
    """A model of random weights for a front end, with its posteriors as the only output."""
    front, units = front_end(name, example_ms), 24
    model = random_model(3, units, front.features, len(LABELS))
    graph = Graph(classifier_file(model, front.frames))
    graph.main.outputs = graph.main.outputs[:1]
    return graph.to_bytes(), float(model.input.scale)


def save_model(folder: Path, name: str = "logmel40", example_ms: float = 1000.0, **changes) -> Path:
    """Writes the model and its manifest, but for the changes."""
    content, scale = model_bytes(name, example_ms)
    front = front_end(name, example_ms)
    level = 0.0 if front.coefficients else -7.0
    front = front.normalised([level] * front.features, [5.0] * front.features)
    content = changes.pop("content", content)
    return models.save_model(folder / "model.tflite", content, LABELS, front, scale, 24, **changes)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """With the reference kernels, which the stand-in has."""
    folder = tmp_path_factory.mktemp("export")
    return export(save_model(folder / "model"), folder / "firmware", kernels="reference")


@pytest.fixture(scope="module")
def with_kernel(tmp_path_factory):
    """As exported by default: the project's LSTM under TFLM."""
    folder = tmp_path_factory.mktemp("export")
    return export(save_model(folder / "model"), folder / "firmware")


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    return export(save_model(folder / "model"), folder / "firmware", bare=True)


CHIPS = pytest.mark.parametrize(
    ("cpu", "name"),
    [("cortex-m0plus", "logmel40"), ("cortex-m4", "mfcc10"), ("cortex-m7", "hello_edge")],
)
EXPORTS = pytest.mark.parametrize("kind", ["exported", "with_kernel", "bare"])


def run(*command, **options) -> str:
    """Runs a command that must succeed; returns what it printed."""
    result = subprocess.run([*map(str, command)], capture_output=True, text=True, **options)
    assert not result.returncode, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout


# --- The folder.


@EXPORTS
def test_the_same_model_gives_the_same_bytes(kind, request, tmp_path):
    """Also in a folder that had another firmware before."""
    first = request.getfixturevalue(kind)
    path, out = save_model(tmp_path / "model"), tmp_path / "deep" / "firmware"
    export(path, out, bare=kind != "bare")
    kernels = first.model.kernels if first.model else "kws"
    again = export(path, out, kernels=kernels, bare=first.model is None)
    assert again._replace(folder=first.folder) == first
    names = sorted(path.name for path in first.folder.iterdir() if path.is_file())
    assert names == sorted(path.name for path in out.iterdir())
    for name in names:
        assert (first.folder / name).read_bytes() == (out / name).read_bytes(), name


@EXPORTS
def test_nothing_in_it_names_a_place_of_this_machine(kind, request):
    folder = request.getfixturevalue(kind).folder
    for path in folder.iterdir():
        if path.is_file():
            text = path.read_text()
            assert str(folder.parent) not in text and os.getcwd() not in text, path.name


@EXPORTS
def test_the_readme_names_files_that_are_there(kind, request):
    folder = request.getfixturevalue(kind).folder
    named = set(re.findall(r"\bk\w+\.(?:cc|c|h)\b", (folder / "README.md").read_text()))
    assert len(named) > 8 and {"kws_trigger.c", "kws_labels.c"} <= named
    assert named <= {path.name for path in folder.iterdir()}


def test_the_manifest_gets_the_trigger(exported, tmp_path):
    written = json.loads((exported.folder / "manifest.json").read_text())
    assert written["details"]["trigger"] == dataclasses.asdict(Trigger())
    trigger = {"threshold": 0.5, "decision_ms": 40.0}
    path = save_model(tmp_path / "model", details={"trigger": trigger})
    other = export(path, tmp_path / "firmware")
    assert other.manifest.details["trigger"] == dataclasses.asdict(Trigger(**trigger))
    config = (other.folder / "kws_config.h").read_text()
    assert "KWS_DECISION_HOPS 2\n" in config
    assert "KWS_LEAST_SUMS {768, 768, 384, 384, 384, 384}\n" in config
    by_word = Trigger(thresholds={"up\\": 0.25, "lights on": 1.0})
    again = export(path, tmp_path / "again", trigger=by_word)
    assert again.manifest.trigger == by_word
    config = (again.folder / "kws_config.h").read_text()
    assert "KWS_LEAST_SUMS {768, 768, 768, 538, 192, 538}\n" in config
    assert "| threshold of `lights on` | 1 |\n" in (again.folder / "README.md").read_text()
    with pytest.raises(KwsError, match="a threshold for 'off', no keyword; give thresholds of"):
        export(path, tmp_path / "none", trigger=Trigger(thresholds={"off": 0.5}))
    assert not (tmp_path / "none").exists()


def test_ops_and_arena(exported):
    model = exported.model
    assert model.methods == (
        "AddUnidirectionalSequenceLSTM",
        "AddStridedSlice",
        "AddFullyConnected",
        "AddSoftmax",
    )
    assert model.ends_in_softmax
    ops = (exported.folder / "kws_ops.h").read_text()
    assert "MicroMutableOpResolver<4>" in ops and ops.count("resolver->Add") == 4
    assert model.arena_needed == model.arena_used
    assert 1.05 * model.arena_used <= model.arena_bytes < 1.05 * model.arena_used + 257
    # An interpreter with exactly that arena runs.
    content = model_bytes("logmel40")[0]
    interpreter = runtime.Interpreter.from_bytes(content, arena_size=model.arena_bytes)
    interpreter.set_input(np.zeros((1, 49, 40), np.int8), 0)
    interpreter.invoke()


def test_the_model_array_is_the_file(exported):
    text = (exported.folder / "kws_model.c").read_text()
    body = text.split("kws_model[")[1].split("{")[1].split("}")[0]
    values = np.array(body.replace(",", " ").split(), int).astype(np.uint8)
    assert values.tobytes() == model_bytes("logmel40")[0]


def test_the_kernel_has_the_weights_in_the_place_of_the_model(exported, with_kernel):
    """And takes other memory of the arena: vectors of 16 bits instead of four gates."""
    vectors = 2 * (32 + 32 + 48)  # 24 units and 40 features in steps of 16
    model = with_kernel.model
    assert model.arena_needed == exported.model.arena_used - 4 * 2 * 24 + vectors
    assert (
        "AddUnidirectionalSequenceLSTM(kws::RegisterLstm())"
        in (with_kernel.folder / "kws_ops.h").read_text()
    )
    content = model_bytes("logmel40")[0]
    weights = 4 * 24 * (40 + 24) + 4 * 4 * 24
    rest = c_files.without_lstm_weights(content)
    assert weights < len(content) - len(rest) + 4 * 16 < weights + 4 * 32
    before, after = Graph(content), Graph(rest)
    assert before.names == after.names
    np.testing.assert_array_equal(
        before.values(before.dense.inputs[1]), after.values(after.dense.inputs[1])
    )


def test_cmsis_nn_needs_a_larger_arena(tmp_path):
    model = export(save_model(tmp_path / "m"), tmp_path / "firmware", kernels="cmsis-nn").model
    assert model.arena_needed == model.arena_used + 8 * 4 * 24
    readme = (tmp_path / "firmware" / "README.md").read_text()
    assert "OPTIMIZED_KERNEL_DIR=cmsis_nn" in readme and "-DKWS_OUTPUT_TOLERANCE=8" in readme
    assert not (tmp_path / "firmware" / "kws_lstm.c").exists()


def test_c_strings():
    assert c_string('a"\\?ö') == '"a\\042\\134\\077\\303\\266"'


# --- What it refuses.


@pytest.mark.parametrize("bare", [False, True])
def test_several_outputs_are_refused(tmp_path, bare):
    graph = Graph(model_bytes("logmel40")[0])
    graph.main.outputs = [*graph.main.outputs, graph.dense.outputs[0]]
    with pytest.raises(KwsError, match="has 2 outputs and the firmware takes one"):
        path = save_model(tmp_path / "model", content=graph.to_bytes())
        export(path, tmp_path / "firmware", bare=bare)
    assert not (tmp_path / "firmware").exists()


def test_unknown_kernels_are_refused(tmp_path):
    with pytest.raises(KwsError, match="no kernels 'arm'; choose kws, cmsis-nn, reference"):
        export(save_model(tmp_path / "model"), tmp_path / "firmware", kernels="arm")


@pytest.mark.parametrize("bare", [False, True])
def test_a_model_too_large_for_the_kernel_is_refused(tmp_path, bare):
    front, units = front_end("logmel40"), lstm_tables.LARGEST + 1
    model = random_model(0, units, front.features, len(LABELS))
    graph = Graph(classifier_file(model, front.frames))
    graph.main.outputs = graph.main.outputs[:1]
    front = front.normalised([0.0] * front.features, [5.0] * front.features)
    file = tmp_path / "model.tflite"
    content, scale = graph.to_bytes(), model.input.scale
    path = models.save_model(file, content, LABELS, front, scale, units)
    with pytest.raises(KwsError, match=r"513 units .* export the model for CMSIS-NN"):
        export(path, tmp_path / "firmware", bare=bare)
    assert not (tmp_path / "firmware").exists()


def test_an_unknown_op_is_refused(tmp_path):
    graph = Graph(model_bytes("logmel40")[0])
    graph.object.operatorCodes[3].builtinCode = schema.BuiltinOperator.ATAN2
    graph.object.operatorCodes[3].deprecatedBuiltinCode = 127
    with pytest.raises(KwsError, match="does not have \\(ATAN2\\)"):
        export(save_model(tmp_path / "model", content=graph.to_bytes()), tmp_path / "firmware")


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "firmware").write_text("")
    with pytest.raises(KwsError, match=r"cannot write .*firmware \(.*give -o another folder"):
        export(save_model(tmp_path / "model"), tmp_path / "firmware")


def test_a_full_disk_is_one_sentence_that_names_the_file(tmp_path, monkeypatch):
    def write_bytes(path, content):
        if path.name == "kws_model.c":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(exporting, "write_bytes", write_bytes)
    with pytest.raises(KwsError, match=r"cannot write .*kws_model.c \(No space left on device\)"):
        export(save_model(tmp_path / "model"), tmp_path / "firmware")


def test_the_script(tmp_path, capsys):
    path, out = save_model(tmp_path / "model"), tmp_path / "firmware"
    assert run_main(SCRIPT, path, "-o", out) == 0
    printed = capsys.readouterr().out
    assert "tensor arena" in printed and str(out) in printed
    assert run_main(SCRIPT, path, "-o", out, "--kernels", "reference") == 0
    assert "LSTM" not in capsys.readouterr().out  # its weights are in the model file
    assert run_main(SCRIPT, path, "-o", out, "--bare") == 0
    assert "arena" not in capsys.readouterr().out
    assert run_main(SCRIPT, path, "-o", out, "--bare", "--kernels", "reference") == 2
    assert "not allowed with" in capsys.readouterr().err


def test_recordings_become_golden_examples(tmp_path):
    path = tmp_path / "yes" / "one.wav"
    write_wav(path, golden.signals(front_end("logmel40"))["sweep"] / 32768)
    result = export(save_model(tmp_path / "model"), tmp_path / "firmware", [path])
    assert "KWS_GOLDEN_EXAMPLES 1\n" in (result.folder / "kws_config.h").read_text()
    assert '"yes/one.wav"' in (result.folder / "kws_golden_data.c").read_text()
    assert "## Golden examples\n- yes/one.wav\n" in (result.folder / "README.md").read_text()


# --- The front end compiles, and its golden check works.


@needs("cc")
def test_the_golden_check_can_fail(exported, tmp_path):
    """A bias of two steps in one feature, and the check says so."""
    for path in exported.folder.glob("*.[ch]"):
        shutil.copy(path, tmp_path)
    table = tmp_path / "kws_tables.c"
    head, bias = table.read_text().split("kws_bias[40] = {\n ")
    first, rest = bias.split(",", 1)
    table.write_text(f"{head}kws_bias[40] = {{\n {first} + 2.0f,{rest}")
    sources = ["kws_frontend.c", "kws_tables.c", "kws_fft.c", "kws_golden.c", "kws_golden_data.c"]
    run("cc", *C_STRICT, *sources, "main_frontend.c", "-lm", "-o", "check", cwd=tmp_path)
    result = subprocess.run([tmp_path / "check"], capture_output=True, text=True)
    assert result.returncode == 1 and "FAILED" in result.stdout


@needs("arm-none-eabi-gcc")
@CHIPS
def test_the_front_end_compiles_for_cortex_m(tmp_path, cpu, name):
    folder = export(save_model(tmp_path / "model", name), tmp_path / "firmware").folder
    target = ["-mthumb", f"-mcpu={cpu}", "-Os"]
    if cpu != "cortex-m0plus":
        target += [
            "-mfloat-abi=hard",
            f"-mfpu={'fpv4-sp-d16' if cpu == 'cortex-m4' else 'fpv5-d16'}",
        ]
    for source in ("kws_frontend.c", "kws_fft.c", "kws_tables.c", "kws_golden.c"):
        run("arm-none-eabi-gcc", *C_STRICT, *target, "-c", folder / source, "-o", tmp_path / "o")
        undefined = run("arm-none-eabi-nm", "-u", tmp_path / "o").split()
        assert not {"malloc", "free", "calloc"} & set(undefined)


@pytest.mark.slow
@needs("arm-none-eabi-gcc", "cmake", "qemu-system-arm")
@CHIPS
def test_an_emulated_chip_passes_the_golden_check(tmp_path, cpu, name):
    folder = export(save_model(tmp_path / "model", name), tmp_path / "firmware").folder
    printed = run("sh", folder / "run_qemu.sh", cpu)
    assert "golden check passed" in printed
    instructions = int(printed.split("instructions per hop: ")[1].split()[0])
    assert 10_000 < instructions < 5_000_000


def stream_of(front) -> np.ndarray:
    """Sounds that trigger the model of random weights, int16 [samples]."""
    signals = golden.signals(front)
    return np.concatenate([signals["silence"], signals["sweep"], signals["sweep"][::-1]] * 2)


def windows_of(stream: np.ndarray, manifest, trigger: Trigger) -> np.ndarray:
    """The model's input at every decision, int8 [decisions, frames, features]."""
    front = manifest.front_end
    rows = CFrontEnd(manifest).feed(stream)
    ends = range(front.frames, len(rows) + 1, trigger.decision_hops(front.log_mel))
    return np.stack([rows[end - front.frames : end] for end in ends])


def assert_shows_something(trigger: Trigger, outputs: np.ndarray, log_mel) -> None:
    """The trigger lets words through, and others without its thresholds by word."""
    detections = trigger.detections(outputs, LABELS, log_mel)
    alike = trigger.changed(thresholds={}).detections(outputs, LABELS, log_mel)
    assert len(detections) >= 2 and detections != alike


# --- The bare firmware.

BARE_SOURCES = (
    *("kws_frontend.c", "kws_fft.c", "kws_tables.c", "kws_trigger.c", "kws_labels.c"),
    *("kws_lstm.c", "kws_lstm_data.c", "kws_classifier.c", "kws_spotter.c"),
)
GOLDEN_SOURCES = ("main_bare.c", "kws_golden.c", "kws_golden_data.c")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g")


def build_bare(folder: Path, program: Path, *sources, flags=()) -> Path:
    command = ["cc", *C_STRICT, "-Wconversion", *flags, "-O1", *BARE_SOURCES, *sources]
    run(*command, "-lm", "-o", program, cwd=folder)
    return program


def examples_of(front) -> np.ndarray:
    """The golden signals, each louder and quieter, and noise: int16 [examples, samples]."""
    signals = np.stack(list(golden.signals(front).values()))
    noise = np.random.default_rng(0).normal(0, 3000, (2, front.samples)).astype(np.int16)
    return np.concatenate([signals, signals // 16, noise])


def outputs_printed(printed: str) -> np.ndarray:
    lines = [line for line in printed.splitlines() if line.startswith("output")]
    return np.array([line.split()[1:] for line in lines], int)


@needs("cmake", "cc", "c++")
@pytest.mark.parametrize(("name", "example_ms"), [("logmel40", 1500.0), ("mfcc10", 1000.0)])
def test_the_bare_firmware_computes_what_python_computes(tmp_path, name, example_ms):
    """main_bare: outputs of every example are those of the reference and of ChipSpotter."""
    path = save_model(tmp_path / "model", name, example_ms)
    result = export(path, tmp_path / "firmware", bare=True)
    run("cmake", "-S", result.folder, "-B", tmp_path, "-DKWS_STRICT=ON")
    run("cmake", "--build", tmp_path)
    printed = run(tmp_path / "kws_golden_frontend")
    assert printed.count("ok:") == 3 and "golden check passed" in printed
    samples = examples_of(result.manifest.front_end)
    samples.tofile(tmp_path / "examples.s16")
    printed = run(tmp_path / "kws_bare_examples", cwd=tmp_path)
    assert "golden check passed" in printed
    outputs = outputs_printed(printed)
    inputs = c_features_int8(samples, result.manifest)
    wanted = IntegerModel.from_tflite(path).run(inputs, "tflm").posteriors
    assert len(np.unique(wanted.argmax(axis=1))) > 1
    np.testing.assert_array_equal(outputs, wanted)
    np.testing.assert_array_equal(outputs, ChipSpotter(tflite_model.load(path)).outputs(samples))
    for vector in golden.make_golden(path.read_bytes(), result.manifest):
        score = int(100 * (int(vector.output.max()) + 128) / 256 + 0.5)
        assert f"{vector.name}: {LABELS[vector.label]}, score {score} %\n" in printed


@needs("cc")
@pytest.mark.parametrize("kind", [(), ("-DKWS_LSTM_PLAIN",)], ids=["this machine's", "plain"])
def test_sanitizers_find_nothing_in_the_bare_firmware(bare, tmp_path, kind):
    if sanitizers_missing():
        pytest.skip("the C compiler has no sanitizers")
    program = tmp_path / "bare"
    build_bare(bare.folder, program, *GOLDEN_SOURCES, flags=(*SANITIZERS, *kind))
    examples_of(bare.manifest.front_end).tofile(tmp_path / "examples.s16")
    assert len(outputs_printed(run(program, cwd=tmp_path))) == 8


@functools.cache
def sanitizers_missing() -> bool:
    command = ["cc", *SANITIZERS, "-x", "c", "-", "-o", os.devnull]
    return subprocess.run(command, input=b"int main(void) { return 0; }").returncode != 0


@needs("cc")
def test_the_bare_golden_check_can_fail(bare, tmp_path):
    """A bias of one class, and the check says so."""
    for path in bare.folder.glob("*.[ch]"):
        shutil.copy(path, tmp_path)
    data = tmp_path / "kws_lstm_data.c"
    text = re.sub(r"(dense_biases\[6\] = \{\s+)", r"\g<1>9999 + ", data.read_text())
    assert text != data.read_text()
    data.write_text(text)
    program = build_bare(tmp_path, tmp_path / "bare", *GOLDEN_SOURCES)
    result = subprocess.run([program], capture_output=True, text=True)
    assert result.returncode == 1 and "golden check FAILED" in result.stdout


@needs("cc")
def test_a_stream_through_the_bare_firmware(tmp_path):
    """main_listen: the detections of Python's trigger."""
    trigger = Trigger(60.0, 2, 0.4, 700.0, {"lights on": 0.45})
    details = {"trigger": dataclasses.asdict(trigger)}
    path = save_model(tmp_path / "model", details=details)
    result = export(path, tmp_path / "firmware", bare=True)
    front = result.manifest.front_end
    stream = stream_of(front)
    flags = () if sanitizers_missing() else SANITIZERS
    sources = ("main_listen.c", "board_stdin.c")
    program = build_bare(result.folder, tmp_path / "listen", *sources, flags=flags)
    printed = subprocess.run([program], input=stream.tobytes(), capture_output=True, check=True)
    windows = windows_of(stream, result.manifest, trigger)
    outputs = IntegerModel.from_tflite(path).run(windows, "tflm").posteriors
    detections = trigger.detections(outputs, LABELS, front.log_mel)
    assert_shows_something(trigger, outputs, front.log_mel)
    assert printed.stdout.decode().splitlines() == [
        f"{LABELS[label]} {int(100 * score + 0.5)} %" for _, label, score in detections
    ]


@needs("cc")
def test_sizes_that_do_not_fit_are_one_sentence(bare, tmp_path):
    for path in bare.folder.glob("*.[ch]"):
        shutil.copy(path, tmp_path)
    config = tmp_path / "kws_config.h"
    config.write_text(config.read_text().replace("KWS_UNITS 24", "KWS_UNITS 32"))
    program = build_bare(tmp_path, tmp_path / "bare", *GOLDEN_SOURCES)
    result = subprocess.run([program], capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stdout == "the model's sizes are not those of kws_config.h: export anew\n"


@needs("arm-none-eabi-gcc")
@pytest.mark.parametrize(
    "target",
    [
        "-mcpu=cortex-m0plus",
        "-mcpu=cortex-m4 -mfloat-abi=hard -mfpu=fpv4-sp-d16",
        "-mcpu=cortex-m55 -mfloat-abi=hard",
    ],
)
def test_the_bare_firmware_compiles_for_cortex_m(bare, tmp_path, target):
    """Without a warning, each kind of the inner loop; nothing takes memory from a heap."""
    compiler = ["arm-none-eabi-gcc", *C_STRICT, "-mthumb", *target.split(), "-O2"]
    for name in (*BARE_SOURCES, "main_listen.c"):
        run(*compiler, "-c", bare.folder / name, "-o", tmp_path / "o")
        undefined = run("arm-none-eabi-nm", "-u", tmp_path / "o").split()
        assert not {"malloc", "free", "calloc"} & set(undefined)


@needs("arm-none-eabi-gcc", "cmake", "qemu-system-arm")
@pytest.mark.parametrize("cpu", ["cortex-m0plus", "cortex-m4", "cortex-m55"])
def test_an_emulated_chip_computes_what_python_computes(bare, tmp_path, cpu):
    """Each kind of the LSTM's inner loop: plain C, the DSP extension, Helium."""
    folder = tmp_path / "firmware"
    shutil.copytree(bare.folder, folder)
    samples = examples_of(bare.manifest.front_end)[-3:]
    samples.tofile(tmp_path / "examples.s16")
    printed = run("sh", folder / "run_qemu.sh", cpu, cwd=tmp_path)
    assert printed.count("golden check passed") == 2  # front end alone, and all
    inputs = c_features_int8(samples, bare.manifest)
    content = model_bytes("logmel40")[0]
    wanted = IntegerModel.from_tflite(content).run(inputs, "tflm").posteriors
    np.testing.assert_array_equal(outputs_printed(printed), wanted)


# --- The application, its model computed by the tflite-micro package.


def build_application(folder: Path, build: Path, main: str, *flags) -> Path:
    program = build / Path(main).stem
    sources = ["kws_frontend.c", "kws_fft.c", "kws_tables.c", "kws_model.c", "board_stdin.c"]
    sources += ["kws_golden.c", "kws_golden_data.c", "kws_trigger.c", "kws_labels.c"]
    objects = []
    for source in sources:
        objects.append(build / f"{source}.o")
        run("cc", *C_STRICT, "-c", folder / source, "-o", objects[-1])
    include = [f"-I{folder}", f"-I{STUB}"]
    sources = [folder / "keyword_spotter.cc", folder / main]
    run("c++", *CXX_STRICT, *flags, *include, *sources, *objects, "-lm", "-o", program)
    return program


def run_application(program: Path, model: bytes, samples=b"", frames=49) -> tuple[str, np.ndarray]:
    """Runs a program whose interpreter is this process; returns its output and the windows."""
    to_us, from_program = os.pipe()
    to_program, from_us = os.pipe()
    environment = os.environ | {"KWS_STUB_TO": str(from_program), "KWS_STUB_FROM": str(to_program)}
    windows = []

    def answer():
        with os.fdopen(to_us, "rb") as source, os.fdopen(from_us, "wb", buffering=0) as target:
            while len(window := source.read(frames * 40)) == frames * 40:
                windows.append(np.frombuffer(window, np.int8).reshape(frames, 40))
                target.write(tflm.run(model, windows[-1][None]).outputs[0].tobytes())

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        process = subprocess.Popen(
            [program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            pass_fds=(from_program, to_program),
        )
        os.close(from_program)
        os.close(to_program)
        printed, _ = process.communicate(samples, timeout=120)
    finally:
        thread.join()
    assert process.returncode == 0, printed.decode()
    return printed.decode(), np.array(windows)


@needs("cc", "c++")
def test_examples_through_the_application(exported, tmp_path):
    """main_examples: every label, score and golden check, with the model by tflite-micro."""
    model = model_bytes("logmel40")[0]
    program = build_application(exported.folder, tmp_path, "main_examples.cc")
    printed, windows = run_application(program, model)
    assert "golden check passed" in printed
    vectors = golden.make_golden(model, exported.manifest)
    assert len(windows) == 2 * len(vectors)
    for vector, from_c, from_python in zip(vectors, windows[::2], windows[1::2], strict=True):
        np.testing.assert_array_equal(from_python, vector.input)
        np.testing.assert_array_equal(
            from_c, c_features_int8(vector.samples[None], exported.manifest)[0]
        )
        label = LABELS[vector.label]
        score = int(100 * (int(vector.output.max()) + 128) / 256 + 0.5)
        assert f"{vector.name}: {label}, score {score} %\n" in printed


@needs("cc", "c++")
def test_the_kernel_as_an_op_of_tflm(with_kernel, tmp_path):
    """kws_lstm_op.cc: the reference's hidden states, the state kept from Invoke to Invoke."""
    folder = with_kernel.folder
    objects = []
    for name in ("kws_lstm.c", "kws_lstm_data.c"):
        objects.append(tmp_path / f"{name}.o")
        run("cc", *C_STRICT, *SANITIZERS, "-c", folder / name, "-o", objects[-1])
    include, program = [f"-I{folder}", f"-I{STUB}"], tmp_path / "op"
    files = [C_TESTS / "run_lstm_op.cc", folder / "kws_lstm_op.cc", *objects]
    run("c++", *CXX_STRICT, *SANITIZERS, *include, *files, "-o", program)
    inputs = random_inputs(0, 3, 49, 40)
    printed = subprocess.run([program], input=inputs.tobytes(), capture_output=True)
    assert printed.returncode == 0, printed.stderr.decode()
    wanted = IntegerModel.from_tflite(model_bytes("logmel40")[0]).run(inputs, "tflm").hidden
    got = np.frombuffer(printed.stdout, np.int8).reshape(wanted.shape)
    np.testing.assert_array_equal(got, wanted)


@needs("arm-none-eabi-g++")
def test_the_application_compiles_for_cortex_m(with_kernel, tmp_path):
    """Against the stand-in headers: its own syntax and warnings, no heap of its own."""
    target = ["-mthumb", "-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16", "-Os"]
    include = [f"-I{with_kernel.folder}", f"-I{STUB}"]
    mains = ("main_examples.cc", "main_microphone.cc")
    for source in ("keyword_spotter.cc", "kws_lstm_op.cc", *mains):
        compiled = tmp_path / f"{source}.o"
        command = ["arm-none-eabi-g++", *CXX_STRICT, *target, *include]
        run(*command, "-c", with_kernel.folder / source, "-o", compiled)
        undefined = run("arm-none-eabi-nm", "-u", compiled).split()
        assert not [name for name in undefined if name in ("malloc", "free", "_Znwj", "_Znaj")]


@needs("arm-none-eabi-g++", "cmake", "qemu-system-arm")
def test_an_emulated_chip_runs_the_whole_application(bare, with_kernel, tmp_path):
    """Both programs linked for a Cortex-M4: start-up code, linker script, C++ objects, the op.

    The library is a stand-in: the op, and the bare firmware's classifier.
    """
    folder, tree, objects = tmp_path / "firmware", tmp_path / "tree", []
    shutil.copytree(with_kernel.folder, folder)
    shutil.copytree(STUB, tree)
    shutil.copy(C_TESTS / "tflm_on_chip.h", tree / "tensorflow/lite/micro/micro_interpreter.h")
    target = ["-mthumb", "-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"]
    target += ["-O2", "-funwind-tables"]  # as TFLM's: they bring in libgcc's unwinder
    include = [f"-I{folder}", f"-I{tree}"]
    for compiler, source, *flags in (
        ("gcc", bare.folder / "kws_classifier.c", "-std=c99"),
        ("g++", C_TESTS / "tflm_on_chip.cc", *CXX_STRICT, *include),
    ):
        objects.append(tmp_path / f"{source.name}.o")
        flags += [f"-I{bare.folder}", "-c", source, "-o", objects[-1]]
        run(f"arm-none-eabi-{compiler}", *target, *flags)
    library = tmp_path / "libtensorflow-microlite.a"
    run("arm-none-eabi-ar", "rcs", library, *objects)
    options = [f"-DTFLM_LIBRARY={library}", "-DKWS_STRICT=ON"]
    printed = run("sh", folder / "run_qemu.sh", "cortex-m4", tree, *options)
    assert printed.count("golden check passed") == 2  # the front end alone, and all
    assert "instructions per example: " in printed
    microphone = folder / "build-cortex-m4" / "kws_microphone"
    machine = ["-M", "mps2-an386", "-nographic", "-monitor", "none", "-serial", "none"]
    semihosting = ["-semihosting-config", "enable=on,target=native"]
    run("qemu-system-arm", *machine, *semihosting, "-kernel", microphone, input="")


@needs("cc", "c++")
@pytest.mark.parametrize(("decision_ms", "example_ms"), [(200.0, 1000.0), (60.0, 1500.0)])
def test_a_stream_through_the_application(tmp_path, decision_ms, example_ms):
    """main_microphone: windows, smoothing, threshold, refractory time; sanitizers on."""
    trigger = Trigger(decision_ms, 2, 0.4, 700.0, {"lights on": 0.45})
    details = {"trigger": dataclasses.asdict(trigger)}
    path = save_model(tmp_path / "model", example_ms=example_ms, details=details)
    result = export(path, tmp_path / "firmware", kernels="reference")
    model, front = path.read_bytes(), result.manifest.front_end
    stream = stream_of(front)
    program = build_application(result.folder, tmp_path, "main_microphone.cc", *SANITIZERS)
    printed, windows = run_application(program, model, stream.tobytes(), front.frames)

    wanted = windows_of(stream, result.manifest, trigger)
    np.testing.assert_array_equal(windows, wanted)
    outputs = tflm.run(model, wanted).outputs[0]
    detections = trigger.detections(outputs, LABELS, front.log_mel)
    assert_shows_something(trigger, outputs, front.log_mel)
    assert printed.splitlines() == [
        f"{LABELS[label]} {int(100 * score + 0.5)} %" for _, label, score in detections
    ]


@needs("cc", "c++")
def test_a_stream_through_the_application_of_a_model_of_logits(tmp_path):
    """Its posteriors are rounded to 256ths, in C++ as in Python."""
    trigger = Trigger(60.0, 3, 0.35, 300.0)
    graph = Graph(model_bytes("logmel40")[0])
    graph.main.outputs = [graph.dense.outputs[0]]
    graph.main.operators.pop()  # the softmax
    path = save_model(tmp_path / "model", content=graph.to_bytes())
    result = export(path, tmp_path / "firmware", trigger=trigger, kernels="reference")
    opened, front = tflite_model.load(path), result.manifest.front_end
    (output,) = opened.outputs
    stream = stream_of(front)
    flag = f"-DSTUB_OUTPUT={output.scale!r}f,{output.zero_point}"
    program = build_application(result.folder, tmp_path, "main_microphone.cc", flag, *SANITIZERS)
    printed, windows = run_application(program, opened.content, stream.tobytes())
    outputs = opened.trigger_outputs(tflm.run(opened.content, windows).outputs[0])
    detections = trigger.detections(outputs, LABELS, front.log_mel)
    assert len(detections) >= 2
    assert printed.splitlines() == [
        f"{LABELS[label]} {int(100 * score + 0.5)} %" for _, label, score in detections
    ]


@needs("cmake", "cc", "c++")
def test_cmake_builds_against_a_generated_tree(with_kernel, tmp_path):
    """The stand-in headers in the shape of a create_tflm_tree.py tree."""
    tree = tmp_path / "tree"
    shutil.copytree(STUB, tree)
    (tree / "tensorflow" / "lite" / "micro" / "nothing.cc").write_text("int kws_nothing = 0;\n")
    options = [f"-DTFLM_DIR={tree}", "-DKWS_STRICT=ON"]
    run("cmake", "-S", with_kernel.folder, "-B", tmp_path / "build", *options)
    run("cmake", "--build", tmp_path / "build")
    assert "golden check passed" in run(tmp_path / "build" / "kws_golden_frontend")
    assert (tmp_path / "build" / "kws_examples").exists()
    assert (tmp_path / "build" / "kws_microphone").exists()
    wrong = ["cmake", "-S", with_kernel.folder, "-B", tmp_path / "wrong", f"-DTFLM_DIR={tmp_path}"]
    result = subprocess.run(wrong, capture_output=True, text=True)
    assert result.returncode and "give -DTFLM_DIR=" in result.stderr.replace("\n  ", " ")


@pytest.mark.slow
@needs("cmake", "cc", "c++")
@pytest.mark.skipif(not os.environ.get("TFLM_DIR"), reason="TFLM_DIR names no tflite-micro tree")
@pytest.mark.parametrize("kind", ["exported", "with_kernel"])
def test_the_whole_program_with_tflm(kind, request, tmp_path):
    folder = request.getfixturevalue(kind).folder
    options = [
        f"-D{n}={os.environ[n]}"
        for n in ("TFLM_DIR", "TFLM_LIBRARY", "TFLM_INCLUDES")
        if n in os.environ
    ]
    run("cmake", "-S", folder, "-B", tmp_path, *options)
    run("cmake", "--build", tmp_path, "-j", "2")
    assert "golden check passed" in run(tmp_path / "kws_examples")


def test_resolver_methods_are_spelled_as_tflm_spells_them():
    for name, method in tflm_model.RESOLVER_METHODS.items():
        assert hasattr(schema.BuiltinOperator, name)
        assert method.removeprefix("Add").upper() == name.replace("_", "")
