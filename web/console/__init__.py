"""The console: pages for people, rendered on the server, with nothing loaded from elsewhere."""
