"""Runs experiments, several at a time, each on a core of its own; what is done is skipped."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from plan import COMMITTED, RESULT, SECTIONS, Experiment

from kws_tf.errors import KwsError
from kws_tf.files import write_json
from kws_tf.settings import OtherRecordings, as_json


def run_all(experiments: list[Experiment], root: Path, command: list[str], jobs: int) -> None:
    """Runs what is not done yet, each in a process of its own.

    A killed run resumes at its last epoch. After one that fails the others go on, but for those
    that need it.

    Args:
        experiments: In the order to run them, each after what it needs.
        root: Folder of the run folders.
        command: Starts one experiment; its name is appended.
        jobs: Experiments at a time; with more than one, each is bound to one core.

    Raises:
        KwsError: If an experiment fails, or one that is done had other settings than planned.
    """
    root.mkdir(parents=True, exist_ok=True)
    waiting = [e for e in experiments if not e.result(root / e.name / RESULT)]
    done = len(experiments) - len(waiting)
    print(f"{done} of {len(experiments)} experiments are done", flush=True)
    cores = sorted(os.sched_getaffinity(0))
    running: dict[int, tuple[str, subprocess.Popen, float]] = {}
    failed: list[str] = []
    # A kill takes the experiments along; they would go on alone.
    earlier = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        while True:
            for slot in set(range(jobs)) - running.keys():
                undone = {*failed, *(e.name for e in waiting), *(n for n, *_ in running.values())}
                experiment = next((e for e in waiting if not undone & {*e.needs}), None)
                if experiment:
                    waiting.remove(experiment)
                    process = _start(experiment.name, root, command)
                    if jobs > 1:
                        os.sched_setaffinity(process.pid, {cores[slot % len(cores)]})
                    running[slot] = (experiment.name, process, time.monotonic())
            if not running:
                break
            time.sleep(0.2)
            for slot, (name, process, start) in list(running.items()):
                if process.poll() is not None:
                    del running[slot]
                    failed += [name] * bool(process.returncode)
                    end = "failed" if process.returncode else "done"
                    minutes = (time.monotonic() - start) / 60
                    print(f"{name}: {end} after {minutes:.1f} minutes", flush=True)
    finally:
        for _, process, _ in running.values():
            process.terminate()
        signal.signal(signal.SIGTERM, earlier)
    if failed:
        raise KwsError(
            f"{', '.join(failed)} failed; {root / (failed[0] + '.log')} says why; "
            "the same command goes on when that is mended"
        )


def _start(name: str, root: Path, command: list[str]) -> subprocess.Popen:
    print(f"{name}: begun", flush=True)
    with (root / f"{name}.log").open("ab") as log:
        return subprocess.Popen([*command, name], stdout=log, stderr=log)


def run_one(
    experiment: Experiment, data_dir: Path, test_dir: Path, root: Path, others: OtherRecordings
) -> None:
    """Trains an experiment, converts and measures it, and writes its ``result.json``.

    Args:
        experiment: What to do.
        data_dir: Records or audio.
        test_dir: The test set.
        root: Folder of the run folders.
        others: What an experiment that ``listens`` learns against.

    Raises:
        KwsError: If the data are not usable, what it needs is not done, or the folder holds a run
            with other settings.
    """
    from kws_tf.data import locate
    from kws_tf.run_folder import quality
    from kws_tf.training import loop

    train = dataclasses.replace(
        experiment.train,
        teacher=tuple(_run(name, root) for name in experiment.train.teacher),
        pretraining_run=_run(experiment.train.pretraining_run, root),
        start_from=_run(experiment.train.start_from, root),
    )
    if experiment.listens and not others.negatives:
        raise KwsError(f"{experiment.name} learns against other speech; give --negatives some")
    source = locate.training_data(data_dir, False, experiment.data).folder
    task = train, experiment.data, experiment.augmentation
    used = others if experiment.listens else OtherRecordings()
    run = loop.train(root / experiment.name, source, *task, others=used)
    history, result = run.history(), {"seed": train.seed}
    result["minutes"] = sum(row["seconds"] for row in history) / 60
    result["validation"] = {
        phase: max((row for row in history if row["phase"] == phase), key=quality)["val_accuracy"]
        for phase in dict.fromkeys(row["phase"] for row in history)
    }
    if experiment.runtimes:
        result |= _measure(run, test_dir, experiment.runtimes)
    result["settings"] = {name: as_json(getattr(experiment, name)) for name in SECTIONS}
    write_json(run.path / RESULT, result)


def _run(name: str, root: Path) -> str:
    """Returns the folder of a finished experiment, if need be a committed one."""
    folders = [folder / name for folder in (root, *COMMITTED) if (folder / name / RESULT).exists()]
    if name and not folders:
        raise KwsError(f"{name} is needed and not done; run experiments/run.py {name} first")
    return str(folders[0]) if name else ""


def _measure(run, test_dir: Path, runtimes: tuple[str, ...]) -> dict:
    from kws_tf.evaluation.summary import convert_and_measure

    found = {e.key: e for _, e in convert_and_measure(run, test_dir, runtimes).rows}
    result = {"n": next(iter(found.values())).metrics.total}
    result["correct"] = {key: evaluation.metrics.correct for key, evaluation in found.items()}
    if "tflm" in found:
        sizes = found["tflm"].details
        result |= {"bytes": sizes["bytes"], "arena_bytes": sizes["arena_bytes"]["total"]}
        result["sha256"] = sizes["sha256"]
    return result
