"""Questions with known answers that only a model with intact positions gets right."""
