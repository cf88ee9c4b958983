"""The front end in TensorFlow: training, records and evaluation all use this one."""

import tensorflow as tf

from kws_tf.errors import KwsError
from kws_tf.frontend.config import FrontEnd, LogMel


def mel_weights(config: LogMel) -> tf.Tensor:
    """Returns the band weights, float32 [bins, bands], of the FFT bins below ``high_hz``.

    Triangles straight on the HTK-mel axis, unit peak. Bins above the highest band have no
    weight and are left out, which halves the work.
    """
    bins = config.fft_length // 2 + 1
    weights = tf.signal.linear_to_mel_weight_matrix(
        config.bands, bins, config.sample_rate, config.low_hz, config.high_hz
    )
    return weights[: int(config.high_hz * config.fft_length / config.sample_rate) + 1]


def log_mel(samples: tf.Tensor, config: LogMel) -> tf.Tensor:
    """Computes spectrograms, float32 [..., frames, bands], nats, of [..., samples] in [-1, 1)."""
    frames = tf.signal.frame(samples, config.window_samples, config.hop_samples)
    window = tf.signal.hann_window(config.window_samples, periodic=True)
    spectrum = tf.signal.rfft(frames * window, [config.fft_length])
    weights = mel_weights(config)
    spectrum = spectrum[..., : weights.shape[0]]
    power = tf.square(tf.math.real(spectrum)) + tf.square(tf.math.imag(spectrum))
    return log_power(tf.tensordot(power, weights, 1), config)


def log_power(power: tf.Tensor, config: LogMel) -> tf.Tensor:
    """Returns the logarithm of mel power, limited to the front end's range, nats."""
    return tf.clip_by_value(tf.math.log(power + config.offset), config.floor, config.ceiling)


def mel_power(log_values: tf.Tensor, config: LogMel) -> tf.Tensor:
    """Inverts ``log_power``; values at the floor become zero power."""
    power = tf.exp(log_values) - config.offset
    return tf.where(log_values > config.floor, tf.maximum(power, 0.0), 0.0)


def dct_matrix(front_end: FrontEnd) -> tf.Tensor:
    """Returns the orthonormal DCT-II, float32 [bands, coefficients]."""
    identity = tf.eye(front_end.log_mel.bands)
    return tf.signal.dct(identity, type=2, norm="ortho")[:, : front_end.coefficients]


def unnormalised_features(log_values: tf.Tensor, front_end: FrontEnd) -> tf.Tensor:
    """Returns log-mel values or their DCT, float32 [..., frames, features]."""
    if front_end.coefficients:
        return tf.tensordot(log_values, dct_matrix(front_end), 1)
    return log_values


def features_from_log_mel(log_values: tf.Tensor, front_end: FrontEnd) -> tf.Tensor:
    """Turns log-mel spectrograms into the model's (float) input, normalised.

    Args:
        log_values: float32 [..., frames, bands], nats.
        front_end: With normalisation constants.

    Returns:
        float32 [..., frames, features].
    """
    if not front_end.mean:
        raise KwsError(
            f"the front end '{front_end.name}' has no normalisation constants; "
            "use the one that training wrote into the run folder"
        )
    values = unnormalised_features(log_values, front_end)
    return (values - tf.constant(front_end.mean)) / tf.constant(front_end.std)


def features(samples: tf.Tensor, front_end: FrontEnd) -> tf.Tensor:
    """Turns examples into the model's (float) input: both functions above, one after the other."""
    return features_from_log_mel(log_mel(samples, front_end.log_mel), front_end)
