"""The Docker engine, its images and volumes."""
