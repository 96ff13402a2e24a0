"""From `keyturn.toml` to an External Client App in a managed package, by the `sf` CLI.

`app_config` is the file as types and `config_file` reads it; `metadata` writes components, `lint`
judges them; `sf_cli` is the one place that starts `sf`; `cli` turns arguments into these and back.
What is decided is in pure functions; what touches files, programs or the network is thin.
"""
