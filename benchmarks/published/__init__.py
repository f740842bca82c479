"""Published models in environments of their own: trained on a course, and what they predict, scored beside the kit."""
