"""Import a folder of recordings, one folder a word, as examples in the Speech Commands layout.

IN/WORD/anything and IN/WORD/SPEAKER/anything are recordings of WORD: WAV (8 to 64 bits), FLAC,
OGG, MP3, AIFF, of any rate, mono or stereo. Each is resampled to 16 kHz, cut to a window around
the word, levelled and checked; what is wrong is reported in a table. IN/_background_noise_ is
taken along. Nothing of IN is changed.
"""

from pathlib import Path

from kws_tf.cli import command


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument("source", type=Path, metavar="IN", help="the folder of recordings")
    parser.add_argument("-o", "--out", **command.DIR, required=True, help="folder to write")
    parser.add_argument(
        "--window-ms", **command.WINDOW_MS, help="length of an example, ms, up to 2000"
    )
    parser.add_argument(
        "--keep-doubtful",
        action="store_true",
        help="also import what is too short, too long or of a wrong word count",
    )
    parser.add_argument("--json", **command.FILE, help="a file to write the report to, too")
    options = parser.parse_args()

    from kws_tf import files
    from kws_tf.audio.recordings import importing, tables
    from kws_tf.errors import KwsError

    recordings = importing.import_recordings(
        options.source, options.out, options.window_ms, options.keep_doubtful
    )
    print(tables.tables(recordings))
    if options.json:
        report = options.out / tables.REPORT_FILE
        files.write_bytes(options.json, report.read_bytes())
    if not any(item.output for item in recordings if not item.is_noise):
        raise KwsError(f"nothing of {options.source} could be imported; see the table")
    print(f"imported to {options.out}")
