"""What ``kws-tf soak`` has measured on a run: false alarms, words found, players."""

import json
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from markupsafe import Markup

from kws_tf.errors import KwsError
from kws_tf.listening import alarms as cutting
from kws_tf.listening import curve_plot, recordings
from kws_tf.listening.curve import Curve
from kws_tf.listening.rates import Rate
from kws_tf.listening.soak_result import Alarm
from kws_tf.report import charts, sound
from kws_tf.report.damage import damage_named
from kws_tf.report.measured import command
from kws_tf.run_folder import RunFolder
from kws_tf.tflite import model as models
from kws_tf.tflite.trigger import Trigger

PLAYERS = 50
"""So many alarms, of the highest scores, can be heard."""
_MARKED = (0.5, 0.7, 0.9, 0.95)  # thresholds


def section(run: RunFolder) -> dict:
    """Returns the section's template variables, all of them text but for the curve.

    Returns:
        ``cards``, ``trigger``, ``on`` (what was listened to), ``words`` (a row each), ``curve``,
        ``thresholds``, ``alarms``, ``total`` (of alarms) and ``around`` (seconds); or the
        ``command`` that measures it, where nothing was measured of the model that is there now.
    """
    measure = command("soak", run, "--negatives", "FOLDER", "--positives", "TEST")
    if not (run.soak_file.exists() and run.model_file.exists()):
        return {"command": measure}
    model = models.load(run.model_file)
    with damage_named(run.soak_file, f"repeat {measure}"):
        result = json.loads(run.soak_file.read_bytes())
        if result["sha256"] != model.sha256:
            return {"command": measure}
        shown, trigger = _figures(result), Trigger.parse(result["trigger"])
        text = trigger_text(trigger)
        if trigger != model.manifest.trigger:
            text += f". The model's own is another one: {trigger_text(model.manifest.trigger)}"
        rate, mix_down = model.manifest.front_end.log_mel.sample_rate, result.get("mix_down", False)
        players = _players(_alarms(run, result), rate, bool(mix_down))
    return shown | {
        "trigger": text,
        "alarms": players,
        "around": cutting.AROUND_SECONDS,
    }


def _figures(result: dict) -> dict:
    negatives, positives = result.get("negatives"), result.get("positives")
    cards, on = [], []
    if negatives:
        cards.append(_rate_card("false alarms an hour", negatives["alarms_per_hour"]))
        on.append(_listened_to("recordings without the words", negatives))
    if positives:
        cards += _word_cards(positives)
        on.append(_stream(positives))
    curve = _curve(result["curve"])
    return {
        "cards": cards,
        "on": on,
        "words": _by_word(negatives, positives),
        "curve": _chart(curve, result) if curve.words else None,
        "hours": _hours(curve.hours),
        "thresholds": curve.text(),
        "total": len(negatives["alarms"]) if negatives else None,
    }


def _rate(entry: dict) -> Rate:
    return Rate(int(entry["count"]), float(entry["hours"]))


def _hours(hours: float) -> str:
    return f"{hours:.2f}\N{NO-BREAK SPACE}h"


def _rate_card(title: str, entry: dict) -> dict:
    rate = _rate(entry)
    value, _, interval = str(rate).partition(" ")
    return {"title": title, "value": value, "text": f"{interval}, in {_hours(rate.hours)}"}


def _word_cards(positives: dict) -> list[dict]:
    found, words, delay = positives["found"], positives["words"], positives["delay_seconds"]
    share = {"value": f"{100 * found / words:.1f} %", "text": f"{found:,} of {words:,}"}
    cards = [{"title": "words found"} | share]
    if delay:
        text = f"median; 95 % within {delay['percentile_95']:.2f} s"
        value = f"{delay['median']:.2f} s"
        cards.append({"title": "delay from a word's end", "value": value, "text": text})
    cards.append(_rate_card("false alarms an hour among words", positives["alarms_per_hour"]))
    return cards


def _listened_to(what: str, part: dict) -> str:
    text = f"{part['recordings']:,} of {part['of']:,} {what}"
    if part["left_out"]:
        text += (
            f"; {len(part['left_out']):,} of {part['left_out_seconds'] / 60:.1f} minutes were left "
            "out, as they hold a keyword or what sounds the same"
        )
    if part["without_transcript"]:
        text += f"; {part['without_transcript']:,} have no transcript"
    return text


def _stream(positives: dict) -> str:
    text = f"{positives['words']:,} of {positives['of']:,} words in {60 * positives['hours']:.1f} "
    text += "minutes of "
    if positives["background"] is None:
        return f"{text}quiet noise of {positives['quiet_dbfs']:g} dBFS"
    low, high = positives["snr_db"]
    below = _listened_to("recordings", positives["background"])
    return f"{text}a background at {low:g} to {high:g} dB ({below})"


def trigger_text(trigger: Trigger) -> str:
    """Says in a line when a trigger lets a word through."""
    text = f"a decision every {trigger.decision_ms:g} ms, mean of {trigger.smoothing_decisions}, "
    text += f"threshold {trigger.threshold:g}"
    if trigger.thresholds:
        some = (f"{word} {value:g}" for word, value in trigger.thresholds.items())
        text += f" ({', '.join(some)})"
    return f"{text}, refractory time {trigger.refractory_ms:g} ms"


def _by_word(negatives: dict | None, positives: dict | None) -> dict:
    """Returns ``head``, the columns' titles, and ``rows``."""
    head, rows = ["word"], {}
    for part, titles in (
        (negatives, ["false alarms", "an hour (95 %)"]),
        (positives, ["found", "missed", "found, %", "alarms among words"]),
    ):
        if part:
            head += titles
            for word, entry in part["by_word"].items():
                cells = _alarm_cells(entry) if part is negatives else _word_cells(entry)
                rows.setdefault(str(word), []).extend(cells)
    return {"head": head, "rows": [[word, *cells] for word, cells in rows.items()]}


def _alarm_cells(entry: dict) -> list[str]:
    return [f"{entry['count']:,}", str(_rate(entry))]


def _word_cells(entry: dict) -> list[str]:
    found, missed = entry["found"], entry["missed"]
    share = f"{100 * found / (found + missed):.1f}" if found + missed else "–"
    return [f"{found:,}", f"{missed:,}", share, f"{entry['alarms']:,}"]


def _curve(entry: dict) -> Curve:
    columns = (np.array(entry[name]) for name in ("thresholds", "found", "alarms"))
    return Curve(*columns, int(entry["words"]), float(entry["hours"]))


def _chart(curve: Curve, result: dict) -> Markup:
    positives = result["positives"]
    rate = _rate((result.get("negatives") or positives)["alarms_per_hour"])
    missed = 100 * (1 - positives["found"] / positives["words"])

    def draw(axes):
        curve_plot.draw(axes, curve, charts.LINES[0], charts.FAINT, _MARKED)
        at = curve_plot.rate_drawn(rate.count, rate.hours)
        axes.plot(at, missed, "D", color=charts.CLIP, markersize=7)
        low, high = axes.get_ylim()
        axes.set_ylim(low, max(high, min(100, 1.1 * missed)))
        axes.set_xlabel("false alarms an hour")

    alt = (
        f"Words missed against false alarms an hour for every threshold; the trigger misses "
        f"{missed:.1f} % at {rate} an hour"
    )
    return charts.chart(draw, "listening", alt, 4.2, 2.8)


def _alarms(run: RunFolder, result: dict) -> list[Alarm]:
    """Returns the alarms of the highest scores, by score; paths that are not known are empty."""
    paths = _paths(result.get("places", []))
    window = run.front_end().example_ms / 1000
    found = [
        Alarm(
            str(one["name"]),
            paths.get(one["name"], Path()),
            float(one["seconds"]),
            str(one["word"]),
            float(one["score"]),
            window,
        )
        for one in (result.get("negatives") or {"alarms": []})["alarms"]
    ]
    return sorted(found, key=lambda alarm: -alarm.score)[:PLAYERS]


def _paths(places: Sequence[str]) -> dict[str, Path]:
    there = [Path(place) for place in places if Path(place).exists()]
    try:
        return recordings.find(there).paths if there else {}
    except KwsError:  # such as a folder that was emptied
        return {}


def _players(found: Sequence[Alarm], rate: int, mix_down: bool) -> list[dict]:
    """Returns the alarms to show, each with a player's ``audio``, or why it is ``gone``."""
    heard: dict[Alarm, dict] = {}
    by_path = sorted(found, key=lambda alarm: str(alarm.path))
    for _, some in groupby(by_path, lambda alarm: alarm.path):
        some = list(some)
        heard |= zip(some, _sounds(some, rate, mix_down), strict=True)
    return [
        {
            "word": alarm.word,
            "score": f"{alarm.score:.3f}",
            "at": f"{alarm.seconds:.2f} s",
            "name": alarm.name,
        }
        | heard[alarm]
        for alarm in found
    ]


def _sounds(some: Sequence[Alarm], rate: int, mix_down: bool) -> list[dict]:
    """Cuts alarms out of one recording."""
    if not some[0].path.name:
        return [{"gone": "The recording is no longer where it was."}] * len(some)
    try:
        cuts = list(cutting.stretches(some, rate, mix_down))
    except KwsError as error:
        return [{"gone": f"The recording cannot be heard: {error}."}] * len(some)
    return [{"audio": sound.data_uri(samples, rate)} for samples in cuts]
