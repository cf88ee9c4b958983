"""A data set of tones and a run on it: seconds instead of an hour."""

import wave
from pathlib import Path

import numpy as np

from kws_tf.audio import speech_commands
from kws_tf.files import write_json
from kws_tf.frontend.config import front_end
from kws_tf.run_folder import RunFolder
from kws_tf.settings import Augmentation, DataSettings, TrainSettings

WORDS = ("up", "down")
UNKNOWN_WORD = "cat"
DATA = DataSettings(words=WORDS, window_ms=500.0)
AUGMENTATION = Augmentation()
#: Of the epochs it takes two, for what happens at the first, between two, and at the last.
TRAIN = TrainSettings(
    hidden=8, batch_size=16, float_epochs=2, quantized_epochs=2, learning_rate=0.02
)


def write_wav(path: Path, samples: np.ndarray) -> None:
    """Writes float samples in [-1, 1] as 16-bit mono of 16 kHz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(np.int16(np.clip(samples, -1, 1) * 32767).tobytes())


def make_audio(folder: Path) -> Path:
    """Makes 16 training and 4 validation recordings of three words, a tone each, and a noise."""
    rng = np.random.default_rng(0)
    names = [f"{number:08x}_nohash_0.wav" for number in range(400)]
    time = np.arange(8000) / 16000
    for partition, number in (("training", 16), ("validation", 4)):
        chosen = [n for n in names if speech_commands.partition_of(n) == partition][:number]
        for pitch, word in zip((400, 900, 2000), (*WORDS, UNKNOWN_WORD), strict=True):
            for name in chosen:
                tone = np.sin(2 * np.pi * pitch * rng.uniform(0.7, 1.4) * time)
                envelope = np.exp(-(((time - rng.uniform(0.15, 0.35)) / 0.1) ** 2))
                noise = rng.normal(0, 0.05, len(time))
                write_wav(folder / word / name, 0.2 * tone * envelope + noise)
    write_wav(folder / "_background_noise_" / "hiss.wav", rng.normal(0, 0.1, 32000))
    return folder


def untrained_run(
    folder: Path, train: TrainSettings = TRAIN, data: DataSettings = DATA
) -> RunFolder:
    """Makes a finished run of random weights, as a teacher or a run to start from."""
    import tf_keras as keras

    from kws_tf.models.building import build_model, save_weights

    run = RunFolder(folder)
    shape = front_end(data.front_end, data.window_ms)
    shape = shape.normalised([-8.0] * shape.features, [3.0] * shape.features)
    run.start(train, data, AUGMENTATION, folder, shape)
    history = []
    for phase, epochs in (("float", train.float_epochs), ("quantized", train.quantized_epochs)):
        if not epochs:
            continue
        keras.utils.set_random_seed(len(history) + 1)
        model = build_model(train, shape, len(run.labels()), phase)
        save_weights(model, run.weights_file(phase))
        history += [
            {"phase": phase, "epoch": epoch, "seconds": 1.0, "examples": 32, "val_accuracy": 0.5}
            for epoch in range(epochs)
        ]
    write_json(run.history_file, history)
    return run
