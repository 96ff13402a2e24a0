"""Adapters: one folder an outside thing. They carry out the ports and decide nothing.

A new one says in its docstring which port it carries out, turns its library's errors into the
port's, and passes the port's conformance suite.
"""
