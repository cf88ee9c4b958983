"""Taking over the finished pretraining of another run."""

import shutil

from kws_tf.errors import KwsError
from kws_tf.files import write_json
from kws_tf.frontend.config import FrontEnd
from kws_tf.run_folder import RunFolder, by_name
from kws_tf.settings import Augmentation, DataSettings, OtherRecordings, TrainSettings

_NONE = OtherRecordings()
SETTINGS = (
    "network",
    "hidden",
    "float_epochs",
    "batch_size",
    "optimizer",
    "learning_rate",
    "label_smoothing",
    "start_from",
    "teacher",
    "unsmoothed_teachers",
    "soft_target_epochs",
    "product_dtype",
    "seed",
)
"""Settings that pretraining depends on."""


def check(
    other: RunFolder,
    settings: TrainSettings,
    data: DataSettings,
    augmentation: Augmentation,
    front_end: FrontEnd,
    others: OtherRecordings = _NONE,
) -> None:
    """Refuses another run whose pretraining is not finished, or not that of these settings."""
    # A published run has the names of other runs, without their places.
    mine, theirs = by_name(settings), by_name(other.train_settings())
    differ = [name for name in SETTINGS if getattr(mine, name) != getattr(theirs, name)]
    for name, value, in_other in (
        ("data settings", data, other.data_settings()),
        ("augmentation", augmentation, other.augmentation()),
        ("front end", front_end, other.front_end()),
    ):
        differ += [name] if value != in_other else []
    differ += [] if other.has_recordings(others) else ["negatives or noise"]
    if differ or not settings.float_epochs or len(_rows(other)) < settings.float_epochs:
        what = f"has another {', '.join(differ)}" if differ else "is not finished"
        raise KwsError(
            f"the pretraining of {other.path} {what}; repeat the settings of that run, or train "
            "without --pretraining-run"
        )


def take_over(other: RunFolder, run: RunFolder) -> list[dict]:
    """Copies the weights of another run's pretraining and their history, which is returned."""
    history = _rows(other)
    shutil.copyfile(other.weights_file("float"), run.weights_file("float"))
    write_json(run.history_file, history)
    return history


def _rows(run: RunFolder) -> list[dict]:
    return [row for row in run.history() if row["phase"] == "float"]
