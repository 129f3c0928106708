"""Attention statistics of sampled query rows, from q, k and the mask: no S x S matrix, no `output_attentions`."""
