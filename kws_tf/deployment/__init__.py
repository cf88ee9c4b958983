"""From a converted model to firmware: C tables, C front end, C++ application, golden vectors.

``export`` writes a folder that compiles as it is. What is the same in every export lies in
``firmware``; the C front end, which Python runs as well, in ``kws_tf.frontend``.
"""
