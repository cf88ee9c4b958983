"""Sound within a page."""

import base64
import io

import numpy as np
import soundfile

_BLOCK = 2**14  # samples; libsndfile's Vorbis encoder takes its memory for a block from the stack


def data_uri(samples: np.ndarray, rate: int) -> str:
    """Returns mono samples, float32 [n] of full scale 1, as OGG Vorbis for an ``<audio>``.

    It takes a tenth of what FLAC does, and every browser of today plays it.
    """
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", rate, 1, "VORBIS", format="OGG") as encoder:
        for start in range(0, len(samples), _BLOCK):
            encoder.write(samples[start : start + _BLOCK])
    return "data:audio/ogg;base64," + base64.b64encode(file.getvalue()).decode()
