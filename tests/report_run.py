"""A finished run for the tests of the report, and what its page consists of."""

import dataclasses
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import tf_keras as keras
from models import classifier_file, random_model, save_model
from tiny_run import AUGMENTATION, DATA, TRAIN, WORDS, make_audio

from kws_tf.evaluation import tensor_table
from kws_tf.evaluation.bounds import Check
from kws_tf.evaluation.outcomes import Outcome
from kws_tf.evaluation.proof import Report
from kws_tf.files import write_json
from kws_tf.frontend.config import FrontEnd, LogMel
from kws_tf.models import spotter
from kws_tf.models.building import build_model
from kws_tf.run_folder import RunFolder

#: Of ten frames, so that it is quick.
FRONT_END = FrontEnd(log_mel=LogMel(hop_ms=100.0))
#: A word, and so a folder, that would run if it were not escaped; as long as a word may get.
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2);&amp;\"'"


def hostile_audio(folder: Path) -> Path:
    """Makes the data set of ``tiny_run`` with a hostile word in the place of its first."""
    audio = make_audio(folder)
    (audio / WORDS[0]).rename(audio / HOSTILE)
    return audio


def finished_run(folder: Path, audio: Path, front_end: FrontEnd = FRONT_END) -> RunFolder:
    """Makes a run as training, conversion and verifier leave it, of random weights.

    The model file is another model than the weights, which no one looks at here.
    """
    run = RunFolder(folder)
    front_end = front_end.normalised([-8.0] * 40, [3.0] * 40)
    data = dataclasses.replace(DATA, words=(HOSTILE, WORDS[1]))
    run.start(TRAIN, data, AUGMENTATION, audio, front_end)
    rng, history = np.random.default_rng(0), []
    for phase in ("float", "quantized"):
        keras.utils.set_random_seed(1)
        model = build_model(TRAIN, front_end, 4, phase)
        model.save_weights(run.weights_file(phase))
        clips = spotter.clips(model) if phase == "quantized" else {}
        for epoch in range(2):
            row = {"phase": phase, "epoch": epoch, "seconds": 1.0, "examples": 32}
            names = ("loss", "accuracy", "val_loss", "val_accuracy")
            row |= dict(zip(names, rng.random(4), strict=True))
            row |= {f"clip/{name}": float(clip) + 0.1 * epoch for name, clip in clips.items()}
            history.append(row)
    write_json(run.history_file, history)

    integers = random_model(0, units=8, features=40, classes=4)
    content = classifier_file(integers, front_end.frames)
    save_model(run.model_file, content, run.labels(), front_end, integers.input.scale, 8)
    names = ("fake-quant Keras", "TFLite, default kernels", "TFLite Micro")
    outcomes = [Outcome("float Keras", rng.integers(0, 4, 10))]
    for name in names:
        hidden, logits = rng.integers(-128, 128, [10, 8]), rng.integers(-128, 128, [10, 4])
        outcomes.append(Outcome(name, logits.argmax(1), hidden, logits))
    checks = [Check("one <holds>", True), Check("another is broken", False)]
    tensors = tensor_table.rows(content)
    proof = (outcomes, rng.integers(0, 4, 10), checks, tensors, {"total": 4567}, "x", "validation")
    write_json(run.path / "verify.json", Report(*proof).to_json())
    return run


class Outline(HTMLParser):
    """Collects what a page consists of; its tags must be closed in order."""

    VOID = ("meta", "img", "br")

    def __init__(self, html):
        super().__init__()
        self.tags, self.ids, self.attributes, self.texts, self.open = [], [], [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.handle_startendtag(tag, attributes)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes.append((tag, dict(attributes)))
        self.ids += [value for name, value in attributes if name == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data.strip())

    def of(self, tag):
        return [attributes for name, attributes in self.attributes if name == tag]
