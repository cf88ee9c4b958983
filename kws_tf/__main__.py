"""``python -m kws_tf COMMAND`` is ``kws-tf COMMAND``."""

from kws_tf.cli.main import main

main()
