"""From a submission to points and reasons: ask, judge, score a prediction, a batch of many."""
