"""The judgement of evidence: folds over the log that give intervals of slots and findings."""
