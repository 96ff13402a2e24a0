"""The groups `config`, `app` and `package` of the `keyturn` command: arguments in, outcome out.

A verb calls functions of the part and says what came; `verb` turns the part's errors into what
the frame shows. A new verb goes into the module of its group.
"""
