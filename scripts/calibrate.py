"""The command ``kws-tf calibrate`` from a checkout."""

from kws_tf.cli import calibrate, command

if __name__ == "__main__":
    command.run(calibrate.main)
