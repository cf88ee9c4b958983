"""What a run starts from: another's LSTM, another's finished pretraining, initial clips."""

import dataclasses
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from publish_run import publish_run
from tiny_run import AUGMENTATION, DATA, TRAIN, UNKNOWN_WORD, WORDS, untrained_run

from kws_tf.data import sources
from kws_tf.data.pipeline import fit_normalisation
from kws_tf.errors import KwsError
from kws_tf.files import write_json
from kws_tf.frontend.config import front_end as named_front_end
from kws_tf.models import spotter
from kws_tf.models.building import build_model
from kws_tf.run_folder import RunFolder
from kws_tf.settings import OtherRecordings
from kws_tf.training import loop, pretraining, starting, step
from kws_tf.training.callbacks import EpochRecord


def train(folder, audio, data=DATA, **changes):
    settings = dataclasses.replace(TRAIN, **changes)
    return loop.train(folder, audio, settings, data, AUGMENTATION, verbose=0)


@pytest.fixture
def copy(untrained, tmp_path):
    """A copy of the untrained run."""
    return RunFolder(shutil.copytree(untrained.path, tmp_path / "copy"))


def assert_same(weights, others):
    for one, other in zip(weights, others, strict=True):
        np.testing.assert_array_equal(one, other)


# --- Another run's LSTM.


@pytest.mark.parametrize("words", [WORDS, ("up", UNKNOWN_WORD)])
def test_the_lstm_is_the_others_and_the_classifier_if_the_words_are(untrained, tmp_path, words):
    data = dataclasses.replace(DATA, words=words)
    options = dataclasses.replace(TRAIN, quantized_epochs=0)
    run = untrained_run(tmp_path / "run", options, data)
    model = build_model(TRAIN, run.front_end(), 4, "float")
    starting.start_from(untrained, run, model, "float")
    before = untrained.load_model("float")
    assert_same(model.get_layer("lstm").get_weights(), before.get_layer("lstm").get_weights())
    kernels = [one.get_layer("classifier").kernel.numpy() for one in (before, model)]
    assert (words == WORDS) == np.array_equal(*kernels)


def test_fine_tuning_goes_on_from_another_run(untrained, copy, tones, tmp_path):
    """From its quantized weights if there are any, in fewer bits; the clips are set anew."""
    settings = dataclasses.replace(TRAIN, start_from=str(copy.path), float_epochs=0, weight_bits=3)
    run = RunFolder(tmp_path / "run")
    run.start(settings, DATA, AUGMENTATION, tones, untrained.front_end())
    model = build_model(settings, run.front_end(), 4, "quantized")
    training = sources.load(tones, "training", run.front_end(), DATA)
    for phase in ("quantized", "float"):
        loop._set_first_weights(run, "quantized", model, training)
        before = untrained.load_model(phase)
        mine, theirs = (weights_of(one) for one in (model, before))
        assert_same(mine, theirs)
        copy.weights_file("quantized").unlink(missing_ok=True)
    clips, of_8_bits = (spotter.clips(one) for one in (model, untrained.load_model("quantized")))
    assert clips.keys() == of_8_bits.keys()
    for name in clips:
        if "kernel" in name:
            assert float(clips[name]) != float(of_8_bits[name])


def weights_of(model):
    """Kernels and biases, without clips."""
    cell, classifier = model.get_layer(spotter.LSTM).cell, model.get_layer(spotter.CLASSIFIER)
    of_cell = [cell.kernel, cell.recurrent_kernel, cell.bias]
    return [weights.numpy() for weights in (*of_cell, classifier.kernel, classifier.bias)]


def test_start_from_a_run_of_another_shape_is_refused(untrained, tmp_path):
    settings = dataclasses.replace(TRAIN, start_from=str(untrained.path))
    chosen = dataclasses.replace(untrained.front_end(), mean=(), std=())
    assert starting.front_end_of_start(settings, chosen) == untrained.front_end()
    for changes, what in (
        ({"hidden": 9}, "a lstm of 8 units, this run a lstm of 9; give the same --hidden"),
        ({"network": "teacher"}, "this run a teacher"),
    ):
        with pytest.raises(KwsError, match=what):
            starting.front_end_of_start(dataclasses.replace(settings, **changes), chosen)
    with pytest.raises(KwsError, match="give the same --front-end"):
        starting.front_end_of_start(settings, named_front_end("mfcc10", 500.0))


def test_a_started_run_needs_the_other_one_no_more(untrained, copy, tones, tmp_path, monkeypatch):
    """With a learning rate of 0: after an interruption, its weights are still the other's."""
    options = {"start_from": str(copy.path), "learning_rate": 0.0, "quantized_epochs": 0}
    begin = EpochRecord.on_epoch_begin

    def stop_at_the_second(record, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt
        begin(record, epoch, logs)

    with monkeypatch.context() as patch:
        patch.setattr(EpochRecord, "on_epoch_begin", stop_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "run", tones, **options)
    shutil.rmtree(copy.path)
    moved = str(tmp_path / "elsewhere" / copy.path.name)  # runs are recognised by their names
    run = train(tmp_path / "run", tones, **options | {"start_from": moved})
    assert len(run.history()) == 2
    assert run.train_settings().start_from == moved
    assert run.front_end() == untrained.front_end()
    assert_same(run.load_model("float").get_weights(), untrained.load_model("float").get_weights())


# --- Another run's pretraining.


def test_a_published_pretraining_is_taken_over(copy, tones, tmp_path):
    """Of a run that has a teacher, which lies elsewhere now; nothing is trained."""
    settings = dataclasses.replace(TRAIN, teacher=("far/teacher",))
    front_end = named_front_end(DATA.front_end, DATA.window_ms)
    training = sources.load(tones, "training", front_end, DATA)
    copy.start(settings, DATA, AUGMENTATION, tones, fit_normalisation(training, front_end))
    published = publish_run(copy, tmp_path / "published")
    changes = {"teacher": ("near/teacher",), "quantized_epochs": 0}
    run = train(tmp_path / "run", tones, pretraining_run=str(published), **changes)
    assert run.history() == copy.history()[:2]
    assert_same(run.load_model("float").get_weights(), copy.load_model("float").get_weights())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 9}, "has another seed"),
        ({"float_epochs": 3, "hidden": 9}, "has another hidden, float_epochs"),
        ({"float_epochs": 0}, "has another float_epochs"),
        ({"data": {"silence_share": 0.2}}, "has another data settings, front end"),
        ({}, "is not finished"),
    ],
)
def test_another_pretraining_is_not_taken_over(copy, tones, tmp_path, changes, message):
    other = dict(changes)
    data = dataclasses.replace(DATA, **other.pop("data", {}))
    settings = dataclasses.replace(TRAIN, pretraining_run=str(copy.path), **other)
    front_end = copy.front_end()
    if "front end" in message:
        front_end = front_end.normalised([0.0] * 40, [1.0] * 40)
    if not changes:
        write_json(copy.history_file, copy.history()[:1])
    with pytest.raises(KwsError, match=rf"the pretraining of .* {message}; repeat"):
        pretraining.check(copy, settings, data, AUGMENTATION, front_end)


def test_pretraining_with_other_negatives_is_not_taken_over(copy, tones):
    settings = dataclasses.replace(TRAIN, pretraining_run=str(copy.path))
    others = OtherRecordings((str(tones),))
    with pytest.raises(KwsError, match="has another negatives or noise"):
        pretraining.check(copy, settings, DATA, AUGMENTATION, copy.front_end(), others)


def test_a_refused_pretraining_leaves_no_files(copy, tones, tmp_path):
    with pytest.raises(KwsError, match="train without --pretraining-run"):
        train(tmp_path / "run", tones, pretraining_run=str(copy.path))
    assert not (tmp_path / "run").exists()


# --- Initial clips.


@pytest.mark.parametrize("bits", [2, 4])
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


def test_paper_profile_starts_quantized_and_trains_its_clips(untrained, tones, tmp_path):
    settings = dataclasses.replace(TRAIN, profile="paper", float_epochs=0)
    run = RunFolder(tmp_path / "run")
    run.start(settings, DATA, AUGMENTATION, tones, untrained.front_end())
    model = build_model(settings, run.front_end(), 4, "quantized")
    training = sources.load(tones, "training", run.front_end(), DATA)
    loop._set_first_weights(run, "quantized", model, training)
    clips = spotter.clips(model)
    assert len(clips) == 14
    # The original's 128 would leave a handful of levels to normalised features.
    assert 1 < float(clips["cell/input"]) < 64
    before = {name: float(clip) for name, clip in clips.items()}
    step.compile_model(model, keras.optimizers.SGD(0.1))
    features = np.random.default_rng(0).normal(size=(2, 24, 40)).astype(np.float32)
    model.train_step((tf.constant(features), tf.one_hot([0, 1], 4)))
    assert any(float(clip) != before[name] for name, clip in clips.items())


def test_fixed_clips_are_not_trained(untrained):
    settings = dataclasses.replace(TRAIN, pact=False)
    model = build_model(settings, untrained.front_end(), 4, "quantized")
    assert len(spotter.clips(model)) == 13
    assert len(model.trainable_variables) == 5
