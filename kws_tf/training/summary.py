"""A trained run in a table."""

from kws_tf.run_folder import RunFolder


def print_summary(run: RunFolder) -> None:
    """Prints the best epoch of each phase, by validation accuracy."""
    history = run.history()
    print(f"\n{'phase':<10} {'epochs':>6} {'best epoch':>10} {'validation':>10} {'minutes':>8}")
    for phase in ("float", "quantized"):
        rows = [row for row in history if row["phase"] == phase]
        if rows:
            best = max(rows, key=lambda row: row["val_accuracy"])
            minutes = sum(row["seconds"] for row in rows) / 60
            print(
                f"{phase:<10} {len(rows):>6} {best['epoch'] + 1:>10} "
                f"{100 * best['val_accuracy']:>8.2f} % {minutes:>8.1f}"
            )
    print(f"run folder: {run.path}")
