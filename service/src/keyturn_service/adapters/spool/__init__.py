"""Spools: journals of raw answers on disks that outlive the process (`ports.Spool`)."""
