"""The proof: what Keras, TFLite and TFLite Micro make of the same clips, compared value by value.

Every simulation and runtime gives last hidden state, logits and decision of every clip; pairs
are compared in steps of the int8 grid (LSB).
"""

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tf_keras as keras

from kws_tf.conversion import guards
from kws_tf.conversion.convert import fused_model, to_int8
from kws_tf.conversion.parameters import IntegerParameters, integer_parameters
from kws_tf.evaluation.labelled import LabelledFeatures, quantize
from kws_tf.models.building import build_model
from kws_tf.models.spotter import CLASSIFIER, LSTM
from kws_tf.reference.integer_model import IntegerModel
from kws_tf.run_folder import RunFolder
from kws_tf.tflite import graph as g
from kws_tf.tflite import interpreter, tflm
from kws_tf.tflite.manifest import Manifest
from kws_tf.tflite.manifest import load as load_manifest

#: Points of accuracy between fake-quant Keras and TFLite, and between TFLite and TFLM.
ACCURACY_BOUND = 0.1
#: Points that TFLite may lie under the float model.
FLOAT_BOUND = 0.2
#: Least share of equal hidden values and decisions, simulation against reference kernels.
HIDDEN_EQUAL, DECISIONS_EQUAL = 0.99, 0.999
#: Least share of equal decisions between the two runtimes.
RUNTIMES_EQUAL = 0.995


@dataclass(frozen=True)
class Outcome:
    """What one simulation or runtime computed.

    Attributes:
        name: What it is.
        decisions: int64 [clips].
        hidden: Last hidden state, integers [clips, units]; ``None`` for a float model.
        logits: Integers [clips, classes]; ``None`` for a float model.
    """

    name: str
    decisions: np.ndarray
    hidden: np.ndarray | None = None
    logits: np.ndarray | None = None


@dataclass(frozen=True)
class Check:
    """A bound and whether it holds."""

    text: str
    holds: bool


@dataclass(frozen=True)
class Report:
    """All that the verifier found.

    Attributes:
        outcomes: In the order of the table.
        labels: True class of each clip.
        checks: The bounds.
        tensors: Rows (name, type, shape, scale) of the model file.
        arena_bytes: Of TFLite Micro, by kind.
        source: Folder the clips come from.
        split: ``test`` or ``validation``.
    """

    outcomes: Sequence[Outcome]
    labels: np.ndarray
    checks: Sequence[Check]
    tensors: Sequence[tuple[str, str, str, str]]
    arena_bytes: dict[str, int]
    source: str
    split: str

    @property
    def holds(self) -> bool:
        """Whether every bound holds."""
        return all(check.holds for check in self.checks)

    def correct(self, outcome: Outcome) -> int:
        """Returns the number of right decisions."""
        return int(np.sum(outcome.decisions == self.labels))

    def pairs(self) -> list[dict]:
        """Compares each pair of integer outcomes."""
        integer = [outcome for outcome in self.outcomes if outcome.logits is not None]
        return [compare(a, b) for a, b in itertools.combinations(integer, 2)]

    def to_json(self) -> dict:
        """Returns a JSON-ready dictionary."""
        return {
            "data": self.source,
            "split": self.split,
            "clips": len(self.labels),
            "correct": {outcome.name: self.correct(outcome) for outcome in self.outcomes},
            "pairs": self.pairs(),
            "checks": [{"text": c.text, "holds": bool(c.holds)} for c in self.checks],
            "tensors": [list(row) for row in self.tensors],
            "arena_bytes": self.arena_bytes,
        }

    def text(self) -> str:
        """Returns the tables to print."""
        n = len(self.labels)
        lines = [f"{n:,} clips of {self.source} ({self.split})", ""]
        lines.append(f"{'computed by':<34} {'right':>6} {'accuracy':>10}")
        for outcome in self.outcomes:
            right = self.correct(outcome)
            lines.append(f"{outcome.name:<34} {right:>6,} {100 * right / n:>8.2f} %")
        lines += ["", f"{'':<62} {'hidden state':^24}   {'logits':^24}   decisions"]
        columns = f"{'equal':>8} {'mean':>7} {'max LSB':>7}"
        lines.append(f"{'pair':<62} {columns}   {columns}   {'equal':>9}")
        for pair in self.pairs():
            numbers = "   ".join(
                f"{100 * pair[what]['equal']:>6.2f} % {pair[what]['mean']:>7.4f} "
                f"{pair[what]['max']:>7}"
                for what in ("hidden", "logits")
            )
            name = f"{pair['first']} / {pair['second']}"
            lines.append(f"{name:<62} {numbers}   {100 * pair['decisions']:>7.2f} %")
        lines += ["", f"{'tensor':<44} {'type':<6} {'shape':<14} scale"]
        for name, kind, shape, scale in self.tensors:
            lines.append(f"{name:<44} {kind:<6} {shape:<14} {scale}")
        lines += ["", "TFLite Micro's arena on this machine, bytes:"]
        lines += [f"  {kind:<44} {size:>8,}" for kind, size in self.arena_bytes.items()]
        lines += [""] + [f"{'ok' if c.holds else 'BROKEN':<7} {c.text}" for c in self.checks]
        return "\n".join(lines)


def compare(a: Outcome, b: Outcome) -> dict:
    """Compares two integer outcomes: shares of equal values, mean and largest difference."""
    row: dict = {"first": a.name, "second": b.name}
    for what in ("hidden", "logits"):
        x, y = (getattr(outcome, what).astype(np.int32) for outcome in (a, b))
        difference = np.abs(x - y)
        row[what] = {
            "equal": float(np.mean(difference == 0)),
            "mean": float(difference.mean()),
            "max": int(difference.max()),
        }
    row["decisions"] = float(np.mean(a.decisions == b.decisions))
    return row


def verify(
    run: RunFolder, clips: LabelledFeatures, calibration: np.ndarray | None = None
) -> Report:
    """Runs everything over the clips and checks the bounds.

    Args:
        run: A run with its model converted.
        clips: Of the run's labels and front end.
        calibration: float32 [clips, frames, features] of training clips, for the baseline of
            plain post-training quantization; it is left out when ``None``.

    Raises:
        KwsError: If the run is unfinished or not converted, or a guard of the model is broken.
    """
    path = run.model_file
    manifest = load_manifest(path)
    model = path.read_bytes()
    guards.check(model, str(path))
    inputs = quantize(clips.features, manifest)
    quantized = run.load_model("quantized")
    parameters = integer_parameters(quantized)

    outcomes = []
    if run.weights_file("float").exists():
        float_model = run.load_model("float")
        outcomes.append(_float(float_model, clips.features))
        if calibration is not None:
            outcomes += _baseline(float_model, clips.features, calibration)
    fake_quant = _keras_outcome("fake-quant Keras", quantized, clips.features)
    simulated = {
        runtime: _simulated(run, quantized, parameters, runtime, inputs)
        for runtime in ("tflite", "tflm")
    }
    outcomes += [fake_quant, *simulated.values()]
    exact_model = IntegerModel.from_tflite(model)
    exact = {runtime: _exact(exact_model, runtime, inputs) for runtime in ("tflite", "tflm")}
    outcomes += exact.values()
    probe = g.with_inner_outputs(model)
    tflite = {
        kernels: _ran(f"TFLite, {kernels} kernels", interpreter.run(probe, inputs, kernels))
        for kernels in ("reference", "default")
    }
    outcomes += tflite.values()
    tflm_result = tflm.run(probe, inputs)
    on_tflm = _ran("TFLite Micro", tflm_result)
    outcomes.append(on_tflm)

    report = Report(
        outcomes,
        clips.labels,
        [],
        tensor_rows(model),
        tflm.arena_bytes(model, inputs[:1]),
        clips.source,
        clips.split,
    )
    checks = [
        *_scale_checks(g.Graph(model), parameters, manifest),
        *_exactness_checks(simulated, exact, tflite, on_tflm),
        *_accuracy_checks(report, outcomes, fake_quant, tflite["default"], on_tflm),
    ]
    return dataclasses.replace(report, checks=checks)


def _float(model, features) -> Outcome:
    return Outcome("float Keras", model.predict(features, 256, verbose=0).argmax(1))


def _baseline(float_model, features, calibration) -> list[Outcome]:
    """Post-training quantization of the float model, as the converter does it alone."""
    units, classes = float_model.get_layer(LSTM).cell.units, float_model.get_layer(CLASSIFIER).units
    model = fused_model(*float_model.input_shape[1:], units, classes)
    model.set_weights(float_model.get_weights())
    content = to_int8(model, calibration)
    graph = g.Graph(content)
    index = graph.main.inputs[0]
    zero_point = int(graph.tensor(index).quantization.zeroPoint[0])
    inputs = np.clip(np.rint(features / graph.scale(index)) + zero_point, -128, 127)
    inputs = inputs.astype(np.int8)
    name = "post-training quantization"
    return [
        Outcome(f"{name}, TFLite", interpreter.run(content, inputs).outputs[0].argmax(1)),
        Outcome(f"{name}, TFLM", tflm.run(content, inputs).outputs[0].argmax(1)),
    ]


def _simulated(
    run: RunFolder, trained, integers: IntegerParameters, runtime: str, inputs
) -> Outcome:
    """The layer with a runtime's functions, in double precision, on the integers that ship.

    float32 cannot hold the product of a 24-bit sum and a scale; now and then it rounds to the
    other neighbour, and 49 steps of recurrence carry that on.
    """
    settings = dataclasses.replace(run.train_settings(), runtime=runtime)
    model = build_model(settings, run.front_end(), len(run.labels()), "quantized", "float64")
    model.set_weights(trained.get_weights())
    # A double quotient may round to another integer than the float32 one that quantized.
    cell, double = model.get_layer(LSTM).cell, np.float64
    for variable, values, scales in (
        (cell.kernel, integers.kernel, integers.kernel_scales),
        (cell.recurrent_kernel, integers.recurrent, integers.recurrent_scales),
        (cell.bias, integers.biases[..., None], integers.bias_scales),
    ):
        real = values * scales.astype(double)[:, None, None]
        variable.assign(np.concatenate(real).T.reshape(variable.shape))
    features = inputs * double(integers.input_scale)
    return _keras_outcome(f"layer in double, {runtime} functions", model, features)


def _keras_outcome(name: str, model, features) -> Outcome:
    both = keras.Model(model.input, [model.get_layer(LSTM).output, model.output])
    hidden, logits = both.predict(features, 256, verbose=0)
    hidden = np.rint(hidden / model.get_layer(LSTM).cell.scale("hidden").numpy())
    logits = np.rint(logits / model.get_layer(CLASSIFIER).scale("output").numpy())
    return Outcome(name, logits.argmax(1), hidden, logits)


def _exact(model: IntegerModel, runtime: str, inputs) -> Outcome:
    blocks = [model.run(part, runtime) for part in _blocks(inputs)]
    hidden = np.concatenate([block.hidden[:, -1] for block in blocks])
    logits = np.concatenate([block.logits for block in blocks])
    decisions = np.concatenate([block.posteriors for block in blocks]).argmax(1)
    name = {"tflite": "TFLite", "tflm": "TFLM"}[runtime]
    return Outcome(f"bit-exact NumPy, {name} setting", decisions, hidden, logits)


def _blocks(inputs, size: int = 512):
    return (inputs[start : start + size] for start in range(0, len(inputs), size))


def _ran(name: str, result) -> Outcome:
    posteriors, hidden, logits = result.outputs
    return Outcome(name, posteriors.argmax(1), hidden, logits)


def _scale_checks(graph: g.Graph, wanted: IntegerParameters, manifest: Manifest) -> list[Check]:
    """Compares scales with the clips' to the last bit of float32, and all integers."""
    lstm, dense = graph.lstm, graph.dense
    scales = [
        (lstm.inputs[g.INPUT], wanted.input_scale),
        *zip(lstm.inputs[g.KERNEL : g.KERNEL + 4], wanted.kernel_scales, strict=True),
        *zip(lstm.inputs[g.RECURRENT : g.RECURRENT + 4], wanted.recurrent_scales, strict=True),
        (lstm.inputs[g.HIDDEN_STATE], wanted.hidden_scale),
        (lstm.intermediates[g.EFFECTIVE_HIDDEN], wanted.hidden_scale),
        (lstm.inputs[g.CELL_STATE], wanted.cell_scale),
        (dense.inputs[1], wanted.dense_scale),
        (dense.outputs[0], wanted.logits_scale),
    ]
    same_scales = all(graph.scale(index) == scale for index, scale in scales)
    same_scales &= np.float32(manifest.input_scale) == wanted.input_scale
    integers = [
        *zip(lstm.inputs[g.KERNEL : g.KERNEL + 4], wanted.kernel, strict=True),
        *zip(lstm.inputs[g.RECURRENT : g.RECURRENT + 4], wanted.recurrent, strict=True),
        *zip(lstm.inputs[g.BIAS : g.BIAS + 4], wanted.biases, strict=True),
        (dense.inputs[1], wanted.dense),
        (dense.inputs[2], wanted.dense_biases),
    ]
    same_integers = all(np.array_equal(graph.values(i), values) for i, values in integers)
    return [
        Check("every scale in the file is its clip's, to the last bit of float32", same_scales),
        Check("every integer weight and bias in the file is the layer's", same_integers),
        Check(
            "the cell is limited at its trained clip",
            np.float32(lstm.builtinOptions.cellClip) == wanted.cell_clip,
        ),
    ]


def _exactness_checks(simulated, exact, tflite, on_tflm) -> list[Check]:
    checks = []
    for name, runtime, ran in (
        ("TFLite's reference kernels", "tflite", tflite["reference"]),
        ("TFLite Micro", "tflm", tflm),
    ):
        pair = compare(exact[runtime], ran)
        equal = min(pair["hidden"]["equal"], pair["logits"]["equal"], pair["decisions"])
        checks.append(
            Check(f"bit-exact NumPy equals {name} on all values ({100 * equal:.4g} %)", equal == 1)
        )
        pair = compare(simulated[runtime], ran)
        hidden, decisions = pair["hidden"], pair["decisions"]
        checks += [
            Check(
                f"layer against {name}: hidden state at most 1 LSB off ({hidden['max']})",
                hidden["max"] <= 1,
            ),
            Check(
                f"layer against {name}: at least {100 * HIDDEN_EQUAL:g} % of hidden values equal "
                f"({100 * hidden['equal']:.2f} %)",
                hidden["equal"] >= HIDDEN_EQUAL,
            ),
            Check(
                f"layer against {name}: at least {100 * DECISIONS_EQUAL:g} % of decisions equal "
                f"({100 * decisions:.2f} %)",
                decisions >= DECISIONS_EQUAL,
            ),
        ]
    equal = float(np.mean(tflm.decisions == tflite["default"].decisions))
    text = f"TFLite Micro decides as TFLite on at least {100 * RUNTIMES_EQUAL:g} % of clips"
    checks.append(Check(f"{text} ({100 * equal:.2f} %)", equal >= RUNTIMES_EQUAL))
    return checks


def _accuracy_checks(report: Report, outcomes, fake_quant, tflite, tflm) -> list[Check]:
    def points(outcome):
        return 100 * report.correct(outcome) / len(report.labels)

    checks = [
        _within("TFLite", points(tflite), "fake-quant Keras", points(fake_quant)),
        _within("TFLite Micro", points(tflm), "TFLite", points(tflite)),
    ]
    if outcomes[0].logits is None:
        loss = points(outcomes[0]) - points(tflite)
        text = f"TFLite is not more than {FLOAT_BOUND} points under float ({-loss:+.2f})"
        checks.append(Check(text, loss <= FLOAT_BOUND))
    return checks


def _within(first: str, a: float, second: str, b: float) -> Check:
    text = f"{first} within {ACCURACY_BOUND} points of {second} ({a - b:+.2f})"
    # The last digits of a quotient are no difference in accuracy.
    return Check(text, abs(a - b) <= ACCURACY_BOUND + 1e-9)


def tensor_rows(model: bytes) -> list[tuple[str, str, str, str]]:
    """Lists every tensor that an operator uses: name, type, shape, scale."""
    graph = g.Graph(model)
    roles = {
        graph.lstm.inputs[g.INPUT]: "input",
        graph.lstm.inputs[g.HIDDEN_STATE]: "hidden state",
        graph.lstm.inputs[g.CELL_STATE]: "cell state",
        graph.lstm.intermediates[g.EFFECTIVE_HIDDEN]: "effective hidden scale (intermediate 4)",
        graph.lstm.outputs[0]: "LSTM output",
        graph.slice.outputs[0]: "last hidden state",
        graph.dense.inputs[1]: "classifier weights",
        graph.dense.inputs[2]: "classifier biases",
        graph.dense.outputs[0]: "logits",
        graph.main.outputs[0]: "posteriors",
    }
    for i, gate in enumerate("ifco"):
        roles[graph.lstm.inputs[g.KERNEL + i]] = f"input weights {gate}"
        roles[graph.lstm.inputs[g.RECURRENT + i]] = f"recurrent weights {gate}"
        roles[graph.lstm.inputs[g.BIAS + i]] = f"biases {gate}"
    rows = []
    for index, role in roles.items():
        tensor = graph.tensor(index)
        shape = "x".join(str(size) for size in tensor.shape)
        rows.append((role, g.TENSOR_TYPE_NAMES[tensor.type], shape, f"{graph.scale(index):.9g}"))
    return rows


def load_calibration(run: RunFolder, data_dir: Path, clips: int = 500) -> np.ndarray:
    """Returns features of training clips, for the baseline's ranges."""
    from kws_tf.data import pipeline, sources

    settings, front_end = run.data_settings(), run.front_end()
    examples = sources.load(data_dir, "training", front_end, settings)
    features, _ = pipeline.fixed_set(examples, front_end, settings)
    chosen = np.random.default_rng(0).choice(len(features), min(clips, len(features)), False)
    return features[np.sort(chosen)]
