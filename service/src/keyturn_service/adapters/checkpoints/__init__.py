"""Where exported checkpoints go: one module a kind of place, behind `ports.CheckpointArchive`."""
