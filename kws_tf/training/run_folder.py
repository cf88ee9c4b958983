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

from kws_tf.data.labels import class_names
from kws_tf.errors import KwsError
from kws_tf.files import folder_digest, write_bytes, write_json
from kws_tf.frontend.config import FrontEnd
from kws_tf.settings import Augmentation, DataSettings, TrainSettings, as_json, from_json

_PACKAGES = ("tensorflow", "tf_keras", "tensorflow-model-optimization", "tensorflow-io", "numpy")


def read_json(path: Path):
    """Reads JSON.

    Raises:
        KwsError: If the file is missing or damaged.
    """
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise KwsError(
            f"{path} does not exist; give a folder that scripts/train.py has written"
        ) from error
    except (ValueError, OSError) as error:
        raise KwsError(f"{path} is damaged ({error}); train the run anew") from error


@dataclass(frozen=True)
class RunFolder:
    """The files of a run.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def settings_file(self) -> Path:
        """All settings, JSON."""
        return self.path / "settings.json"

    @property
    def front_end_file(self) -> Path:
        """The front end with its normalisation, JSON."""
        return self.path / "front_end.json"

    @property
    def history_file(self) -> Path:
        """A row an epoch, JSON."""
        return self.path / "history.json"

    @property
    def accuracy_file(self) -> Path:
        """Accuracies measured on this run's models, JSON."""
        return self.path / "accuracy.json"

    @property
    def model_file(self) -> Path:
        """The converted model."""
        return self.path / "model.tflite"

    def weights_file(self, phase: str) -> Path:
        """Best weights of a phase, ``float`` or ``quantized``, HDF5."""
        return self.path / f"{phase}.weights.h5"

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Makes the folder, and keeps other processes from training into it meanwhile.

        A folder in which nothing was left is removed again.

        Raises:
            KwsError: If the folder cannot be made, or another process trains into it.
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
        write_json(self.settings_file, settings | data_place)

    def holds(
        self, train: TrainSettings, data: DataSettings, augmentation: Augmentation, source: Path
    ) -> bool:
        """Tells whether the run has these settings; one that it did not save has its default.

        A data folder that has moved is recognised by the names and sizes of its files, other runs
        by their names, and their new places noted.
        """
        saved = (by_name(self.train_settings()), self.data_settings(), self.augmentation())
        if saved != (by_name(train), data, augmentation):
            return False
        settings = read_json(self.settings_file)
        if self.data_dir() != Path(source) and settings.get("data_digest") != folder_digest(source):
            return False
        if self.data_dir() != Path(source) or self.train_settings() != train:
            places = {"data_dir": str(source), "train": as_json(train)}
            write_json(self.settings_file, settings | places)
        return True

    def _setting(self, name: str, kind: type):
        settings = read_json(self.settings_file)
        value = settings.get(name) if isinstance(settings, dict) else None
        if not isinstance(value, kind):
            raise KwsError(
                f"{self.settings_file} is damaged (it has no '{name}'); train the run anew"
            )
        return value

    def train_settings(self) -> TrainSettings:
        """Returns the model's and training's settings."""
        return from_json(TrainSettings, self._setting("train", dict))

    def data_settings(self) -> DataSettings:
        """Returns the task's settings."""
        return from_json(DataSettings, self._setting("data", dict))

    def augmentation(self) -> Augmentation:
        """Returns what was done to training clips."""
        return from_json(Augmentation, self._setting("augmentation", dict))

    def data_dir(self) -> Path:
        """Returns the folder that the run was trained from."""
        return Path(self._setting("data_dir", str))

    def front_end(self) -> FrontEnd:
        """Returns the front end with its normalisation."""
        return FrontEnd.from_json(read_json(self.front_end_file))

    def labels(self) -> tuple[str, ...]:
        """Returns the class names in the order of the model's outputs."""
        return class_names(self.data_settings().words)

    def load_model(self, phase: str = "quantized"):
        """Loads the float or the quantized Keras model with its best weights.

        Raises:
            KwsError: If the run is unfinished or the weights are of another shape.
        """
        settings, front_end = self.train_settings(), self.front_end()
        model = build_model(settings, front_end, len(self.labels()), phase)
        path = self.weights_file(phase)
        if not path.exists():
            raise KwsError(
                f"{self.path} has no {phase} weights yet; let scripts/train.py finish "
                f"(the same command resumes), or train with --{phase}-epochs above 0"
            )
        return load_weights(model, path)


def by_name(train: TrainSettings) -> TrainSettings:
    """Returns settings that name other runs without saying where they lie."""
    return replace(
        train,
        teacher=tuple(Path(path).name for path in train.teacher),
        warm_up_run=Path(train.warm_up_run).name,
        start_from=Path(train.start_from).name,
    )


def build_model(
    settings: TrainSettings,
    front_end: FrontEnd,
    classes: int,
    phase: str,
    dtype: str = "float32",
):
    """Builds the ``float`` or the ``quantized`` spotter of these settings."""
    from kws_tf.model import spotter, teacher

    if settings.network == "teacher":
        return teacher.build_teacher(front_end.frames, front_end.features, classes)
    shape = (front_end.frames, front_end.features, settings.hidden, classes)
    if phase == "float":
        return spotter.build_float(*shape, settings.product_dtype, settings.dropout)
    bits = {}
    if settings.profile == "tflite":
        bits = {
            "input_bits": settings.input_bits,
            "hidden_bits": settings.hidden_bits,
            "learned_step": settings.learned_step,
        }
    return spotter.build_quantized(
        *shape,
        settings.profile,
        settings.pact,
        settings.weight_bits,
        settings.clip_l2,
        settings.runtime,
        settings.overflow_penalty,
        dtype,
        settings.product_dtype,
        **bits,
    )


def save_weights(model, path: Path) -> None:
    """Saves a model's weights as HDF5 at once: the old file stays until the new one is whole.

    Raises:
        OSError: If the disk is full.
    """
    temporary = path.with_name(f"part.{path.name}")  # Keras goes by the end of the name
    try:
        # On a full disk HDF5 takes the whole process down, so try with plain zeros first.
        temporary.write_bytes(bytes(8 * model.count_params() + 2**18))
        model.save_weights(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load_weights(model, path: Path):
    """Loads HDF5 weights into a model.

    Raises:
        KwsError: If the file is damaged or of a model of another shape.
    """
    try:
        model.load_weights(path)
    except (ValueError, OSError, KeyError) as error:
        reason = str(error).splitlines()[0][:200]
        raise KwsError(
            f"the weights {path} do not fit the model that settings.json describes ({reason}); "
            "use the folder as training wrote it"
        ) from error
    return model


def open_run(path: Path) -> RunFolder:
    """Returns an existing run folder.

    Raises:
        KwsError: If there is no run.
    """
    run = RunFolder(Path(path))
    if not run.settings_file.exists():
        raise KwsError(
            f"{path} is not a run folder (it has no settings.json); "
            "give a folder that scripts/train.py has written"
        )
    return run


def git_revision() -> str:
    """Returns the revision of the checkout, ``-dirty`` appended, or ``unknown``."""
    root = Path(__file__).resolve().parents[2]
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
