"""Key sources: places that hold key-encryption keys, and signers, a module each."""
