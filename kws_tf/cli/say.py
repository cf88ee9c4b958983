"""Speak words into a WAV file, to try a spotter on: 16 kHz, a pause after each comma.

The voices are espeak-ng's; the default one speaks no synthesised training data.
"""

from pathlib import Path

from kws_tf.cli import command
from kws_tf.synthesis.saying import say


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument("text", help="what to say, such as 'hello, lights on, good night, dim'")
    parser.add_argument("out", type=Path, help="the WAV file")
    parser.add_argument("--voice", default="en+f4", help="accent+variant of espeak-ng")
    parser.add_argument("--rate", type=float, default=150, metavar="X", help="words a minute")
    parser.add_argument("--pause", type=float, default=0.8, metavar="S", help="pause, s")
    options = parser.parse_args()
    for part, start, end in say(**vars(options)):
        print(f"{start:6.2f} s to {end:6.2f} s  {part}")
    print(f"written: {options.out}")
