"""What people see: the web server and the screens."""
