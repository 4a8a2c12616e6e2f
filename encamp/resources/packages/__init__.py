"""The distribution's packages."""
