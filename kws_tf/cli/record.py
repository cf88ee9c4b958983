"""Record words from the microphone as examples in the Speech Commands layout.

Prompts for one word after the other, checks each take, and lets you repeat it. The same command
goes on with what is missing. Needs: pip install sounddevice.
"""

from kws_tf.cli import command


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument(
        "--words", required=True, metavar="LIST", help="what to say, separated by commas"
    )
    parser.add_argument("--speaker", required=True, metavar="NAME", help="who speaks")
    parser.add_argument("-o", "--out", **command.DIR, required=True, help="data folder to write to")
    parser.add_argument("--count", type=int, default=5, metavar="N", help="takes of each word")
    parser.add_argument(
        "--window-ms", **command.WINDOW_MS, help="length of an example, ms, up to 2000"
    )
    options = parser.parse_args()

    from kws_tf.audio.recordings import microphone
    from kws_tf.labels import clean_word

    words = [clean_word(word) for word in options.words.split(",")]
    takes = microphone.record(
        words,
        options.count,
        options.out,
        options.speaker,
        microphone.open_microphone(),
        options.window_ms,
    )
    width = max(len("word"), *map(len, words))
    print(f"{'word':<{width}}      takes")
    for word, number in takes.items():
        print(f"{word:<{width}}{number:>11,}")
    print(f"recorded to {options.out}")
