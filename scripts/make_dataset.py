"""The command ``kws-tf make-dataset`` from a checkout."""

from kws_tf.cli import command, make_dataset

if __name__ == "__main__":
    command.run(make_dataset.main)
