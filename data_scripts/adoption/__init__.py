"""Any screen becomes a course data set: where its parts are, genes and labels harmonised, counts written anew."""
