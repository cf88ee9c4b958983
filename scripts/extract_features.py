"""The command ``kws-tf extract-features`` from a checkout."""

from kws_tf.cli import command, extract_features

if __name__ == "__main__":
    command.run(extract_features.main)
