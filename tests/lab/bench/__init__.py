"""How long runs take, beside other tools, and over many hosts: `make bench`."""
