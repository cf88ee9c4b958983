"""Audio files to float32 samples: WAV and FLAC, 16 bits a sample.

The codec is told by a file's content, not by its name: FLAC copies of the official data are
called ``backward_0c540988_nohash_0.wav.flac``. Headers are read in plain Python before any
training starts, so that a bad file is found at once; the samples are decoded by TensorFlow and
tensorflow-io within ``tf.data``. TensorFlow is imported when first needed.
"""

import dataclasses
import os
import struct
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from kws_tf.errors import KwsError

if TYPE_CHECKING:
    import tensorflow as tf

SAMPLE_RATE = 16000
"""Hz; the rate of Speech Commands and of the front ends."""

_PCM, _EXTENSIBLE = 1, 0xFFFE
# Half the length of tfio.audio.resample's filter, in samples at the lower of the two rates
# (measured; Speex's resampler at quality 4). The op's output is late by as much.
_RESAMPLE_DELAY = 32


@dataclasses.dataclass(frozen=True)
class AudioInfo:
    """What the header of an audio file says.

    Attributes:
        sample_rate: Hz.
        channels: 1 is mono.
        samples: Samples in each channel.
        codec: ``"wav"`` or ``"flac"``.
        data_start: Offset of a WAV file's samples in bytes; 0 for FLAC.
    """

    sample_rate: int
    channels: int
    samples: int
    codec: str
    data_start: int = 0


def inspect(path: str | os.PathLike) -> AudioInfo:
    """Reads the header of a WAV or FLAC file.

    Raises:
        KwsError: The file is missing, unreadable, empty, of another kind, cut, without samples,
            or not of 16 bits a sample.
    """
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if not size:
                raise KwsError(f"{path} is an empty file; remove or replace it")
            magic = file.read(12)
            if magic[:4] == b"fLaC":
                file.seek(4)
                info = _inspect_flac(file, path)
            elif magic[:4] == b"RIFF" and magic[8:] == b"WAVE":
                info = _inspect_wav(file, size, path)
            else:
                raise KwsError(f"{path} is neither WAV nor FLAC; convert it or remove it")
    except OSError as error:
        raise KwsError(f"cannot read the audio file {path}: {error.strerror or error}") from error
    if not info.samples:
        raise KwsError(f"the header of {path} says that it has no samples; remove or replace it")
    return info


def check(path: str | os.PathLike, mix_down: bool = False) -> AudioInfo:
    """Reads a header as ``inspect`` does and refuses stereo unless it is to be mixed down.

    Args:
        path: A WAV or FLAC file.
        mix_down: Whether several channels are allowed; decoding takes their mean.

    Raises:
        KwsError: As ``inspect``, or the file has several channels without ``mix_down``.
    """
    info = inspect(path)
    if info.channels > 1 and not mix_down:
        raise KwsError(
            f"{path} has {info.channels} channels and one is needed; give --mix-down to take "
            "their mean, or convert it to mono"
        )
    return info


def clip_columns(paths: Sequence[str | os.PathLike], mix_down: bool = False) -> dict[str, Any]:
    """Checks every file's header and returns what ``decode_clip`` needs, a row a file.

    Args:
        paths: WAV or FLAC files.
        mix_down: As in ``check``.

    Returns:
        Columns of ``len(paths)`` values for ``tf.data.Dataset.from_tensor_slices``.

    Raises:
        KwsError: As ``check``, for the first bad file in the order of ``paths``.
    """
    with ThreadPoolExecutor(max_workers=8) as pool:
        infos = list(pool.map(lambda path: check(path, mix_down), paths))
    return {
        # Bytes, as a name need not be valid UTF-8. The dtype keeps an empty list a string column.
        "path": np.array([os.fsencode(path) for path in paths], dtype=np.bytes_),
        "is_flac": np.array([info.codec == "flac" for info in infos], bool),
        **{
            name: np.array([getattr(info, name) for info in infos], np.int64)
            for name in ("sample_rate", "channels", "samples", "data_start")
        },
    }


def decode_clip(clip: dict[str, "tf.Tensor"], sample_rate: int = SAMPLE_RATE) -> "tf.Tensor":
    """Decodes one file; a graph function for ``tf.data.Dataset.map``.

    Args:
        clip: One row of ``clip_columns``, scalars.
        sample_rate: The rate wanted, Hz; a file of another rate is resampled.

    Returns:
        float32 ``[samples]`` in [-1, 1), the mean of the channels, in the file's own length.
        (Resampling may overshoot a full-scale signal by a little.)
    """
    import tensorflow as tf
    import tensorflow_io as tfio

    data = tf.io.read_file(clip["path"])
    channels = clip["channels"]

    def decode_wav() -> tf.Tensor:
        # tf.audio.decode_wav refuses WAVE_FORMAT_EXTENSIBLE and chunks of odd length before the
        # samples, both of which recorders write; the header has been read and checked already.
        size = clip["samples"] * channels * 2
        pcm = tf.io.decode_raw(tf.strings.substr(data, clip["data_start"], size), tf.int16)
        return tf.reshape(pcm, tf.stack([-1, channels]))

    pcm = tf.cond(clip["is_flac"], lambda: tfio.audio.decode_flac(data, dtype=tf.int16), decode_wav)
    # The scale of tf.audio.decode_wav: -32768 is -1.
    samples = tf.reduce_mean(tf.cast(pcm, tf.float32), axis=1) / 32768.0
    rate = tf.cast(clip["sample_rate"], tf.int64)
    samples = tf.cond(
        tf.equal(rate, sample_rate), lambda: samples, lambda: _resample(samples, rate, sample_rate)
    )
    return tf.ensure_shape(samples, [None])


def fit_length(samples: "tf.Tensor", length: int) -> "tf.Tensor":
    """Pads ``samples`` with zeros at the end, or cuts them, to ``length``.

    Args:
        samples: ``[n]``.
        length: Samples wanted.

    Returns:
        ``[length]``, of the dtype of ``samples``.
    """
    import tensorflow as tf

    samples = samples[:length]
    samples = tf.pad(samples, [[0, length - tf.shape(samples)[0]]])
    return tf.ensure_shape(samples, [length])


def clip_dataset(
    paths: Sequence[str | os.PathLike],
    sample_rate: int = SAMPLE_RATE,
    length: int = SAMPLE_RATE,
    mix_down: bool = False,
    num_parallel_calls: int | None = None,
) -> "tf.data.Dataset":
    """Returns the decoded files as a dataset of float32 ``[length]``, in the order of ``paths``.

    Iterate it within ``named_errors`` so that a damaged file is named.

    Args:
        paths: WAV or FLAC files; every header is checked here and now.
        sample_rate: Hz.
        length: Samples of each clip, padded or cut at the end.
        mix_down: As in ``check``.
        num_parallel_calls: Files decoded at a time; ``None`` lets tf.data choose.

    Raises:
        KwsError: As ``check``.
    """
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(clip_columns(paths, mix_down)).map(
        lambda clip: fit_length(decode_clip(clip, sample_rate), length),
        num_parallel_calls=tf.data.AUTOTUNE if num_parallel_calls is None else num_parallel_calls,
        deterministic=True,
    )


@contextmanager
def named_errors(paths: Sequence[str | os.PathLike]) -> Iterator[None]:
    """Turns a decoding error of a dataset into a ``KwsError`` that names the file.

    tf.data's errors do not say which file failed, so after a failure each file is decoded by
    itself until one fails. An error that no file explains passes through.

    Args:
        paths: The files that the dataset within reads.

    Example:
        >>> with named_errors(paths):
        ...     for samples in clip_dataset(paths):
        ...         ...
    """
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError:
        for path in paths:
            load(path, mix_down=True)
        raise


def load(
    path: str | os.PathLike, sample_rate: int = SAMPLE_RATE, mix_down: bool = False
) -> np.ndarray:
    """Reads one file at once, for scripts and tests.

    Args:
        path: A WAV or FLAC file.
        sample_rate: The rate wanted, Hz.
        mix_down: As in ``check``.

    Returns:
        float32 ``[samples]``, as ``decode_clip``.

    Raises:
        KwsError: As ``check``, or the samples after a good header are damaged.
    """
    import tensorflow as tf

    clip = {name: column[0] for name, column in clip_columns([path], mix_down).items()}
    try:
        return decode_clip(clip, sample_rate).numpy()
    except tf.errors.OpError as error:
        raise KwsError(f"{path} is damaged and cannot be decoded; replace or remove it") from error


def _inspect_flac(file: BinaryIO, path: str | os.PathLike) -> AudioInfo:
    """Reads STREAMINFO, the first metadata block (RFC 9639, section 8.2)."""
    block = file.read(4 + 34)
    if len(block) < 38 or block[0] & 0x7F:
        raise KwsError(f"{path} is a FLAC file with a cut or damaged header; replace or remove it")
    # 20 bits sample rate, 3 channels - 1, 5 bits a sample - 1, 36 samples
    fields = int.from_bytes(block[14:22], "big")
    bits = (fields >> 36 & 0x1F) + 1
    if bits != 16:
        raise KwsError(f"{path} is FLAC of {bits} bits a sample; convert it to 16 bits")
    info = AudioInfo(fields >> 44, (fields >> 41 & 0x7) + 1, fields & (2**36 - 1), "flac")
    if not info.sample_rate:
        raise KwsError(f"{path} is a FLAC file without a sample rate; replace or remove it")
    return info


def _inspect_wav(file: BinaryIO, size: int, path: str | os.PathLike) -> AudioInfo:
    """Walks the RIFF chunks from offset 12 up to ``data``."""
    encoding = None
    while len(head := file.read(8)) == 8:
        name, length = struct.unpack("<4sI", head)
        start = file.tell()
        if name == b"fmt ":
            encoding = _inspect_wav_format(file.read(min(length, 40)), path)
        elif name == b"data" and encoding:
            if start + length > size:
                raise KwsError(
                    f"{path} is a truncated WAV file: its header promises {length} bytes of "
                    f"samples and {size - start} are there; replace or remove it"
                )
            rate, channels = encoding
            return AudioInfo(rate, channels, length // (2 * channels), "wav", start)
        file.seek(start + length + length % 2)  # chunks begin at even offsets
    raise KwsError(f"{path} is a truncated WAV file: it has no samples; replace or remove it")


def _inspect_wav_format(chunk: bytes, path: str | os.PathLike) -> tuple[int, int]:
    """Returns sample rate and channels from a ``fmt`` chunk of 16-bit PCM."""
    if len(chunk) < 16:
        raise KwsError(f"{path} is a WAV file with a cut header; replace or remove it")
    encoding, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", chunk)
    if encoding == _EXTENSIBLE and len(chunk) >= 26:
        (encoding,) = struct.unpack_from("<H", chunk, 24)
    if (encoding, bits) != (_PCM, 16):
        raise KwsError(
            f"{path} is a WAV file of encoding {encoding} with {bits} bits a sample; "
            "convert it to 16-bit PCM"
        )
    if not channels or not rate:
        raise KwsError(
            f"{path} is a WAV file of {channels} channels at {rate} Hz; replace or remove it"
        )
    return rate, channels


def _resample(samples: "tf.Tensor", rate_in: "tf.Tensor", rate_out: int) -> "tf.Tensor":
    """Resamples ``[n]`` without the delay and the lost end of ``tfio.audio.resample``.

    The result is in time with the input to half an output sample.
    """
    import tensorflow as tf
    import tensorflow_io as tfio

    lower = tf.minimum(rate_in, rate_out)
    delay_in = -(-_RESAMPLE_DELAY * rate_in // lower)
    delay_out = (2 * _RESAMPLE_DELAY * rate_out + lower) // (2 * lower)
    wanted = -(-tf.size(samples, tf.int64) * rate_out // rate_in)
    # One output sample more than the delay, against rounding.
    padded = tf.pad(samples, [[0, delay_in + 1 + rate_in // rate_out]])
    return tfio.audio.resample(padded, rate_in, rate_out)[delay_out : delay_out + wanted]
