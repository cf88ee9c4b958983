"""The command ``kws-tf soak`` from a checkout."""

from kws_tf.cli import command, soak

if __name__ == "__main__":
    command.run(soak.main)
