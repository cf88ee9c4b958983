"""From a converted model to firmware: C tables, C front end, C++ application, golden vectors.

``export`` writes a folder that compiles as it is; ``c_frontend`` runs the very C front end from
Python, so that an accuracy can be measured through it. Sources that every export carries are in
``firmware``.
"""
