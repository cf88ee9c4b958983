"""A run folder: everything a training run leaves, and how to load it."""

import fcntl
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from kws_tf.errors import KwsError
from kws_tf.files import folder_digest, write_bytes, write_json
from kws_tf.frontend.config import FrontEnd
from kws_tf.labels import class_names
from kws_tf.settings import (
    Augmentation,
    DataSettings,
    OtherRecordings,
    TrainSettings,
    as_json,
    from_json,
    retired_changes,
)

_PACKAGES = ("tensorflow", "tf_keras", "tensorflow-model-optimization", "tensorflow-io", "numpy")
_ROW = {"phase", "epoch", "seconds", "val_accuracy"}
"""Keys that every row of a history has."""
FOUND = "val_found"
"""Key of a row: words found in validation streams; of runs that have negatives."""
_OF_0_1 = {"clips": "examples"}
"""Keys of a row of the history as version 0.1 wrote them."""


def read_json(path: Path):
    """Reads JSON; a KwsError if the file is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise KwsError(
            f"{path} does not exist; give a folder that kws-tf train has written"
        ) from error
    except (ValueError, OSError) as error:
        raise KwsError(f"{path} is damaged ({error}); train the run anew") from error


_NONE = OtherRecordings()


def _digest(others: OtherRecordings) -> dict[str, list[str]]:
    """Returns what changes with the recordings, wherever they lie, by their kind."""
    return {
        kind: [folder_digest(Path(place)) for place in places]
        for kind, places in as_json(others).items()
    }


def _file(name: str, content: str) -> property:
    return property(lambda run: run.path / name, doc=content)


@dataclass(frozen=True)
class RunFolder:
    """The files of a run."""

    path: Path

    settings_file = _file("settings.json", "All settings, JSON.")
    front_end_file = _file("front_end.json", "The front end with its normalisation, JSON.")
    history_file = _file("history.json", "A row per epoch, JSON.")
    accuracy_file = _file("accuracy.json", "Accuracies measured on this run's models, JSON.")
    model_file = _file("model.tflite", "The converted model.")
    soak_file = _file("soak.json", "False alarms and words found when it was left listening, JSON.")

    def weights_file(self, phase: str) -> Path:
        """Best weights of a phase, ``float`` or ``quantized``, HDF5."""
        return self.path / f"{phase}.weights.h5"

    def check_writable(self) -> None:
        """Refuses a folder that cannot be made or written, before work is done for it."""
        with self.exclusive():
            pass

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Makes the folder, and keeps other processes from training into it meanwhile.

        A folder in which nothing was left is removed again.
        """
        lock = self.path / ".lock"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(lock, os.O_CREAT | os.O_RDWR)
        except OSError as error:
            raise KwsError(
                f"cannot make the run folder {self.path} ({error.strerror}); give another --run-dir"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise KwsError(
                f"another process trains into {self.path}; wait for its end, or give another "
                "--run-dir"
            ) from error
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)
            os.close(descriptor)
            with suppress(OSError):  # there is something in it
                self.path.rmdir()

    def start(
        self,
        train: TrainSettings,
        data: DataSettings,
        augmentation: Augmentation,
        source: Path,
        front_end: FrontEnd,
        others: OtherRecordings = _NONE,
    ) -> None:
        """Writes settings, front end, label list, versions and git revision of a new run."""
        self.path.mkdir(parents=True, exist_ok=True)
        labels = "\n".join(class_names(data.words)) + "\n"
        write_bytes(self.path / "labels.txt", labels.encode())
        write_json(self.front_end_file, front_end.to_json())
        write_json(
            self.path / "environment.json",
            {
                "command": shlex.join(sys.argv),
                "git_revision": git_revision(),
                "python": platform.python_version(),
                "packages": {name: _version(name) for name in _PACKAGES},
                "cpus": os.cpu_count(),
            },
        )
        # Last, for its presence means that a run has begun here.
        sections = {"train": train, "data": data, "augmentation": augmentation}
        settings = {name: as_json(section) for name, section in sections.items()}
        data_place = {"data_dir": str(source), "data_digest": folder_digest(source)}
        data_place |= {"other_recordings": as_json(others), "other_digest": _digest(others)}
        write_json(self.settings_file, settings | data_place)

    def holds(
        self,
        train: TrainSettings,
        data: DataSettings,
        augmentation: Augmentation,
        source: Path,
        others: OtherRecordings = _NONE,
    ) -> bool:
        """Returns whether the run has these settings; one that it did not save has its default.

        A data folder or other recordings that have moved are recognised by the names and sizes of
        their files, other runs by their names, and their new places noted.
        """
        saved = (by_name(self.train_settings()), self.data_settings(), self.augmentation())
        if saved != (by_name(train), data, augmentation):
            return False
        settings = read_json(self.settings_file)
        for section in ("train", "data", "augmentation"):
            changes = retired_changes(settings[section])
            if changes:
                raise KwsError(
                    f"{self.path} was begun by version 0.1 with settings that there are no more "
                    f"({', '.join(changes)}); train into another --run-dir"
                )
        if self.data_dir() != Path(source) and settings.get("data_digest") != folder_digest(source):
            return False
        if not self.has_recordings(others):
            return False
        moved = self.data_dir() != Path(source) or self.other_recordings() != others
        if moved or self.train_settings() != train:
            places = {"data_dir": str(source), "train": as_json(train)}
            places |= {"other_recordings": as_json(others)}
            write_json(self.settings_file, settings | places)
        return True

    def has_recordings(self, others: OtherRecordings) -> bool:
        """Returns whether the run has these other recordings, wherever they lie."""
        # Runs of version 0.1 had none.
        saved = read_json(self.settings_file).get("other_digest", _digest(_NONE))
        return saved == _digest(others)

    def _setting(self, name: str, kind: type):
        settings = read_json(self.settings_file)
        value = settings.get(name) if isinstance(settings, dict) else None
        if not isinstance(value, kind):
            raise KwsError(
                f"{self.settings_file} is damaged (it has no '{name}'); train the run anew"
            )
        return value

    def _section(self, name: str, settings_class: type):
        values = self._setting(name, dict)
        try:
            return from_json(settings_class, values)
        except KwsError as error:
            raise KwsError(f"{self.settings_file} cannot be used: {error}") from error

    def train_settings(self) -> TrainSettings:
        """Returns the model's and training's settings."""
        return self._section("train", TrainSettings)

    def data_settings(self) -> DataSettings:
        """Returns the task's settings."""
        return self._section("data", DataSettings)

    def augmentation(self) -> Augmentation:
        """Returns what was done to training examples."""
        return self._section("augmentation", Augmentation)

    def data_dir(self) -> Path:
        """Returns the folder that the run was trained from."""
        return Path(self._setting("data_dir", str))

    def other_recordings(self) -> OtherRecordings:
        """Returns the recordings without keywords that it was trained with, if there were any."""
        saved = read_json(self.settings_file)
        if isinstance(saved, dict) and "other_recordings" not in saved:  # as of version 0.1
            return _NONE
        return self._section("other_recordings", OtherRecordings)

    def front_end(self) -> FrontEnd:
        """Returns the front end with its normalisation."""
        return FrontEnd.from_json(read_json(self.front_end_file), str(self.front_end_file))

    def labels(self) -> tuple[str, ...]:
        """Returns the class names in the order of the model's outputs."""
        return class_names(self.data_settings().words)

    def history(self) -> list[dict]:
        """Returns the history, a row per epoch; rows of version 0.1 in today's words."""
        rows = read_json(self.history_file)
        if not isinstance(rows, list) or not all(
            isinstance(row, dict) and row.keys() >= _ROW for row in rows
        ):
            raise KwsError(
                f"{self.history_file} is damaged (no list of rows per epoch); train the run anew"
            )
        return [{_OF_0_1.get(key, key): value for key, value in row.items()} for row in rows]

    def accuracies(self) -> dict[str, dict]:
        """Returns what was measured, by evaluation; nothing if nothing was."""
        if not self.accuracy_file.exists():
            return {}
        entries = None
        with suppress(KwsError):
            entries = read_json(self.accuracy_file)
        if not isinstance(entries, dict) or not all(isinstance(e, dict) for e in entries.values()):
            raise KwsError(
                f"{self.accuracy_file} is damaged (no table of accuracies); delete it and measure "
                "again"
            )
        return {key.replace("micro", "tflm"): value for key, value in entries.items()}

    def load_model(self, phase: str = "quantized"):
        """Loads the float or the quantized Keras model with its best weights."""
        from kws_tf.models.building import build_model, load_weights

        settings, front_end = self.train_settings(), self.front_end()
        model = build_model(settings, front_end, len(self.labels()), phase)
        path = self.weights_file(phase)
        if not path.exists():
            raise KwsError(
                f"{self.path} has no {phase} weights yet; let kws-tf train finish "
                f"(the same command resumes), or train with --{phase}-epochs above 0"
            )
        return load_weights(model, path)


def quality(row: dict) -> tuple[float, float]:
    """Returns what the best epoch of a phase has most of, from its row of the history.

    Words found at few false alarms, where there are streams to find them in, then accuracy.
    """
    return row.get(FOUND, 0.0), row["val_accuracy"]


def by_name(train: TrainSettings) -> TrainSettings:
    """Returns settings that name other runs without saying where they lie."""
    return replace(
        train,
        teacher=tuple(Path(path).name for path in train.teacher),
        pretraining_run=Path(train.pretraining_run).name,
        start_from=Path(train.start_from).name,
    )


def open_run(path: Path) -> RunFolder:
    """Returns an existing run folder; a KwsError if there is no run."""
    run = RunFolder(Path(path))
    if not run.settings_file.exists():
        raise KwsError(
            f"{path} is not a run folder (it has no settings.json); "
            "give a folder that kws-tf train has written"
        )
    return run


def git_revision() -> str:
    """Returns the revision of the checkout, ``-dirty`` appended, or ``unknown``."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():  # installed, perhaps below another project's checkout
        return "unknown"
    try:
        return subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # such as tensorflow-cpu in the place of tensorflow
        return None
