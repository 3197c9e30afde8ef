"""What is kept locally."""
