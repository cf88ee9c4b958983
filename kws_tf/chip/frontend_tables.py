"""The C front end's constants and tables, made from the one description in the manifest."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from kws_tf.chip.source import c_array, c_float, defines, wrapped
from kws_tf.errors import KwsError
from kws_tf.frontend import features
from kws_tf.frontend.config import FrontEnd

FRONT_END_SOURCES = ("kws_frontend.h", "kws_frontend.c", "kws_fft.c")


class Tables(NamedTuple):
    """What the C front end reads; float32 but for the bins."""

    window: np.ndarray
    """[window / 2 + 1], the first half of the symmetric window, times 2^-15."""
    cosine: np.ndarray
    """[fft / 2 + 1], cos(2 pi k / fft)."""
    band_bins: np.ndarray
    """int [bands, 2], first FFT bin with a weight and number of bins."""
    mel_weights: np.ndarray
    """The weights of all bands, one band after the other."""
    dct: np.ndarray
    """[coefficients, bands], empty without DCT."""
    gain: np.ndarray
    """[features], 1 / (deviation * input scale)."""
    bias: np.ndarray
    """[features], -mean / (deviation * input scale)."""
    bins: int
    """FFT bins that have a weight in any band."""

    @property
    def bytes(self) -> int:
        """Size of the tables in flash."""
        floats = (self.window, self.cosine, self.mel_weights, self.dct, self.gain, self.bias)
        return 4 * sum(table.size for table in floats) + 2 * self.band_bins.size


def make_tables(front_end: FrontEnd, input_scale: float) -> Tables:
    """Computes the tables from TensorFlow's own window, mel weights and DCT.

    Args:
        front_end: With normalisation constants.
        input_scale: Of the model's int8 input.

    Raises:
        KwsError: If the front end is not normalised, or is one that the C code cannot compute.
    """
    log_mel = front_end.log_mel
    size = log_mel.fft_length
    if size < 8 or size & (size - 1):
        raise KwsError(
            f"the front end's FFT has {size} points and the C code needs a power of two; "
            "train with another front end"
        )
    if log_mel.hop_samples > log_mel.window_samples:
        raise KwsError(
            f"the front end's hop of {log_mel.hop_ms:g} ms is longer than its window, which the "
            "C code does not support; train with another front end"
        )
    if not front_end.mean:
        raise KwsError(
            f"the front end '{front_end.name}' has no normalisation constants; "
            "use the manifest of a trained and converted run"
        )
    half = log_mel.window_samples // 2 + 1
    window = tf.signal.hann_window(log_mel.window_samples, periodic=True).numpy()[:half]
    weights = features.mel_weights(log_mel).numpy()
    spans = [np.flatnonzero(band) for band in weights.T]
    band_bins = np.array([[s[0], s[-1] - s[0] + 1] if len(s) else [0, 0] for s in spans])
    mel = [weights[a : a + n, band] for band, (a, n) in enumerate(band_bins)]
    dct = np.zeros((0, log_mel.bands), np.float32)
    if front_end.coefficients:
        dct = features.dct_matrix(front_end).numpy().T
    steps = np.float64(input_scale) * np.array(front_end.std, np.float64)
    return Tables(
        window=window * np.float32(2.0**-15),
        cosine=np.cos(2 * np.pi * np.arange(size // 2 + 1) / size).astype(np.float32),
        band_bins=band_bins,
        mel_weights=np.concatenate(mel),
        dct=dct,
        gain=(1 / steps).astype(np.float32),
        bias=(-np.array(front_end.mean, np.float64) / steps).astype(np.float32),
        bins=int((band_bins.sum(axis=1)).max()),
    )


def ram_bytes(front_end: FrontEnd) -> int:
    """Returns the size of ``kws_frontend_t`` on a 32-bit chip."""
    log_mel = front_end.log_mel
    samples = 2 * log_mel.window_samples
    return samples + samples % 4 + 4 + 4 * (log_mel.fft_length + log_mel.bands)


def config_lines(
    front_end: FrontEnd, input_scale: float, input_bits: int, tables: Tables
) -> list[str]:
    """Returns the front end's part of ``kws_config.h``."""
    log_mel = front_end.log_mel
    high = 2 ** (input_bits - 1) - 1
    return defines(
        SAMPLE_RATE=log_mel.sample_rate,
        WINDOW=log_mel.window_samples,
        HOP=log_mel.hop_samples,
        FFT_LENGTH=log_mel.fft_length,
        BINS=tables.bins,
        BANDS=log_mel.bands,
        MEL_WEIGHTS=len(tables.mel_weights),
        OFFSET=c_float(log_mel.offset),
        FLOOR=c_float(log_mel.floor),
        CEILING=c_float(log_mel.ceiling),
        COEFFICIENTS=front_end.coefficients,
        FEATURES=front_end.features,
        FRAMES=front_end.frames,
        EXAMPLE_SAMPLES=front_end.samples,
        INPUT_SCALE=c_float(input_scale),
        INPUT_MIN=f"({-high - 1})",
        INPUT_MAX=high,
    )


def table_source(tables: Tables) -> str:
    """Returns ``kws_tables.c``."""
    bands = ", ".join(f"{{{first}, {count}}}" for first, count in tables.band_bins)
    parts = [
        '#include "kws_frontend.h"\n',
        c_array("float", "kws_window", tables.window),
        c_array("float", "kws_cosine", tables.cosine),
        wrapped(f"const kws_band_t kws_bands[{len(tables.band_bins)}] = {{", bands),
        c_array("float", "kws_mel_weights", tables.mel_weights),
        c_array("float", "kws_dct", tables.dct) if tables.dct.size else "",
        c_array("float", "kws_gain", tables.gain),
        c_array("float", "kws_bias", tables.bias),
    ]
    return "\n".join(part for part in parts if part)
