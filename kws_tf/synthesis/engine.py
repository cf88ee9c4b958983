"""From a text to samples by the espeak-ng library, which comes with the package espeakng-loader.

Its C API keeps global state that leaks from one utterance into the next (oscillator phases, echo
buffers): see ``kws_tf.synthesis.fresh_process``. API:
https://github.com/espeak-ng/espeak-ng/blob/master/src/include/espeak-ng/speak_lib.h
"""

import ctypes
import os
from collections.abc import Iterable, Sequence

import numpy as np

from kws_tf.errors import KwsError

ACCENTS = (
    *("en", "en-us", "en-us-nyc", "en-029", "en-gb-scotland"),
    *("en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd"),
)
"""espeak-ng's accents of English."""


class Espeak:
    """The espeak-ng library. It has global state: make one instance in a process.

    Raises:
        KwsError: The package is missing, or the library or its voices cannot be used.
    """

    name = "espeak-ng"
    sample_rate = 22_050
    _SYNCHRONOUS, _DONT_EXIT = 2, 0x8000
    _RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
    _POS_CHARACTER, _CHARS_UTF8 = 1, 1

    def __init__(self):
        self._library, voices = _load()
        self._library.espeak_Initialize(self._SYNCHRONOUS, 0, os.fsencode(voices), self._DONT_EXIT)
        # Paths over some 150 characters are silently replaced by one of the build machine.
        used = ctypes.c_char_p()
        self._library.espeak_Info(ctypes.byref(used))
        if used.value != os.fsencode(voices) or not os.path.isdir(voices):
            raise KwsError(
                f"{self.name} cannot use its voices in {voices}; "
                "reinstall espeakng-loader, in a folder with a shorter path if this one is long"
            )
        self._pieces: list[bytes] = []
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        callback_type = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
        )
        self._callback = callback_type(self._receive)  # must outlive the library's use of it
        self._library.espeak_SetSynthCallback(self._callback)
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(1))

    def _receive(self, samples, number: int, _events) -> int:
        if samples and number > 0:
            self._pieces.append(ctypes.string_at(samples, 2 * number))
        return 0  # go on

    def speak(
        self, text: str, voice: str, rate: float = 175, pitch: float = 50, pitch_range: float = 50
    ) -> np.ndarray:
        """Speaks a text; underscores are spaces, as in names of folders.

        The voice is ``accent+variant``, the rate in words a minute (80 to 450), the pitch 0 to 99
        with 50 the voice's own, its range 0 (monotone) to 99. Returns float64 samples [n] in
        -1..1, silence at both ends cut off.
        """
        self._set_voice(voice)
        for parameter, value in (
            (self._RATE, rate),
            (self._VOLUME, 60),  # loud variants overload at the usual 100
            (self._PITCH, pitch),
            (self._RANGE, pitch_range),
        ):
            self._library.espeak_SetParameter(parameter, round(value), 0)
        self._pieces.clear()
        encoded = text.replace("_", " ").encode()
        size = ctypes.c_size_t(len(encoded) + 1)
        options = 0, self._POS_CHARACTER, 0, self._CHARS_UTF8, None, None
        failed = self._library.espeak_Synth(encoded, size, *options)
        samples = np.frombuffer(b"".join(self._pieces), np.int16) / 32_768
        loud = np.flatnonzero(np.abs(samples) > 0.01 * np.abs(samples).max(initial=0))
        if failed or not len(loud):
            raise KwsError(f"{self.name} cannot speak '{text}'; choose another word")
        return samples[loud[0] : loud[-1] + 1]

    def phonemes(self, texts: Iterable[str], voice: str = "en") -> list[tuple[str, ...]]:
        """Returns espeak-ng's names of the phonemes of texts, without stress and tone."""
        self._set_voice(voice)  # takes longer than the rest
        return [self._phonemes(text) for text in texts]

    def _phonemes(self, text: str) -> tuple[str, ...]:
        rest, found = ctypes.c_char_p(text.replace("_", " ").encode()), []
        while rest.value:  # a clause at a time
            clause = self._library.espeak_TextToPhonemes(
                ctypes.byref(rest), self._CHARS_UTF8, ord("|") << 8
            )
            found += (clause or b"").decode().replace(" ", "|").split("|")
        # Stress comes before a name; a digit or # after it is a variant of the same phoneme.
        plain = (name.lstrip("',%=") for name in found)
        return tuple(name.rstrip("#23") or name for name in plain if name)

    def _set_voice(self, voice: str) -> None:
        if self._library.espeak_SetVoiceByName(voice.encode()):
            raise KwsError(
                f"{self.name} has no voice '{voice}'; choose one of its own, such as en+f4"
            )


def speak_all(texts: Sequence[str], voice: str, rate: float) -> list[np.ndarray]:
    """Speaks some texts with the same voice; for a fresh process."""
    espeak = Espeak()
    return [espeak.speak(text, voice, rate) for text in texts]


def _load() -> tuple[ctypes.CDLL, str]:
    """Returns the packaged library and the folder of its voices."""
    try:
        import espeakng_loader

        library = ctypes.CDLL(espeakng_loader.get_library_path())
        return library, espeakng_loader.get_data_path()
    except ImportError as error:
        raise KwsError(
            "speech synthesis needs the package espeakng-loader; run: pip install espeakng-loader"
        ) from error
    except (OSError, RuntimeError) as error:
        raise KwsError(f"espeak-ng does not load ({error}); reinstall espeakng-loader") from error
