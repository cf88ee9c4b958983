"""The command ``kws-tf train`` from a checkout."""

from kws_tf.cli import command, train

if __name__ == "__main__":
    command.run(train.main)
