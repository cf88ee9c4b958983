"""Fill the tables and plots of docs/results.md from the results of scripts/run_experiments.py."""

from pathlib import Path

import _bootstrap  # noqa: F401

from kws_tf import cli


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs/experiments"), help="run folders")
    parser.add_argument("--document", type=Path, default=Path("docs/results.md"), help="document")
    options = parser.parse_args()

    from kws_tf.experiments import tables
    from kws_tf.files import write_bytes

    results = tables.load(options.runs)
    parts = {
        "main": tables.main_table(results),
        "comparison": tables.comparison_table(results),
        "pact": tables.pact_sentences(results),
        "recipe": tables.recipe_table(results),
        "bits": tables.bits_table(results),
    }
    text = tables.fill(options.document.read_text(), parts)
    plot = options.document.parent / "bits.png"
    tables.save_bits_plot(results, plot)
    write_bytes(options.document, text.encode())
    print(f"{len(results)} results: {options.document}, {plot}")


if __name__ == "__main__":
    cli.run(main)
