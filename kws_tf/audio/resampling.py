"""Samples of one rate to another: by tensorflow-io, or by SciPy where that does not load.

Both are imported when first needed, as most recordings have the rate of the front end.
"""

import functools
import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from kws_tf.quiet import captured_stderr

# Half the length of tfio.audio.resample's filter, in samples at the lower of the two rates
# (measured; Speex's resampler at quality 4). The op's output is late by as much.
_DELAY = 32
_REACH = 40  # more than half the length of either resampler's filter, likewise
_BLOCK = 2**19  # samples resampled at a time


def resample(samples: np.ndarray, rate_in: int, rate_out: int) -> np.ndarray:
    """Resamples a signal, float32 [n]; returns it in time, its length rounded up.

    The two resamplers differ by less than 0.001 of a tone below 0.35 of the lower rate. But
    tensorflow-io's output may be late or early by up to half an output sample, unless one rate is
    a multiple of the other; SciPy's is not.
    """
    if rate_in == rate_out:
        return samples
    op = _tensorflow_io_op()
    if op is None:
        from scipy.signal import resample_poly

        return resample_poly(samples, rate_out, rate_in)
    # Without the op's delay, and the end that it loses by it.
    lower = min(rate_in, rate_out)
    delay_in = -(-_DELAY * rate_in // lower)
    delay_out = (2 * _DELAY * rate_out + lower) // (2 * lower)
    wanted = -(-len(samples) * rate_out // rate_in)
    # One output sample more than the delay, against rounding.
    padded = np.pad(samples, (0, delay_in + 1 + rate_in // rate_out))
    return op(padded, rate_in, rate_out).numpy()[delay_out : delay_out + wanted]


def resampled(blocks: Iterable[np.ndarray], rate_in: int, rate_out: int) -> Iterator[np.ndarray]:
    """Resamples blocks of a signal in constant memory, to the bit as ``resample`` the whole."""
    if rate_in == rate_out:
        yield from blocks
        return
    common = math.gcd(rate_in, rate_out)
    step_in, step_out = rate_in // common, rate_out // common  # after which the phases recur
    reach = step_in * math.ceil(_REACH * max(1, rate_in / rate_out) / step_in)
    held, done = np.empty(0, np.float32), 0  # of the first, only the filter has need
    for block in blocks:
        held = np.concatenate([held, block])
        end = (len(held) - reach) // step_in * step_in
        if end < max(_BLOCK, reach):
            continue
        out = resample(held[: end + reach], rate_in, rate_out)
        yield out[done // step_in * step_out : end // step_in * step_out]
        held, done = held[end - reach :], reach
    yield resample(held, rate_in, rate_out)[done // step_in * step_out :]


@functools.cache
def _tensorflow_io_op() -> Callable | None:
    """Returns ``tfio.audio.resample``, or ``None`` where its compiled ops do not load."""
    try:
        with captured_stderr():
            import tensorflow_io

            tensorflow_io.audio.resample(np.zeros(64, np.float32), 2, 1)
    except (ImportError, NotImplementedError):
        return None
    return tensorflow_io.audio.resample
