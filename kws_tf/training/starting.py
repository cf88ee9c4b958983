"""The weights and clips that a phase starts from."""

import numpy as np
import tf_keras as keras

from kws_tf.data.pipeline import Batches
from kws_tf.errors import KwsError
from kws_tf.frontend.config import FrontEnd
from kws_tf.models import spotter
from kws_tf.models.building import build_model, load_weights
from kws_tf.run_folder import RunFolder, open_run
from kws_tf.settings import TrainSettings

_CALIBRATION_BATCHES = 8


def front_end_of_start(settings: TrainSettings, front_end: FrontEnd) -> FrontEnd:
    """Returns the front end with the normalisation that the LSTM to start from was trained with.

    Raises:
        KwsError: If the other run is no LSTM of the same size, or takes other features.
    """
    other = open_run(settings.start_from)
    theirs, its_front_end = other.train_settings(), other.front_end()
    if {theirs.network, settings.network} != {"lstm"} or theirs.hidden != settings.hidden:
        raise KwsError(
            f"{other.path} cannot be started from: it is a {theirs.network} of {theirs.hidden} "
            f"units, this run a {settings.network} of {settings.hidden}; give the same --hidden, "
            'or --start-from ""'
        )
    features = [(one.log_mel, one.coefficients) for one in (its_front_end, front_end)]
    if features[0] != features[1]:
        raise KwsError(
            f"{other.path} cannot be started from: it takes the features {its_front_end.name}, "
            f'this run {front_end.name}; give the same --front-end, or --start-from ""'
        )
    return front_end.normalised(its_front_end.mean, its_front_end.std)


def start_from(other: RunFolder, run: RunFolder, model: keras.Model, phase: str) -> None:
    """Gives a model another run's LSTM, and its classifier where the classes are the same.

    Fine-tuning without pretraining goes on from the weights that the other's fine-tuning left.
    """
    theirs = phase if other.weights_file(phase).exists() else "float"
    same_classes = other.labels() == run.labels()
    spotter.copy_weights(other.load_model(theirs), model, classifier=same_classes)


def start_quantized(run: RunFolder, model: keras.Model, batches: Batches) -> None:
    """Gives the quantized model the pretrained weights, if there are any, and sets its clips.

    The first training batches decide the clips.
    """
    settings = run.train_settings()
    if settings.float_epochs:
        pretrained = build_model(settings, run.front_end(), len(run.labels()), "float")
        load_weights(pretrained, run.weights_file("float"))
        spotter.copy_weights(pretrained, model)
    calibration = batches.dataset.take(min(_CALIBRATION_BATCHES, batches.steps))
    features = np.concatenate([features for features, _ in calibration.as_numpy_iterator()])
    spotter.set_initial_clips(model, features)
