"""What an operator does, one file a thing; called by the command and the console."""
