"""The end of a first run: choose the trigger, and leave the model listening to other voices."""

from dataclasses import dataclass
from pathlib import Path

from kws_tf.data.locate import test_set_beside
from kws_tf.errors import KwsError
from kws_tf.listening import soak, tuning_streams
from kws_tf.listening.calibrate import calibrate
from kws_tf.listening.soak_result import Soak
from kws_tf.run_folder import RunFolder
from kws_tf.tflite import model as models

ALARMS_PER_HOUR = 0.5
"""False alarms an hour that the trigger is chosen for."""


@dataclass(frozen=True)
class Listened:
    """What the model did with its trigger, and why it has none of its own, if that is so."""

    result: Soak
    problem: str = ""

    def text(self) -> str:
        """Returns the lines to print."""
        trigger, negatives = self.result.details["trigger"], self.result.negatives
        positives = self.result.positives
        hours = f"{60 * negatives.hours:.0f} minutes of other sentences"
        lines = [
            f"listening, threshold {trigger['threshold']:.2f}, mean of "
            f"{trigger['smoothing_decisions']} decisions:",
            f"false alarms an hour {negatives.rate}, in {hours}",
        ]
        if positives:  # there is no test set of words that cannot be spoken
            found = len(positives.judged.found)
            lines.append(
                f"words found in a stream {found:,} of {positives.words:,} "
                f"({100 * found / positives.words:.1f} %)"
            )
        return "\n".join([*lines, *filter(None, [self.problem])])


def calibrate_and_listen(run: RunFolder, speech: Path) -> Listened:
    """Chooses a run's trigger on validation voices and measures it on testing voices.

    Args:
        run: A converted run of synthesised words.
        speech: Synthesised sentences, with folders ``validation`` and ``testing``.
    """
    model = models.load(run.model_file)
    before, problem = model.manifest.trigger, ""
    places = tuning_streams.Places([speech / "validation"], run.data_dir())
    log_mel = model.manifest.front_end.log_mel
    try:
        tuning, _ = tuning_streams.listen(model, places, [before.decision_ms])
        chosen = calibrate(tuning, before, model.manifest.labels, log_mel, ALARMS_PER_HOUR)
        model.manifest.with_trigger(chosen.trigger).save(model.path)
    except KwsError as error:  # it has learned too little, or there are too few examples
        problem = f"the trigger stays as it was: {error}"
    plan = soak.Plan([speech / "testing"], test_set_beside(run.data_dir()))
    result = soak.measure(models.load(run.model_file), plan)
    result.save(run.soak_file, plan.negatives)
    return Listened(result, problem)
