"""What the run's model decides on labelled examples."""

from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from kws_tf.evaluation import metrics
from kws_tf.evaluation.labelled import LabelledFeatures
from kws_tf.evaluation.metrics import Metrics
from kws_tf.models.computing import compute
from kws_tf.run_folder import RunFolder
from kws_tf.tflite import interpreter
from kws_tf.tflite import model as models


@dataclass(frozen=True)
class Decisions:
    """What one model, named in words, decides on examples.

    ``posteriors`` are [examples, classes], in [0, 1]; ``metrics`` are the decisions counted.
    """

    model: str
    examples: LabelledFeatures
    posteriors: np.ndarray
    metrics: Metrics

    @property
    def decided(self) -> np.ndarray:
        """The decisions, int64 [examples]."""
        return metrics.decisions(self.posteriors)

    def mistakes(self, number: int = 10) -> list[tuple[str, str, int]]:
        """Returns the most frequent mistakes: truth, decision, count."""
        labels, confusion = self.metrics.labels, self.metrics.confusion
        wrong = np.argwhere(confusion * (1 - np.eye(len(labels), dtype=int)))
        rows = [(labels[i], labels[j], int(confusion[i, j])) for i, j in wrong]
        return sorted(rows, key=lambda row: -row[2])[:number]


def decide(run: RunFolder, model, examples: LabelledFeatures) -> Decisions:
    """Runs the converted model under TFLite or, before conversion, the quantized Keras model."""
    if run.model_file.exists():
        name, converted = "TFLite int8", models.load(run.model_file)
        inputs = converted.manifest.quantize(examples.features)
        ran = interpreter.run(converted.content, inputs, where=str(converted.path))
        posteriors = converted.posteriors(ran.outputs[0])
    else:
        name = "fake-quant Keras"
        (logits,) = compute(model, examples.features)
        posteriors = softmax(logits, axis=1)
    counted = metrics.measure(metrics.decisions(posteriors), examples.labels, run.labels())
    return Decisions(name, examples, posteriors, counted)
