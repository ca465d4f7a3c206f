"""People at screens: call-takers and emergency-department clerks, over HTTP and WebSocket."""
