"""The command ``kws-tf record`` from a checkout."""

from kws_tf.cli import command, record

if __name__ == "__main__":
    command.run(record.main)
