"""The metrics, one idea a module, and the rule sets that choose among them.

A metric takes the truth and the prediction as summaries of the same perturbations and genes.
"""
