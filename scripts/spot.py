"""The command ``kws-tf spot`` from a checkout."""

from kws_tf.cli import command, spot

if __name__ == "__main__":
    command.run(spot.main)
