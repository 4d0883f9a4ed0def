"""Structure that really leaves: smaller dense models, and which heads matter."""
