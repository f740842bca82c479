"""The pages of the leaderboard: what a browser and `starter submit` talk to."""
