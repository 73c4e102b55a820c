"""A handover: the delivery note and the acceptance certificate, made from entries of the log."""
