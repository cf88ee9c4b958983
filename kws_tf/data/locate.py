"""Where the data are: a folder the user gives, the official archives, or a synthesised set."""

from pathlib import Path

from kws_tf.audio import download, synthesis
from kws_tf.settings import DataSettings

ROOT = Path("data")
_OFFICIAL_TEST = "speech_commands_test_set_v0.02"


def training_data(data_dir: Path | None, fetch: bool, settings: DataSettings) -> Path:
    """Returns the folder to train from; makes or fetches it where that is wanted.

    Args:
        data_dir: What the user gave; with ``fetch`` the folder to download into.
        fetch: Download the official archives.
        settings: Its words are synthesised when neither is given.

    Raises:
        KwsError: If the download or the synthesis fails.
    """
    if fetch:
        folder = data_dir or ROOT
        download.fetch(download.SPEECH_COMMANDS_TEST_SET, folder)
        return download.fetch(download.SPEECH_COMMANDS, folder)
    if data_dir:
        return Path(data_dir)
    wanted = synthesis.SynthesisSettings(words=settings.words)
    print(f"no --data-dir given: synthesised speech is used, in {ROOT}/", flush=True)
    made = synthesis.make_dataset(ROOT / f"synthetic-{wanted.digest}", wanted)
    return made / synthesis.SPEECH_FOLDER


def test_set_beside(data_dir: Path) -> Path | None:
    """Returns the test set that lies beside a training folder, or ``None``."""
    for name in (synthesis.TEST_FOLDER, _OFFICIAL_TEST):
        folder = Path(data_dir).parent / name
        if folder.is_dir():
            return folder
    return None
