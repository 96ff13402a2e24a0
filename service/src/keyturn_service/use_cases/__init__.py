"""What somebody asks the service to do: one module a verb.

A use case keeps ports and is awaited. The order of its lines is the protocol: read the module
as the sentence it carries out. It reads no setting, speaks no SQL and no HTTP. What two verbs
share and is no rule of the domain lives in the module of the verb that owns it.
"""
