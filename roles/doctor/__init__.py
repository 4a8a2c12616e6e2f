"""The doctor: which API each host really uses, and what is wrong on the way."""
