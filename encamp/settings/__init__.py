"""Settings: how a role declares them, how they are read, converted, checked and described."""
