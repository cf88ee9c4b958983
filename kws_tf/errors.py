"""The one exception that is meant for the user."""


class KwsError(Exception):
    """A problem the user can mend.

    The message is one sentence that says what is wrong, where, and what to do. The command
    lines print it without a traceback and exit with code 2 (see ``kws_tf.cli.command.run``).
    """
