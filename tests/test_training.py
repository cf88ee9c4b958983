"""Training runs: what they leave, how they resume, what they refuse."""

import dataclasses
import json
import resource
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from tiny_run import AUGMENTATION, DATA, TRAIN, UNKNOWN_WORD, WORDS, make_audio

from kws_tf import run_folder
from kws_tf.data import pipeline, sources
from kws_tf.deployment.publish import publish_run
from kws_tf.errors import KwsError
from kws_tf.frontend.config import front_end
from kws_tf.labels import class_names
from kws_tf.models import spotter
from kws_tf.run_folder import RunFolder, open_run
from kws_tf.settings import Augmentation, DataSettings
from kws_tf.training import distillation, loop, summary
from kws_tf.training.muon import Muon


@pytest.fixture(scope="module")
def audio(tmp_path_factory):
    return make_audio(tmp_path_factory.mktemp("data") / "audio")


@pytest.fixture(scope="module")
def kept():
    """Every epoch's weights by (phase, epoch), as they were when the epoch was kept."""
    weights = {}
    keep = loop._EpochRecord._keep

    def spy(record, row):
        weights[row["phase"], row["epoch"]] = record.model.get_weights()
        keep(record, row)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop._EpochRecord, "_keep", spy)
        yield weights


def train(folder, audio, train=TRAIN, data=DATA, augmentation=AUGMENTATION, **changes):
    settings = dataclasses.replace(train, **changes)
    return loop.train(folder, audio, settings, data, augmentation, verbose=0)


@pytest.fixture(scope="module")
def finished(audio, kept, tmp_path_factory):
    """An uninterrupted run and its weights after each epoch; not to be changed."""
    run = train(tmp_path_factory.mktemp("runs") / "run", audio)
    return run, dict(kept)


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of the finished run."""
    return RunFolder(shutil.copytree(finished[0].path, tmp_path / "copy"))


def rows(run):
    """The history without what the clock says."""
    history = json.loads(run.history_file.read_text())
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history]


def contents(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def assert_same(weights, others):
    for one, other in zip(weights, others, strict=True):
        np.testing.assert_array_equal(one, other)


def saved_weights(run, phase):
    """A best weights file's arrays in the order of the model's."""
    return run.load_model(phase).get_weights()


# --- What a run leaves.


def test_run_folder_is_complete(finished, audio):
    run, _ = finished
    assert sorted(path.name for path in run.path.iterdir()) == [
        "environment.json",
        "float.weights.h5",
        "front_end.json",
        "history.json",
        "labels.txt",
        "quantized.weights.h5",
        "settings.json",
        "tensorboard",
    ]
    assert (run.path / "labels.txt").read_text().split() == ["_silence_", "_unknown_", *WORDS]
    assert (run.train_settings(), run.data_settings()) == (TRAIN, DATA)
    assert (run.augmentation(), run.data_dir()) == (AUGMENTATION, audio.resolve())
    assert len(run.front_end().mean) == len(run.front_end().std) == 40
    environment = json.loads((run.path / "environment.json").read_text())
    assert environment["git_revision"] == run_folder.git_revision() != ""
    assert environment["packages"]["tensorflow"] == tf.__version__
    assert environment["command"]


def test_history_has_a_row_an_epoch(finished):
    history = rows(finished[0])
    phases = [(row["phase"], row["epoch"]) for row in history]
    assert phases == [("float", 0), ("float", 1), ("quantized", 0), ("quantized", 1)]
    # 32 keyword clips, 3 unknown, 3 silent: two batches of 16.
    assert {row["examples"] for row in history} == {32}
    assert all(0 <= row["val_accuracy"] <= 1 and row["val_loss"] > 0 for row in history)
    clips = [{k: v for k, v in row.items() if k.startswith("clip/")} for row in history]
    assert clips[0] == clips[1] == {}
    assert len(clips[2]) == len(clips[3]) == 13
    assert clips[2] != clips[3]


def test_tensorboard_has_the_curves_of_both_phases(finished):
    for phase in ("float", "quantized"):
        files = (finished[0].path / "tensorboard" / phase).rglob("events*")
        tags = {
            value.tag
            for file in files
            for event in tf.compat.v1.train.summary_iterator(str(file))
            for value in event.summary.value
        }
        assert {"epoch_loss", "epoch_accuracy"} <= tags
        assert ("epoch_clip/cell/hidden" in tags) == (phase == "quantized")


def test_weights_files_are_those_of_the_best_epoch(finished):
    run, weights = finished
    for phase in ("float", "quantized"):
        accuracies = [row["val_accuracy"] for row in rows(run) if row["phase"] == phase]
        assert_same(saved_weights(run, phase), weights[phase, int(np.argmax(accuracies))])


def test_only_a_better_epoch_replaces_the_weights(finished, kept, tmp_path):
    model = finished[0].load_model("float")
    run = RunFolder(tmp_path)
    record = loop._EpochRecord(run, "float", [], 0)
    model.compile("adam", "mse")
    record.set_model(model)
    for epoch, (accuracy, best) in enumerate([(0.5, 0), (0.4, 0), (0.7, 2), (0.7, 2), (0.6, 2)]):
        model.set_weights([np.full_like(w, epoch) for w in model.get_weights()])
        record.on_epoch_begin(epoch)
        record.on_epoch_end(epoch, {"val_accuracy": accuracy})
        stored = run_folder.load_weights(finished[0].load_model("float"), run.weights_file("float"))
        assert {float(v) for w in stored.get_weights() for v in w.flat} == {best}
    assert {path.stem for path in (tmp_path / "checkpoint").iterdir()} == {"float-4"}


def test_summary_names_the_best_epochs(finished, capsys):
    summary.print_summary(finished[0])
    lines = capsys.readouterr().out.splitlines()
    for phase in ("float", "quantized"):
        accuracies = [r["val_accuracy"] for r in rows(finished[0]) if r["phase"] == phase]
        (line,) = (line.split() for line in lines if line.startswith(phase))
        assert line[1:4] == ["2", str(np.argmax(accuracies) + 1), f"{100 * max(accuracies):.2f}"]


def test_the_loaded_model_scores_what_the_history_says(finished, audio):
    run, _ = finished
    examples = sources.load(audio, "validation", run.front_end(), DATA)
    features, labels = pipeline.fixed_set(examples, run.front_end(), DATA)
    for phase in ("float", "quantized"):
        decisions = run.load_model(phase).predict(features, verbose=0).argmax(1)
        best = max(row["val_accuracy"] for row in rows(run) if row["phase"] == phase)
        assert np.mean(decisions == labels) == pytest.approx(best)


# --- Interruptions.


class FileSizeLimit:
    """Lets no file grow beyond a size, as a disk that is full does."""

    def __init__(self, size):
        self.size = size

    def __enter__(self):
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.before[1]))

    def __exit__(self, *error):
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)


def stopped_in_epoch(patch, phase, epoch):
    """Ctrl-C after the first batch of an epoch."""

    def stop(record, batch, logs=None):
        if (record._phase, len([r for r in record._history if r["phase"] == phase])) == (
            phase,
            epoch,
        ):
            raise KeyboardInterrupt

    patch.setattr(loop._EpochRecord, "on_train_batch_end", stop)
    return pytest.raises(KeyboardInterrupt)


def stopped_before_history(patch, phase, epoch):
    """Ctrl-C when an epoch's weights and checkpoint are written, its row is not."""
    write = loop.write_json

    def stop(path, history):
        if (history[-1]["phase"], history[-1]["epoch"]) == (phase, epoch):
            raise KeyboardInterrupt
        write(path, history)

    patch.setattr(loop, "write_json", stop)
    return pytest.raises(KeyboardInterrupt)


def stopped_by_full_disk(patch, phase, epoch):
    """The disk fills up when an epoch's checkpoint is written."""
    keep = loop._EpochRecord._keep

    def stop(record, row):
        if (row["phase"], row["epoch"]) != (phase, epoch):
            return keep(record, row)
        with FileSizeLimit(100):
            return keep(record, row)

    patch.setattr(loop._EpochRecord, "_keep", stop)
    return pytest.raises(KwsError, match=r"disk full.*repeat the command")


def test_interrupted_run_ends_as_an_uninterrupted_one(finished, kept, audio, tmp_path):
    reference, weights = finished
    kept.clear()
    run = RunFolder(tmp_path / "run")
    interruptions = [
        (stopped_in_epoch, "float", 1),
        (stopped_before_history, "float", 1),
        (stopped_by_full_disk, "quantized", 0),
        (stopped_in_epoch, "quantized", 1),
    ]
    for done, (interruption, phase, epoch) in zip((1, 1, 2, 3), interruptions, strict=True):
        with pytest.MonkeyPatch.context() as patch, interruption(patch, phase, epoch):
            train(run.path, audio)
        assert rows(run) == rows(reference)[:done]
    train(run.path, audio)
    assert rows(run) == rows(reference)
    assert kept.keys() == weights.keys()
    for epoch, values in weights.items():
        assert_same(kept[epoch], values)
    for phase in ("float", "quantized"):
        assert_same(saved_weights(run, phase), saved_weights(reference, phase))
    assert not (run.path / "checkpoint").exists()


def test_full_disk_keeps_the_earlier_weights(finished, copy):
    model = copy.load_model("float")
    before = contents(copy.path)
    model.set_weights([w + 1 for w in model.get_weights()])
    for size in (0, 1000, 40_000):
        with FileSizeLimit(size), pytest.raises(OSError):
            run_folder.save_weights(model, copy.weights_file("float"))
    assert contents(copy.path) == before


def test_finished_run_is_left_as_it_is(copy, audio):
    before = contents(copy.path)
    train(copy.path, audio)
    assert contents(copy.path) == before


def test_finished_run_needs_no_data(copy, audio, monkeypatch):
    monkeypatch.setattr(sources, "load", None)
    train(copy.path, audio)


def test_checkpoint_that_is_gone_or_damaged_is_refused(copy, audio):
    history = json.loads(copy.history_file.read_text())
    copy.history_file.write_text(json.dumps(history[:3]))
    with pytest.raises(KwsError, match=r"checkpoint.*does not fit.*new --run-dir"):
        train(copy.path, audio)


# --- Settings.


@pytest.mark.parametrize(
    "changes",
    [
        {"train": dataclasses.replace(TRAIN, hidden=9)},
        {"train": dataclasses.replace(TRAIN, quantized_epochs=3)},
        {"data": DataSettings(words=WORDS, silence_share=0.2)},
        {"augmentation": Augmentation(shift_ms=50)},
        {"audio": "elsewhere"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_another_setting_in_the_same_folder_is_refused(copy, audio, changes):
    before = contents(copy.path)
    with pytest.raises(KwsError, match=r"other settings.*--run-dir"):
        train(copy.path, **{"audio": audio} | changes)
    assert contents(copy.path) == before


def test_setting_that_an_older_run_has_not_saved_is_the_default(copy, audio):
    settings = json.loads(copy.settings_file.read_text())
    del settings["train"]["overflow_penalty"], settings["augmentation"]["warp"]
    copy.settings_file.write_text(json.dumps(settings))
    train(copy.path, audio)
    with pytest.raises(KwsError, match="other settings"):
        train(copy.path, audio, overflow_penalty=1.0)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"train": 3}', '{"train": {"new": 1}}', '{"train": {"hidden": "x"}}'],
)
def test_damaged_settings_are_refused(copy, content):
    copy.settings_file.write_text(content)
    with pytest.raises(KwsError, match=r"damaged|another version"):
        copy.load_model("float")


def test_refused_start_does_not_bind_the_folder(audio, tmp_path):
    """A wrong option is seen after the folder is begun; it can be corrected."""
    with pytest.raises(KwsError, match="smaller --batch-size"):
        train(tmp_path / "run", audio, batch_size=1000)
    with pytest.raises(KwsError, match="not a run folder"):
        train(tmp_path / "run", audio, teacher=(str(tmp_path),))


def test_nothing_to_train_is_refused(audio, tmp_path):
    with pytest.raises(KwsError, match="nothing to train"):
        train(tmp_path / "run", audio, float_epochs=0, quantized_epochs=0)


def test_run_folder_that_is_a_file_is_refused(audio, tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(KwsError, match="cannot make the run folder"):
        train(tmp_path / "run", audio)


@pytest.mark.parametrize("phase", ["float", "quantized"])
def test_weights_of_another_shape_are_refused(copy, phase):
    settings = json.loads(copy.settings_file.read_text())
    settings["train"]["hidden"] = 9
    copy.settings_file.write_text(json.dumps(settings))
    with pytest.raises(KwsError, match="do not fit the model"):
        copy.load_model(phase)


def test_weights_of_another_profile_or_damaged_ones_are_refused(copy):
    shutil.copy(copy.weights_file("float"), copy.weights_file("quantized"))
    with pytest.raises(KwsError, match="do not fit the model"):
        copy.load_model("quantized")
    content = copy.weights_file("float").read_bytes()
    copy.weights_file("float").write_bytes(content[: len(content) // 2])
    with pytest.raises(KwsError, match="do not fit the model"):
        copy.load_model("float")
    copy.weights_file("float").unlink()
    with pytest.raises(KwsError, match="no float weights yet"):
        copy.load_model("float")


# --- Ways to train.


def test_quantized_from_the_start_with_fixed_clips(audio, tmp_path):
    run = train(tmp_path / "run", audio, float_epochs=0, pact=False, runtime="ideal")
    assert not run.weights_file("float").exists()
    first, last = rows(run)
    assert (first["phase"], last["phase"]) == ("quantized", "quantized")
    assert run.load_model("quantized")
    clips = [{k: v for k, v in row.items() if k.startswith("clip/")} for row in (first, last)]
    assert clips[0] == clips[1] != {}


def test_paper_profile(audio, tmp_path):
    run = train(tmp_path / "run", audio, profile="paper", float_epochs=1, quantized_epochs=1)
    initial = spotter.clips(
        run_folder.build_model(run.train_settings(), run.front_end(), 4, "quantized")
    )
    trained = spotter.clips(run.load_model("quantized"))
    assert len(trained) == 14
    changed = [name for name in trained if float(trained[name]) != float(initial[name])]
    assert changed
    # The original's 128 would leave a handful of levels to normalised features.
    assert 1 < float(run.load_model("quantized").get_layer("lstm").cell.clip("input")) < 64


@pytest.mark.parametrize("epochs", [1, 2, 3, 40])
def test_the_rate_rises_for_an_epoch_and_falls_to_the_end(epochs):
    rates = [float(loop.learning_rates(0.5, epochs, 10)(step)) for step in range(10 * epochs)]
    assert rates[0] == 0 and max(rates) <= 0.5
    assert rates[:10] == sorted(rates[:10]) and rates[10:] == sorted(rates[10:], reverse=True)
    if epochs > 1:
        assert rates[10] == 0.5
        # A step before the end, at which it would be 1 %.
        assert 0.005 <= rates[-1] < 0.5 * (0.01 + 1 / (epochs - 1) / 10)


def test_two_processes_do_not_train_into_one_folder(finished, copy, audio, tmp_path):
    with copy.exclusive(), pytest.raises(KwsError, match="another process trains into"):
        train(copy.path, audio)
    train(copy.path, audio)
    with RunFolder(tmp_path / "new" / "run").exclusive():
        assert (tmp_path / "new" / "run").is_dir()
    assert not (tmp_path / "new" / "run").exists()  # nothing was left in it


@pytest.mark.parametrize("bits", [2, 3, 4, 6])
def test_initial_clips_of_few_bits_have_the_least_error(bits):
    rng = np.random.default_rng(bits)
    options = {"weight_bits": bits, "input_bits": bits, "hidden_bits": bits}
    model = spotter.build_quantized(12, 10, 8, 4, **options)
    features = rng.normal(size=(64, 12, 10)).astype(np.float32)
    spotter.set_initial_clips(model, features)
    cell = model.get_layer("lstm").cell
    for signal, values in (("input", features), ("kernel_f", cell.kernel[:, 8:16].numpy())):
        quantizer, chosen = cell.quantizers[signal], float(cell.clip(signal))

        def error(clip, values=values, quantizer=quantizer):
            quantized = quantizer(values, training=False, weights={"clip": np.float32(clip)})
            return float(np.mean(np.square(quantized - values)))

        assert chosen <= np.abs(values).max()
        assert error(chosen) <= 1.02 * min(error(chosen * f) for f in (0.7, 0.85, 1.15, 1.4))


def test_initial_clips_at_8_bits_saturate_no_weight():
    model = spotter.build_quantized(12, 10, 8, 4)
    features = np.random.default_rng(0).normal(size=(64, 12, 10)).astype(np.float32)
    spotter.set_initial_clips(model, features, 99.0)
    cell = model.get_layer("lstm").cell
    largest = np.abs(cell.kernel[:, 8:16]).max()
    assert float(cell.clip("kernel_f")) == pytest.approx(largest)
    assert float(cell.clip("input")) == pytest.approx(np.percentile(np.abs(features), 99.0))


def test_learns_from_a_teacher(finished, copy, audio, tmp_path):
    teacher = (str(copy.path),)
    run = train(tmp_path / "run", audio, float_epochs=1, quantized_epochs=0, teacher=teacher)
    assert not run.weights_file("quantized").exists()
    (row,) = rows(run)
    # The same clips and the same start, other targets.
    assert row["loss"] != rows(finished[0])[0]["loss"]


def test_targets_mix_label_and_teacher():
    labels = tf.constant([0, 2])
    posteriors = np.array([[0.25] * 4, [0.4, 0.2, 0.2, 0.2]])
    _, plain = loop.smoothed_targets(4, 0.2)(0, labels)
    np.testing.assert_allclose(plain, [[0.85, 0.05, 0.05, 0.05], [0.05, 0.05, 0.85, 0.05]])
    _, mixed = loop.smoothed_targets(4, 0.2, 0.5)(0, labels, posteriors)
    np.testing.assert_allclose(mixed, 0.5 * plain.numpy() + 0.5 * posteriors, rtol=1e-6)


@pytest.mark.parametrize("unsmoothed", [False, True])
def test_teachers_are_asked_once_about_the_batches_that_are_trained(
    finished, copy, audio, tmp_path, monkeypatch, unsmoothed
):
    """Each batch meets the mean of what the teachers say of that batch, in every epoch."""
    teachers = [copy, RunFolder(shutil.copytree(copy.path, tmp_path / "second"))]
    weights = [w * 1.5 for w in teachers[1].load_model("float").get_weights()]
    model = teachers[1].load_model("float")
    model.set_weights(weights)
    model.save_weights(teachers[1].weights_file("float"))
    models = [teacher.load_model("float") for teacher in teachers]
    met = []
    mix = loop.smoothed_targets(4, 0.0, 1.0)

    def spy(*_):
        def targets(features, labels, posteriors):
            tf.py_function(
                lambda *v: met.append([x.numpy() for x in v]), (features, posteriors), []
            )
            return mix(features, labels, posteriors)

        return targets

    monkeypatch.setattr(loop, "smoothed_targets", spy)
    paths = tuple(str(teacher.path) for teacher in teachers)
    options = {"teacher": paths, "soft_target_epochs": 2, "quantized_epochs": 0}
    options["unsmoothed_teachers"] = unsmoothed
    train(tmp_path / "run", audio, float_epochs=3, **options)
    assert len({features.tobytes() for features, _ in met}) < len(met)  # the first epoch again
    for features, posteriors in met:
        said = [tf.nn.softmax(model(features)).numpy() for model in models]
        if unsmoothed:
            said = [distillation.unsmoothed(s, TRAIN.label_smoothing) for s in said]
        said = np.mean(said, 0)
        np.testing.assert_allclose(posteriors, said, atol=2e-3)
    kept = sorted((copy.path / "posteriors").iterdir())
    assert len(kept) == 2
    before = contents(copy.path / "posteriors")
    train(tmp_path / "again", audio, float_epochs=2, hidden=9, **options)
    assert contents(copy.path / "posteriors") == before
    kept[0].write_bytes(b"damaged")
    with pytest.raises(KwsError, match="damaged"):
        train(tmp_path / "third", audio, float_epochs=2, **options)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_label_smoothing_is_taken_off(smoothing):
    certain = np.eye(4, dtype=np.float32)
    smoothed = certain * (1 - smoothing) + smoothing / 4
    np.testing.assert_allclose(distillation.unsmoothed(smoothed, smoothing), certain, atol=1e-6)
    below = distillation.unsmoothed(np.array([[0.97, 0.02, 0.005, 0.005]], np.float32), smoothing)
    assert below.min() >= 0
    np.testing.assert_allclose(below.sum(-1), 1, rtol=1e-6)
    settings = dataclasses.replace(TRAIN, label_smoothing=smoothing, teacher_share=0.7)
    assert distillation.smoothing_of(settings) == smoothing
    # Of the targets of one that was taught, only the labels' share is smoothed.
    taught = dataclasses.replace(settings, teacher=("runs/teacher",))
    assert distillation.smoothing_of(taught) == pytest.approx(0.3 * smoothing)


def test_muon_is_for_the_warm_up_of_an_lstm(audio, tmp_path):
    changes = {"optimizer": "muon", "matrix_decay": 0.2, "product_dtype": "bfloat16"}
    settings = dataclasses.replace(TRAIN, **changes)
    muon = loop.optimizer(settings, "float", 0.1, use_ema=True)
    assert isinstance(muon, Muon)
    assert (muon.matrix_decay, muon.product_dtype, muon.use_ema) == (0.2, "bfloat16", True)
    assert type(loop.optimizer(settings, "quantized", 0.1)) is keras.optimizers.Adam
    with pytest.raises(KwsError, match="--optimizer adam"):
        train(tmp_path / "run", audio, network="teacher", quantized_epochs=0, optimizer="muon")


def test_a_teacher_hears_the_spectrogram_of_what_the_student_hears_as_mfccs(
    finished, copy, audio, tmp_path
):
    options = {"float_epochs": 1, "quantized_epochs": 0, "teacher": (str(copy.path),)}
    train(tmp_path / "same", audio, **options)
    before = contents(copy.path / "posteriors")
    data = dataclasses.replace(DATA, front_end="mfcc10")
    run = train(tmp_path / "mfcc", audio, data=data, **options)
    assert run.front_end().features == 10
    # The same clips, so that what was said of them serves both.
    assert contents(copy.path / "posteriors") == before


def test_a_teacher_network_teaches_and_stays_in_float(audio, tmp_path):
    with pytest.raises(KwsError, match="--quantized-epochs 0"):
        train(tmp_path / "teacher", audio, network="teacher")
    teacher = train(
        tmp_path / "teacher", audio, network="teacher", float_epochs=1, quantized_epochs=0
    )
    assert "teacher" in teacher.load_model("float").name
    path = (str(teacher.path),)
    run = train(tmp_path / "run", audio, float_epochs=1, quantized_epochs=0, teacher=path)
    assert np.isfinite(rows(run)[0]["loss"])


def test_a_warm_up_is_taken_over(finished, audio, tmp_path):
    other = str(finished[0].path)
    run = train(tmp_path / "run", audio, pretraining_run=other)
    # The same fine-tuning from the same weights: the same run.
    assert rows(run) == rows(finished[0])
    assert_same(saved_weights(run, "float"), saved_weights(finished[0], "float"))
    assert_same(saved_weights(run, "quantized"), saved_weights(finished[0], "quantized"))


@pytest.mark.parametrize("words", [WORDS, ("up", UNKNOWN_WORD)])
def test_a_warm_up_starts_from_another_run(finished, audio, tmp_path, words):
    """With a learning rate of 0: the LSTM is the other's; the classifier if the words are."""
    before = finished[0].load_model("float")
    data = dataclasses.replace(DATA, words=words, unknown_share=0.5)
    options = {"float_epochs": 1, "quantized_epochs": 0, "learning_rate": 0.0}
    run = train(tmp_path / "run", audio, data=data, start_from=str(finished[0].path), **options)
    assert run.front_end() == finished[0].front_end()
    after = run.load_model("float")
    assert_same(after.get_layer("lstm").get_weights(), before.get_layer("lstm").get_weights())
    kernels = [model.get_layer("classifier").kernel.numpy() for model in (before, after)]
    assert (words == WORDS) == np.array_equal(*kernels)


@pytest.mark.parametrize("begun_with", ["quantized", "float"])
def test_fine_tuning_goes_on_from_another_run(finished, copy, audio, tmp_path, begun_with):
    """With a learning rate of 0: its quantized weights if there are any, in fewer bits."""
    if begun_with == "float":
        copy.weights_file("quantized").unlink()
    options = {"float_epochs": 0, "quantized_epochs": 1, "quantized_learning_rate": 0.0}
    run = train(tmp_path / "run", audio, start_from=str(copy.path), weight_bits=3, **options)
    before, after = finished[0].load_model(begun_with), run.load_model()
    cells = [model.get_layer(spotter.LSTM).cell for model in (before, after)]
    classifiers = [model.get_layer(spotter.CLASSIFIER) for model in (before, after)]
    for theirs, mine in (cells, classifiers):
        np.testing.assert_array_equal(theirs.kernel, mine.kernel)
    np.testing.assert_array_equal(*(cell.recurrent_kernel for cell in cells))
    theirs, mine = (
        {name: float(clip) for name, clip in spotter.clips(model).items() if "kernel" in name}
        for model in (finished[0].load_model(), after)
    )
    assert theirs.keys() == mine.keys()
    assert all(theirs[name] != mine[name] for name in theirs)  # those of 8 bits, of 3


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"train": {"hidden": 9}}, "give the same --hidden"),
        ({"front_end": "mfcc10"}, "--front-end"),
    ],
)
def test_start_from_a_run_of_another_shape_is_refused(finished, audio, tmp_path, changes, what):
    data = dataclasses.replace(DATA, front_end=changes.get("front_end", DATA.front_end))
    options = changes.get("train", {}) | {"start_from": str(finished[0].path)}
    with pytest.raises(KwsError, match=what):
        train(tmp_path / "run", audio, data=data, **options)


def test_what_cannot_start_is_refused(finished, audio, tmp_path):
    start = str(finished[0].path)
    for changes, what in (({"network": "teacher", "quantized_epochs": 0}, "this run a teacher"),):
        with pytest.raises(KwsError, match=what):
            train(tmp_path / "run", audio, start_from=start, **changes)


def test_a_started_run_needs_the_other_one_no_more(finished, copy, audio, tmp_path, monkeypatch):
    options = {"start_from": str(copy.path), "quantized_epochs": 0}
    whole = train(tmp_path / "whole", audio, **options)
    begin = loop._EpochRecord.on_epoch_begin

    def stop_at_the_second(record, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt
        begin(record, epoch, logs)

    with monkeypatch.context() as patch:
        patch.setattr(loop._EpochRecord, "on_epoch_begin", stop_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "cut", audio, **options)
    shutil.rmtree(copy.path)
    moved = str(tmp_path / "elsewhere" / copy.path.name)  # runs are known by their names
    resumed = train(tmp_path / "cut", audio, **options | {"start_from": moved})
    assert rows(resumed) == rows(whole)
    assert resumed.train_settings().start_from == moved


def test_a_published_run_loads_and_its_warm_up_is_taken_over(finished, audio, tmp_path):
    teacher = (str(finished[0].path),)
    taught = train(tmp_path / "taught", audio, teacher=teacher, soft_target_epochs=1)
    published = publish_run(taught, tmp_path / "checkpoints")
    assert published == tmp_path / "checkpoints" / "taught"
    text = (published / "settings.json").read_text()
    assert str(tmp_path) not in text
    assert str(finished[0].path) not in text
    copy = open_run(published)
    assert copy.labels() == taught.labels()
    for phase in ("float", "quantized"):
        assert_same(saved_weights(copy, phase), saved_weights(taught, phase))
    teacher = shutil.copytree(finished[0].path, tmp_path / "elsewhere" / finished[0].path.name)
    other = train(
        tmp_path / "other",
        audio,
        teacher=(str(teacher),),
        soft_target_epochs=1,
        pretraining_run=str(published),
    )
    assert_same(saved_weights(other, "float"), saved_weights(taught, "float"))


def test_an_unfinished_run_is_not_published(copy, tmp_path):
    copy.history_file.write_text(json.dumps(rows(copy)[:3]))
    with pytest.raises(KwsError, match="is not finished"):
        publish_run(copy, tmp_path / "checkpoints")
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize("changes", [{"seed": 9}, {"float_epochs": 3}, {"dropout": 0.5}])
def test_another_warm_up_is_not_taken_over(finished, audio, tmp_path, changes):
    with pytest.raises(KwsError, match="cannot be taken over"):
        train(tmp_path / "run", audio, pretraining_run=str(finished[0].path), **changes)
    run = train(tmp_path / "run", audio, float_epochs=1, quantized_epochs=0)
    assert len(rows(run)) == 1


@pytest.mark.parametrize("changes", [{"dropout": 0.5}, {"averaging": 0.9}, {"optimizer": "muon"}])
def test_dropout_and_averaging_change_the_training(finished, audio, tmp_path, changes):
    run = train(tmp_path / "run", audio, float_epochs=2, quantized_epochs=0, **changes)
    assert rows(run)[1]["val_loss"] != rows(finished[0])[1]["val_loss"]


@pytest.mark.parametrize("other", ["labels", "front end"])
def test_teacher_of_another_task_is_refused(finished, copy, audio, tmp_path, other):
    if other == "labels":
        settings = json.loads(copy.settings_file.read_text())
        settings["data"]["words"] = ["up", "left"]
        copy.settings_file.write_text(json.dumps(settings))
    else:
        values = finished[0].front_end().to_json()
        values["log_mel"]["low_hz"] = 20.0
        copy.front_end_file.write_text(json.dumps(values))
    with pytest.raises(KwsError, match=r"teacher.*other labels or another front end"):
        train(tmp_path / "run", audio, teacher=(str(copy.path),))


def test_teacher_without_float_weights_is_refused(copy, audio, tmp_path):
    copy.weights_file("float").unlink()
    with pytest.raises(KwsError, match="no float weights"):
        train(tmp_path / "run", audio, teacher=(str(copy.path),))


def test_open_run_wants_a_run(tmp_path):
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(KwsError, match="not a run folder"):
            open_run(path)


def test_labels_are_those_of_the_words(finished):
    assert finished[0].labels() == class_names(WORDS)
    assert finished[0].front_end().log_mel == front_end("logmel40").log_mel
