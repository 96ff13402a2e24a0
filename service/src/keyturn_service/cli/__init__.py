"""The service's commands. They read arguments and print; what they do is in `bootstrap`."""
