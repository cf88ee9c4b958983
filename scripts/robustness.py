"""The command ``kws-tf robustness`` from a checkout."""

from kws_tf.cli import command, robustness

if __name__ == "__main__":
    command.run(robustness.main)
