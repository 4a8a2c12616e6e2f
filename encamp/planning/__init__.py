"""From a site to a plan: rollout order, templates, saved plans."""
