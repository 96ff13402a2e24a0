"""One module a metadata type: config in, component out, pure. The same config, the same bytes.

`xml` writes and reads documents, `component` is what a module returns; `package` gathers what
belongs into the package, `dev_hub` what the app needs in the org that owns it, and `beside` what
a package cannot carry. A new type gets a module, and its roots in `schema`.
"""
