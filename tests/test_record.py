"""Recording without a microphone: what it would record is passed in."""

import io
import sys

import numpy as np
import pytest
import soundfile
from own_recordings import run_script, spoken

from kws_tf.audio.recordings import cutting, microphone
from kws_tf.audio.recordings.cutting import bursts
from kws_tf.audio.recordings.importing import import_recordings
from kws_tf.audio.speech_commands import PARTITIONS, scan
from kws_tf.errors import KwsError

GOOD = spoken(2, [1.2])
SILENCE = spoken(2, [])
OVERLOADED = np.clip(spoken(2, [1.2], level=5), -1, 1)
TWICE = spoken(2, [0.4, 1.4])


class Session:
    """A person who answers as planned, and a microphone that gets what is planned."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, words, count, takes, answers, speaker="Anna", rate=16000, **options):
        self.takes, self.answers, self.told = list(takes), list(answers), []
        self.rate, self.seconds = rate, []
        return microphone.record(
            words,
            count,
            self.folder,
            speaker,
            self.capture,
            ask=self.ask,
            tell=self.tell,
            **options,
        )

    def capture(self, seconds):
        self.seconds.append(seconds)
        return self.takes.pop(0).astype(np.float32)[:, None], self.rate

    def ask(self, prompt):
        self.told.append(prompt)
        if not self.answers:
            raise EOFError
        return self.answers.pop(0)

    def tell(self, line):
        self.told.append(line)

    @property
    def files(self):
        return sorted(path.relative_to(self.folder).as_posix() for path in self.folder.glob("*/*"))


@pytest.fixture
def session(tmp_path):
    return Session(tmp_path / "data")


def test_words_in_turn(session):
    takes = session(["lights on", "dim"], 2, [GOOD] * 4, ["", ""] * 4)
    assert takes == {"lights on": 2, "dim": 2}
    assert [line for line in session.told if "say" in line] == [
        f"{n} of 4: press Enter and say '{word}' (q ends) "
        for n, word in enumerate(["lights on", "lights on", "dim", "dim"], 1)
    ]
    assert session.seconds == [2.0] * 4  # the window and a second to react
    written = scan(session.folder)
    assert [one.word for one in written] == ["dim", "dim", "lights on", "lights on"]
    assert len({one.speaker for one in written}) == 1
    assert {one.partition for one in written} == {"training"}
    samples, rate = soundfile.read(written[0].path)
    assert (len(samples), rate) == (16000, 16000)
    ((start, end),) = bursts(samples)
    assert (start + end) / 2 == pytest.approx(8000, abs=200)
    level = 10 * np.log10(np.mean(samples[start:end] ** 2))
    assert level == pytest.approx(cutting.SPEECH_DBFS, abs=0.5)


@pytest.mark.parametrize(
    ("takes", "answers", "told"),
    [
        ([SILENCE, GOOD], ["", "", ""], "  silent: nothing above the background"),
        (
            [OVERLOADED, GOOD],
            ["", "", "", ""],
            "  overloaded: speak more softly or turn the gain down",
        ),
        ([OVERLOADED], ["", "k"], "  overloaded: speak more softly or turn the gain down"),
        ([TWICE, GOOD], ["", "", "", ""], "  wrong word count: 2 bursts of speech where 1 can be"),
        ([GOOD, GOOD], ["", "r", "", ""], "  good; Enter keeps it, r repeats it "),
    ],
)
def test_take_is_repeated_or_kept(session, takes, answers, told):
    assert session(["dim"], 1, takes, answers) == {"dim": 1}
    assert told in session.told
    assert not session.takes
    assert not session.answers


def test_interrupted_session_goes_on(session):
    assert session(["up", "dim"], 2, [GOOD], ["", "", "q"]) == {"up": 1, "dim": 0}
    first = session.files
    assert session(["up", "dim"], 2, [GOOD] * 2, ["", ""] * 2) == {"up": 2, "dim": 1}
    assert session(["up", "dim"], 2, [GOOD], ["", ""], speaker=" anna ") == {"up": 2, "dim": 2}
    assert set(first) < set(session.files)
    assert session(["up", "dim"], 2, [], []) == {"up": 2, "dim": 2}
    assert not session.told


def test_speakers_fill_the_partitions(session):
    for speaker in ("anna", "ben", "carl"):
        session(["up", "dim"], 2, [GOOD] * 4, ["", ""] * 4, speaker=speaker)
    written = scan(session.folder)
    assert len({one.speaker for one in written}) == 3
    assert {(one.word, one.partition) for one in written} == {
        (word, partition) for word in ("up", "dim") for partition in PARTITIONS
    }
    # And stay where they are when the recordings are imported elsewhere.
    imported = import_recordings(session.folder, session.folder.parent / "imported")
    assert all(item.output and not item.findings for item in imported)
    before = {one.speaker: one.partition for one in written}
    assert {
        one.speaker: one.partition for one in scan(session.folder.parent / "imported")
    } == before


@pytest.mark.parametrize("rate", [44100, 48000])
def test_other_rate_and_window(session, rate):
    session(["up"], 1, [spoken(2.5, [1.2], rate)], ["", ""], rate=rate, window_ms=1500)
    assert session.seconds == [2.5]
    (one,) = scan(session.folder)
    assert soundfile.info(one.path).frames == 24000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"words": ["up", "up"]}, "names a word twice"),
        ({"words": [""]}, "is empty"),
        ({"words": ["../up"]}, "cannot name a folder"),
        ({"count": 0}, "give --count 1 or more"),
        ({"speaker": " "}, "the speaker has no name"),
        ({"window_ms": 3000}, "out of range"),
    ],
)
def test_bad_option(session, options, message):
    with pytest.raises(KwsError, match=message):
        session(**{"words": ["up"], "count": 1, "takes": [], "answers": []} | options)
    assert not session.folder.exists()


# --- Machines without a microphone, as sounddevice tells them.

NO_PORTAUDIO = "raise OSError('PortAudio library not found')"
NO_SOUND_SYSTEM = """
class PortAudioError(Exception): pass
raise PortAudioError('Error initializing PortAudio')
"""
NO_INPUT_DEVICE = """
class PortAudioError(Exception): pass
def query_devices(kind): raise PortAudioError('Error querying device -1')
"""


ONLY_48_KHZ = """
from own_recordings import spoken
class PortAudioError(Exception): pass
def query_devices(kind): return {"name": "built-in", "default_samplerate": 48000.0}
def check_input_settings(samplerate, channels, dtype): raise PortAudioError('no such rate')
def rec(frames, rate, channels, dtype, blocking):
    assert (frames, rate, channels) == (96000, 48000, 1)
    return spoken(2, [1.2], rate).astype(dtype)[:, None]
"""


@pytest.fixture
def sounddevice(monkeypatch, tmp_path):
    """Puts a module, or none, in the place of the package."""

    def put(source):
        monkeypatch.setitem(sys.modules, "sounddevice", None)  # undone at the end
        if source:
            (tmp_path / "sounddevice.py").write_text(source)
            monkeypatch.syspath_prepend(tmp_path)
            del sys.modules["sounddevice"]

    return put


@pytest.mark.parametrize(
    ("package", "message"),
    [
        (None, "error: recording needs the package sounddevice; run: pip install sounddevice"),
        (NO_PORTAUDIO, "error: sounddevice cannot use the PortAudio library (PortAudio library"),
        (NO_SOUND_SYSTEM, "error: sounddevice cannot use the PortAudio library (Error init"),
        (NO_INPUT_DEVICE, "error: this machine has no microphone (Error querying device -1)"),
    ],
)
def test_no_microphone(sounddevice, tmp_path, capsys, package, message):
    sounddevice(package)
    folder = tmp_path / "data"
    assert run_script("record", "--words", "up", "--speaker", "anna", "-o", folder) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(message)
    assert "scripts/import_recordings.py" in line
    assert not folder.exists()


def test_script(sounddevice, tmp_path, monkeypatch, capsys):
    sounddevice(ONLY_48_KHZ)
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n" * 4))
    folder = tmp_path / "data"
    options = ("--words", "lights on, dim", "--speaker", "anna", "-o", folder, "--count", 1)
    assert run_script("record", *options) == 0
    text = capsys.readouterr().out
    assert "1 of 2: press Enter and say 'lights on'" in text
    assert text.splitlines()[-3:] == [
        "lights on          1",
        "dim                1",
        f"recorded to {folder}",
    ]
    assert [one.word for one in scan(folder)] == ["dim", "lights on"]
