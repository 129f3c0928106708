"""The canary: questions that only intact positions answer right, asked of a living model.

Only `calling`, `identities`, `answering` and `runner` load torch.
"""
