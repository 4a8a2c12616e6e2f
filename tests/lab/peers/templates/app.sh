#!/bin/sh
# A service that does nothing: what is measured is the tools that look after it.
exec sleep infinity
