"""The command ``kws-tf evaluate`` from a checkout."""

from kws_tf.cli import command, evaluate

if __name__ == "__main__":
    command.run(evaluate.main)
