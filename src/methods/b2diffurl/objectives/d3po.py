"""D3PO: of two denoisings from one latent the better one is preferred, at each of their steps.

Yang et al., *Using Human Feedback to Fine-tune Diffusion Models without Any Reward Model*, arXiv 2311.13231.
"""

from torch import Tensor
from torch.nn.functional import logsigmoid

from src.methods.b2diffurl.objectives.base import Objective, joined, ratio_statistics, weighted
from src.methods.b2diffurl.objectives.weighting import Weighting


class D3PO(Objective):
    """-log sigmoid(beta w [log(pi / pi_ref)(winner) - log(pi / pi_ref)(loser)]) for each couple and step.

    Rewards only order the couple; how far apart they are does not count. Log-probabilities are averages over latent
    dimensions, so with the authors' beta = 0.1 the sigmoid stays at its middle, where the loss pushes by beta / 2
    whatever the margin; it saturates where beta is about the reciprocal of the log-ratios.
    """

    needs_reference = True
    couples = True

    def __init__(
        self, *, beta: float = 0.1, kl_weight: float = 0.0, weighting: Weighting = "none"
    ) -> None:
        self.beta = beta
        self.kl_weight = kl_weight
        self.weighting = weighting

    def __call__(
        self, log_prob: Tensor, old_log_prob: Tensor, advantage: Tensor, weight: Tensor | None, reference: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of each couple, once for either row, so that the mean over rows is the mean over couples.

        Args:
            log_prob: [B] of the policy, with its gradient, rows winner, loser, winner, loser ...; old_log_prob: [B] at
                rollout, for the figures alone.
            advantage: [B], not used: the order of the rows tells the winner.
            weight: [B] the pairs' entries of `step_weights`; None: ones.
            reference: [B] log-probabilities of the pretrained policy.

        Returns:
            loss [B], and detached 0-d statistics; `preference_accuracy` is the share of couples whose winner has become
            likelier than its loser, compared with the reference.
        """
        gain = weighted(log_prob - reference, weight)
        margin = self.beta * (gain[0::2] - gain[1::2])
        loss = -logsigmoid(margin)
        log_ratio = log_prob - old_log_prob
        stats = ratio_statistics(log_ratio, weighted(log_ratio, weight).exp())
        stats |= {"policy/preference_margin": margin.detach().mean(),
                  "policy/preference_accuracy": (margin.detach() > 0).float().mean()}
        return joined(loss, loss), stats
