"""Recordings to listen to: those in folders, however deep, but for those that hold a keyword."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kws_tf.audio import folders
from kws_tf.audio.reader import EXTENSIONS, AudioFile
from kws_tf.errors import KwsError
from kws_tf.progress import note

_UNKNOWN_FRAMES = 2**40  # no file is as long; encoders state more that write to a pipe


@dataclass(frozen=True)
class Recordings:
    """Recordings to listen to, and what was left out."""

    paths: dict[str, Path]  # by name: folder and path in it, no two alike
    left_out: dict[str, str] = field(default_factory=dict)  # by name: the words in question
    left_out_seconds: float = 0.0
    without_text: int = 0  # recordings that the transcripts do not have

    @property
    def text(self) -> str:
        """Says in a line how many there are and why not all."""
        total = len(self.paths) + len(self.left_out)
        parts = [f"{len(self.paths):,} of {total:,} recordings"]
        if self.left_out:
            parts.append(
                f"{len(self.left_out):,} of {self.left_out_seconds / 60:.1f} minutes left out, as "
                "they hold a keyword or what sounds the same"
            )
        if self.without_text:
            parts.append(f"{self.without_text:,} without a transcript")
        return "; ".join(parts)

    def to_json(self) -> dict:
        """Returns a JSON-ready dictionary."""
        return {
            "recordings": len(self.paths),
            "of": len(self.paths) + len(self.left_out),
            "left_out": self.left_out,
            "left_out_seconds": self.left_out_seconds,
            "without_transcript": self.without_text,
        }


def find(places: Sequence[Path], holding: Mapping[str, str] | None = None, texts=()) -> Recordings:
    """Lists the recordings in folders, and files given by themselves.

    Files of other kinds by their names are told on stderr.

    Args:
        places: Folders and files.
        holding: Names of recordings to leave out, without folder and ending, each with the words
            in question; see ``transcripts.keywords_in``.
        texts: Names that have a transcript, likewise.

    Raises:
        KwsError: A place does not exist, or nothing is left to listen to.
    """
    paths, left_out = {}, {}
    named: dict[str, Path] = {}
    for place in map(Path, places):
        for name, path in _in_place(place):
            name = _unlike(name, path, named)
            named[name] = path.resolve()
            words = (holding or {}).get(folders.stem(path.name))
            (paths if words is None else left_out)[name] = path if words is None else words, path
    if not paths:
        raise KwsError(
            f"all recordings in {', '.join(map(str, places))} are left out by the transcripts; "
            "give others"
        )
    kept = {name: path for name, (path, _) in paths.items()}
    missing = [p for p in kept.values() if folders.stem(p.name) not in texts] if texts else []
    if texts and len(missing) == len(kept) and not left_out:
        raise KwsError(
            f"the transcripts name none of the recordings in {', '.join(map(str, places))}, such "
            f"as {folders.stem(missing[0].name)}; give those of these recordings"
        )
    seconds = sum(stated_seconds(path) for _, path in left_out.values())
    words = {name: words for name, (words, _) in left_out.items()}
    return Recordings(kept, words, seconds, len(missing))


def _unlike(name: str, path: Path, named: Mapping[str, Path]) -> str:
    """Returns a name that no other recording has: with more of the folders above, if need be."""
    path, count = path.resolve(), name.count("/") + 1
    while named.get(name, path) != path:
        count += 1
        name = "/".join(path.parts[-count:])
    return name


def _in_place(place: Path) -> list[tuple[str, Path]]:
    """Returns names and paths of the recordings in a folder, or of one file."""
    if place.is_file():
        return [(place.name, place)]
    if not place.is_dir():
        raise KwsError(f"the folder {place} does not exist; give an existing one")
    files = list(folders.visible_files(place))
    found = [path for path in files if path.suffix.lower() in EXTENSIONS]
    known = (*EXTENSIONS, *folders.DOCUMENTS)
    others = [path for path in files if path.suffix.lower() not in known]
    if not found:
        raise KwsError(f"the folder {place} has no recordings; give one that has")
    if others:
        told = f"{len(others):,}, such as {others[0].name}"
        note(f"{place} has files that are no recordings by their names ({told})")
    top = place.resolve().name
    return [(f"{top}/{path.relative_to(place).as_posix()}", path) for path in found]


def stated_seconds(path: Path) -> float:
    """Returns the length that a recording's header states, 0 where it states none.

    Raises:
        KwsError: It cannot be read.
    """
    with AudioFile(path) as file:
        return file.frames / file.samplerate if file.frames < _UNKNOWN_FRAMES else 0.0
