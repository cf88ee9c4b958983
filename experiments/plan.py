"""The experiments that tables are made of, read from plans/*.toml. Imports no TensorFlow.

A file is a plan. Its top gives what its rows share: a preset, changes of settings, the runtimes
that measure a finished model, and ``each``: a row is repeated for every combination of these
values, which replace ``{KEY}`` in its texts. A row may give the same, and goes before its plan.
"""

import itertools
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from kws_tf import presets
from kws_tf.errors import KwsError
from kws_tf.run_folder import read_json
from kws_tf.settings import Augmentation, DataSettings, TrainSettings, from_json, retired_changes

ROOT = Path(__file__).resolve().parents[1]
COMMITTED = (presets.PRETRAINED, ROOT / "tflite_models" / "checkpoints")
"""Where the repository has finished runs."""
RESULT = "result.json"
SECTIONS = {"train": TrainSettings, "data": DataSettings, "augmentation": Augmentation}
_FIELDS = {entry.name for kind in SECTIONS.values() for entry in fields(kind)}


@dataclass(frozen=True)
class Experiment:
    """A run and what is measured of it.

    Attributes:
        plan: Name of its file.
        name: Of its run folder.
        title: Its row in a table; empty if others need it and it is in none.
        column: Its column, in a table that has one per method.
        train: Model and training; ``teacher``, ``pretraining_run`` and ``start_from`` name other
            experiments.
        data: The task.
        augmentation: What is done to training examples.
        runtimes: What measures it on the test set, of ``evaluation.summary.RUNTIMES``.
        listens: Whether it learns against negatives and noise.
    """

    plan: str
    name: str
    title: str
    column: str
    train: TrainSettings
    data: DataSettings
    augmentation: Augmentation
    runtimes: tuple[str, ...]
    listens: bool = False

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the experiments that have to be done before."""
        train = self.train
        return (*train.teacher, *filter(None, [train.pretraining_run, train.start_from]))

    def is_as_planned(self, saved: dict) -> bool:
        """Tells whether saved settings, as JSON, are this experiment's."""
        return all(
            from_json(kind, saved[name]) == getattr(self, name) and not retired_changes(saved[name])
            for name, kind in SECTIONS.items()
        )

    def result(self, path: Path) -> dict | None:
        """Reads this experiment's result; there is none without the file.

        Raises:
            KwsError: If it is damaged, or that of other settings: the plan has changed since.
        """
        found = read_json(path) if path.exists() else None
        if found and "settings" in found and not self.is_as_planned(found["settings"]):
            raise KwsError(
                f"{path} is the result of other settings than the plan now has; move it away, and "
                f"run experiments/run.py {self.name} anew"
            )
        return found


def experiments() -> dict[str, Experiment]:
    """Returns all experiments by name, a plan after the other.

    Raises:
        KwsError: If a row changes what is no setting.
    """
    paths = sorted((ROOT / "experiments" / "plans").glob("*.toml"))
    return {experiment.name: experiment for path in paths for experiment in _read(path)}


def _read(path: Path) -> Iterator[Experiment]:
    shared = tomllib.loads(path.read_text(encoding="utf-8"))
    for row in shared.pop("rows"):
        changes = shared.get("changes", {}) | row.get("changes", {})
        row = {"title": "", "column": "", "each": {}, "listens": False} | shared | row
        if unknown := changes.keys() - _FIELDS:
            raise KwsError(
                f"{path} changes {', '.join(sorted(unknown))}, which is no setting; "
                "name a field of kws_tf/settings.py"
            )
        for values in itertools.product(*row["each"].values()):
            of_row = dict(zip(row["each"], values, strict=True))
            filled = {name: _filled(value, of_row) for name, value in changes.items()}
            settings = [
                presets.settings(kind, row["preset"], **presets.of_class(kind, filled))
                for kind in SECTIONS.values()
            ]
            words = [row[key].format(**of_row) for key in ("name", "title", "column")]
            runtimes, listens = tuple(row["runtimes"]), row["listens"]
            yield Experiment(path.stem, *words, *settings, runtimes, listens)


def _filled(value, of_row: dict):
    """Returns a changed setting; ``"{KEY}"`` alone stands for the value itself, not its text."""
    if isinstance(value, str):
        return of_row[value[1:-1]] if value[1:-1] in of_row else value.format(**of_row)
    return tuple(value) if isinstance(value, list) else value


def chosen(names: list[str]) -> list[Experiment]:
    """Returns the experiments of these names or plans and what they need, in the order to run.

    What is needed and committed is used as it is, unless it is named as well.

    Raises:
        KwsError: If there is no such experiment or plan.
    """
    every = experiments()
    if unknown := set(names) - every.keys() - {e.plan for e in every.values()}:
        raise KwsError(f"there is no experiment or plan '{min(unknown)}'; --list shows them")
    wanted = [name for name, e in every.items() if name in names or e.plan in names]
    found: dict[str, Experiment] = {}

    def add(name: str) -> None:
        for need in every[name].needs:
            if need in wanted or not any((folder / need).exists() for folder in COMMITTED):
                add(need)
        found[name] = every[name]

    for name in wanted:
        add(name)
    return list(found.values())
