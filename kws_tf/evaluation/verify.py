"""The proof: what Keras, TFLite and TFLite Micro make of the same examples, value by value.

Every simulation and runtime gives last hidden state, logits and decision of every example; pairs
are compared in steps of the int8 grid (LSB).
"""

import dataclasses
from pathlib import Path

import numpy as np
import tf_keras as keras

from kws_tf.conversion import guards
from kws_tf.conversion.convert import check_model
from kws_tf.conversion.parameters import integer_parameters
from kws_tf.errors import KwsError
from kws_tf.evaluation import bounds, simulations, tensor_table
from kws_tf.evaluation.bounds import Check
from kws_tf.evaluation.labelled import LabelledFeatures
from kws_tf.evaluation.proof import Report
from kws_tf.models.spotter import lstm_of
from kws_tf.run_folder import RunFolder
from kws_tf.tflite import formats, tflm
from kws_tf.tflite import graph as g
from kws_tf.tflite import model as models

CALIBRATION_EXAMPLES = 500


def verify_model(
    model: keras.Model,
    content: bytes,
    features: np.ndarray,
    labels: np.ndarray | None = None,
    float_model: keras.Model | None = None,
    calibration: np.ndarray | None = None,
    source: str = "the given features",
    split: str = "",
) -> Report:
    """Runs a model and its .tflite everywhere and checks the bounds.

    Args:
        model: The Keras model that was converted: a QuantizedLSTM of the ``tflite`` profile on
            its input, then a QuantizedDense.
        content: The .tflite file's content, as ``convert_model`` returns it.
        features: float32 [examples, frames, features], as the model takes them.
        labels: int [examples], the true classes; without them accuracy is left out.
        float_model: The spotter before fine-tuning, to compare accuracies with.
        calibration: float32 [examples, frames, features] of training, for the baseline of plain
            post-training quantization of ``float_model``; it is left out if ``None``.
        source: Where the examples come from, for the table.
        split: Which they are, for the table.

    Returns:
        What was found; ``report.holds`` says whether every bound holds.

    Raises:
        KwsError: If the model is of other layers (see ``convert.check_model``), a guard of the
            file is broken, or the features are not what it takes.
    """
    check_model(model)
    guards.check(content)
    features = np.asarray(features, np.float32)
    wanted = formats.ends(content, "the model").input.shape[1:]
    if features.shape[1:] != wanted or not len(features):
        raise KwsError(
            f"the features are {list(features.shape)} and the model takes [examples, "
            f"{wanted[0]}, {wanted[1]}]; give some as it was trained on"
        )
    parameters = integer_parameters(model)
    # By the layer's own quantizer: the integers of what the Keras model computes with.
    steps = lstm_of(model).cell.quantize("input", features).numpy() / parameters.input_scale
    inputs = np.rint(steps).astype(np.int8)

    of_float = [simulations.float_outcome(float_model, features)] if float_model else []
    if float_model and calibration is not None:
        of_float += simulations.post_training(float_model, features, calibration)
    outcomes = simulations.run_all(model, content, parameters, features, inputs)
    checks = bounds.file_checks(g.Graph(content), parameters)
    checks += bounds.exactness_checks(outcomes)
    if labels is not None:
        checks += bounds.accuracy_checks(outcomes, of_float, labels)
    arena = tflm.arena_bytes(content, inputs[:1])
    everything = [*of_float, *outcomes.all()]
    return Report(everything, labels, checks, tensor_table.rows(content), arena, source, split)


def verify(
    run: RunFolder, examples: LabelledFeatures, calibration: np.ndarray | None = None
) -> Report:
    """Runs a run's models over examples and checks the bounds; arguments as of ``verify_model``."""
    converted = models.load(run.model_file)
    guards.check(converted.content, str(converted.path))
    model = run.load_model("quantized")
    has_float = run.weights_file("float").exists()
    report = verify_model(
        model,
        converted.content,
        examples.features,
        examples.labels,
        run.load_model("float") if has_float else None,
        calibration,
        examples.source,
        examples.split,
    )
    # The scale is the file's, or the model would not have been opened, and so the layer's.
    same_width = converted.manifest.input_bits == lstm_of(model).cell.quantizers["input"].bits
    described = Check("the manifest's input has the layer's width", same_width)
    return dataclasses.replace(report, checks=[described, *report.checks])


def load_calibration(run: RunFolder, data_dir: Path) -> np.ndarray:
    """Returns features of training examples, for the baseline's ranges."""
    from kws_tf.data import pipeline, sources

    settings, front_end = run.data_settings(), run.front_end()
    examples = sources.load(data_dir, "training", front_end, settings)
    features, _ = pipeline.fixed_set(examples, front_end, settings)
    count = min(CALIBRATION_EXAMPLES, len(features))
    chosen = np.random.default_rng(0).choice(len(features), count, False)
    return features[np.sort(chosen)]
