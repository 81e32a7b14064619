"""Every form of theta, x and draws that a user has: one reader each, and what goes back."""
