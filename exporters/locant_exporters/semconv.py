"""Every span attribute that Locant writes, spelled once.

The `gen_ai.*` names are OpenTelemetry's conventions for generative AI (github.com/open-telemetry/
semantic-conventions-genai), which are in development: when they move, this file moves. There is no convention for
positions; those attributes are our own.
"""

from __future__ import annotations

# OpenTelemetry
ERROR_TYPE = "error.type"
OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"

# values of OPERATION
CHAT = "chat"
TEXT_COMPLETION = "text_completion"
EMBEDDINGS = "embeddings"

# the model
MODEL_VERSION = "locant.model.version"
SCHEME = "locant.positional.scheme"
TRAINED_TOKENS = "locant.positional.trained_tokens"
CONFIG_HASH = "locant.positional.config_hash"

# one batch of sequences, tokenized or computed
SEQUENCES = "locant.batch.sequences"
LENGTHS = "locant.batch.lengths"  # real tokens of each row, the first rows only
LONGEST = "locant.batch.longest_tokens"
REAL_TOKENS = "locant.batch.real_tokens"
PADDING_TOKENS = "locant.batch.padding_tokens"
TRUNCATED = "locant.batch.truncated_sequences"

# one forward pass
PHASE = "locant.forward.phase"
CACHED_TOKENS = "locant.forward.cached_tokens"
LARGEST_POSITION = "locant.forward.largest_position"
POSITIONS_GIVEN = "locant.forward.positions_given"

# span names; a request is named after its operation and model
TOKENIZE = "tokenize"
FORWARD = "forward"
