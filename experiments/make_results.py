"""Fill a document's tables and plots from the results of scripts/run_experiments.py.

The results of --runs are first copied to --results, which is committed: a table needs no run.
"""

from pathlib import Path

import _bootstrap  # noqa: F401

from kws_tf.cli import command


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs/experiments"), help="run folders")
    parser.add_argument(
        "--results", type=Path, default=Path("docs/results"), help="where results are kept"
    )
    parser.add_argument(
        "--document",
        type=Path,
        default=Path("docs/results.md"),
        help="results.md or own-words.md, in any folder",
    )
    options = parser.parse_args()

    from experiments import tables
    from kws_tf.errors import KwsError
    from kws_tf.files import write_bytes

    page = options.document.stem
    if page not in tables.PARTS:
        raise KwsError(f"{options.document} is not one of {', '.join(tables.PARTS)}")
    new = tables.collect(options.runs, options.results)
    results = tables.load(options.results)
    parts = {name: part(results) for name, part in tables.PARTS[page].items()}
    text = tables.fill(options.document.read_text(), parts)
    name, save_plot = tables.PLOTS[page]
    save_plot(results, options.document.parent / name)
    write_bytes(options.document, text.encode())
    print(
        f"{len(results)} results, {new} of them in {options.runs}: {options.document}, "
        f"{options.document.parent / name}"
    )


if __name__ == "__main__":
    command.run(main)
