"""Make log-mel records from audio, so that training need not read it.

DATA_DIR has the Speech Commands layout: one folder a word and _background_noise_. The records
keep every 10 ms and serve any front end with the same log-mel constants: logmel40 and mfcc10
share theirs, hello_edge needs records of its own.
"""

from pathlib import Path

from kws_tf.cli import command
from kws_tf.frontend.config import FRONT_ENDS, front_end
from kws_tf.settings import DataSettings


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument("data_dir", type=Path, metavar="DATA_DIR", help="folder of audio")
    parser.add_argument("-o", "--out", **command.DIR, required=True, help="record folder to make")
    parser.add_argument(
        "--front-end", default="logmel40", metavar="NAME", help=f"one of {', '.join(FRONT_ENDS)}"
    )
    parser.add_argument(
        "--window-ms",
        **command.WINDOW_MS,
        help="length of an example, ms; as --window-ms of train.py",
    )
    parser.add_argument(
        "--shards", type=int, default=8, metavar="N", help="files of training records"
    )
    parser.add_argument(
        "--words",
        metavar="LIST",
        help="words to extract, keywords and others, separated by commas (default: every word)",
    )
    parser.add_argument("--mix-down", **command.MIX_DOWN)
    options = parser.parse_args()
    # Checked as train.py does.
    task = DataSettings(front_end=options.front_end, window_ms=options.window_ms)
    config = front_end(task.front_end, task.window_ms)
    words = options.words.split(",") if options.words else None

    from kws_tf.data.extract import extract

    counts = extract(options.data_dir, options.out, config, options.shards, words, options.mix_down)
    words = sorted(set().union(*counts.values()))
    width = max(len("total"), *map(len, words))
    print(f"{'word':{width}}" + "".join(f"{name:>12}" for name in counts))
    for word in words:
        print(f"{word:{width}}" + "".join(f"{table[word]:12}" for table in counts.values()))
    print(f"{'total':{width}}" + "".join(f"{table.total():12}" for table in counts.values()))
    print(f"made {options.out}")
