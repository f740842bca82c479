"""Score a prediction: screens, metrics, truth, flags, scorecard and its page."""
