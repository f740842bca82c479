"""Models beside each other, as the challenge would score them: who is hidden, arms, what they score, who is ahead."""
