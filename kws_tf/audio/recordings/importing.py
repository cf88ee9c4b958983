"""A folder of people's own recordings to examples in the layout of Speech Commands.

The source has a folder a word, with recordings of that word in it or in folders of speakers within
it, and maybe ``_background_noise_``. It is never changed. The examples are a function of the source
and the options alone: importing again gives the same files.
"""

import json
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np

from kws_tf import files
from kws_tf.audio.reader import SAMPLE_RATE, wav_bytes
from kws_tf.audio.recordings import cutting
from kws_tf.audio.recordings.cutting import Finding, Problem
from kws_tf.audio.recordings.listing import SourceFile, listing, name_outputs
from kws_tf.audio.recordings.tables import REPORT_FILE, report
from kws_tf.errors import KwsError
from kws_tf.progress import progress
from kws_tf.settings import LONGEST_WINDOW_MS, SHORTEST_WINDOW_MS

_UNFINISHED = ".unfinished-import"
_OUTPUT = re.compile(r"[^./\\][^/\\]*/[^/\\]+\.wav")


def import_recordings(
    source: Path, target: Path, window_ms: float = 1000, keep_doubtful: bool = False
) -> list[SourceFile]:
    """Imports a folder of recordings; returns its files by word and path.

    ``target`` gets ``<word>/<speaker>_nohash_<n>.wav`` (16 kHz, mono, 16 bits),
    ``_background_noise_`` if the source has it, and ``import.json``. What an earlier import of the
    same source wrote and this one does not is removed; nothing else there is touched. What is too
    short, too long or of a wrong word count is left out unless ``keep_doubtful``.

    Raises:
        KwsError: The source is missing or has no word folders, the window is out of range, or the
            target holds something that must not be overwritten.
    """
    source, target = Path(source), Path(target)
    length = window_samples(window_ms)
    recordings = listing(source)
    _check_places(source, target)
    written = _written_before(source, target)

    unfinished = target / _UNFINISHED
    shutil.rmtree(unfinished, ignore_errors=True)  # of an import that was interrupted
    unfinished.mkdir(parents=True)
    try:
        staged = []
        for number, item in progress(enumerate(recordings), len(recordings), "importing"):
            samples, item.findings = _process(source / item.source, item, length, keep_doubtful)
            if samples is not None:
                path = unfinished / f"{number}.wav"
                files.write_bytes(path, wav_bytes(samples))
                staged.append((path, item))
        name_outputs([item for _, item in staged])
        _move(staged, source, target, written)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    options = {"window_ms": window_ms, "keep_doubtful": keep_doubtful}
    files.write_json(target / REPORT_FILE, report(source, recordings, options))
    return recordings


def window_samples(window_ms: float) -> int:
    """Returns the length of an example in samples, or refuses a window that is out of range."""
    if not SHORTEST_WINDOW_MS <= window_ms <= LONGEST_WINDOW_MS:
        raise KwsError(
            f"a window of {window_ms:g} ms is out of range; "
            f"give {SHORTEST_WINDOW_MS} to {LONGEST_WINDOW_MS}"
        )
    return round(window_ms * SAMPLE_RATE / 1000)


def _check_places(source: Path, target: Path) -> None:
    here, there = source.resolve(), target.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise KwsError(
            f"the output {target} and the recordings {source} are within one another; give an "
            "output folder elsewhere"
        )
    if target.exists() and not target.is_dir():
        raise KwsError(f"the output {target} is a file; give a folder")
    lists = sorted(target.glob("*_list.txt"))
    if lists:
        raise KwsError(
            f"{lists[0]} says which recordings are held out, so that new ones would all be for "
            "training; give another output folder"
        )


def _written_before(source: Path, target: Path) -> set[str]:
    """Returns the paths in the target that an earlier import of the same source wrote."""
    path = target / REPORT_FILE
    if not path.exists():
        return set()
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
        before, outputs = written["source"], {item["output"] for item in written["files"]} - {None}
        # Files will be removed by these names, so they must be what an import writes.
        if not all(_OUTPUT.fullmatch(output) for output in outputs):
            raise ValueError("a path of another kind")
    except (ValueError, TypeError, KeyError) as error:
        raise KwsError(f"{path} is damaged ({error}); give another output folder") from error
    if before != str(source.resolve()):
        raise KwsError(
            f"{target} holds the import of {before}; give another output folder, or copy all "
            "recordings into one folder and import that"
        )
    return outputs


def _process(
    path: Path, item: SourceFile, length: int, keep_doubtful: bool
) -> tuple[np.ndarray | None, tuple[Finding, ...]]:
    """Returns the samples to write, or ``None``, and what is wrong with a file."""
    try:
        if item.is_noise:
            samples, is_overloaded = cutting.read(path, cutting.MOST_NOISE_SECONDS)
            findings: tuple[Finding, ...] = ()
            if len(samples) < length:
                detail = f"shorter than the window of {length / SAMPLE_RATE:g} s"
                findings = (Finding(Problem.TOO_SHORT, detail),)
            samples = samples / max(1.0, np.abs(samples).max())
        else:
            samples, is_overloaded = cutting.read(path)
            samples, findings = cutting.cut_example(samples, item.word, length)
    except cutting.Rejection as rejection:
        return None, (rejection.finding,)
    if not keep_doubtful and any(f.problem in cutting.DOUBTFUL for f in findings):
        samples = None
    if is_overloaded:
        findings += (Finding(Problem.OVERLOADED, "over 1 ms at full scale"),)
    return samples, findings


def _move(
    staged: list[tuple[Path, SourceFile]], source: Path, target: Path, written: set[str]
) -> None:
    """Puts the finished files in their places and removes those of an earlier import."""
    outputs = {item.output for _, item in staged}
    for output in sorted(outputs - written):
        if (target / output).exists():
            raise KwsError(
                f"{target / output} is there already and no import wrote it; give another "
                "output folder"
            )
    # First all names, so that after an interruption the next import knows its own files.
    everything = [{"output": output} for output in sorted(outputs | written)]
    files.write_json(target / REPORT_FILE, {"source": str(source.resolve()), "files": everything})
    for path, item in staged:
        (target / item.output).parent.mkdir(exist_ok=True)
        os.replace(path, target / item.output)
    for output in sorted(written - outputs):
        (target / output).unlink(missing_ok=True)
        with suppress(OSError):  # not empty
            (target / output).parent.rmdir()
