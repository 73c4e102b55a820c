"""What the parties of a contract say: who may say what, and the book of what was said."""
