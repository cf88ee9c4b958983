"""Fill the documents' tables and draw their plot from the results of experiments/run.py.

The results of --runs are first copied to --results, which is committed: a table needs no run.
"""

from pathlib import Path

import plan
import tables

from kws_tf.cli import command
from kws_tf.files import write_bytes


def main() -> None:
    parser = command.parser(__doc__)
    for name, default, text in (
        ("--runs", Path("runs/experiments"), "run folders"),
        ("--results", plan.ROOT / "experiments" / "results", "where results are kept"),
        ("--docs", plan.ROOT / "docs", "folder of results.md and own-words.md"),
    ):
        parser.add_argument(name, type=Path, default=default, help=text)
    options = parser.parse_args()

    results = tables.load(options.runs, options.results)
    for name, parts in tables.PARTS.items():
        page = options.docs / name
        made = {part: make(results) for part, make in parts.items()}
        write_bytes(page, tables.fill(page.read_text(encoding="utf-8"), made).encode())
    tables.save_bits_plot(results, options.docs / "bits.png")
    print(f"{options.docs} is made of {len(results)} results")


if __name__ == "__main__":
    command.run(main)
