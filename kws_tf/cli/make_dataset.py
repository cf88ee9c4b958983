"""Make a speech data set on the spot: words spoken by many synthetic voices (espeak-ng).

DIR/speech_commands has the layout of Speech Commands, DIR/test_set that of its test set, spoken
by voices that no training example has. DIR/running_speech has sentences without the keywords, with
their transcripts: in training/, validation/ and testing/, by the voices of each. The same options
give the same bytes; a finished folder is found again at once. No network is needed.
"""

from kws_tf.audio.speech_commands import PARTITIONS
from kws_tf.cli import command
from kws_tf.synthesis.dataset import count_examples, make_dataset
from kws_tf.synthesis.settings import SynthesisSettings


def word_list(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()


def main() -> None:
    defaults = SynthesisSettings()
    parser = command.parser(__doc__)
    parser.add_argument("-o", "--out", required=True, metavar="DIR", help="folder to make")
    parser.add_argument(
        "--words",
        type=word_list,
        default=",".join(defaults.words),
        metavar="LIST",
        help="keywords, separated by commas",
    )
    parser.add_argument(
        "--unknown-words",
        type=word_list,
        default=",".join(defaults.unknown_words),
        metavar="LIST",
        help="other words, for the unknown class",
    )
    parser.add_argument(
        "--per-word",
        type=int,
        default=defaults.per_word,
        metavar="N",
        help="examples of each keyword over all partitions",
    )
    parser.add_argument(
        "--per-unknown-word",
        type=int,
        default=defaults.per_unknown_word,
        metavar="N",
        help="examples of each other word over all partitions",
    )
    parser.add_argument(
        "--window-ms",
        type=float,
        default=1000 * defaults.seconds,
        metavar="X",
        help="length of an example, ms; as --window-ms of train.py",
    )
    parser.add_argument(
        "--speech-minutes",
        type=float,
        nargs=3,
        default=defaults.speech_minutes,
        metavar="X",
        help="running speech for training, validation and testing, minutes",
    )
    parser.add_argument("--seed", type=int, default=defaults.seed, help="seed of all chance")
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="processes at a time; by default one for each core"
    )
    arguments = vars(parser.parse_args())
    out, jobs = arguments.pop("out"), arguments.pop("jobs")
    arguments["seconds"] = arguments.pop("window_ms") / 1000
    arguments["speech_minutes"] = tuple(arguments["speech_minutes"])
    folder = make_dataset(out, SynthesisSettings(**arguments), jobs)

    table = count_examples(folder)
    totals = {name: sum(counts[name] for counts in table.values()) for name in PARTITIONS}
    width = max(len("total"), *map(len, table))
    print(f"{'word':{width}}" + "".join(f"{name:>12}" for name in PARTITIONS))
    for word, counts in {**table, "total": totals}.items():
        print(f"{word:{width}}" + "".join(f"{counts[name]:12}" for name in PARTITIONS))
    print(f"made in {folder}")
