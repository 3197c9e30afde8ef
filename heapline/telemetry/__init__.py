"""What a running process tells: logs and metrics. Never personal data, never a secret."""
