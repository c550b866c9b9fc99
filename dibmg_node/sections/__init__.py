"""The sections of `config.toml`: their keys, defaults and checks."""
