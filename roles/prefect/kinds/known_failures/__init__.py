"""What Prefect prints when it fails, and what that means: ``lookup`` finds it, a table for each subject knows it.

The texts were seen on real servers, or stand in public reports.
"""
