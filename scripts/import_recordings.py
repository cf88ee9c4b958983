"""The command ``kws-tf import-recordings`` from a checkout."""

from kws_tf.cli import command, import_recordings

if __name__ == "__main__":
    command.run(import_recordings.main)
