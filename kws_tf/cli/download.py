"""Download Speech Commands v0.02 and its test set (2.5 GB), checked and unpacked.

An interrupted download goes on where it stopped; what is there already is not fetched again.
"""

from pathlib import Path

from kws_tf.audio.download import SPEECH_COMMANDS, SPEECH_COMMANDS_TEST_SET, fetch
from kws_tf.cli import command


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument(
        "--data-dir", **command.DIR, default=Path("data"), help="folder to put them in"
    )
    options = parser.parse_args()
    print(f"training data in {fetch(SPEECH_COMMANDS, options.data_dir)}")
    print(f"test set in {fetch(SPEECH_COMMANDS_TEST_SET, options.data_dir)}")
