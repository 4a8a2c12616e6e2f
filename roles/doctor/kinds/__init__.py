"""The doctor's checks that servers, workers and clients share."""
