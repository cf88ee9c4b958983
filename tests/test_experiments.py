"""The plans of the experiments, running them, and the tables made of what came out."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import plan
import pytest
import runner
import tables
from running import run_main
from tiny_run import make_audio

from kws_tf.errors import KwsError
from kws_tf.run_folder import by_name, open_run
from kws_tf.settings import as_json

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENTS, DOCS = ROOT / "experiments", ROOT / "docs"
EVERY = plan.experiments()
KEPT = sorted((EXPERIMENTS / "results").glob("*.json"))
COMMITTED = sorted(path for folder in plan.COMMITTED for path in folder.glob("*/settings.json"))
FINE_TUNING = {
    *("pretraining_run", "profile", "pact", "learned_step", "weight_bits", "input_bits"),
    *("hidden_bits", "quantized_epochs", "quantized_learning_rate"),
}


def test_every_need_is_planned_and_comes_before():
    seen = set()
    for experiment in plan.chosen(list(EVERY)):
        assert set(experiment.needs) <= seen
        seen.add(experiment.name)
    assert seen == set(EVERY)


def test_no_two_rows_have_one_name():
    rows = [e for path in (EXPERIMENTS / "plans").glob("*.toml") for e in plan._read(path)]
    assert len(rows) == len(EVERY)
    assert len({(e.title, e.column, e.train.seed) for e in rows if e.title}) == sum(
        bool(e.title) for e in rows
    )


def test_a_pretraining_that_is_taken_over_is_the_same():
    for experiment in EVERY.values():
        if experiment.train.pretraining_run:
            other = EVERY[experiment.train.pretraining_run]
            mine, theirs = as_json(experiment.train), as_json(other.train)
            assert {name for name in mine if mine[name] != theirs[name]} <= FINE_TUNING
            assert (experiment.data, experiment.augmentation) == (other.data, other.augmentation)


def test_every_row_of_a_table_has_its_result():
    kept = {path.stem for path in KEPT}
    assert kept <= set(EVERY)
    assert kept >= {e.name for e in EVERY.values() if e.title}


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_a_result_is_of_the_settings_that_are_planned(path):
    experiment = EVERY[path.stem]
    result = experiment.result(path)
    assert result["seed"] == experiment.train.seed
    assert ("tflite" in result.get("correct", ())) == (
        "tflite" in experiment.runtimes and experiment.train.profile == "tflite"
    )


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.parent.name)
def test_a_committed_run_is_one_of_the_plan(path):
    run, experiment = open_run(path.parent), EVERY[path.parent.name]
    assert by_name(run.train_settings()) == experiment.train
    assert run.data_settings() == experiment.data
    assert run.augmentation() == experiment.augmentation
    assert experiment.result(path.parent / plan.RESULT)


@pytest.mark.parametrize("page", tables.PARTS)
def test_documents_have_the_tables_of_the_results(page):
    results = tables.load(Path("no-runs"), EXPERIMENTS / "results")
    text = (DOCS / page).read_text()
    assert text == tables.fill(text, {n: make(results) for n, make in tables.PARTS[page].items()})


@pytest.mark.parametrize("page", [*DOCS.glob("*.md"), ROOT / "README.md"], ids=lambda p: p.name)
def test_documents_name_experiments_that_there_are(page):
    for words in re.findall(r"python experiments/run\.py((?: [a-z0-9_-]+)+)", page.read_text()):
        names = [word for word in words.split() if not word.startswith("--")]
        assert plan.chosen(names)


def test_chosen_brings_what_is_needed_and_not_committed(monkeypatch):
    def names(*wanted):
        return [experiment.name for experiment in plan.chosen(list(wanted))]

    assert names("118-muon-fixed-1") == ["118-muon-fixed-1"]
    assert names("118-muon-fixed-1", "118-muon-1") == ["118-muon-1", "118-muon-fixed-1"]
    assert {"teacher-2", "other-words", "118-pact-2"} < set(names("needed"))
    monkeypatch.setattr(plan, "COMMITTED", ())
    assert names("118-paper-pact-1") == ["teacher-0", "teacher-1", "118-pact-1", "118-paper-pact-1"]
    with pytest.raises(KwsError, match="no experiment or plan 'none'"):
        names("main", "none")


def test_a_row_that_changes_what_is_no_setting(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text('preset = "full"\nruntimes = []\n[[rows]]\nname = "a"\nchanges = {units = 3}')
    with pytest.raises(KwsError, match=r"a\.toml changes units, which is no setting"):
        list(plan._read(path))


WRITES = """
import json, pathlib, sys
folder = pathlib.Path(sys.argv[1]) / sys.argv[2]
folder.mkdir(exist_ok=True)
with open(folder.parent / "order", "a") as order:
    print(sys.argv[2], file=order)
if sys.argv[2] == "118-muon-0":
    sys.exit(2)
(folder / "result.json").write_text('{"seed": 0}')
"""


def test_runs_in_order_skips_what_is_done_and_names_what_failed(tmp_path, capsys):
    command = [sys.executable, "-c", WRITES, str(tmp_path)]
    experiments = plan.chosen(["teacher-0", "teacher-1", "118-pact-0"])
    (tmp_path / "teacher-0").mkdir()
    (tmp_path / "teacher-0" / plan.RESULT).write_text('{"seed": 0}')
    runner.run_all(experiments, tmp_path, command, jobs=2)
    assert (tmp_path / "order").read_text().split() == ["teacher-1", "118-pact-0"]
    runner.run_all(experiments, tmp_path, command, jobs=1)
    assert "3 of 3 experiments are done" in capsys.readouterr().out
    with pytest.raises(KwsError, match=r"118-muon-0 failed; .*118-muon-0\.log says why"):
        runner.run_all(plan.chosen(["118-muon-0"]), tmp_path, command, jobs=1)


def test_one_that_fails_stops_only_what_needs_it(tmp_path):
    command = [sys.executable, "-c", WRITES, str(tmp_path)]
    chosen = plan.chosen(["118-muon-0", "118-muon-fixed-0", "344-long-0"])
    with pytest.raises(KwsError, match="118-muon-0 failed"):
        runner.run_all(chosen, tmp_path, command, jobs=1)
    assert (tmp_path / "order").read_text().split() == ["118-muon-0", "344-long-0"]


SLEEPS = """
import os, pathlib, sys, time
(pathlib.Path(sys.argv[1]) / "pid").write_text(str(os.getpid()))
time.sleep(60)
"""
RUNS = """
import pathlib, sys
sys.path.insert(0, sys.argv[3])
import plan, runner
folder = pathlib.Path(sys.argv[1])
command = [sys.executable, "-c", sys.argv[2], str(folder)]
runner.run_all(plan.chosen(["teacher-0"]), folder, command, jobs=1)
"""


def test_a_kill_takes_the_experiments_along(tmp_path):
    words = [sys.executable, "-c", RUNS, str(tmp_path), SLEEPS, str(EXPERIMENTS)]
    process = subprocess.Popen(words)
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
    status = Path(f"/proc/{pid}/stat")
    return not (status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] == "Z")


def test_a_result_of_other_settings_is_refused(tmp_path):
    runs, kept = tmp_path / "runs", tmp_path / "results"
    kept.mkdir()
    with pytest.raises(KwsError, match="has no results"):
        tables.load(runs, kept)
    (runs / "teacher-0").mkdir(parents=True)
    text = (EXPERIMENTS / "results" / "teacher-0.json").read_text()
    (runs / "teacher-0" / plan.RESULT).write_text(text)
    assert list(tables.load(runs, kept)) == ["teacher-0"]
    assert list(tables.load(tmp_path / "none", kept)) == ["teacher-0"]
    other = text.replace('"float_epochs": 40', '"float_epochs": 3')
    (kept / "teacher-0.json").write_text(other)
    with pytest.raises(KwsError, match=r"move it away, and run experiments/run\.py teacher-0"):
        tables.load(tmp_path / "none", kept)
    (runs / "teacher-0" / plan.RESULT).write_text(other)
    with pytest.raises(KwsError, match="other settings than the plan now has"):
        runner.run_all([EVERY["teacher-0"]], runs, [], jobs=1)
    (kept / "teacher-0.json").write_text("{")
    shutil.rmtree(runs)
    with pytest.raises(KwsError, match="damaged"):
        tables.load(runs, kept)


def test_a_retired_setting_that_was_used_is_another_plan():
    saved = {name: as_json(getattr(EVERY["118-muon-0"], name)) for name in plan.SECTIONS}
    assert EVERY["118-muon-0"].is_as_planned(saved)
    saved["train"]["teacher_share"] = 0.7
    assert not EVERY["118-muon-0"].is_as_planned(saved)


def trial(title, correct, plan="main", **more):
    forms = dict.fromkeys(tables._FORMS, correct)
    return {
        "plan": plan,
        "title": title,
        "column": "",
        "n": 1000,
        "correct": forms,
        "validation": {"quantized": 0.9, "float": 0.9},
        "bytes": 80_000,
        "arena_bytes": 11_000,
    } | more


def results(*rows):
    trials = [trial(title, right) for title, *counts in rows for right in counts]
    return dict(enumerate(trials))


def test_main_table_has_means_and_spread():
    found = results(("118 units, PACT", 950, 960, 970), ("118 units, fixed clips", 940, 950, 930))
    lines = tables.main_table(found).splitlines()
    assert lines[2].startswith("| 118 units, PACT | 96.00 ± 1.00 | 96.00 ± 1.00")
    assert "| 940 / 950 / 930 | 90.00 | 80,000 | 11,000 |" in lines[3]
    assert len({line.count("|") for line in lines}) == 1
    paper = trial("paper", 940) | {"correct": {"keras-quantized": 940}}
    line = tables.main_table({0: paper}).splitlines()[-1]
    assert line.startswith("| paper | – | 94.00 | – | – | 940 |")


@pytest.mark.parametrize(
    ("pact", "fixed", "verdict"),
    [
        ((960, 961, 965), (950, 950, 951), "+1.17 points in 3 pairs"),
        ((960, 961, 965), (950, 950, 951), "(95 % interval +0.65 to +1.68): a difference"),
        ((960, 950, 970), (959, 956, 961), "noise"),
    ],
)
def test_pact_against_fixed_clips(pact, fixed, verdict):
    rows = [
        (f"{units} units, {clips}", *right)
        for units in (118, 344)
        for clips, right in (("PACT", pact), ("fixed clips", fixed))
    ]
    text = tables.pact_sentences(results(*rows))
    assert text.count(verdict) == 2


def test_table_and_plot_of_methods(tmp_path):
    rows = [
        ("weights, 4 bits", "a", 912),
        ("weights, 8 bits", "b", 950),
        ("weights, 8 bits", "a", 9),
    ]
    found = {i: trial(t, right, "bits", column=c) for i, (t, c, right) in enumerate(rows)}
    assert tables.method_table("bits", "x", found).splitlines() == [
        "| x | a | b |",
        "| --- | --- | --- |",
        "| weights, 4 bits | 912 (91.20 %) | – |",
        "| weights, 8 bits | 9 (0.90 %) | 950 (95.00 %) |",
    ]
    tables.save_bits_plot(found, tmp_path / "bits.png")
    assert (tmp_path / "bits.png").read_bytes()[:4] == b"\x89PNG"


def test_fill_replaces_between_the_marks_only():
    text = "a\n<!-- begin x -->\nold\n<!-- end x -->\nb\n"
    assert tables.fill(text, {"x": "new"}) == text.replace("old", "new")
    assert tables.fill(tables.fill(text, {"x": "new"}), {"x": "old"}) == text
    with pytest.raises(KwsError, match="no marks for 'y'"):
        tables.fill(text, {"y": ""})


def test_commands_and_their_errors(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_main(EXPERIMENTS / "run.py", "--list") == 0
    assert "main      118-muon-0" in capsys.readouterr().out
    assert run_main(EXPERIMENTS / "run.py", "main") == 2
    assert "--data-dir and --test-dir are needed" in capsys.readouterr().err
    places = ("--data-dir", "none", "--test-dir", "none")
    assert run_main(EXPERIMENTS / "run.py", "none", *places) == 2
    assert capsys.readouterr().err.startswith("error: there is no experiment or plan 'none'")
    shutil.copytree(DOCS, tmp_path / "docs")
    before = (tmp_path / "docs" / "results.md").read_text()
    (tmp_path / "docs" / "results.md").write_text(before.replace("96.26", "99.99", 1))
    assert run_main(EXPERIMENTS / "make_results.py", "--docs", tmp_path / "docs") == 0
    assert (tmp_path / "docs" / "results.md").read_text() == before


@pytest.mark.slow
def test_an_experiment_is_trained_and_measured(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plans = tmp_path / "experiments" / "plans"
    plans.mkdir(parents=True)
    (plans / "tiny.toml").write_text("""
preset = "untaught"
runtimes = ["keras", "tflite", "tflm"]
[changes]
words = ["up", "down"]
hidden = 4
batch_size = 8
float_epochs = 1
quantized_epochs = 1
synthetic_per_word = 0
[[rows]]
name = "first"
[[rows]]
name = "second"
changes = { pretraining_run = "first", pact = false }
""")
    monkeypatch.setattr(plan, "ROOT", tmp_path)
    audio = make_audio(tmp_path / "audio")
    test = tmp_path / "test"
    for word, label in (("up", "up"), ("down", "down"), ("cat", "_unknown_")):
        shutil.copytree(audio / word, test / label)
    shutil.copytree(audio / "up", test / "_silence_")
    for experiment in plan.chosen(["tiny"]):
        runner.run_one(experiment, audio, test, tmp_path / "runs")
    first, second = (
        json.loads((tmp_path / "runs" / name / plan.RESULT).read_text())
        for name in ("first", "second")
    )
    assert first["n"] == 80
    assert set(first["correct"]) == set(tables._FORMS)
    assert first["correct"]["keras-float"] == second["correct"]["keras-float"]
    assert first["bytes"] > 0 < first["arena_bytes"]
    assert plan.experiments()["second"].is_as_planned(second["settings"])
