"""The plan of the experiments, running them, and the tables made of what came out."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest
from tiny_run import make_audio

from experiments import plan, runner, tables
from kws_tf.errors import KwsError
from kws_tf.settings import DataSettings, TrainSettings
from kws_tf.synthesis.dataset import SynthesisSettings
from kws_tf.training.loop import _PRETRAINING_SETTINGS


def test_every_need_is_planned_and_comes_before():
    seen = set()
    for name, experiment in plan.experiments().items():
        assert set(experiment.needs) <= seen
        assert name == experiment.name
        seen.add(name)


def test_every_group_has_experiments():
    assert {e.group for e in plan.experiments().values()} == set(plan.GROUPS)


@pytest.mark.parametrize(
    ("group", "kinds"),
    [("main", ("PACT", "fixed")), ("earlier", ("PACT, Adam", "fixed, Adam"))],
)
def test_the_main_table_is_complete(group, kinds):
    main = [e for e in plan.experiments().values() if e.group == group]
    assert {e.row for e in main} >= {
        f"{units} units, {kind}" for units in (118, 344) for kind in kinds
    }
    assert all(sum(e.row == row.row for e in main) == 3 for row in main)
    for experiment in main:
        assert experiment.train.pact == ("PACT" in experiment.row)
        assert str(experiment.train.hidden) in experiment.row


def test_a_warm_up_that_is_shared_is_the_same():
    every = plan.experiments()
    for experiment in every.values():
        if experiment.train.pretraining_run:
            other = every[experiment.train.pretraining_run]
            for name in _PRETRAINING_SETTINGS:
                assert getattr(experiment.train, name) == getattr(other.train, name), name
            assert (experiment.data, experiment.augmentation) == (other.data, other.augmentation)


def test_chosen_brings_what_is_needed():
    names = [e.name for e in plan.chosen((), ["344-fixed-1"])]
    assert names == ["teacher-0", "teacher-1", "344-pact-1", "344-fixed-1"]
    names = [e.name for e in plan.chosen((), ["344-long-fixed-1"])]
    assert names == [*plan.TEACHERS, "344-long-1", "344-long-fixed-1"]
    with pytest.raises(KwsError, match="no experiment 'none'"):
        plan.chosen((), ["none"])


WRITES = """
import json, pathlib, sys
folder = pathlib.Path(sys.argv[1]) / sys.argv[2]
folder.mkdir(exist_ok=True)
with open(folder.parent / "order", "a") as order:
    print(sys.argv[2], file=order)
if sys.argv[2] == "118-fixed-0":
    sys.exit(2)
(folder / "result.json").write_text("{}")
"""


def test_runs_in_order_skips_what_is_done_and_names_what_failed(tmp_path, capsys):
    command = [sys.executable, "-c", WRITES, str(tmp_path)]
    experiments = plan.chosen((), ["118-pact-0"])
    (tmp_path / "teacher-0").mkdir()
    (tmp_path / "teacher-0" / runner.RESULT).write_text("{}")
    runner.run_all(experiments, tmp_path, command, jobs=2)
    assert (tmp_path / "order").read_text().split() == ["teacher-1", "118-pact-0"]
    with pytest.raises(KwsError, match=r"118-fixed-0 failed; .*118-fixed-0\.log says why"):
        runner.run_all(plan.chosen((), ["118-fixed-0"]), tmp_path, command, jobs=1)
    runner.run_all(experiments, tmp_path, command, jobs=1)
    assert "3 of 3 experiments are done" in capsys.readouterr().out


def test_one_that_fails_stops_only_what_needs_it(tmp_path, capsys):
    command = [sys.executable, "-c", WRITES.replace("118-fixed-0", "118-pact-0"), str(tmp_path)]
    chosen = plan.chosen((), ["118-fixed-0", "344-pact-0"])
    with pytest.raises(KwsError, match="118-pact-0 failed"):
        runner.run_all(chosen, tmp_path, command, jobs=1)
    order = (tmp_path / "order").read_text().split()
    assert order == ["teacher-0", "teacher-1", "118-pact-0", "344-pact-0"]
    assert "118-fixed-0" not in capsys.readouterr().out


def test_a_result_of_another_plan_is_not_done(tmp_path):
    (experiment,) = plan.chosen((), ["teacher-0"])
    folder = tmp_path / "teacher-0"
    folder.mkdir()
    assert not runner.is_done(experiment, tmp_path)
    (folder / runner.RESULT).write_text("{}")
    assert runner.is_done(experiment, tmp_path)
    settings = runner.planned_settings(experiment)
    (folder / "settings.json").write_text(json.dumps(settings | {"data_dir": "elsewhere"}))
    assert runner.is_done(experiment, tmp_path)
    settings["train"]["float_epochs"] += 1
    (folder / "settings.json").write_text(json.dumps(settings))
    with pytest.raises(KwsError, match="other settings than the plan now has; move it away"):
        runner.is_done(experiment, tmp_path)


@pytest.mark.parametrize("name", [*plan.TEACHERS, plan.OTHER_WORDS_RUN, "118-pact-0", "344-long-0"])
def test_committed_runs_are_those_of_the_plan(name):
    checkpoints = pathlib.Path(__file__).parent.parent / "tflite_models" / "checkpoints"
    assert runner.is_done(plan.experiments()[name], checkpoints)


SLEEPS = """
import os, pathlib, sys, time
(pathlib.Path(sys.argv[1]) / "pid").write_text(str(os.getpid()))
time.sleep(60)
"""
RUNS = """
import pathlib, sys
from kws_tf.experiments import plan, runner
folder = pathlib.Path(sys.argv[1])
command = [sys.executable, "-c", sys.argv[2], str(folder)]
runner.run_all(plan.chosen((), ["teacher-0"]), folder, command, jobs=1)
"""


def test_a_kill_takes_the_experiments_along(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", RUNS, str(tmp_path), SLEEPS], text=True)
    pid_file = tmp_path / "pid"
    wait_for(lambda: pid_file.exists() and pid_file.read_text())
    process.terminate()
    assert process.wait(30) == 128 + signal.SIGTERM
    wait_for(lambda: not is_running(int(pid_file.read_text())))


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A container without an init process leaves orphans as zombies.
    status = pathlib.Path(f"/proc/{pid}/stat")
    return not (status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] == "Z")


def test_synthesised_speech_is_judged_on_recordings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    audio = make_audio(tmp_path / "audio")
    small = {"hidden": 4, "batch_size": 4, "float_epochs": 1, "quantized_epochs": 0}
    experiment = plan.Experiment(
        "transfer",
        "a row",
        "a-run",
        TrainSettings(**small),
        DataSettings(words=("up", "down"), unknown_share=0.5, silence_share=0.5),
        runtimes=(),
        speech=SynthesisSettings(("up", "down"), ("cat",), 8, 8, noise_seconds=1),
        judged=True,
    )
    runner.run_one(experiment, audio, None, tmp_path / "runs")
    result = json.loads((tmp_path / "runs" / "a-run" / runner.RESULT).read_text())
    # 4 validation recordings of each of two words, a tenth of that unknown and silent.
    assert result["real"]["n"] == 8 + 1 + 1
    assert 0 <= result["real"]["correct"] <= 10
    assert list(result["validation"]) == ["float"]
    assert (tmp_path / "data" / f"synthetic-{experiment.speech.digest}").is_dir()


def trial(row, seed, correct, group="main"):
    forms = dict.fromkeys(tables.FORMS, correct)
    return {
        "group": group,
        "row": row,
        "seed": seed,
        "n": 1000,
        "correct": forms,
        "validation": {"quantized": 0.9, "float": 0.9},
        "bytes": 80_000,
        "arena_bytes": 11_000,
        "parameters": 70_000,
        "minutes": 12.3,
        "command": "python",
    }


def results(pact, fixed):
    found = {f"p{i}": trial("118 units, PACT", i, n) for i, n in enumerate(pact)}
    return found | {f"f{i}": trial("118 units, fixed", i, n) for i, n in enumerate(fixed)}


def test_main_table_has_trials_and_means():
    table = tables.main_table(results((950, 960, 970), (940, 950, 930)))
    assert "| 118 units, PACT | `p1` | 960 (96.00 %)" in table
    assert "**mean of 3** | **96.00 %** ± 1.00" in table
    assert "**94.00 %** ± 1.00" in table
    assert len({line.count("|") for line in table.splitlines()}) == 1


@pytest.mark.parametrize(
    ("pact", "fixed", "verdict"),
    [
        ((960, 961, 962), (950, 951, 952), "+1.00 points in 3 pairs"),
        ((960, 961, 965), (950, 950, 951), "a difference"),
        ((960, 950, 970), (959, 956, 961), "noise"),
    ],
)
def test_pact_against_fixed_clips(pact, fixed, verdict):
    assert verdict in tables.pact_sentences(results(pact, fixed))


def test_one_pair_says_nothing():
    assert tables.pact_sentences(results((960,), (950,))) == "(not run yet)"
    assert tables.bits_table({}) == tables.recipe_table({}) == "(not run yet)"
    assert tables.main_table({}) == "(not run yet)"


def test_bits_table_and_plot(tmp_path):
    row = f"weights, 4 bits, {plan.METHODS['pact']}"
    found = {"a": trial(row, 0, 912, "bits"), "b": trial(row.replace("4", "8"), 0, 950, "bits")}
    table = tables.bits_table(found)
    assert "| weights, 4 bits |  |  | 912 (91.20 %) |  |" in table
    assert "| activations, 8 bits |  |  | 950 (95.00 %) |  |" in table
    assert len({line.count("|") for line in table.splitlines()[:3]}) == 1
    tables.save_bits_plot(found, tmp_path / "bits.png")
    assert (tmp_path / "bits.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("group", "make"),
    [("transfer", tables.transfer_table), ("mixing-share", tables.share_table)],
)
def test_tables_of_what_was_judged_on_real_clips(group, make):
    found = {
        f"{row}-{seed}": trial(row, seed, 0, group) | {"real": {"n": 4443, "correct": right}}
        for row, seed, right in (("base", 0, 2500), ("base", 1, 2600), ("rooms", 0, 2700))
    }
    table = make(found).splitlines()
    assert "right of 4,443 real validation clips" in table[0]
    assert table[2] == "| base | 2,500 (56.27 %) | 12.3 | `base-0` |"
    assert table[4].startswith("| **base, mean of 2** | **57.39 %** ± 1.59 |")
    assert table[5].startswith("| rooms | 2,700 (60.77 %)")
    assert len({line.count("|") for line in table}) == 1
    assert make({}) == tables.mixing_table({}) == "(not run yet)"


def test_recipe_tables_have_the_best_first():
    found = {
        f"{group}-{row}": trial(row, 0, 0, group) | {"real": {"n": 4443, "correct": right}}
        for group, row, right in (
            ("recipe-warm-up", "base", 4000),
            ("recipe-warm-up", "no teacher", 4100),
            ("recipe-fine-tuning", "base", 4200),
        )
    }
    text = tables.recipe_table(found)
    rows = [line for line in text.splitlines() if line.startswith(("| base", "| no teacher"))]
    assert [row.split("|")[2].strip()[:5] for row in rows] == ["4,100", "4,000", "4,200"]
    assert text.count("right of 4,443 real validation clips") == 2


def test_mixing_table_and_plot(tmp_path):
    rows = [e.row for e in plan.experiments().values() if e.group == "mixing"]
    found = {row: trial(row, 0, 500 + i, "mixing") for i, row in enumerate(rows)}
    table = tables.mixing_table(found).splitlines()
    assert table[2] == "| 0 | – | 500 of 1,000 (50.00 %) | 501 of 1,000 (50.10 %) |"
    assert table[3].startswith("| 10 | 502 of 1,000 (50.20 %) | 503 of 1,000")
    assert table[5].startswith("| 200 | 508 of 1,000")
    tables.save_mixing_plot(found, tmp_path / "mixing.png")
    assert (tmp_path / "mixing.png").read_bytes()[:4] == b"\x89PNG"
    tables.save_mixing_plot({}, tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_rows_differ_from_the_base_and_from_each_other():
    for group in ("transfer", "mixing-share", "recipe-warm-up", "recipe-fine-tuning"):
        judged = [e for e in plan.experiments().values() if e.group == group]
        what = {(e.train, e.data, e.augmentation, e.speech) for e in judged}
        assert len(what) == len({(e.row, e.train.seed) for e in judged}) == len(judged)
        assert all(e.judged and not e.runtimes for e in judged)


def test_fill_replaces_between_the_marks_only():
    text = "a\n<!-- begin x -->\nold\n<!-- end x -->\nb\n"
    assert tables.fill(text, {"x": "new"}) == text.replace("old", "new")
    assert tables.fill(tables.fill(text, {"x": "new"}), {"x": "old"}) == text
    with pytest.raises(KwsError, match="no marks for 'y'"):
        tables.fill(text, {"y": ""})


def test_results_are_kept_and_read_without_the_runs(tmp_path):
    runs, kept = tmp_path / "runs", tmp_path / "results"
    with pytest.raises(KwsError, match="has no results"):
        tables.load(kept)
    for name in ("teacher-1", "teacher-0", "no-experiment"):
        (runs / name).mkdir(parents=True)
        (runs / name / runner.RESULT).write_text(json.dumps({"row": "before", "seed": 1}))
    assert tables.collect(runs, kept) == 2
    shutil.rmtree(runs)
    assert tables.collect(runs, kept) == 0
    # What the plan calls them now.
    named = {"group": "teachers", "row": "teacher", "seed": 1}
    assert tables.load(kept) == dict.fromkeys(("teacher-0", "teacher-1"), named)
    (kept / "teacher-0.json").write_text("{")
    with pytest.raises(KwsError, match="damaged"):
        tables.load(kept)


def test_a_result_of_other_settings_is_neither_kept_nor_shown(tmp_path):
    runs, kept = tmp_path / "runs", tmp_path / "results"
    folder = runs / "teacher-0"
    folder.mkdir(parents=True)
    (folder / runner.RESULT).write_text(json.dumps({"seed": 0}))
    planned = runner.planned_settings(plan.experiments()["teacher-0"])
    other = planned | {"train": planned["train"] | {"float_epochs": 3}}
    (folder / "settings.json").write_text(json.dumps(other))
    with pytest.raises(KwsError, match="other settings than the plan"):
        tables.collect(runs, kept)
    (folder / "settings.json").write_text(json.dumps(planned))
    assert tables.collect(runs, kept) == 1
    assert tables.load(kept)["teacher-0"]["settings"]["train"]["float_epochs"] == 40
    text = (kept / "teacher-0.json").read_text()
    (kept / "teacher-0.json").write_text(text.replace('"float_epochs": 40', '"float_epochs": 3'))
    with pytest.raises(KwsError, match=r"remove it, and run .* --only teacher-0"):
        tables.load(kept)
