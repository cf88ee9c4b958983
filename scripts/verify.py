"""The command ``kws-tf verify`` from a checkout."""

from kws_tf.cli import command, verify

if __name__ == "__main__":
    command.run(verify.main)
