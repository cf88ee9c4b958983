"""The command ``kws-tf convert`` from a checkout."""

from kws_tf.cli import command, convert

if __name__ == "__main__":
    command.run(convert.main)
