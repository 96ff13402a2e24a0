"""Key sources: places that hold key-encryption keys, a module each."""
