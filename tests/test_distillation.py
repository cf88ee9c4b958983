"""Distillation: soft targets are those of the batches that are trained, made once."""

import dataclasses
import shutil

import numpy as np
import pytest
import tensorflow as tf
from tiny_run import AUGMENTATION, DATA, TRAIN, untrained_run

from kws_tf.data import sources
from kws_tf.data.pipeline import Batches, fit_normalisation
from kws_tf.errors import KwsError
from kws_tf.files import write_json
from kws_tf.frontend.config import front_end as named_front_end
from kws_tf.models import teacher as teacher_network
from kws_tf.run_folder import RunFolder
from kws_tf.training import distillation, loop
from kws_tf.training.distillation import smoothed_targets

FRAMES, STEPS, BATCH, CLASSES = 24, 2, 3, 4
FLOAT_ONLY = {"float_epochs": 1, "quantized_epochs": 0}


def train(folder, audio, data=DATA, **changes):
    settings = dataclasses.replace(TRAIN, **changes)
    return loop.train(folder, audio, settings, data, AUGMENTATION, verbose=0)


def contents(folder):
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}


@pytest.fixture(autouse=True)
def working_directory(tmp_path, monkeypatch):
    """Soft targets are kept in the working directory."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def teacher(untrained, tmp_path):
    """A copy of the untrained run."""
    return RunFolder(shutil.copytree(untrained.path, tmp_path / "teacher"))


def batches_from(epoch):
    """Batches of random features, two per epoch; the first of an epoch has its number in it."""
    rng = np.random.default_rng(epoch)
    features = rng.normal(epoch, 1, [STEPS, BATCH, FRAMES, 40]).astype(np.float32)
    labels = np.zeros([STEPS, BATCH], np.int64)
    return Batches(tf.data.Dataset.from_tensor_slices((features, labels)), STEPS, STEPS * BATCH)


def features_of(epochs):
    """The features of those batches, [batches, batch, frames, features]."""
    datasets = [batches_from(epoch).dataset for epoch in range(epochs)]
    return np.array([x for dataset in datasets for x, _ in dataset.as_numpy_iterator()])


# --- Targets.


def test_targets_are_smoothed_labels_or_soft_targets():
    labels = tf.constant([0, 2])
    targets = smoothed_targets(4, 0.2)
    features, hard = targets(0, labels)
    assert features == 0
    np.testing.assert_allclose(hard, [[0.85, 0.05, 0.05, 0.05], [0.05, 0.05, 0.85, 0.05]])
    posteriors = np.array([[0.25] * 4, [0.5, 0.25, 0.125, 0.125]], np.float16)
    _, soft = targets(0, labels, posteriors)
    assert soft.dtype == tf.float32
    np.testing.assert_array_equal(soft, posteriors)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_label_smoothing_is_taken_off(smoothing):
    certain = np.eye(4, dtype=np.float32)
    smoothed = certain * (1 - smoothing) + smoothing / 4
    taken_off = distillation.without_smoothing
    np.testing.assert_allclose(taken_off(smoothed, smoothing), certain, atol=1e-6)
    below = taken_off(np.array([[0.97, 0.02, 0.005, 0.005]], np.float32), smoothing)
    assert below.min() >= 0
    np.testing.assert_allclose(below.sum(-1), 1, rtol=1e-6)
    settings = dataclasses.replace(TRAIN, label_smoothing=smoothing)
    assert distillation.smoothing_of(settings) == smoothing
    # Soft targets are not smoothed.
    student = dataclasses.replace(settings, teacher=("runs/teacher",))
    assert distillation.smoothing_of(student) == 0


# --- Soft targets.


def test_soft_targets_are_the_mean_posteriors(teacher, tmp_path):
    settings = dataclasses.replace(TRAIN, label_smoothing=0.05, **FLOAT_ONLY)
    other = untrained_run(tmp_path / "other", settings)
    fill(other, 2.0)
    inputs = features_of(3).reshape(-1, FRAMES, 40)
    posteriors = [tf.nn.softmax(run.load_model("float")(inputs)) for run in (teacher, other)]
    certain = [
        distillation.without_smoothing(values.numpy(), smoothing)
        for values, smoothing in zip(posteriors, (TRAIN.label_smoothing, 0.05), strict=True)
    ]
    for unsmoothed, expected in ((False, posteriors), (True, certain)):
        made = distillation.soft_targets([teacher, other], batches_from, 3, {}, unsmoothed)
        assert made.shape == (3 * STEPS, BATCH, CLASSES)
        mean = np.mean(expected, 0)
        np.testing.assert_allclose(made.reshape(-1, CLASSES), mean, atol=2e-3)


def fill(run, factor):
    """Multiplies a run's float weights."""
    model = run.load_model("float")
    model.set_weights([factor * weights for weights in model.get_weights()])
    model.save_weights(run.weights_file("float"))


def test_posteriors_are_computed_once(teacher, monkeypatch):
    def targets(epochs, key):
        return distillation.soft_targets([teacher], batches_from, epochs, key)

    made = targets(2, {"seed": 0})
    folder = distillation.FOLDER
    before = contents(folder)
    assert len(before) == 2
    np.testing.assert_array_equal(targets(2, {"seed": 0}), made)
    np.testing.assert_array_equal(targets(3, {"seed": 0})[: 2 * STEPS], made)
    assert before.items() < contents(folder).items()
    targets(1, {"seed": 1})  # other batches
    assert len(contents(folder)) == 4
    fill(teacher, 2.0)
    assert (targets(2, {"seed": 0}) != made).any()
    for path in folder.iterdir():
        path.write_bytes(b"damaged")
    with pytest.raises(KwsError, match=r"is damaged .*delete it"):
        targets(2, {"seed": 0})


def test_posteriors_that_cannot_be_written_are_one_sentence(teacher):
    distillation.FOLDER.parent.mkdir()
    distillation.FOLDER.write_text("")
    with pytest.raises(KwsError, match=r"cannot write .*soft-targets.*repeat the command"):
        distillation.soft_targets([teacher], batches_from, 1, {})


def test_resumed_batches_meet_their_soft_targets():
    """Two epochs' soft targets, from the second on: its batches, the first's, its again."""
    targets = np.arange(2 * STEPS, dtype=np.float16).reshape(2 * STEPS, 1, 1)
    epochs = [batches_from(epoch).dataset for epoch in (1, 0, 1)]
    batches = Batches(epochs[0].concatenate(epochs[1]).concatenate(epochs[2]), STEPS, 0)
    met = distillation.with_soft_targets(batches, targets, first_epoch=1)
    assert (met.steps, met.examples) == (STEPS, 0)
    numbers = [soft.item() for _, _, soft in met.dataset.as_numpy_iterator()]
    assert numbers == [2, 3, 0, 1, 2, 3]
    features = [x for x, _, _ in met.dataset.as_numpy_iterator()]
    np.testing.assert_array_equal(features[2:4], features_of(1))


# --- Teachers.


@pytest.mark.parametrize("other", ["labels", "frames", "features"])
def test_teacher_of_another_task_is_refused(untrained, teacher, tmp_path, other):
    teachers = [teacher]
    if other == "labels":
        data = dataclasses.replace(DATA, words=("up", "left"))
        write_json(teacher.settings_file, as_saved(teacher, data))
    elif other == "frames":
        values = untrained.front_end().to_json()
        values["log_mel"]["low_hz"] = 20.0
        write_json(teacher.front_end_file, values)
    else:
        data = dataclasses.replace(DATA, front_end="mfcc10")
        teachers += [
            untrained_run(tmp_path / "mfcc", dataclasses.replace(TRAIN, **FLOAT_ONLY), data)
        ]
    settings = dataclasses.replace(TRAIN, teacher=tuple(str(one.path) for one in teachers))
    with pytest.raises(KwsError, match=r"teacher.*other labels or another front end"):
        distillation.open_teachers(settings, untrained)


def as_saved(run, data):
    sections = {"train": run.train_settings(), "data": data, "augmentation": run.augmentation()}
    places = {"data_dir": str(run.path), "data_digest": ""}
    return {name: dataclasses.asdict(section) for name, section in sections.items()} | places


def test_teacher_without_float_weights_is_refused(teacher):
    teacher.weights_file("float").unlink()
    with pytest.raises(KwsError, match="no float weights"):
        distillation.soft_targets([teacher], batches_from, 1, {})


# --- Training.


def test_a_student_learns_the_teachers_posteriors(teacher, tones, tmp_path, monkeypatch):
    """Every batch meets the teacher's posteriors of that batch, when it comes again as well."""
    met = []
    plain = smoothed_targets(CLASSES, 0.0)

    def spy(*_):
        def targets(features, labels, soft_targets):
            record = lambda *values: met.append([value.numpy() for value in values])  # noqa: E731
            tf.py_function(record, (features, soft_targets), [])
            return plain(features, labels, soft_targets)

        return targets

    monkeypatch.setattr(distillation, "smoothed_targets", spy)
    options = {"teacher": (str(teacher.path),), "soft_target_epochs": 1, "quantized_epochs": 0}
    train(tmp_path / "run", tones, float_epochs=2, **options)
    assert len({features.tobytes() for features, _ in met}) < len(met)  # the first epoch again
    model = teacher.load_model("float")
    student = RunFolder(tmp_path / "run").front_end()
    assert student.mean != teacher.front_end().mean
    for features, soft_targets in met:
        power = features * np.array(student.std) + student.mean
        inputs = (power - np.array(teacher.front_end().mean)) / teacher.front_end().std
        posteriors = tf.nn.softmax(model(inputs.astype(np.float32)))
        np.testing.assert_allclose(soft_targets, posteriors, atol=3e-3)


def test_students_with_other_features_have_the_same_soft_targets(teacher, tones, tmp_path):
    training = sources.load(tones, "training", teacher.front_end(), DATA)
    made = []
    for name in ("logmel40", "mfcc10"):
        data = dataclasses.replace(DATA, front_end=name)
        settings = dataclasses.replace(TRAIN, soft_target_epochs=1)
        run = RunFolder(tmp_path / name)
        front_end = fit_normalisation(training, named_front_end(name, 500.0))
        run.start(settings, data, AUGMENTATION, tones, front_end)
        batches = loop._batches(run, "float", training, [teacher], 0)
        features, _, soft = next(batches.dataset.as_numpy_iterator())
        assert features.shape[-1] == front_end.features
        made.append((soft, contents(distillation.FOLDER)))
    np.testing.assert_array_equal(*(soft for soft, _ in made))
    assert made[0][1] == made[1][1]


def test_a_teacher_network_is_trained_in_float(tones, tmp_path, monkeypatch):
    monkeypatch.setattr(teacher_network, "_STEM", (2,))
    monkeypatch.setattr(teacher_network, "_BLOCKS", ((4, 1),))
    run = train(tmp_path / "teacher", tones, network="teacher", **FLOAT_ONLY)
    (row,) = run.history()
    assert np.isfinite(row["loss"])
    model = run.load_model("float")
    fresh = teacher_network.build_teacher(24, 40, CLASSES)
    assert [v.shape for v in model.weights] == [v.shape for v in fresh.weights]
    student = dataclasses.replace(TRAIN, teacher=(str(run.path),))
    assert distillation.open_teachers(student, run) == [run]
