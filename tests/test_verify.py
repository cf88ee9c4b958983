"""The proof: it holds for what was converted, and says what is broken where something is."""

import dataclasses
import json

import numpy as np
import pytest
import tf_keras as keras
from models import classifier_file, random_model

from kws_tf.conversion import convert
from kws_tf.conversion.convert import convert_model
from kws_tf.conversion.parameters import integer_parameters
from kws_tf.errors import KwsError
from kws_tf.evaluation import bounds
from kws_tf.evaluation.verify import verify_model
from kws_tf.models import spotter
from kws_tf.models.computing import compute
from kws_tf.tflite.graph import Graph

FRAMES, FEATURES, UNITS, CLASSES = 8, 10, 6, 3
STAGES = [
    "fake-quant Keras",
    "layer in double, tflite functions",
    "layer in double, tflm functions",
    "bit-exact NumPy, TFLite setting",
    "bit-exact NumPy, TFLM setting",
    "TFLite, reference kernels",
    "TFLite, default kernels",
    "TFLite Micro",
]


@pytest.fixture(scope="module")
def features():
    return np.random.default_rng(1).normal(size=(40, FRAMES, FEATURES)).astype(np.float32)


@pytest.fixture(scope="module")
def float_model():
    keras.utils.set_random_seed(0)
    model = spotter.build_float(FRAMES, FEATURES, UNITS, CLASSES)
    # Gates that use their range, as a trained model's do.
    model.set_weights([2.5 * weights for weights in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def model(float_model, features):
    model = spotter.build_quantized(FRAMES, FEATURES, UNITS, CLASSES, runtime="tflm")
    spotter.copy_weights(float_model, model)
    spotter.set_initial_clips(model, features, percentile=99)
    return model


def graph_by_hand(frames, features, units, classes) -> bytes:
    """What the converter makes, in milliseconds; conversion's tests have the converter's own."""
    graph = Graph(classifier_file(random_model(0, units, features, classes), frames))
    graph.main.outputs = graph.main.outputs[:1]
    return graph.to_bytes()


@pytest.fixture(scope="module", autouse=True)
def no_converter():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convert, "fused_graph", graph_by_hand)
        yield


@pytest.fixture(scope="module")
def content(model, no_converter):
    return convert_model(model)


@pytest.fixture(scope="module")
def report(model, content, features):
    return verify_model(model, content, features)


def broken(report):
    return [check.text for check in report.checks if not check.holds]


def test_what_was_converted_holds(report):
    assert broken(report) == []
    assert report.holds
    assert [outcome.name for outcome in report.outcomes] == STAGES
    assert sum("bit-exact NumPy equals" in check.text for check in report.checks) == 2
    pairs = {(pair["first"], pair["second"]): pair for pair in report.pairs()}
    assert len(pairs) == 8 * 7 / 2
    same = pairs["bit-exact NumPy, TFLM setting", "TFLite Micro"]
    assert same["hidden"] == same["logits"] == {"equal": 1, "mean": 0, "max": 0}


def test_without_labels_nothing_is_said_of_accuracy(report):
    assert report.correct(report.outcomes[0]) is None
    assert not [check for check in report.checks if "points" in check.text]
    text = report.text()
    assert text.startswith("40 examples of the given features\n")
    assert "accuracy" not in text
    values = json.loads(json.dumps(report.to_json()))
    assert values["examples"] == 40
    assert set(values["correct"].values()) == {None}


def test_with_labels_and_the_float_model_accuracies_are_compared(
    model, float_model, content, features
):
    labels = compute(float_model, features)[0].argmax(1)
    report = verify_model(
        model, content, features, labels, float_model, source="a folder", split="test"
    )
    names = [outcome.name for outcome in report.outcomes]
    assert names == ["float Keras", *STAGES]
    assert report.correct(report.outcomes[0]) == 40
    tflite = report.outcomes[names.index("TFLite, default kernels")]
    lost = 100 * (40 - report.correct(tflite)) / 40
    (check,) = [check for check in report.checks if "under float" in check.text]
    assert check.text.endswith(f"({-lost:+.2f})")
    assert check.holds == (lost <= 0.2)
    assert "40 examples of a folder (test)\n\ncomputed by" in report.text()


def other_weight(graph):
    index = graph.dense.inputs[1]
    values = graph.values(index).copy()
    values[0, 0] += 1 if values[0, 0] < 127 else -1
    graph.set_values(index, values)


def other_scale(graph):
    index = graph.dense.outputs[0]
    graph.set_scale(index, np.nextafter(graph.scale(index), np.float32(1)))


def other_limit(graph):
    graph.lstm.builtinOptions.cellClip *= 0.75


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_weight, "every integer weight and bias in the file is the layer's"),
        (other_scale, "every scale in the file is its clip's"),
        (other_limit, "the cell is limited at its trained clip"),
    ],
)
def test_a_changed_file_is_found(model, content, report, change, message):
    graph = Graph(content)
    change(graph)
    checks = bounds.file_checks(graph, integer_parameters(model))
    (found,) = [check for check in checks if not check.holds]
    assert found.text.startswith(message)
    changed = dataclasses.replace(report, checks=checks)
    assert not changed.holds
    assert f"BROKEN  {message}" in changed.text()


def test_another_models_file_is_found(model, features):
    other = spotter.build_quantized(FRAMES, FEATURES, UNITS, CLASSES)
    spotter.copy_weights(model, other)
    other.get_layer("lstm").cell.bias.assign_add([0.5] * 4 * UNITS)
    spotter.set_initial_clips(other, features, percentile=99)
    report = verify_model(model, convert_model(other), features)
    assert any(text.startswith("layer against TFLite Micro") for text in broken(report))
    # What NumPy reads of the file, both runtimes compute all the same.
    assert not [text for text in broken(report) if "bit-exact" in text]


@pytest.mark.parametrize(
    "wrong", [np.zeros((0, FRAMES, FEATURES)), np.zeros((4, FRAMES, 3)), np.zeros((4, FEATURES))]
)
def test_other_features_are_refused(model, content, wrong):
    with pytest.raises(KwsError, match=r"the model takes \[examples, 8, 10\]"):
        verify_model(model, content, wrong)


def test_a_float_model_is_refused(float_model, content, features):
    with pytest.raises(KwsError, match="cannot be converted"):
        verify_model(float_model, content, features)
