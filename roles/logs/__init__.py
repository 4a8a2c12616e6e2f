"""``fab logs``: what the units of a site log, on all hosts, in the order of time."""
