"""Notebook 05: a conditional variational autoencoder."""

from . import counterfactual, cvae, kl, nb_log_likelihood, reparameterise, warm_up, without_z

QUESTIONS = (
    nb_log_likelihood.QUESTION,
    reparameterise.QUESTION,
    kl.QUESTION,
    cvae.QUESTION,
    warm_up.QUESTION,
    counterfactual.QUESTION,
    without_z.QUESTION,
)
