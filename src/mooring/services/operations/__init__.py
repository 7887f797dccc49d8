"""What an operator sees and does: lists, explanations, the doctor, reservations."""
