"""Calling a function in a fresh interpreter, for libraries whose global state must not leak.

Unlike the processes that ``multiprocessing`` spawns, it does not import the caller's script again,
so that scripts need no ``if __name__ == "__main__"``.
"""

import pickle
import subprocess
import sys
from collections.abc import Callable

from kws_tf.errors import KwsError

# What the function prints goes to stderr; stdout carries the answer alone.
_CHILD = """
import os, pickle, sys
answers = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)
sys.path[:] = pickle.load(sys.stdin.buffer)
from kws_tf.errors import KwsError
function, arguments = pickle.load(sys.stdin.buffer)
try:
    answer = function(*arguments), None
except (KwsError, OSError) as error:
    answer = None, error
pickle.dump(answer, answers)
answers.close()
"""


def call(function: Callable, *arguments):
    """Calls a module's function in a process of its own and returns what it returns.

    Its KwsError and OSError are raised here, and a KwsError if the process dies.
    """
    # A session of its own, because Ctrl-C is the caller's business.
    child = subprocess.run(
        [sys.executable, "-c", _CHILD],
        input=pickle.dumps(sys.path) + pickle.dumps((function, arguments)),
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    if child.returncode:
        raise KwsError(f"the process for {function.__name__.strip('_')} died; run again")
    result, problem = pickle.loads(child.stdout)  # our own child's, so it can be trusted
    if problem:
        raise problem
    return result
