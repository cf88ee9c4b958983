"""Accuracy of a converted model against signal-to-noise ratio and against time shift.

What is measured, exactly:

* **Noise.** To each example of a word a stretch of a noise recording is added, from a place drawn
  once for an example and a recording, the same at every ratio. The ratio is the speech's active
  level (ITU-T P.56, ``kws_tf.audio.levels``) over the noise's mean power in that stretch, both as
  they meet the front end. Aurora-2 defines its ratio so (Hirsch and Pearce, The AURORA
  experimental framework, ISCA ASR2000), after a telephone filter, which is left out here. An
  example's own background counts as speech. The sum is not limited to 16 bits, so that the ratio
  is kept. Training mixes in the recordings of Speech Commands: with them this is robustness to
  noises of known kinds.
* **Examples of silence** have no speech and so no ratio: they are left out of the noise's figures,
  and of the clean figure beside them.
* **Noise alone.** Stretches of a recording, from drawn places and at drawn amplitudes of 0 to 1 of
  its own, as training's silent examples are made; right is ``_silence_``. Anything else is a false
  alarm.
* **Shift.** The whole example is moved, positive is later; zeros come in at the edge, as in
  training. All examples count.
"""

import hashlib
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from kws_tf.audio import levels, speech_commands
from kws_tf.data.sources import read_samples
from kws_tf.errors import KwsError
from kws_tf.evaluation import conditions, metrics
from kws_tf.evaluation.conditions import Condition
from kws_tf.evaluation.robustness_result import Robustness, Row
from kws_tf.frontend.config import FrontEnd
from kws_tf.frontend.features import features
from kws_tf.labels import SILENCE
from kws_tf.progress import progress
from kws_tf.tflite import interpreter
from kws_tf.tflite.model import Model

_BATCH = 128


@dataclass(frozen=True)
class Plan:
    """What to measure."""

    snrs_db: Sequence[float] = ()  # signal-to-noise ratios, dB
    shifts_ms: Sequence[float] = ()  # time shifts, ms
    alone: int = 0  # stretches of each noise recording alone; none for a model without silence
    limit: int = 0  # examples per class at most, drawn by the seed; 0 is all
    seed: int = 0  # of that choice, and of the places in the noise recordings
    mix_down: bool = False  # mix stereo files down instead of refusing them


def measure(model: Model, test_dir: Path, noise_dir: Path, plan: Plan) -> Robustness:
    """Runs the TFLite interpreter over a test set under every condition.

    ``test_dir`` has one folder per class, ``noise_dir`` recordings or ``_background_noise_``.
    """
    wanted = _conditions(model, test_dir, noise_dir, plan)
    make_features = _feature_function(model.manifest.front_end)
    inputs = [
        model.manifest.quantize(make_features(condition.samples(part)))
        for condition in progress(wanted, len(wanted), "mixing and shifting")
        for part in _batches(condition.chosen)
    ]
    ran = interpreter.run(model.content, np.concatenate(inputs), where=str(model.path))
    ends = np.cumsum([len(condition.chosen) for condition in wanted])[:-1]
    rows = []
    for condition, scores in zip(wanted, np.split(ran.outputs[0], ends), strict=True):
        rows += _rows(condition, scores, model.manifest.labels, bool(plan.snrs_db))
    details = {
        "command": shlex.join(sys.argv),
        "model": str(model.path),
        "sha256": hashlib.sha256(model.content).hexdigest(),
        "data": str(test_dir),
        "noise": str(noise_dir),
        "limit": plan.limit,
        "seed": plan.seed,
        "snr": "active speech level (ITU-T P.56) over the mean power of the noise added, dB",
    }
    return Robustness(rows, details)


def _conditions(model: Model, test_dir: Path, noise_dir: Path, plan: Plan) -> list[Condition]:
    front_end, classes = model.manifest.front_end, model.manifest.labels
    rate, length = front_end.log_mel.sample_rate, front_end.samples
    offsets = _offsets(plan.shifts_ms, front_end)
    rng = np.random.default_rng(plan.seed)
    files = _choose(speech_commands.scan_test_set(test_dir, classes), plan.limit, rng)
    paths, labels = [path for path, _ in files], np.array([label for _, label in files])
    spoken = np.array(classes)[labels] != SILENCE
    alone = plan.alone if SILENCE in classes else 0
    alone_rng = np.random.default_rng([plan.seed, 1])  # its own, so that it changes nothing else
    noises, without_words = {}, {}
    if plan.snrs_db or alone:
        for name, *recording in conditions.recordings(noise_dir, rate, plan.mix_down):
            if plan.snrs_db:
                noises[name] = conditions.excerpts(*recording, rng.random(len(files)), length)
            if alone:
                cut = conditions.excerpts(*recording, alone_rng.random(alone), length)
                without_words[name] = cut, alone_rng.random((alone, 1), np.float32)
    stored = read_samples(paths, front_end, plan.mix_down, "decoding the test set")

    def samples(chosen):
        return stored[chosen] / np.float32(32768)

    wanted = [conditions.clean(samples, labels)]
    if noises:
        power = _speech_power(samples, paths, spoken, rate)
        task = (samples, power, np.flatnonzero(spoken), labels)
        for name, noise in noises.items():
            wanted += [conditions.noisy(name, noise, snr, *task) for snr in plan.snrs_db]
    for name, (noise, amplitudes) in without_words.items():
        wanted.append(conditions.noise_alone(name, noise, amplitudes, classes.index(SILENCE)))
    wanted += [conditions.shifted(ms, n, samples, labels) for ms, n in offsets.items()]
    return wanted


def _offsets(shifts_ms: Sequence[float], front_end: FrontEnd) -> dict[float, int]:
    """Returns the samples of each shift."""
    offsets = {ms: round(ms * front_end.log_mel.sample_rate / 1000) for ms in shifts_ms}
    for ms, offset in offsets.items():
        if abs(offset) >= front_end.samples:
            raise KwsError(
                f"a shift of {ms:g} ms leaves nothing of an example of {front_end.example_ms:g} "
                "ms; give a smaller --shifts"
            )
    return offsets


def _speech_power(samples, paths: Sequence[Path], spoken: np.ndarray, rate: int) -> np.ndarray:
    """Returns the active power of every example; refuses a word of zeros."""
    parts = _batches(np.arange(len(paths)))
    power = np.concatenate([levels.active_power(samples(part), rate) for part in parts])
    is_mute = spoken & (power == 0)
    if is_mute.any():
        raise KwsError(
            f"{paths[np.argmax(is_mute)]} holds nothing but zeros, so that it has no "
            "signal-to-noise ratio; remove it from the test set"
        )
    return power


def _rows(condition: Condition, scores, classes: Sequence[str], with_words: bool) -> list[Row]:
    """Counts; after the clean examples those of words alone, if they are to be compared with."""
    right = metrics.decisions(scores) == condition.truth
    rows = [Row(*condition[:4], len(right), int(right.sum()))]
    if condition.name == "clean" and with_words:
        right = right[np.array(classes)[condition.truth] != SILENCE]
        rows.append(Row("clean words", None, None, 0.0, len(right), int(right.sum())))
    return rows


def _batches(chosen: np.ndarray) -> list[np.ndarray]:
    return [chosen[start : start + _BATCH] for start in range(0, len(chosen), _BATCH)]


def _choose(files: list, limit: int, rng: np.random.Generator) -> list:
    """Draws up to ``limit`` examples of each class; 0 is all."""
    if not limit:
        return files
    order = rng.permutation(len(files))
    labels = np.array([files[position][1] for position in order])
    chosen = [order[labels == label][:limit] for label in np.unique(labels)]
    return [files[position] for position in np.sort(np.concatenate(chosen))]


def _feature_function(front_end: FrontEnd) -> Callable[[np.ndarray], np.ndarray]:
    """Returns the front end as a compiled function of float32 [examples, samples]."""
    compiled = tf.function(
        lambda samples: features(samples, front_end),
        input_signature=[tf.TensorSpec([None, front_end.samples], tf.float32)],
        autograph=False,
    )
    return lambda samples: compiled(samples).numpy()
