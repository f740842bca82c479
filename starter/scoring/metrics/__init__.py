"""The metrics, one idea a module, and the rule sets that choose among them."""
