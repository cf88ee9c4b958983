"""Keyword examples laid into a stream: one plan, rendered as samples or as mel power.

Between two examples is a gap, drawn from 0.5 to 2.5 s. Below them runs a background, speech or
noise, at a ratio drawn for each word: its active level over the background's. Words keep their
levels; the background's is even over an example, and moves evenly, in dB, over the gap before it.
Without a background it is quiet: white noise at -70 dBFS. An example's own noise is left in it.

Power adds, so that the same can be made of log-mel records: there the levels are those of mel
power, that is below 4 kHz, and frames at the edges of an example are its own or the background's.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kws_tf.audio.levels import active_power
from kws_tf.errors import KwsError
from kws_tf.frontend.config import LogMel
from kws_tf.listening import boundaries
from kws_tf.listening.background import Background
from kws_tf.listening.heard import Word

GAP_SECONDS = (0.5, 2.5)
"""Shortest and longest gap between examples."""
QUIET_DBFS = -70.0
"""Level of the noise without a background, dB re full scale (a mean square of 1)."""
_TICKS = round(1 / boundaries.HOP_SECONDS)  # a second; what is planned begins at a whole tick
_QUIET_AMPLITUDE = 10 ** (QUIET_DBFS / 20)


class Placed(NamedTuple):
    """An example in a stream."""

    example: int
    gap: int  # before it, ticks of 10 ms
    snr_db: float  # its active level over the background's, dB


@dataclass(frozen=True)
class Plan:
    """Which example comes where, and at which ratio; a gap of the longest ends the stream."""

    placed: tuple[Placed, ...]
    seed: int  # of the plan, and of the noise where it is quiet

    def __len__(self) -> int:
        return len(self.placed)


class Piece(NamedTuple):
    """A part of a stream: a gap and the example after it, or the last gap."""

    values: np.ndarray  # int16 [samples], or float32 [hops, bands], nats
    words: tuple[Word, ...]


def plan(examples: int, seed: int, snr_db: tuple[float, float] | None = None) -> Plan:
    """Draws a stream of every example once, in an order drawn as well.

    Args:
        examples: How many there are.
        seed: The same one gives the same plan.
        snr_db: Lowest and highest ratio; none where it is to be quiet.

    Raises:
        KwsError: If the lowest is above the highest.
    """
    low, high = snr_db or (0.0, 0.0)
    if not low <= high:
        raise KwsError(f"the lowest ratio, {low:g} dB, is above the highest, {high:g}; swap them")
    rng = np.random.default_rng(seed)
    order = rng.permutation(examples)
    gaps = rng.uniform(*GAP_SECONDS, examples)
    ratios = rng.uniform(low, high, examples)
    rows = zip(order.tolist(), gaps, ratios.tolist(), strict=True)
    return Plan(tuple(Placed(e, round(gap * _TICKS), ratio) for e, gap, ratio in rows), seed)


def sample_stream(
    read: Callable[[int], np.ndarray],
    labels: Sequence[str],
    names: Sequence[str],
    plan: Plan,
    rate: int,
    background: Background | None = None,
) -> Iterator[Piece]:
    """Renders a plan as audio.

    Args:
        read: From an example's number to its samples, float32 [n], full scale 1.
        labels: The keyword of each example.
        names: What to call each example.
        plan: From ``plan``, of as many examples.
        rate: Sample rate, Hz.
        background: From ``background.of_files``; quiet without.

    Yields:
        Pieces of int16 samples, limited to full scale, with the word in each.

    Raises:
        KwsError: An example holds nothing but zeros.
    """
    tick, rng = rate // _TICKS, np.random.default_rng([plan.seed, 2])
    amplitude, done = None, 0

    def below(gap: int, length: int, then: float | None) -> np.ndarray:
        if background is None:
            return _QUIET_AMPLITUDE * rng.standard_normal(gap + length, np.float32)
        return _ramp(amplitude, then, gap, length) * background.take(gap + length)

    for example, gap, snr_db in plan.placed:
        speech = read(example)
        power = active_power(speech[None], rate)[0]
        if not power:
            raise KwsError(f"{names[example]} holds nothing but zeros; remove it")
        then, gap = np.sqrt(power / 10 ** (snr_db / 10)), gap * tick
        values = below(gap, len(speech), then)
        values[gap:] += speech
        within = boundaries.word_seconds(boundaries.frame_power(speech, rate))
        start, end = ((done + gap) / rate + seconds for seconds in within)
        amplitude, done = then, done + len(values)
        yield Piece(_int16(values), (Word(labels[example], start, end, names[example]),))
    yield Piece(_int16(below(round(GAP_SECONDS[1] * rate), 0, amplitude)), ())


def mel_stream(
    examples: np.ndarray,
    labels: Sequence[str],
    names: Sequence[str],
    plan: Plan,
    stored: LogMel,
    hop_ms: float,
    background: Background | None = None,
) -> Iterator[Piece]:
    """Renders a plan as a log-mel spectrogram, of examples that are there as such alone.

    ``features_from_log_mel`` makes a model's input of the rows. Frame k begins at k hops.

    Args:
        examples: uint8 [examples, frames, bands], as in ``kws_tf.data.records``.
        labels: The keyword of each example.
        names: What to call each example.
        plan: From ``plan``, of as many examples.
        stored: The log-mel constants of the examples, whose hop is 10 ms.
        hop_ms: The model's hop, a multiple of it.
        background: From ``background.of_mel_power``, a frame every 10 ms; quiet without.

    Yields:
        Pieces of float32 [hops, bands], nats, with the word in each.

    Raises:
        KwsError: An example is silent, or the hops do not fit.
    """
    import tensorflow as tf

    from kws_tf.data.records import from_uint8
    from kws_tf.frontend.features import log_power, mel_power

    step = stored.with_hop(hop_ms).frame_step_in(stored)
    if round(1000 / stored.hop_ms) != _TICKS:
        raise KwsError(f"the records have a hop of {stored.hop_ms:g} ms; give some of 10 ms")
    quiet = _quiet_power(stored, plan.seed)
    level, done = None, 0

    def below(gap: int, length: int, then: float) -> np.ndarray:
        if background is None:
            return quiet(gap + length)
        return _ramp(level, then, gap, length)[:, None] * background.take(gap + length)

    def piece(power: np.ndarray, *words: Word) -> Piece:
        # Every step-th frame of the stream, wherever the piece begins.
        chosen = tf.constant(power[-done % step :: step], tf.float32)
        return Piece(log_power(chosen, stored).numpy(), words)

    for example, gap, snr_db in plan.placed:
        speech = mel_power(from_uint8(examples[example], stored), stored).numpy()
        sums = speech.sum(1)
        active = boundaries.active_mean(sums)
        if not active:
            raise KwsError(f"{names[example]} is silent; leave it out")
        then = active / 10 ** (snr_db / 10)
        power = below(gap, len(speech), then)
        power[gap:] += speech
        within = boundaries.word_seconds(sums)
        start, end = ((done + gap) / _TICKS + seconds for seconds in within)
        yield piece(power, Word(labels[example], start, end, names[example]))
        level, done = then, done + len(power)
    yield piece(below(round(GAP_SECONDS[1] * _TICKS), 0, level))


def _ramp(before: float | None, then: float, gap: int, length: int) -> np.ndarray:
    """Returns factors, float32 [gap + length]: evenly in dB over the gap, then even."""
    ramp = np.geomspace(before or then, then, gap, dtype=np.float32)
    return np.concatenate([ramp, np.full(length, then, np.float32)])


def _int16(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(32768 * values), -32768, 32767).astype(np.int16)


def _quiet_power(stored: LogMel, seed: int) -> Callable[[int], np.ndarray]:
    """Returns a source of the mel power of quiet noise, float32 [frames, bands]."""
    import tensorflow as tf

    from kws_tf.frontend.features import log_mel, mel_power

    rng = np.random.default_rng([seed, 2])

    def take(frames: int) -> np.ndarray:
        length = (frames - 1) * stored.hop_samples + stored.window_samples
        noise = _QUIET_AMPLITUDE * rng.standard_normal(length, np.float32)
        return mel_power(log_mel(tf.constant(noise, tf.float32), stored), stored).numpy()

    return take
