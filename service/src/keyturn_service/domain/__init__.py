"""What is true of connections, sessions, keys and audit events whatever the database.

Values are frozen; a change returns a new value; nothing here asks the time, reads a file or
draws a random number. A new rule about a state goes into the module of the thing that has it.
"""
