"""Reading an inventory: files, groups, variables, patterns, hosts."""
