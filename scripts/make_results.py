"""Fill a document's tables and plot from the results of scripts/run_experiments.py."""

from pathlib import Path

import _bootstrap  # noqa: F401

from kws_tf import cli


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs/experiments"), help="run folders")
    parser.add_argument(
        "--document",
        type=Path,
        default=Path("docs/results.md"),
        help="results.md or own-words.md, in any folder",
    )
    options = parser.parse_args()

    from kws_tf.errors import KwsError
    from kws_tf.experiments import tables
    from kws_tf.files import write_bytes

    page = options.document.stem
    if page not in tables.PARTS:
        raise KwsError(f"{options.document} is not one of {', '.join(tables.PARTS)}")
    results = tables.load(options.runs)
    parts = {name: part(results) for name, part in tables.PARTS[page].items()}
    text = tables.fill(options.document.read_text(), parts)
    name, save_plot = tables.PLOTS[page]
    save_plot(results, options.document.parent / name)
    write_bytes(options.document, text.encode())
    print(f"{len(results)} results: {options.document}, {options.document.parent / name}")


if __name__ == "__main__":
    cli.run(main)
