"""The command ``kws-tf report`` from a checkout."""

from kws_tf.cli import command, report

if __name__ == "__main__":
    command.run(report.main)
