"""Runs experiments, several at a time, each on a core of its own; what is done is skipped."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from experiments.plan import Experiment
from kws_tf.errors import KwsError
from kws_tf.files import write_json
from kws_tf.run_folder import by_name, read_json
from kws_tf.settings import Augmentation, DataSettings, TrainSettings, as_json, from_json

RESULT = "result.json"
_SECTIONS = {"train": TrainSettings, "data": DataSettings, "augmentation": Augmentation}
_FORMS = {
    "keras-float": "float",
    "keras-quantized": "fake_quant",
    "tflite": "tflite",
    "tflm": "tflm",
}
"""Evaluations by what a result calls them."""


def run_all(experiments: list[Experiment], root: Path, command: list[str], jobs: int) -> None:
    """Runs what is not done yet, each in a process of its own.

    A killed run resumes at its last epoch. After one that fails the others go on, but for those
    that need it.

    Args:
        experiments: In the order to run them; each after what it needs.
        root: Folder of the run folders.
        command: Starts one experiment; its name is appended.
        jobs: Experiments at a time; with more than one, each is bound to one core.

    Raises:
        KwsError: If an experiment fails, or one that is done had other settings than planned.
    """
    root.mkdir(parents=True, exist_ok=True)
    waiting = [e for e in experiments if not is_done(e, root)]
    print(
        f"{len(experiments) - len(waiting)} of {len(experiments)} experiments are done", flush=True
    )
    running: dict[int, tuple[Experiment, subprocess.Popen, float]] = {}
    failed: list[str] = []
    # A kill takes the experiments along; they would go on alone.
    earlier = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        while running or waiting:
            for slot in range(jobs):
                ready = (e for e in waiting if _ready(e, root))
                if slot not in running and (experiment := next(ready, None)):
                    waiting.remove(experiment)
                    running[slot] = (experiment, *_start(experiment, root, command, slot, jobs))
            if not running:
                if failed:
                    break
                raise KwsError(
                    f"{waiting[0].name} needs {', '.join(waiting[0].needs)}, which is not done; "
                    "run without --only"
                )
            time.sleep(0.5)
            for slot, (experiment, process, start) in list(running.items()):
                if process.poll() is None:
                    continue
                del running[slot]
                minutes = (time.monotonic() - start) / 60
                if process.returncode:
                    failed.append(experiment.name)
                print(
                    f"{experiment.name}: {'failed' if process.returncode else 'done'} "
                    f"after {minutes:.1f} minutes",
                    flush=True,
                )
    finally:
        for _, process, _ in running.values():
            process.terminate()
        signal.signal(signal.SIGTERM, earlier)
    if failed:
        raise KwsError(
            f"{', '.join(failed)} failed; {root / (failed[0] + '.log')} says why; "
            "the same command goes on when that is mended"
        )


def is_done(experiment: Experiment, root: Path) -> bool:
    """Tells whether an experiment has its result.

    Raises:
        KwsError: If the result is that of other settings: the plan has changed since.
    """
    if not (root / experiment.name / RESULT).exists():
        return False
    saved = root / experiment.name / "settings.json"
    if saved.exists() and not is_as_planned(experiment, read_json(saved)):
        raise KwsError(
            f"{saved.parent} is the result of other settings than the plan now has; move it away "
            "to run it anew, and what was made of it"
        )
    return True


def is_as_planned(experiment: Experiment, saved: dict) -> bool:
    """Tells whether saved settings are an experiment's; one that was not saved has its default."""
    return settings_of(saved) == planned_settings(experiment)


def planned_settings(experiment: Experiment) -> dict[str, dict]:
    """Returns all settings of an experiment, as ``settings_of`` does those of a run."""
    return settings_of({name: as_json(getattr(experiment, name)) for name in _SECTIONS})


def settings_of(saved: dict) -> dict[str, dict]:
    """Returns all settings of a run's ``settings.json``, without places of other runs and data."""
    sections = {name: from_json(kind, saved.get(name, {})) for name, kind in _SECTIONS.items()}
    sections["train"] = by_name(sections["train"])
    return {name: as_json(section) for name, section in sections.items()}


def _ready(experiment: Experiment, root: Path) -> bool:
    return all((root / name / RESULT).exists() for name in experiment.needs)


def _start(experiment: Experiment, root: Path, command, slot: int, jobs: int):
    print(f"{experiment.name}: {experiment.row}, seed {experiment.train.seed}", flush=True)
    bind = None
    if jobs > 1 and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))

        def bind():
            os.sched_setaffinity(0, {cores[slot % len(cores)]})

    with open(root / f"{experiment.name}.log", "ab") as log:
        process = subprocess.Popen(
            [*command, experiment.name], stdout=log, stderr=log, preexec_fn=bind
        )
    return process, time.monotonic()


def run_one(experiment: Experiment, data_dir: Path, test_dir: Path, root: Path) -> None:
    """Trains an experiment, converts and measures it, and writes its ``result.json``.

    Args:
        experiment: What to do.
        data_dir: Records or audio; what experiments of synthesised speech are judged on.
        test_dir: The test set.
        root: Folder of the run folders.

    Raises:
        KwsError: If the data are not usable, or the folder holds a run with other settings.
    """
    from kws_tf.data import locate
    from kws_tf.synthesis import dataset
    from kws_tf.training import loop

    if experiment.speech:
        place = locate.ROOT / f"synthetic-{experiment.speech.digest}"
        source = dataset.make_dataset(place, experiment.speech) / dataset.SPEECH_FOLDER
    else:
        source = locate.training_data(data_dir, False, experiment.data).folder

    train = experiment.train

    def place(name):
        return str(root / name) if name else ""

    settings = dataclasses.replace(
        train,
        teacher=tuple(map(place, train.teacher)),
        pretraining_run=place(train.pretraining_run),
        start_from=place(train.start_from),
    )
    run = loop.train(
        root / experiment.name,
        source,
        settings,
        experiment.data,
        experiment.augmentation,
        verbose=2,
    )
    result = {
        "group": experiment.group,
        "row": experiment.row,
        "seed": experiment.train.seed,
        "command": f"python scripts/run_experiments.py --only {experiment.name}",
        "parameters": None,
    }
    result |= _training_of(run)
    if experiment.judged:
        result["real"] = _judge(run, data_dir)
    if experiment.runtimes:
        result |= _measure(run, test_dir, experiment.runtimes)
    write_json(run.path / RESULT, result)


def _training_of(run) -> dict:
    history = run.history()
    found: dict = {"minutes": sum(row["seconds"] for row in history) / 60, "validation": {}}
    for phase in ("float", "quantized"):
        rows = [row["val_accuracy"] for row in history if row["phase"] == phase]
        if rows:
            found["validation"][phase] = max(rows)
            found["parameters"] = run.load_model(phase).count_params()
    return found


def _judge(run, data_dir: Path) -> dict:
    """Counts what the Keras model gets right of the validation clips of real speech."""
    from kws_tf.evaluation import evaluate, labelled
    from kws_tf.settings import DataSettings

    # The clips depend on the shares of unknown and silent ones, so these are everyone's.
    task = DataSettings(words=run.data_settings().words)
    clips = labelled.from_records(data_dir, "validation", run.labels(), run.front_end(), task)
    phase = "quantized" if run.train_settings().quantized_epochs else "float"
    subject = evaluate.open_subject(run.path, "keras", phase)
    counted = evaluate.evaluate(subject, clips, "keras", phase=phase).metrics
    return {"n": counted.total, "correct": counted.correct}


def _measure(run, test_dir: Path, runtimes: tuple[str, ...]) -> dict:
    from kws_tf.evaluation.summary import convert_and_measure

    evaluations = {e.key: e for _, e in convert_and_measure(run, test_dir, runtimes).rows}
    correct = {_FORMS[key]: e.metrics.correct for key, e in evaluations.items()}
    found = {"n": next(iter(evaluations.values())).metrics.total, "correct": correct}
    if "tflm" in evaluations:
        details = evaluations["tflm"].details
        found |= {"bytes": details["bytes"], "arena_bytes": details["arena_bytes"]["total"]}
        found["sha256"] = details["sha256"]
    return found
