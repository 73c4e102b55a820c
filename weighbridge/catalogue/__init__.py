"""What is known beforehand: readings and their units, metrics, cards, XIDs."""
