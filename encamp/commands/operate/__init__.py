"""Tasks of every day: what a site does now, and stopping and starting it."""
