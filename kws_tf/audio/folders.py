"""What lies in a folder of recordings: one rule for training, evaluation and import."""

import os
from collections.abc import Iterator
from pathlib import Path

from kws_tf.audio.reader import EXTENSIONS
from kws_tf.errors import KwsError
from kws_tf.progress import note

DOCUMENTS = (".md", ".txt", ".tsv")
"""What names of files end in that may lie among recordings without a word."""
_IMPORT = "run scripts/import_recordings.py on its data folder and use what that writes"


def folders(folder: Path) -> list[str]:
    """Returns the names of the visible folders within, sorted."""
    if not folder.is_dir():
        raise KwsError(f"the folder {folder} does not exist; give an existing one")
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))


def visible_files(folder: Path, is_deep: bool = True) -> Iterator[Path]:
    """Yields the visible files within a folder and, if deep, within those in it, by name.

    Links are followed, but not round in circles. A broken one counts as a file, to be reported; a
    pipe does not, because reading it would not end.
    """

    def walk(place: str, above: tuple[str, ...]) -> Iterator[Path]:
        real = os.path.realpath(place)
        if real in above:
            return
        with os.scandir(place) as entries:
            visible = sorted((e for e in entries if e.name[0] != "."), key=lambda e: e.name)
        for entry in visible:
            if entry.is_dir():
                yield from walk(entry.path, (*above, real)) if is_deep else ()
            elif entry.is_file() or not os.path.exists(entry.path):
                yield Path(entry.path)

    yield from walk(os.fspath(folder), ())


def stem(name: str) -> str:
    """Returns a recording's name without what tells its format, such as ``.wav.flac``."""
    before, extension = os.path.splitext(name)
    return stem(before) if extension.lower() in EXTENSIONS else name


def recordings(folder: Path, holds_folders: bool = False) -> list[Path]:
    """Returns the recordings in a folder, by name; of copies in several formats, one.

    Files that are neither recordings nor documents by their names are told on stderr. What lies
    deeper, or only files of other kinds, is refused, as the importer might take them; but it may
    be that the folder ``holds_folders``, which are none of its recordings.
    """
    found, others = {}, []
    for path in visible_files(folder, not holds_folders):
        extension = path.suffix.lower()
        if extension not in (*EXTENSIONS, *DOCUMENTS):
            others.append(path)
        elif extension in EXTENSIONS and path.parent == folder:
            found[stem(path.name)] = path
        elif extension in EXTENSIONS:
            raise KwsError(f"{path} lies too deep in {folder} to be used; {_IMPORT}")
    if others and not holds_folders:
        numbers = f"{len(others):,}, such as {others[0].name}"
        told = f"{folder} has files that are no recordings by their names ({numbers})"
        if not found:
            raise KwsError(f"{told}; {_IMPORT}, or move the folder away")
        note(told)
    return sorted(found.values())
