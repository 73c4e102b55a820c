"""The portfolio: every contract of a log beside what was seen of it, and the red flags that a person should look at."""
