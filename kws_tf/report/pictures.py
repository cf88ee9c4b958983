"""Spectrograms as pictures within a page."""

import base64
import io

import numpy as np


def data_uri(values: np.ndarray, darkest: float, brightest: float) -> str:
    """Returns values [frames, bands] as a PNG: time rightwards, bands upwards."""
    from matplotlib.image import imsave

    png = io.BytesIO()
    limits = {"vmin": darkest, "vmax": brightest}
    imsave(png, values.T, **limits, cmap="magma", origin="lower", format="png")
    return "data:image/png;base64," + base64.b64encode(png.getvalue()).decode()
