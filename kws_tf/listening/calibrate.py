"""The trigger that finds most words at the false alarms an hour asked for, on tuning streams.

What is searched: the decision interval where several were listened at, the smoothing, the
refractory time, and the threshold, one of all words or some of their own. What is sought: words
found less wrong detections in the streams of words. A word that is detected twice, or taken for
another, is as bad as one missed; without this the shortest refractory time would always win, as
streams without words do not show what it costs.

How many false alarms are allowed is in ``thresholds``: with few hours, none.

Words get thresholds of their own only if that is more than chance. On each half of the streams
both kinds are chosen, and tried on the other half. There those by word must find more words (a
sign test of the words that only one of them finds, one-sided, 5 %), gain more, and have no more
alarms than the common one, or than were asked for. Thresholds that only fit some alarms fail it.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from kws_tf.errors import KwsError
from kws_tf.frontend.config import LogMel
from kws_tf.listening import curve, thresholds
from kws_tf.listening.calibration import Calibration, Crossed, Figures, Measured
from kws_tf.listening.heard import Word
from kws_tf.listening.thresholds import COMMON, Tally
from kws_tf.listening.tuning import LOWEST, Peaked, Tuning
from kws_tf.progress import progress
from kws_tf.tflite.trigger import Trigger, keyword_indices

SMOOTHING = (1, 2, 3, 4, 5)
"""Decisions averaged that are tried, beside the former trigger's."""
REFRACTORY_MS = (500.0, 1000.0, 1500.0)
"""Refractory times that are tried, beside the former trigger's."""
_CHANCE = 0.05


def calibrate(
    tuning: Mapping[float, Tuning],
    before: Trigger,
    labels: Sequence[str],
    log_mel: LogMel,
    per_hour: float,
    decision_ms: Iterable[float] | None = None,
) -> Calibration:
    """Chooses a trigger; see above.

    Of equally good ones it is the one that decides less often, has fewer alarms, comes first in
    the lists above. The former trigger stays if none is better and it has no more false alarms
    than are allowed.

    Args:
        tuning: By decision interval, ms; the former trigger's must be among them.
        before: The former trigger.
        labels: The class names.
        log_mel: Gives the hop.
        per_hour: False alarms an hour that are asked for.
        decision_ms: The intervals to choose from; by default all.

    Raises:
        KwsError: If the rate is not above 0, or no word can be found at it.
    """
    if not 0 < per_hour < float("inf"):
        raise KwsError(f"{per_hour:g} false alarms an hour cannot be had; ask for more than 0")
    lowest = min(before.least_sums(labels)[keyword_indices(labels)]) / before.full_sum
    kept = tuning[before.decision_ms].peaks(labels, before, min(LOWEST, lowest))
    search = _Search(labels, log_mel, per_hour)
    former = search.measured(kept, before)
    intervals = sorted(set(tuning if decision_ms is None else decision_ms), reverse=True)
    tried = [
        Trigger(interval, smoothing, refractory_ms=refractory)
        for interval in intervals
        for smoothing in _with(before.smoothing_decisions, SMOOTHING)
        for refractory in _with(before.refractory_ms, REFRACTORY_MS)
    ]
    peaked: dict[Trigger, Peaked] = {}
    for trigger in tried:
        same = next((p for t, p in peaked.items() if _same_scores(t, trigger)), None)
        peaked[trigger] = same or tuning[trigger.decision_ms].peaks(labels, trigger)
    found = search.best(peaked)
    options = [search.measured(peaked[one.base], one.common) for one in found]
    chosen = search.measured(peaked[_best(found).base], _best(found).common)
    if not chosen.figures.found:
        raise KwsError(
            f"at {per_hour:g} false alarms an hour no word is found; allow more, or train with "
            "--negatives"
        )
    allowed = search.allowed(chosen.figures.hours)
    crossed = search.crossed(peaked)
    if _is_more_than_chance(crossed, per_hour):
        own = search.measured(peaked[_best(found).base], search.by_word(_best(found)))
        # Words may let others through that stood in their refractory time.
        is_better = own.figures.gain > chosen.figures.gain
        chosen = own if is_better and own.figures.alarms <= allowed else chosen
    may_stay = before.decision_ms in intervals and former.figures.alarms <= allowed
    if may_stay and former.figures.gain >= chosen.figures.gain:
        chosen = former
    return Calibration(per_hour, allowed, former, chosen, tuple(options), crossed)


@dataclass(frozen=True)
class _Found:
    """The best of the triggers with one threshold at a decision interval."""

    base: Trigger  # as it was tried, whatever its threshold
    common: Trigger
    gain: int
    alarms: int
    tally: Tally
    levels: np.ndarray  # the thresholds of the tally
    most: int  # the cost that is allowed


def _best(found: Sequence[_Found]) -> _Found:
    return max(found, key=lambda one: one.gain)  # the first of equal ones, the longest interval


@dataclass(frozen=True)
class _Search:
    """Looks for triggers on tuning streams, whole or half."""

    labels: Sequence[str]
    log_mel: LogMel
    per_hour: float

    def allowed(self, hours: float) -> int:
        """Returns the number of false alarms that a trigger may have."""
        return thresholds.budget(self.per_hour, hours) - 1

    def best(self, peaked: Mapping[Trigger, Peaked], title: str = "searching") -> list[_Found]:
        """Returns the best with one threshold of each decision interval."""
        found: dict[float, _Found] = {}
        for trigger, streams in progress(peaked.items(), len(peaked), title):
            one = self._common(trigger, streams)
            known = found.get(trigger.decision_ms)
            if known is None or (one.gain, -one.alarms) > (known.gain, -known.alarms):
                found[trigger.decision_ms] = one
        return list(found.values())

    def _common(self, trigger: Trigger, streams: Peaked) -> _Found:
        of_words, negatives = (
            curve.count(part, trigger, self.labels, self.log_mel, LOWEST)
            for part in (streams.words, streams.negatives)
        )
        tally = Tally(of_words.found - of_words.alarms, negatives.alarms)
        most = thresholds.budget(self.per_hour, negatives.hours)
        place = thresholds.common(tally, most)
        levels = negatives.thresholds
        common = trigger.changed(threshold=float(levels[place]))
        gain, alarms = int(tally.gain[place].sum()), int(tally.alarms[place].sum())
        return _Found(trigger, common, gain, alarms, tally, levels, most)

    def by_word(self, found: _Found) -> Trigger:
        """Returns a trigger with thresholds of some words' own, the rest as it is."""
        places = thresholds.by_word(found.tally, found.most, keyword_indices(self.labels).tolist())
        values = {key: float(found.levels[place]) for key, place in places.items()}
        trigger = found.common.changed(threshold=values.pop(COMMON))
        own = {self.labels[key]: values[key] for key in sorted(values)}
        return dataclasses.replace(trigger, thresholds=own)

    def measured(self, streams: Peaked, trigger: Trigger) -> Measured:
        """Runs a trigger, as the device does."""
        return Measured(trigger, self._run(streams, trigger)[0])

    def _run(self, streams: Peaked, trigger: Trigger) -> tuple[Figures, set[tuple[int, Word]]]:
        of_words, alarms = streams.judge(trigger, self.labels, self.log_mel)
        found = {(n, word) for n, one in enumerate(of_words) for word, _ in one.found}
        words = sum(len(one.found) + len(one.missed) for one in of_words)
        wrong = sum(len(one.alarms) for one in of_words)
        return Figures(words, len(found), wrong, len(alarms.alarms), streams.hours), found

    def crossed(self, peaked: Mapping[Trigger, Peaked]) -> Crossed:
        """Chooses on each half and tries on the other."""
        sums, only = [Figures(), Figures()], [0, 0]
        for side in (0, 1):
            halves = {trigger: streams.half(side) for trigger, streams in peaked.items()}
            best = _best(self.best(halves, f"half {side + 1} of the streams"))
            other = peaked[best.base].half(1 - side)
            runs = [self._run(other, one) for one in (best.common, self.by_word(best))]
            sums = [total + figures for total, (figures, _) in zip(sums, runs, strict=True)]
            (_, common), (_, by_word) = runs
            only = [only[0] + len(by_word - common), only[1] + len(common - by_word)]
        chance = 1.0
        if sum(only):
            chance = float(binomtest(only[0], sum(only), alternative="greater").pvalue)
        return Crossed(*sums, chance)


def _is_more_than_chance(crossed: Crossed, per_hour: float) -> bool:
    """Tells whether thresholds by word are better on what they were not chosen on."""
    common, by_word = crossed.common, crossed.by_word
    most = max(common.alarms, per_hour * common.hours)
    is_better = by_word.gain > common.gain and crossed.chance < _CHANCE
    return is_better and by_word.alarms <= most


def _same_scores(one: Trigger, other: Trigger) -> bool:
    return (one.decision_ms, one.smoothing_decisions) == (
        other.decision_ms,
        other.smoothing_decisions,
    )


def _with(former, others: Sequence) -> tuple:
    """Returns what is tried, the former value first."""
    return (former, *(one for one in others if one != former))
