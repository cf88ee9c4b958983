"""The command ``kws-tf publish-run`` from a checkout."""

from kws_tf.cli import command, publish_run

if __name__ == "__main__":
    command.run(publish_run.main)
