"""Run the experiments of docs/results.md; what is done is skipped, what was killed resumes.

Each experiment is a run folder under --runs, with its result.json; scripts/make_results.py makes
the document's tables and plots of them.
"""

import sys
from pathlib import Path

import _bootstrap  # noqa: F401

from experiments import plan, runner
from kws_tf.cli import command


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--data-dir", type=Path, help="log-mel records, or audio")
    parser.add_argument("--test-dir", type=Path, help="the canonical test set, audio")
    parser.add_argument("--runs", type=Path, default=Path("runs/experiments"), help="run folders")
    parser.add_argument(
        "--groups", nargs="+", choices=plan.GROUPS, default=("main",), help="what to run"
    )
    parser.add_argument("--only", nargs="+", default=(), metavar="NAME", help="these instead")
    parser.add_argument(
        "--jobs", type=int, default=1, help="experiments at a time, each on one core if several"
    )
    parser.add_argument("--list", action="store_true", help="show the experiments and stop")
    parser.add_argument("--one", metavar="NAME", help="run this one in this process")
    options = parser.parse_args()
    if options.list:
        for experiment in plan.experiments().values():
            done = (options.runs / experiment.name / runner.RESULT).exists()
            print(f"{'done' if done else '':<5}{experiment.group:<19}{experiment.name}")
        return
    if not options.data_dir or not options.test_dir:
        parser.error("--data-dir and --test-dir are needed")
    if options.jobs < 1:
        parser.error("--jobs must be at least 1")
    if options.one:
        *_, experiment = plan.chosen((), [options.one])  # the last, for it comes after its needs
        runner.run_one(experiment, options.data_dir, options.test_dir, options.runs)
        return
    chosen = plan.chosen(() if options.only else options.groups, options.only)
    words = [sys.executable, __file__, "--runs", str(options.runs)]
    words += ["--data-dir", str(options.data_dir), "--test-dir", str(options.test_dir), "--one"]
    runner.run_all(chosen, options.runs, words, options.jobs)


if __name__ == "__main__":
    command.run(main)
