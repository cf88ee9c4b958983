"""The command ``kws-tf say`` from a checkout."""

from kws_tf.cli import command, say

if __name__ == "__main__":
    command.run(say.main)
