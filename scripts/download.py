"""The command ``kws-tf download`` from a checkout."""

from kws_tf.cli import command, download

if __name__ == "__main__":
    command.run(download.main)
