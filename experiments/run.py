"""Run the experiments of the tables; what is done is skipped, what was killed resumes.

Each experiment is a run folder under --runs, with its result.json; experiments/make_results.py
makes the documents' tables and plots of them.
"""

import sys
from pathlib import Path

import plan
import runner

from kws_tf.cli import command
from kws_tf.settings import OtherRecordings


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="plans or experiments")
    parser.add_argument("--data-dir", type=Path, help="log-mel records, or audio")
    parser.add_argument("--test-dir", type=Path, help="the canonical test set, audio")
    for name in ("negatives", "noise"):
        text = f"{name} that a plan that listens learns against"
        parser.add_argument(f"--{name}", nargs="+", default=[], metavar="DIR", help=text)
    parser.add_argument("--runs", type=Path, default=Path("runs/experiments"), help="run folders")
    parser.add_argument(
        "--jobs", type=int, default=1, help="experiments at a time, each on one core if several"
    )
    parser.add_argument("--list", action="store_true", help="show plans and experiments and stop")
    parser.add_argument("--one", action="store_true", help="run NAME in this process")
    options = parser.parse_args()
    if options.list:
        for experiment in plan.experiments().values():
            done = (options.runs / experiment.name / plan.RESULT).exists()
            print(f"{'done' if done else '':<5}{experiment.plan:<10}{experiment.name}")
        return
    if not (options.names and options.data_dir and options.test_dir):
        parser.error("a NAME, --data-dir and --test-dir are needed")
    if options.jobs < 1:
        parser.error("--jobs must be at least 1")
    chosen, places = plan.chosen(options.names), (options.data_dir, options.test_dir)
    if options.one:
        others = OtherRecordings(tuple(options.negatives), tuple(options.noise))
        runner.run_one(chosen[-1], *places, options.runs, others)  # the last, after its needs
        return
    words = [sys.executable, __file__, "--runs", options.runs]
    for name in ("negatives", "noise"):
        given = getattr(options, name)
        words += [f"--{name}", *given] if given else []
    words += ["--data-dir", places[0], "--test-dir", places[1], "--one"]
    runner.run_all(chosen, options.runs, list(map(str, words)), options.jobs)


if __name__ == "__main__":
    command.run(main)
