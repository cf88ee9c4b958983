"""The command ``kws-tf export-micro`` from a checkout."""

from kws_tf.cli import command, export_micro

if __name__ == "__main__":
    command.run(export_micro.main)
