"""The command ``kws-tf publish-model`` from a checkout."""

from kws_tf.cli import command, publish_model

if __name__ == "__main__":
    command.run(publish_model.main)
