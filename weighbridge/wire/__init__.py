"""What both programs say to each other: the report, and how an agent asks for commands."""
