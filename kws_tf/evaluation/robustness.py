"""Accuracy of a converted model against signal-to-noise ratio and against time shift.

What is measured, exactly:

* **Noise.** To each clip of a word a stretch of a noise recording is added, from a place drawn
  once for a clip and a recording, the same at every ratio. The ratio is the speech's active level
  over the noise's mean power in that stretch, both as they meet the front end. The active level
  is that of ITU-T P.56 (12/2011), clause 8, method B: the power over the time in which somebody
  speaks. The power over the whole clip would depend on how long the word is and on the pauses
  around it. Aurora-2 defines its ratio so (Hirsch and Pearce, The AURORA experimental framework,
  ISCA ASR2000), after a telephone filter, which is left out here. A clip's own background
  counts as speech. The sum is not limited to 16 bits, so that the ratio is kept. Training mixes
  in the recordings of Speech Commands: with them this is robustness to noises of known kinds.
* **Clips of silence** have no speech and so no ratio: they are left out of the noise's figures,
  and of the clean figure beside them.
* **Noise alone.** Stretches of a recording, from drawn places and at drawn amplitudes of 0 to 1 of
  its own, as training's silent clips are made; right is ``_silence_``. Anything else is a false
  alarm.
* **Shift.** The whole clip is moved, positive is later; zeros come in at the edge, as in
  training. All clips count.
"""

import hashlib
import io
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from kws_tf.audio import reader, speech_commands
from kws_tf.data.sources import read_samples
from kws_tf.errors import KwsError
from kws_tf.evaluation import metrics
from kws_tf.evaluation.evaluate import Subject, check_scores, checked_model
from kws_tf.evaluation.labelled import quantize
from kws_tf.files import write_bytes
from kws_tf.frontend.config import FrontEnd
from kws_tf.frontend.features import features
from kws_tf.labels import SILENCE
from kws_tf.progress import progress
from kws_tf.tflite import interpreter

_BATCH = 128
# P.56, clause 8.3: time constant of the envelope, hangover, and margin under the active level.
_ENVELOPE_SECONDS = 0.03
_HANGOVER_SECONDS = 0.2
_MARGIN_DB = 15.9


def active_power(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Measures speech by ITU-T P.56, method B.

    Args:
        samples: float [clips, samples] in [-1, 1].
        sample_rate: Hz.

    Returns:
        float64 [clips], mean square over the active time; 0 for a clip of zeros.
    """
    samples = np.asarray(samples, np.float64)
    length = samples.shape[1]
    # Two equal exponential averages in a row have the impulse response (1 - g)^2 (n + 1) g^n.
    g = np.exp(-1 / (_ENVELOPE_SECONDS * sample_rate))
    n = np.arange(length)
    response = np.fft.rfft((1 - g) ** 2 * (n + 1) * g**n, 2 * length)
    envelope = np.fft.irfft(np.fft.rfft(np.abs(samples), 2 * length) * response)[:, :length]
    # A sample is active if the envelope reached the threshold within the hangover before it.
    reached, span, wanted = envelope, 1, 1 + round(_HANGOVER_SECONDS * sample_rate)
    while span < wanted:
        step = min(span, wanted - span)
        later = np.maximum(reached[:, step:], reached[:, :-step])
        reached, span = np.concatenate([reached[:, :step], later], 1), span + step
    thresholds = 0.5 ** np.arange(15, 0, -1)
    active = np.array([(reached >= threshold).sum(1) for threshold in thresholds])
    active[0] = np.where(active[0], active[0], length)  # fainter than the lowest threshold
    energy = np.square(samples).sum(1)
    level = 10 * np.log10(np.maximum(energy, 1e-300) / np.maximum(active, 1))
    margin = np.where(active, level - 20 * np.log10(thresholds)[:, None], -np.inf)
    # The threshold that lies the margin under its own level is between this and the one before.
    after = np.argmax(margin <= _MARGIN_DB, axis=0)
    before, clips = np.maximum(after - 1, 0), np.arange(len(samples))
    fall = np.where(after, margin[before, clips] - margin[after, clips], np.inf)
    part = (margin[before, clips] - _MARGIN_DB) / fall
    decibels = level[before, clips] + part * (level[after, clips] - level[before, clips])
    return np.where(energy, 10 ** (decibels / 10), 0.0)


def mix(samples: np.ndarray, noise: np.ndarray, speech_power, snr_db: float) -> np.ndarray:
    """Adds noise at a signal-to-noise ratio.

    Args:
        samples: float32 [clips, samples].
        noise: float32 of the same shape, no row of zeros alone.
        speech_power: float [clips], from ``active_power``.
        snr_db: The speech's active level over the noise's mean power, dB.

    Returns:
        float32 of the same shape; it may exceed [-1, 1].
    """
    noise_power = np.square(noise, dtype=np.float64).mean(1)
    gain = np.sqrt(speech_power / noise_power * 10 ** (-snr_db / 10))
    return samples + gain[:, None].astype(np.float32) * noise


def shift(samples: np.ndarray, offset: int) -> np.ndarray:
    """Moves clips in time; zeros come in.

    Args:
        samples: [clips, samples].
        offset: Samples; positive is later.

    Returns:
        The same shape and type.
    """
    moved = np.zeros_like(samples)
    length = samples.shape[1]
    moved[:, max(0, offset) : length + min(0, offset)] = samples[
        :, max(0, -offset) : length - max(0, offset)
    ]
    return moved


@dataclass(frozen=True)
class Row:
    """The decisions under one condition.

    Attributes:
        condition: ``clean``, ``clean words`` (without silence), ``noise``, ``noise alone`` or
            ``shift``.
        noise: Name of the recording; ``None`` where there is none.
        snr_db: Signal-to-noise ratio, dB; ``None`` where there is none.
        shift_ms: Time shift, ms; positive is later.
        n: Clips.
        correct: Right decisions.
    """

    condition: str
    noise: str | None
    snr_db: float | None
    shift_ms: float
    n: int
    correct: int

    @property
    def accuracy(self) -> float:
        """Share of right decisions."""
        return self.correct / self.n


@dataclass(frozen=True)
class Robustness:
    """Accuracy under every condition.

    Attributes:
        rows: In the order of measurement.
        details: What ran on what; JSON-ready.
    """

    rows: Sequence[Row]
    details: dict

    def of(self, condition: str) -> list[Row]:
        """Returns the rows of a condition."""
        return [row for row in self.rows if row.condition == condition]

    def noise_table(self) -> dict[str, dict[float, float]]:
        """Returns the accuracy by recording and ratio (``inf`` is clean), and their mean."""
        table: dict[str, dict[float, float]] = {}
        for row in self.of("noise"):
            (clean,) = self.of("clean words")
            table.setdefault(row.noise, {np.inf: clean.accuracy})[row.snr_db] = row.accuracy
        if len(table) > 1:
            columns = zip(*(row.values() for row in table.values()), strict=True)
            snrs = next(iter(table.values()))
            table["mean"] = dict(zip(snrs, map(float, map(np.mean, columns)), strict=True))
        return table

    def to_json(self) -> dict:
        """Returns a JSON-ready dictionary."""
        return self.details | {"rows": [vars(r) | {"accuracy": r.accuracy} for r in self.rows]}

    def text(self) -> str:
        """Returns the tables to print."""
        (clean,) = self.of("clean")
        lines = [f"clean: {clean.correct:,} of {clean.n:,} ({100 * clean.accuracy:.2f} %)"]
        table = self.noise_table()
        if table:
            words = self.of("clean words")[0].n
            width = max(map(len, table))
            columns = next(iter(table.values()))
            header = "".join(f"{_snr_name(snr):>8}" for snr in columns)
            lines += ["", f"accuracy against signal-to-noise ratio, % of {words:,} clips of words"]
            lines.append(f"{'dB':<{width}}{header}")
            for name, row in table.items():
                lines.append(f"{name:<{width}}" + "".join(f"{100 * row[s]:8.2f}" for s in columns))
        alone = self.of("noise alone")
        if alone:
            lines += ["", f"noise alone, % of {alone[0].n:,} stretches that are heard as silence"]
            width = max(len(row.noise) for row in alone)
            lines += [f"{row.noise:<{width}}{100 * row.accuracy:8.2f}" for row in alone]
        if self.of("shift"):
            lines += ["", f"accuracy against time shift, % of {clean.n:,} clips"]
            for title, cells in (
                ("ms", [_shift_name(row.shift_ms) for row in self.of("shift")]),
                ("", [f"{100 * row.accuracy:.2f}" for row in self.of("shift")]),
            ):
                lines.append(f"{title:<3}" + "".join(f"{cell:>8}" for cell in cells))
        return "\n".join(lines)


def _snr_name(snr: float) -> str:
    return "clean" if snr == np.inf else f"{snr:g}"


def _shift_name(ms: float) -> str:
    return f"{ms:+g}" if ms else "0"


def measure(
    subject: Subject,
    test_dir: Path,
    noise_dir: Path,
    snrs_db: Sequence[float],
    shifts_ms: Sequence[float],
    limit: int = 0,
    seed: int = 0,
    mix_down: bool = False,
    alone: int = 0,
) -> Robustness:
    """Runs the TFLite interpreter over a test set under every condition.

    Args:
        subject: A .tflite, from ``evaluate.open_subject``.
        test_dir: A test set in the canonical layout, one folder a class.
        noise_dir: A folder of noise recordings, or one with ``_background_noise_``.
        snrs_db: Signal-to-noise ratios, dB.
        shifts_ms: Time shifts, ms.
        limit: Clips a class at most, drawn by the seed; 0 is all.
        seed: Of that choice, and of the places in the noise recordings.
        mix_down: Mix stereo files down instead of refusing them.
        alone: Stretches of each recording alone; needs a model that knows silence.

    Raises:
        KwsError: If data or model are missing or damaged, or do not fit each other, a shift is
            as long as a clip, or a recording or a clip of a word holds nothing but zeros.
    """
    manifest, front_end = subject.manifest, subject.front_end
    model = checked_model(subject)
    rate, length = front_end.log_mel.sample_rate, front_end.samples
    offsets = {ms: round(ms * rate / 1000) for ms in shifts_ms}
    for ms, offset in offsets.items():
        if abs(offset) >= length:
            raise KwsError(
                f"a shift of {ms:g} ms leaves nothing of a clip of {front_end.example_ms:g} ms; "
                "give a smaller --shifts"
            )
    rng = np.random.default_rng(seed)
    clips = _choose(speech_commands.scan_test_set(test_dir, subject.labels), limit, rng)
    paths, labels = [path for path, _ in clips], np.array([label for _, label in clips])
    everything, spoken = np.arange(len(clips)), np.array(subject.labels)[labels] != SILENCE
    recordings, stretches = {}, {}
    alone_rng = np.random.default_rng([seed, 1])  # its own, so that it changes nothing else
    alone = alone if SILENCE in subject.labels else 0
    for path in speech_commands.noise_files(noise_dir) if snrs_db or alone else ():
        recording = reader.load(path, rate, mix_down)
        if snrs_db:
            recordings[path.stem] = _excerpts(path, recording, rng.random(len(clips)), length)
        if alone:
            cut = _excerpts(path, recording, alone_rng.random(alone), length)
            stretches[path.stem] = cut, alone_rng.random((alone, 1), np.float32)
    stored = read_samples(paths, front_end, mix_down, "decoding the test set")

    def samples(chosen):
        return stored[chosen] / np.float32(32768)

    power = np.concatenate([active_power(samples(part), rate) for part in _batches(everything)])
    is_mute = spoken & (power == 0)
    if recordings and is_mute.any():
        raise KwsError(
            f"{paths[np.argmax(is_mute)]} holds nothing but zeros, so that it has no "
            "signal-to-noise ratio; remove it from the test set"
        )

    # What is asked: the condition, the clips, and a function from clips to samples.
    asked = [(("clean", None, None, 0.0), everything, samples)]
    for name, noise in recordings.items():
        for snr in snrs_db:

            def noisy(chosen, noise=noise, snr=snr):
                return mix(samples(chosen), noise(chosen), power[chosen], snr)

            asked.append((("noise", name, snr, 0.0), np.flatnonzero(spoken), noisy))
    for name, (noise, amplitudes) in stretches.items():

        def silent(chosen, noise=noise, amplitudes=amplitudes):
            return amplitudes[chosen] * noise(chosen)

        asked.append((("noise alone", name, None, 0.0), np.arange(alone), silent))
    for ms, offset in offsets.items():

        def shifted(chosen, offset=offset):
            return shift(samples(chosen), offset)

        asked.append((("shift", None, None, ms), everything, shifted))

    make_features = _feature_function(front_end)
    inputs = [
        quantize(make_features(make_samples(part)), manifest)
        for _, chosen, make_samples in progress(asked, len(asked), "mixing and shifting")
        for part in _batches(chosen)
    ]
    scores = interpreter.run(model, np.concatenate(inputs), where=str(subject.file)).outputs[0]
    check_scores(scores, subject)
    rows, start = [], 0
    for condition, chosen, _ in asked:
        decided = metrics.decisions(scores[start : start + len(chosen)])
        is_alone = condition[0] == "noise alone"
        right = decided == (subject.labels.index(SILENCE) if is_alone else labels[chosen])
        start += len(chosen)
        rows.append(Row(*condition, len(right), int(right.sum())))
        if condition[0] == "clean" and recordings:
            right = right[spoken]
            rows.append(Row("clean words", None, None, 0.0, len(right), int(right.sum())))
    details = {
        "command": shlex.join(sys.argv),
        "model": str(subject.file),
        "sha256": hashlib.sha256(model).hexdigest(),
        "data": str(test_dir),
        "noise": str(noise_dir),
        "limit": limit,
        "seed": seed,
        "snr": "active speech level (ITU-T P.56) over the mean power of the noise added, dB",
    }
    return Robustness(rows, details)


def _batches(chosen: np.ndarray) -> list[np.ndarray]:
    return [chosen[start : start + _BATCH] for start in range(0, len(chosen), _BATCH)]


def _choose(clips: list, limit: int, rng: np.random.Generator) -> list:
    """Draws up to ``limit`` clips of each class; 0 is all."""
    if not limit:
        return clips
    order = rng.permutation(len(clips))
    by_class: dict[int, list[int]] = {}
    for position in order:
        by_class.setdefault(clips[position][1], []).append(position)
    return [clips[i] for i in sorted(i for found in by_class.values() for i in found[:limit])]


def _excerpts(path: Path, recording: np.ndarray, places: np.ndarray, length: int) -> Callable:
    """Returns a function (clips chosen) -> float32 [clips, length] of a recording.

    Args:
        path: Of the recording, for errors.
        recording: float32 [samples].
        places: float [clips] in [0, 1), where in the recording each clip's noise begins.
        length: Samples in a clip.

    Raises:
        KwsError: If the recording is shorter than a clip, or silent for as long as one.
    """
    windows = len(recording) - length + 1
    if windows < 1:
        raise KwsError(
            f"{path} is shorter than a clip of {length} samples; give a longer recording"
        )
    sounding = np.concatenate([[0], np.cumsum(recording != 0)])
    if not np.all(sounding[length:] - sounding[:windows]):
        raise KwsError(
            f"{path} holds nothing but zeros for as long as a clip, so that it cannot be mixed at "
            "a signal-to-noise ratio; cut that part out or remove the file"
        )
    starts = (places * windows).astype(np.int64)
    return lambda chosen: recording[starts[chosen, None] + np.arange(length)]


def _feature_function(front_end: FrontEnd) -> Callable[[np.ndarray], np.ndarray]:
    """Returns the front end as a compiled function of float32 [clips, samples]."""
    compiled = tf.function(
        lambda samples: features(samples, front_end),
        input_signature=[tf.TensorSpec([None, front_end.samples], tf.float32)],
        autograph=False,
    )
    return lambda samples: compiled(samples).numpy()


# The colours of Okabe and Ito, which colour-blind readers tell apart (https://jfly.uni-koeln.de/
# color/, "Color Universal Design"); each line has a marker of its own as well.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
_MARKERS = "osD^vPX*"


def save_plot(result: Robustness, path: Path, title: str = "") -> None:
    """Draws accuracy against signal-to-noise ratio and against time shift.

    Args:
        result: What ``measure`` returned.
        path: A ``.png`` or ``.svg``.
        title: Over the picture.
    """
    # Without pyplot: no global state, no display.
    import matplotlib
    from matplotlib.figure import Figure

    noises, shifts = result.noise_table(), result.of("shift")
    panels = [draw for draw, wanted in ((_draw_noise, noises), (_draw_shift, shifts)) if wanted]
    style = {"font.size": 10, "svg.hashsalt": "kws_tf", "svg.fonttype": "path"}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(1.2 + 4.4 * len(panels), 4.2), layout="constrained")
        figure.suptitle(title, fontsize=11)
        grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for draw, axes in zip(panels, grid, strict=True):
            draw(axes, result)
            axes.grid(axis="y", color="#dddddd", linewidth=0.8)
            axes.set_axisbelow(True)
            axes.spines[["top", "right"]].set_visible(False)
        grid[0].set_ylabel("accuracy, %")
        picture, kind = io.BytesIO(), path.suffix.lower().lstrip(".")
        # No date in an SVG: the same figures give the same file.
        metadata = {"Date": None} if kind == "svg" else {}
        figure.savefig(picture, format=kind, dpi=150, metadata=metadata)
    write_bytes(path, picture.getvalue())


def _draw_noise(axes, result: Robustness) -> None:
    table = result.noise_table()
    mean = table.pop("mean", None)
    for number, (name, row) in enumerate(table.items()):
        snrs = sorted(row, reverse=True)
        axes.plot(
            range(len(snrs)),
            [100 * row[snr] for snr in snrs],
            color=_COLOURS[number % len(_COLOURS)],
            marker=_MARKERS[number % len(_MARKERS)],
            markersize=5,
            linewidth=1.6,
            label=name.replace("_", " "),
        )
    if mean:
        values = [100 * mean[snr] for snr in snrs]
        axes.plot(range(len(snrs)), values, "k--", linewidth=1.6, label="mean")
    axes.set_xticks(range(len(snrs)), map(_snr_name, snrs))
    axes.set_xlabel("signal-to-noise ratio, dB (active speech level)")
    axes.legend(frameon=False, fontsize=9, loc="lower left")


def _draw_shift(axes, result: Robustness) -> None:
    rows = sorted(result.of("shift"), key=lambda row: row.shift_ms)
    shifts = [row.shift_ms for row in rows]
    values = [100 * row.accuracy for row in rows]
    axes.plot(shifts, values, color=_COLOURS[0], marker="o", markersize=5, linewidth=1.6)
    axes.set_xticks(shifts, map(_shift_name, shifts))
    axes.set_xlabel("time shift, ms (positive is later)")
