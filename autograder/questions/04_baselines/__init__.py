"""Notebook 04: what a model must beat."""

from . import bilinear, difference, heterogeneity, knn, out_of_fold, pathway_gain, ridge, train_mean

QUESTIONS = (
    train_mean.QUESTION,
    heterogeneity.QUESTION,
    out_of_fold.QUESTION,
    knn.QUESTION,
    ridge.QUESTION,
    bilinear.QUESTION,
    pathway_gain.QUESTION,
    difference.QUESTION,
)
